"""How slow green's requests were compared with blue's, from CloudWatch's TargetResponseTime.

Pure. Green is as fast as blue if at most 5 % of its requests took longer than blue's 95th percentile times a factor. In
other words: green's 95th percentile is within that factor. CloudWatch counts those requests: of `SampleCount` values
the percentile rank `PR(:t)` is the percentage up to t (CloudWatch statistics definitions).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Metric, Points, TargetGroup, Window
from provider.rules.counts import dimension
from provider.rules.proportions import chance_of_as_few

RESPONSE_TIME = "TargetResponseTime"

SLOWEST_SHARE = 0.05
"""Share of the requests above the 95th percentile."""

SIGNIFICANCE = 0.01
"""Probability of calling green warm if exactly 5 % of its requests are slow."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The response times of one side over a window, in seconds; `p95` is None without requests."""

    requests: int
    p95: float | None


@dataclass(frozen=True, slots=True)
class Slow:
    """How many of green's requests were slower than the limit; `unranked` minutes have no percentile rank."""

    requests: int
    count: int
    unranked: tuple[datetime, ...]


def metrics_of(group: TargetGroup) -> list[Metric]:
    """Return the metrics of a group's number of requests and of their 95th percentile."""
    return [_metric(group, "SampleCount"), _metric(group, "p95")]


def rank_of(group: TargetGroup, limit_seconds: float) -> Metric:
    """Return the metric of the percentage of a group's requests that took no longer than the limit."""
    return _metric(group, f"PR(:{limit_seconds:.6f})")


def latency(groups: Iterable[TargetGroup], points: Points, window: Window) -> Latency:
    """Return the requests of some groups, and their 95th percentile: the median of the minutes, weighted by requests.

    Percentiles of several minutes cannot be joined exactly; a single slow minute does not move the median.
    """
    weighted = []
    for group in groups:
        counts, p95s = points.get(_metric(group, "SampleCount"), {}), points.get(_metric(group, "p95"), {})
        weighted += [
            (_seconds(p95s[minute]), _count(counts[minute]))
            for minute in window.minutes
            if minute in p95s and minute in counts
        ]
    total = sum(count for _, count in weighted)
    covered = 0
    for seconds, count in sorted(weighted):
        covered += count
        if 2 * covered >= total > 0:
            return Latency(total, seconds)
    return Latency(total, None)


def slow(groups: Iterable[TargetGroup], limit_seconds: float, points: Points, window: Window) -> Slow:
    """Count the requests that took longer than the limit. Raises CannotTell (AwsMalformed)."""
    requests, count, unranked = 0, 0, []
    for group in groups:
        counts = points.get(_metric(group, "SampleCount"), {})
        ranks = points.get(rank_of(group, limit_seconds), {})
        for minute in window.minutes:
            number = _count(counts.get(minute, 0.0))
            if number and minute not in ranks:
                unranked.append(minute)
            elif number:
                requests += number
                count += round(number * (1 - _percent(ranks[minute]) / 100))
    return Slow(requests, count, tuple(unranked))


def _metric(group: TargetGroup, statistic: str) -> Metric:
    return Metric(RESPONSE_TIME, dimension(group.load_balancer_arns[0]), dimension(group.arn), statistic)


def _count(value: float) -> int:
    if not (value >= 0 and float(value).is_integer()):
        raise _malformed(value, "a number of requests")
    return int(value)


def _seconds(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise _malformed(value, "a time")
    return value


def _percent(value: float) -> float:
    if not 0 <= value <= 100:
        raise _malformed(value, "a percentage")
    return value


def _malformed(value: float, expected: str) -> CannotTell:
    return CannotTell(
        Reason.AWS_MALFORMED,
        f"AWS's answer to cloudwatch:GetMetricData has the value {value:g} for a minute of {RESPONSE_TIME}, which is "
        f"not {expected}",
    )


def are_few(slow_count: int, total: int) -> bool:
    """Tell whether so few requests are slow that the true share is below 5 % beyond chance."""
    return chance_of_as_few(slow_count, total, SLOWEST_SHARE) < SIGNIFICANCE
