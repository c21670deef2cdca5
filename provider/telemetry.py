"""Metrics and JSON logs.

Labels hold checks, phases, reasons, services and operations, all from closed lists, so the number of series is bounded.
Only alb_provider_ungated_switches_total and alb_provider_rollout_info name Rollouts: at most 200, those queried lately.
Hashes are in the log only.
"""

import logging
import logging.config
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from pydantic import BaseModel

from provider import __version__
from provider.model.errors import CannotTell
from provider.model.records import Kind, Verdict

_QUESTION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 10)
_SWITCH_BUCKETS = (0.5, 1, 2, 5, 10, 20, 60)
_AGE_BUCKETS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)
_UPSTREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The provider's metrics, in a registry of their own. Every metric is present from the first scrape on."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # processor time, memory, open files, start
        self._declare_answers()
        self._declare_evidence()
        self._declare_upstreams()
        self._declare_handover()
        self._gauge("build_info", "Always 1.", "version").labels(__version__).set(1)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"alb_provider_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"alb_provider_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"alb_provider_{name}", about, labels, buckets=buckets, registry=self.registry)

    def _declare_answers(self) -> None:
        """Declare what clients got, and what is shown of the Rollouts that were queried lately."""
        self._answers = self._counter(
            "answers", "Queries answered, by check, phase and reason.", "question", "phase", "reason"
        )
        self._answer_seconds = self._histogram(
            "answer_seconds", "Time from a query to its answer, in seconds.", _QUESTION_BUCKETS, "question"
        )
        self.refusals = self._counter("refused_requests", "Requests refused, by HTTP status.", "status")
        self.ungated_switches = self._counter(
            "ungated_switches",
            "Switches that no Successful answer of this replica preceded, of Rollouts queried lately.",
            "rollout_namespace",
            "rollout",
        )
        self._rollout_info = self._gauge(
            "rollout_info",
            "Always 1: phase and reason of the last answer about a Rollout, by endpoint; Rollouts queried lately.",
            *("rollout_namespace", "rollout", "question", "phase", "reason"),
        )
        self._info: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        self.events = self._counter(
            "events", "Kubernetes Events, by outcome: written, failed, or dropped (too many).", "outcome"
        )

    def _declare_evidence(self) -> None:
        """Declare the age and the sharing of evidence."""
        self._evidence_age = self._histogram(
            "evidence_age_seconds", "Age of the evidence of an answer, in seconds, by kind.", _AGE_BUCKETS, "kind"
        )
        for kind in Kind:
            self._evidence_age.labels(kind.value)
        self.shared_evidence = self._counter(
            "shared_evidence",
            "Lookups of evidence, by outcome: fresh (cached), joined (a read in flight) or read.",
            "kind",
            "outcome",
        )
        self.shared_records = self._gauge("shared_records", "Records of evidence in the cache.")

    def _declare_upstreams(self) -> None:
        """Declare the reads of Kubernetes and AWS, the call budget and the clocks."""
        self._upstream_seconds = self._histogram(
            "upstream_seconds",
            "Time of one upstream read including its retries, in seconds, by outcome (ok or the reason).",
            _UPSTREAM_BUCKETS,
            *("upstream", "operation", "outcome"),
        )
        self._aws_calls = self._counter(
            "aws_calls",
            "Calls of AWS, by whether AWS throttled them and whether they repeat one that failed.",
            *("upstream", "throttled", "retry"),
        )
        self._budget = self._gauge(
            "aws_call_budget", "ELBv2 calls that may be made at once now, in the region with the fewest."
        )
        self._queue = self._gauge(
            "aws_queue_length",
            "Rollouts that wait for their turn of the ELBv2 call budget, in the region with the most.",
        )
        self.clock_skew = self._gauge(
            "clock_skew_seconds",
            "How far an upstream's clock is ahead of ours for certain, in seconds, in the region where it is furthest.",
            "upstream",
        )
        for upstream in ("kubernetes", "elbv2", "cloudwatch"):
            self.clock_skew.labels(upstream)

    def _declare_handover(self) -> None:
        """Declare what handovers write and leave behind."""
        self.written_targets = self._counter(
            "written_targets",
            "Targets named in calls that change a target group (handover), by operation.",
            "operation",
        )
        self.handover_seconds = self._histogram(
            "handover_switch_seconds",
            "Time from a switch after a handover until every green pod was a healthy production target, in seconds.",
            _SWITCH_BUCKETS,
        )
        self.handover_resets = self._counter(
            "handover_reset_targets",
            "Green targets that a handover found healthy in production and that had to start again.",
        )
        self._left_behind = self._gauge(
            "left_behind_targets",
            "Targets that handovers registered in production groups and that are to be taken out.",
        )
        self._unsettled = self._gauge(
            "handover_unsettled_seconds",
            "Longest time for which a production group has not held what it should after a handover, or could not be "
            "looked at while one is open, in seconds.",
        )

    def answered(self, question: str, verdict: Verdict, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(question, verdict.phase, verdict.reason).inc()
        self._answer_seconds.labels(question).observe(seconds)
        for kind, age in verdict.observed.get("evidenceAgeSeconds", {}).items():
            self._evidence_age.labels(kind).observe(age)

    def forgets(self, namespace: str, rollout: str) -> None:
        """Remove the series of a Rollout that is no longer queried."""
        with suppress(KeyError):
            self.ungated_switches.remove(namespace, rollout)

    def decided(self, namespace: str, rollout: str, question: str, verdict: Verdict) -> None:
        """Show the phase and reason of the last answer about a Rollout, instead of the previous ones."""
        shown = self._info.setdefault((namespace, rollout), {})
        previous = shown.get(question)
        if previous is not None:
            self._rollout_info.remove(namespace, rollout, question, *previous)
        shown[question] = (verdict.phase.value, verdict.reason.value)
        self._rollout_info.labels(namespace, rollout, question, *shown[question]).set(1)

    def undecided(self, namespace: str, rollout: str) -> None:
        """Remove the last answers about a Rollout that is no longer queried."""
        for question, shown in self._info.pop((namespace, rollout), {}).items():
            self._rollout_info.remove(namespace, rollout, question, *shown)

    def aws_call(self, service: str, *, throttled: bool, retry: bool) -> None:
        """Count one call of AWS."""
        self._aws_calls.labels(service, str(throttled).lower(), str(retry).lower()).inc()

    def shows_budget(self, calls: Callable[[], float], waiting: Callable[[], int]) -> None:
        """Let each scrape read the remaining call budget, and the number of Rollouts that wait for it."""
        self._budget.set_function(calls)
        self._queue.set_function(waiting)

    def left_behind(self, targets: int, seconds: float) -> None:
        """Set how many targets of handovers are to be taken out, and since when a group is not as it should be."""
        self._left_behind.set(targets)
        self._unsettled.set(seconds)

    @contextmanager
    def upstream(self, service: str, operation: str) -> Iterator[None]:
        """Time an upstream read; its outcome is `ok` or the reason of the CannotTell that it raises."""
        started, outcome = time.perf_counter(), "ok"
        try:
            yield
        except CannotTell as error:
            outcome = error.reason.value
            logging.getLogger(__name__).warning(
                "upstream read failed",
                extra={"service": service, "operation": operation, "reason": outcome, "cause": _cause(error)},
            )
            raise
        finally:
            self._upstream_seconds.labels(service, operation, outcome).observe(time.perf_counter() - started)


def _cause(error: Exception) -> str:
    """Describe the client library's error. str, not repr: the repr of a UnicodeError quotes the whole value."""
    cause = error.__cause__
    return f"{type(cause).__name__}: {cause}" if cause else "none"


def logging_config(level: str) -> dict[str, Any]:
    """Return the logging configuration: one JSON object per line on standard error.

    Thread, process and line of code are not collected, since no line shows them (Python's logging HOWTO).
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
            # gunicorn adds handlers to its loggers unless they propagate.
            "gunicorn.error": {"handlers": [], "propagate": True},
            "gunicorn.access": {"handlers": [], "propagate": False},
            # Below WARNING botocore and urllib3 log request details, which can contain credentials.
            "botocore": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
        },
    }


def log_answer(question: str, query: BaseModel, verdict: Verdict, seconds: float) -> None:
    """Write the log line of a query."""
    logging.getLogger("provider.answers").info(
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
