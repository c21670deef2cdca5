"""How Argo Rollouts makes a verdict out of measurements: a small, exact model of its metric assessment.

Read from argoproj/argo-rollouts (analysis/analysis.go, utils/evaluate/evaluate.go, utils/analysis/helpers.go):

- One measurement: failureCondition true is Failed, and wins; successCondition true is Successful; both set and both
  false is Inconclusive. With the success condition alone "not yet" is Failed, with the failure condition alone "don't
  know" is Successful, and without any condition every answer is Successful. What cannot be evaluated is an Error.
- A metric, after each measurement: Failed when failed > failureLimit (-1 switches that off), Inconclusive when
  inconclusive > inconclusiveLimit (a total), Error when consecutive errors > consecutiveErrorLimit; Successful as soon
  as consecutiveSuccessLimit (0 is off) consecutive passes were measured; and once `count` measurements without an Error
  are there, Successful if consecutiveSuccessLimit is off, otherwise Inconclusive, or Failed where failureLimit is -1.
- Without `count` a metric is measured once if it has no `interval`, else for ever.
- An AnalysisRun is as bad as its worst metric: Successful < Inconclusive < Error < Failed. The first metric that does
  not end well stops the others, and what was unfinished then counts as Successful.

Argo's defaults: failureLimit 0, inconclusiveLimit 0, consecutiveErrorLimit 4, consecutiveSuccessLimit 0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Phase(StrEnum):
    """The phase of a measurement, a metric or an AnalysisRun, in Argo's words."""

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"


MEASURED = (Phase.SUCCESSFUL, Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED)
"""What one measurement can be, from best to worst."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a metric says about its own end; `count` None is endless."""

    count: int | None
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0

    @classmethod
    def of(cls, metric: Mapping[str, Any]) -> "Limits":
        """Read them from a metric of an AnalysisTemplate; refuse what Argo's validation refuses."""
        count = int(metric.get("count", 0)) or (None if "interval" in metric else 1)
        limits = cls(
            count=count,
            failure_limit=int(metric.get("failureLimit", 0)),
            inconclusive_limit=int(metric.get("inconclusiveLimit", 0)),
            consecutive_error_limit=int(metric.get("consecutiveErrorLimit", 4)),
            consecutive_success_limit=int(metric.get("consecutiveSuccessLimit", 0)),
        )
        if count is not None and count > 1 and "interval" not in metric:
            raise ValueError("count > 1 needs an interval")
        if count is not None and count < limits.failure_limit + limits.consecutive_success_limit:
            raise ValueError("count is less than failureLimit + consecutiveSuccessLimit")
        if count is not None and count < limits.inconclusive_limit:
            raise ValueError("count is less than inconclusiveLimit")
        if limits.failure_limit < 0 and not limits.consecutive_success_limit:
            raise ValueError("failureLimit -1 needs a consecutiveSuccessLimit")
        return limits


class Counters(NamedTuple):
    """What Argo counts of a metric's measurements."""

    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    errors_in_a_row: int = 0
    successes_in_a_row: int = 0

    @property
    def counted(self) -> int:
        """Measurements without an Error: the only ones that `count` counts."""
        return self.successful + self.failed + self.inconclusive

    def after(self, measured: Phase) -> "Counters":
        """Count one more measurement."""
        good, bad, unknown, in_error, in_success = self
        match measured:
            case Phase.SUCCESSFUL:
                return Counters(good + 1, bad, unknown, 0, in_success + 1)
            case Phase.FAILED:
                return Counters(good, bad + 1, unknown, 0, 0)
            case Phase.INCONCLUSIVE:
                return Counters(good, bad, unknown + 1, 0, 0)
            case Phase.ERROR:
                return Counters(good, bad, unknown, in_error + 1, 0)
        raise ValueError(f"{measured} is no result of a measurement")


_CONDITION = re.compile(r'result\[1\] == "(Successful|Failed)"')


