"""Teaches moto's CloudWatch percentiles and percentile ranks, for one pinned version of moto.

moto 5.2.5 has none, and would keep every single value of a minute. The embedded AWS publishes a minute's response times
as statistics, keeps their distribution here, and answers `pNN` and `PR(:t)` from it. The method is no documented
extension point; therefore moto is pinned, and a test fails if moto no longer calls it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)")
_RANK = re.compile(r"PR\(:(\d+(?:\.\d+)?)\)")


@dataclass(frozen=True)
class Times:
    """How many requests took how many seconds during a minute."""

    counts: tuple[tuple[float, int], ...]
    """(seconds, requests), in any order."""

    @property
    def samples(self) -> int:
        """How many requests there were."""
        return sum(count for _, count in self.counts)

    def statistics(self) -> dict[str, float]:
        """Return them as PutMetricData takes them."""
        every = [seconds for seconds, count in self.counts if count]
        total = sum(seconds * count for seconds, count in self.counts)
        return {"SampleCount": self.samples, "Sum": total, "Minimum": min(every), "Maximum": max(every)}


Key = tuple[str, tuple[str, ...], "datetime"]
"""The metric's name, the values of its dimensions, and the minute, UTC without a zone."""


@dataclass
class Distributions:
    """Every published distribution."""

    known: dict[Key, Times] = field(default_factory=dict)

    def install(self) -> Callable[[], None]:
        """Let moto answer from here; returns the function that undoes it. It applies to the process."""
        original = Statistics.get_statistics_for_type

        def get_statistics_for_type(statistics: Any, stat: str) -> Any:
            percentile, rank = _PERCENTILE.fullmatch(stat), _RANK.fullmatch(stat)
            if percentile is None and rank is None:
                return original(statistics, stat)
            values = sorted(value for datum in statistics.metric_data for value in self._of(datum))
            if percentile is not None:
                return _percentile(values, float(percentile[1]))
            return _rank(values, float(rank[1])) if rank is not None else None

        replaced: Any = Statistics
        replaced.get_statistics_for_type = get_statistics_for_type

        def undo() -> None:
            replaced.get_statistics_for_type = original

        return undo

    def _of(self, datum: Any) -> Iterable[tuple[float, int]]:
        key = (datum.name, tuple(one.value for one in datum.dimensions), datum.timestamp.replace(tzinfo=None))
        return self.known[key].counts if key in self.known else ()


def _percentile(values: list[tuple[float, int]], percent: float) -> float | None:
    """Return the least value that so many percent of all values do not exceed."""
    total, seen = sum(count for _, count in values), 0
    for seconds, count in values:
        seen += count
        if seen * 100 >= percent * total > 0:
            return seconds
    return None


def _rank(values: list[tuple[float, int]], limit: float) -> float | None:
    """Return the percentage of values that do not exceed the limit."""
    total = sum(count for _, count in values)
    return 100 * sum(count for seconds, count in values if seconds <= limit) / total if total else None
