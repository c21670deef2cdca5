"""What the provider tells its operators: metrics with closed label sets, and JSON logs.

Labels hold questions, phases, reasons, services and operations: all from closed lists, so the number of series is
bounded. Namespaces, Rollouts and hashes are in the log line of each question instead.
"""

import logging
import logging.config
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import BaseModel

from provider import __version__
from provider.errors import CannotTell
from provider.records import Verdict

_QUESTION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 10)
_UPSTREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The provider's metrics, in a registry of their own, and when each upstream first answered."""

    def __init__(self) -> None:
        """Register every metric, so that each one is there from the first scrape on."""
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "alb_provider_answers",
            "Questions answered, by what was answered.",
            ["question", "phase", "reason"],
            registry=self.registry,
        )
        self._answer_seconds = Histogram(
            "alb_provider_answer_seconds",
            "Time from a question to its answer, in seconds.",
            ["question"],
            buckets=_QUESTION_BUCKETS,
            registry=self.registry,
        )
        self._of_answers: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._refusals = Counter(
            "alb_provider_refused_requests",
            "Requests refused with a problem document, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self._upstream_seconds = Histogram(
            "alb_provider_upstream_seconds",
            "Time of one upstream read including its retries, in seconds, by outcome (ok or the reason).",
            ["service", "operation", "outcome"],
            buckets=_UPSTREAM_BUCKETS,
            registry=self.registry,
        )
        self._shared = Counter(
            "alb_provider_shared_evidence",
            "Evidence that was wanted: fresh already, joined to a read under way, or read.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self._kept = Gauge(
            "alb_provider_shared_records", "Records of evidence that are kept to be shared.", registry=self.registry
        )
        self._aws_calls = Counter(
            "alb_provider_aws_calls",
            "Calls of AWS, retries included, by whether AWS answered that they are too many.",
            ["service", "throttled"],
            registry=self.registry,
        )
        build = Gauge("alb_provider_build_info", "Always 1.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)

    def answered(self, question: str, verdict: Verdict, seconds: float) -> None:
        """Count an answer."""
        key = (question, verdict.phase, verdict.reason)
        found = self._of_answers.get(key)
        if found is None:  # looking a child up costs more than counting with it
            found = (self._answers.labels(*key), self._answer_seconds.labels(question))
            self._of_answers[key] = found
        counter, histogram = found
        counter.inc()
        histogram.observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that got a problem document."""
        self._refusals.labels(str(status)).inc()

    def shared(self, kind: str, outcome: str) -> None:
        """Count evidence that was wanted: `fresh`, `joined` or `read`."""
        self._shared.labels(kind, outcome).inc()

    def keeps(self, records: int) -> None:
        """Tell how many records are kept."""
        self._kept.set(records)

    def aws_call(self, service: str, *, throttled: bool) -> None:
        """Count one call of AWS."""
        self._aws_calls.labels(service, str(throttled).lower()).inc()

    @contextmanager
    def upstream(self, service: str, operation: str) -> Iterator[None]:
        """Time one upstream read; its outcome is `ok` or the reason of the CannotTell it raises."""
        started, outcome = time.perf_counter(), "ok"
        try:
            yield
        except CannotTell as error:
            outcome = error.reason.value
            logging.getLogger(__name__).warning(
                "upstream read failed",
                extra={"service": service, "operation": operation, "reason": outcome, "cause": repr(error.__cause__)},
            )
            raise
        finally:
            self._upstream_seconds.labels(service, operation, outcome).observe(time.perf_counter() - started)


def logging_config(level: str) -> dict[str, Any]:
    """Return the logging configuration of the server: one JSON object per line on standard error.

    What no line shows is not looked up (Python's logging HOWTO, "Optimization"): thread, process, and the line of code.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - documented there
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "provider.redaction.RedactingFormatter",
                "format": "%(levelname)s %(name)s %(message)s",
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": True,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # gunicorn gives its loggers handlers of their own unless they are told to pass records on.
            "gunicorn.error": {"handlers": [], "propagate": True},
            "gunicorn.access": {"handlers": [], "propagate": False},
            # botocore and urllib3 log request details below WARNING, which can hold credentials' ids.
            "botocore": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
        },
    }


def log_answer(question: str, query: BaseModel, verdict: Verdict, seconds: float) -> None:
    """Write the one log line of a question; what is only said again is for DEBUG, since it tells nothing new."""
    logger, level = logging.getLogger("provider.answers"), logging.DEBUG if verdict.repeated else logging.INFO
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        verdict.message,
        extra={
            "question": question,
            "query": query.model_dump(by_alias=True, exclude_unset=True),
            "phase": verdict.phase,
            "reason": verdict.reason,
            "number": verdict.number,
            "durationSeconds": round(seconds, 3),
            "evidenceAgeSeconds": verdict.observed.get("evidenceAgeSeconds"),
        },
    )
