"""Metrics and JSON logs.

Labels hold checks, phases, reasons, services and operations, all from closed lists, so the number of series is bounded.
Only alb_provider_ungated_switches_total and alb_provider_rollout_info name Rollouts: those queried lately, at most 200,
removed when they are forgotten. Hashes are in the log only.
"""

import logging
import logging.config
import time
from collections.abc import Callable, Iterator
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
    """The provider's metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Register every metric, so that each is present from the first scrape on: one flat list, however long."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # processor time, memory, open files, start
        self._answers = Counter(
            "alb_provider_answers",
            "Queries answered, by check, phase and reason.",
            ["question", "phase", "reason"],
            registry=self.registry,
        )
        self._answer_seconds = Histogram(
            "alb_provider_answer_seconds",
            "Time from a query to its answer, in seconds.",
            ["question"],
            buckets=_QUESTION_BUCKETS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "alb_provider_refused_requests",
            "Requests refused, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self._upstream_seconds = Histogram(
            "alb_provider_upstream_seconds",
            "Time of one upstream read including its retries, in seconds, by outcome (ok or the reason).",
            ["upstream", "operation", "outcome"],
            buckets=_UPSTREAM_BUCKETS,
            registry=self.registry,
        )
        self._shared = Counter(
            "alb_provider_shared_evidence",
            "Lookups of evidence, by outcome: fresh (cached), joined (a read in flight) or read.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self._kept = Gauge("alb_provider_shared_records", "Records of evidence in the cache.", registry=self.registry)
        self._aws_calls = Counter(
            "alb_provider_aws_calls",
            "Calls of AWS, by whether AWS throttled them and whether they repeat one that failed.",
            ["upstream", "throttled", "retry"],
            registry=self.registry,
        )
        self._ungated = Counter(
            "alb_provider_ungated_switches",
            "Switches that no Successful answer of this replica preceded, of Rollouts queried lately.",
            ["rollout_namespace", "rollout"],
            registry=self.registry,
        )
        self._rollout_info = Gauge(
            "alb_provider_rollout_info",
            "Always 1: phase and reason of the last answer about a Rollout, by endpoint; Rollouts queried lately.",
            ["rollout_namespace", "rollout", "question", "phase", "reason"],
            registry=self.registry,
        )
        self._info: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        self._evidence_age = Histogram(
            "alb_provider_evidence_age_seconds",
            "Age of the evidence of an answer, in seconds, by kind.",
            ["kind"],
            buckets=_AGE_BUCKETS,
            registry=self.registry,
        )
        for kind in Kind:
            self._evidence_age.labels(kind.value)
        self._budget = Gauge(
            "alb_provider_aws_call_budget",
            "ELBv2 calls that may be made at once now, in the region with the fewest.",
            registry=self.registry,
        )
        self._queue = Gauge(
            "alb_provider_aws_queue_length",
            "Rollouts that wait for their turn of the ELBv2 call budget, in the region with the most.",
            registry=self.registry,
        )
        self._clock_skew = Gauge(
            "alb_provider_clock_skew_seconds",
            "How far an upstream's clock is ahead of ours for certain, in seconds, in the region where it is furthest.",
            ["upstream"],
            registry=self.registry,
        )
        for upstream in ("kubernetes", "elbv2", "cloudwatch"):
            self._clock_skew.labels(upstream)
        self._events = Counter(
            "alb_provider_events",
            "Kubernetes Events, by outcome: written, failed, or dropped (too many).",
            ["outcome"],
            registry=self.registry,
        )
        self._writes = Counter(
            "alb_provider_written_targets",
            "Targets named in calls that change a target group (handover), by operation.",
            ["operation"],
            registry=self.registry,
        )
        self._handover_seconds = Histogram(
            "alb_provider_handover_switch_seconds",
            "Time from a switch after a handover until every green pod was a healthy production target, in seconds.",
            buckets=_SWITCH_BUCKETS,
            registry=self.registry,
        )
        self._handover_resets = Counter(
            "alb_provider_handover_reset_targets",
            "Green targets that a handover found healthy in production and that had to start again.",
            registry=self.registry,
        )
        self._left_behind = Gauge(
            "alb_provider_left_behind_targets",
            "Targets in production groups that are pods of a Rollout which its production Service does not select.",
            registry=self.registry,
        )
        build = Gauge("alb_provider_build_info", "Always 1.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)

    def answered(self, question: str, verdict: Verdict, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(question, verdict.phase, verdict.reason).inc()
        self._answer_seconds.labels(question).observe(seconds)
        for kind, age in verdict.observed.get("evidenceAgeSeconds", {}).items():
            self._evidence_age.labels(kind).observe(age)

    def refused(self, status: int) -> None:
        """Count a refused request."""
        self._refusals.labels(str(status)).inc()

    def watches(self, namespace: str, rollout: str) -> None:
        """Show a Rollout from 0 on: a series that began with 1 would not count as an increase."""
        self._ungated.labels(namespace, rollout)

    def ungated_switch(self, namespace: str, rollout: str) -> None:
        """Count a switch that no pass preceded."""
        self._ungated.labels(namespace, rollout).inc()

    def forgets(self, namespace: str, rollout: str) -> None:
        """Remove the series of a Rollout that nobody queries any more."""
        with suppress(KeyError):
            self._ungated.remove(namespace, rollout)

    def shared(self, kind: str, outcome: str) -> None:
        """Count a lookup of evidence: `fresh`, `joined` or `read`."""
        self._shared.labels(kind, outcome).inc()

    def keeps(self, records: int) -> None:
        """Set the number of records in the cache."""
        self._kept.set(records)

    def decided(self, namespace: str, rollout: str, question: str, verdict: Verdict) -> None:
        """Show the phase and reason of the last answer about a Rollout, in place of the ones before."""
        shown = self._info.setdefault((namespace, rollout), {})
        before = shown.get(question)
        if before is not None:
            self._rollout_info.remove(namespace, rollout, question, *before)
        shown[question] = (verdict.phase.value, verdict.reason.value)
        self._rollout_info.labels(namespace, rollout, question, *shown[question]).set(1)

    def undecided(self, namespace: str, rollout: str) -> None:
        """Remove what is shown of a Rollout that nobody queries any more."""
        for question, shown in self._info.pop((namespace, rollout), {}).items():
            self._rollout_info.remove(namespace, rollout, question, *shown)

    def aws_call(self, service: str, *, throttled: bool, retry: bool) -> None:
        """Count one call of AWS."""
        self._aws_calls.labels(service, str(throttled).lower(), str(retry).lower()).inc()

    def shows_budget(self, calls: Callable[[], float], waiting: Callable[[], int]) -> None:
        """Let each scrape read what is left of the call budget, and how many Rollouts wait for it."""
        self._budget.set_function(calls)
        self._queue.set_function(waiting)

    def shows_clock_skew(self, upstream: str, seconds: Callable[[], float]) -> None:
        """Let each scrape read how far an upstream's clock is ahead of ours."""
        self._clock_skew.labels(upstream).set_function(seconds)

    def event(self, outcome: str) -> None:
        """Count a Kubernetes Event: `written`, `failed` or `dropped`."""
        self._events.labels(outcome).inc()

    def wrote(self, operation: str, targets: int) -> None:
        """Count targets named in a call that changes a target group."""
        self._writes.labels(operation).inc(targets)

    def handed_over(self, seconds: float) -> None:
        """Record how long after a switch every green pod was a healthy production target."""
        self._handover_seconds.observe(seconds)

    def reset_by_switch(self, targets: int) -> None:
        """Count green targets that were healthy in production and had to start again."""
        self._handover_resets.inc(targets)

    def left_behind(self, targets: int) -> None:
        """Set how many targets handovers left behind, as far as this replica knows."""
        self._left_behind.set(targets)

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
                extra={"service": service, "operation": operation, "reason": outcome, "cause": _cause(error)},
            )
            raise
        finally:
            self._upstream_seconds.labels(service, operation, outcome).observe(time.perf_counter() - started)


def _cause(error: Exception) -> str:
    """Describe the client library's own error. str, not repr: the repr of a UnicodeError quotes the whole value."""
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
            # gunicorn adds handlers of its own to its loggers unless they propagate.
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
