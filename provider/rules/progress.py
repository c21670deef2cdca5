"""How far is a running AnalysisRun: how many passes it has, what it still tolerates, and when it ends in a pause?

Pure. Source: Argo Rollouts 1.10.1, analysis/analysis.go (assessMetricStatus, calculateNextReconcileTime).
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from provider.model.analysis import AnalysisMetric
from provider.model.argo import ERROR, INCONCLUSIVE, SUCCESSFUL, AnalysisRun, Measurement, MetricResult

ERROR_SECONDS = 10
"""After an Error Argo measures again in 10 s, whatever the interval is."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How one metric of an AnalysisRun stands.

    It has `passes` of `passes_needed` successful measurements, consecutive ones if `in_a_row`, and tolerates
    `failures_left` more failures (None: any number) and `errors_left` more consecutive errors.
    `pauses_at` is when it ends in a pause if every answer is Inconclusive from now on.
    """

    metric: str
    passes: int
    passes_needed: int
    in_a_row: bool
    failures_left: int | None
    errors_left: int
    next_at: datetime | None
    pauses_at: datetime | None

    @property
    def sentence(self) -> str:
        """Say it in one sentence, or two."""
        row = "consecutive passes" if self.in_a_row else "measurements passed"
        errors = f"{self.errors_left} more consecutive error{'' if self.errors_left == 1 else 's'}"
        match self.failures_left:
            case 0:
                aborts = f"The next failure aborts; {errors} do not"
            case None:
                aborts = f"Failures do not abort, nor do {errors}"
            case 1:
                aborts = f"1 more failure does not abort, nor do {errors}"
            case number:
                aborts = f"{number} more failures do not abort, nor do {errors}"
        parts = [f"{self.metric}: {self.passes} of {self.passes_needed} {row}. {aborts}."]
        if self.next_at:
            parts.append(f"It measures next at {self.next_at:%H:%M:%S} UTC")
            if self.pauses_at:
                parts[-1] += f", and without passes Argo pauses at about {self.pauses_at:%H:%M:%S} UTC"
            parts[-1] += "."
        return " ".join(parts)


def progress_of(metric: AnalysisMetric, result: MetricResult, run: AnalysisRun) -> Progress:
    """Return how a metric stands that has not ended."""
    in_a_row = metric.consecutive_success_limit > 0
    least = (metric.count or 0) - max(metric.failure_limit, 0) - metric.inconclusive_limit
    left = None if metric.count is None else max(metric.count - result.count, 0)
    inconclusive_left = max(metric.inconclusive_limit - result.inconclusive, 0)
    next_at = _next(metric, result, run)
    # Without consecutiveSuccessLimit a metric that reaches its count is Successful, so only the limit pauses it.
    until = [inconclusive_left + 1, *([left] if in_a_row and left is not None else [])]
    return Progress(
        metric=metric.name,
        passes=result.consecutive_success if in_a_row else result.successful,
        passes_needed=metric.consecutive_success_limit if in_a_row else max(least, 1),
        in_a_row=in_a_row,
        failures_left=None if metric.failure_limit < 0 else max(metric.failure_limit - result.failed, 0),
        errors_left=max(metric.consecutive_error_limit - result.consecutive_error, 0),
        next_at=next_at,
        pauses_at=_later(next_at, metric.interval_seconds * max(min(until) - 1, 0)),
    )


def _next(metric: AnalysisMetric, result: MetricResult, run: AnalysisRun) -> datetime | None:
    last = result.last
    if last is None:
        return _later(run.started_at, metric.initial_delay_seconds)
    return _later(last.finished_at, ERROR_SECONDS if last.phase == ERROR else metric.interval_seconds)


def _later(moment: datetime | None, seconds: float) -> datetime | None:
    try:
        return None if moment is None else moment + timedelta(seconds=seconds)
    except OverflowError:  # an interval of a million years
        return None


def deciding(run: AnalysisRun) -> tuple[MetricResult, Measurement | None] | None:
    """Return the metric by which an AnalysisRun ended other than Successful, and the measurement that did it."""
    for phase in (run.phase, *({INCONCLUSIVE} if run.phase != SUCCESSFUL else ())):
        for result in run.results:
            if result.phase == phase and phase != SUCCESSFUL:
                of_phase = [measurement for measurement in result.measurements if measurement.phase == phase]
                return result, of_phase[-1] if of_phase else result.last
    return None


def sentence_of(measurement: Measurement) -> str:
    """Return what a measurement says: the sentence in our answer, or the error's message, or the value."""
    value = _json(measurement.value)
    if isinstance(value, list) and len(value) > 2 and isinstance(value[2], str):
        return value[2]
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return str(measurement.message or measurement.value)


def number_of(measurement: Measurement) -> float | None:
    """Return the number that Argo charts; None if there is none."""
    value = _json(measurement.value)
    first = value[0] if isinstance(value, list) and value else value
    return float(first) if isinstance(first, int | float) and not isinstance(first, bool) else None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