def holds(condition: str, result: object) -> bool:
    """Evaluate `result[1] == "Successful"` or `result[1] == "Failed"`; ValueError for any other condition.

    Raises LookupError or TypeError for a result without a second element, as Argo's evaluation is an Error then.
    """
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ValueError(f"The model does not know the condition {condition}")
    if not isinstance(result, Sequence) or isinstance(result, str):
        raise TypeError("result is not an array")
    return bool(result[1] == match[1])


def measure(metric: Mapping[str, Any], result: object) -> Phase:
    """Say what one JSON answer, as the jsonPath gives it, makes of a measurement."""
    success, failure = metric.get("successCondition"), metric.get("failureCondition")
    try:
        failed = failure is not None and holds(failure, result)
        passed = success is not None and holds(success, result)
    except (LookupError, TypeError):
        return Phase.ERROR
    if failed:
        return Phase.FAILED
    if passed:
        return Phase.SUCCESSFUL
    if success is None:
        return Phase.SUCCESSFUL
    return Phase.FAILED if failure is None else Phase.INCONCLUSIVE


def exceeded(limits: Limits, counters: Counters) -> tuple[Phase, str] | None:
    """Return how a metric ends that is over one of its limits, and Argo's sentence about it; None below them."""
    if 0 <= limits.failure_limit < counters.failed:
        return Phase.FAILED, f"failed ({counters.failed}) > failureLimit ({limits.failure_limit})"
    if counters.inconclusive > limits.inconclusive_limit:
        compared = f"inconclusive ({counters.inconclusive}) > inconclusiveLimit ({limits.inconclusive_limit})"
        return Phase.INCONCLUSIVE, compared
    if counters.errors_in_a_row > limits.consecutive_error_limit:
        compared = f"consecutiveErrors ({counters.errors_in_a_row}) > consecutiveErrorLimit"
        return Phase.ERROR, f"{compared} ({limits.consecutive_error_limit})"
    return None


def phase_of(limits: Limits, counters: Counters) -> Phase:
    """Assess a metric after one more measurement."""
    if (end := exceeded(limits, counters)) is not None:
        return end[0]
    in_a_row = limits.consecutive_success_limit
    if 0 < in_a_row <= counters.successes_in_a_row:
        return Phase.SUCCESSFUL
    if limits.count is None or counters.counted < limits.count:
        return Phase.RUNNING
    if not in_a_row:
        return Phase.SUCCESSFUL
    return Phase.FAILED if limits.failure_limit < 0 else Phase.INCONCLUSIVE


def assess(limits: Limits, measured: Iterable[Phase]) -> tuple[Phase, Counters]:
    """Let a metric see measurements until it ends or they run out; return its phase and what was counted."""
    counters, phase = Counters(), Phase.RUNNING
    for measurement in measured:
        counters = counters.after(measurement)
        phase = phase_of(limits, counters)
        if phase is not Phase.RUNNING:
            break
    return phase, counters


def ends(limits: Limits) -> frozenset[tuple[Phase, Counters]]:
    """Return every way in which a metric can end: all sequences of measurements, by their counters.

    An endless metric is followed to its limits, with the successes that end nothing left uncounted.
    """
    found: set[tuple[Phase, Counters]] = set()
    seen = {Counters()}
    waiting = [Counters()]
    while waiting:
        before = waiting.pop()
        for one in MEASURED:
            after = before.after(one)
            if limits.count is None:
                after = after._replace(successful=0, successes_in_a_row=0)
            phase = phase_of(limits, after)
            if phase is not Phase.RUNNING:
                found.add((phase, after))
            elif after not in seen:
                seen.add(after)
                waiting.append(after)
    return frozenset(found)


def phase_of_run(metrics: Iterable[Phase]) -> Phase:
    """Return an AnalysisRun's phase: the worst ending stops the rest; without one it runs until all are Successful."""
    phases = tuple(metrics)
    ended = [one for one in phases if one is not Phase.RUNNING]
    worst = max(ended, key=MEASURED.index, default=Phase.SUCCESSFUL)
    if worst is not Phase.SUCCESSFUL:
        return worst
    return Phase.RUNNING if len(ended) < len(phases) else Phase.SUCCESSFUL
