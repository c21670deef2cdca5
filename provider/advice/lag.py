"""How late CloudWatch publishes the minutes of a Rollout's target groups, as repeated reads see it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from provider.checks.question import Sources
from provider.model.records import Metric, Place, Points, Window
from provider.rules.counts import metrics_of
from provider.sources.deadline import Deadline

MINUTE = timedelta(minutes=1)
READ_MINUTES = 10
"""How many minutes each read covers, the current one included: later corrections are seen for so long."""


@dataclass(slots=True)
class _Minute:
    """One metric's minute: its value, and the seconds after its end at which it was first seen and last changed."""

    value: float
    first: float | None
    """None if it was there at the first read."""
    last: float
    change_count: int = 0


@dataclass(slots=True)
class Lags:
    """What repeated reads saw, by metric and minute."""

    _seen: dict[Metric, dict[datetime, _Minute]] = field(default_factory=dict)
    _has_read: bool = False

    def note(self, points: Points, now: datetime) -> Iterator[str]:
        """Note the points of a read that ended now, and yield a sentence for each that is new or has changed."""
        for metric, series in points.items():
            known = self._seen.setdefault(metric, {})
            for minute, value in sorted(series.items()):
                seconds = (now - minute - MINUTE).total_seconds()
                name = f"{metric.name} of {_group(metric)}, minute {minute:%H:%M}"
                before = known.get(minute)
                if before is None:
                    known[minute] = _Minute(value, seconds if self._has_read else None, seconds)
                    if self._has_read:
                        yield f"{name}: {value:g}, first seen {seconds:.0f} s after its end"
                elif before.value != value:
                    yield f"{name}: {before.value:g} became {value:g}, {seconds:.0f} s after its end"
                    before.value, before.last = value, seconds
                    before.change_count += 1
        self._has_read = True

    def rows(self) -> list[dict[str, Any]]:
        """Return a summary for each metric of which a minute was seen to appear."""
        return [row for metric, minutes in self._seen.items() if (row := _row(metric, minutes))]


def _row(metric: Metric, minutes: dict[datetime, _Minute]) -> dict[str, Any]:
    first = [minute.first for minute in minutes.values() if minute.first is not None]
    if not first:
        return {}
    return {
        "metric": metric.name,
        "targetGroup": _group(metric),
        "minuteCount": len(first),
        "leastSeconds": round(min(first)),
        "medianSeconds": round(median(first)),
        "worstSeconds": round(max(first)),
        "changedCount": sum(minute.change_count > 0 for minute in minutes.values()),
        "lastChangeSeconds": round(max(minute.last for minute in minutes.values() if minute.first is not None)),
    }


def _group(metric: Metric) -> str:
    return metric.target_group.split("/")[1] if metric.target_group else metric.load_balancer.split("/")[1]


class Reads:
    """Reads the metrics of a Rollout's target groups again and again, each time from CloudWatch itself."""

    def __init__(self, sources: Sources, namespace: str, rollout: str) -> None:
        """Find the target groups. `sources` must not cache metrics. Raises RolloutNotFound and CannotTell."""
        deadline = Deadline(sources.budget_seconds)
        topology = sources.cluster.topology(namespace, rollout, deadline)
        groups = [reading.value for reading in sources.load_balancers.groups(topology.bindings, deadline)]
        self._sources = sources
        self.metrics: dict[Place, list[Metric]] = {}
        """By place; empty if no load balancer forwards to any of the groups."""
        for group in groups:
            if group.in_use:
                self.metrics.setdefault(group.place, []).extend(metrics_of(group, judged=True))

    def read(self) -> tuple[Points, datetime]:
        """Return every metric's newest points, and when they were there. Raises CannotTell."""
        now = self._sources.clock()
        end = now.replace(second=0, microsecond=0) + MINUTE
        window = Window(end - READ_MINUTES * MINUTE, end)
        points: dict[Metric, Mapping[datetime, float]] = {}
        for place, metrics in self.metrics.items():
            deadline = Deadline(self._sources.budget_seconds)
            points.update(self._sources.cloudwatch.points(place, metrics, window, deadline).value)
        return points, now
