"""When the parts of a minute's counts appear in CloudWatch: node by node, each metric at its own time, never less.

AWS documents neither how many nodes a load balancer has nor when a minute is complete; Datadog says that one-minute
metrics take about two minutes (docs.datadoghq.com/integrations/guide/cloud-metric-delay/). So every number here is
assumed, within that. GetMetricData adds up what was published for the same minute (Sum).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from tests.world.aws.cloudwatch import CloudWatch, Datum

MINUTE = timedelta(minutes=1)

EARLIEST_SECONDS, LATEST_SECONDS = 20, 110
"""How long after the end of its minute a node publishes a count (assumed)."""

FEWEST_NODES, MOST_NODES = 2, 12
"""Nodes of a load balancer (assumed; at least two, since a load balancer has at least two zones)."""

CORRECTED_SHARE, CORRECTION, CORRECTED_SECONDS = 0.02, 0.03, (110, 170)
"""How many parts are corrected upwards, by how much of the part, and how long after the minute (assumed)."""


@dataclass(frozen=True)
class Part:
    """A part of a count, and how long after the end of its minute it is published."""

    after: timedelta
    value: int


def parts(value: int, random: Random) -> list[Part]:
    """Split the count of one metric and minute into what each node publishes; the parts add up to it."""
    nodes = random.randint(FEWEST_NODES, MOST_NODES)
    weights = [random.uniform(0.5, 1.5) for _ in range(nodes)]
    found, left = [], value
    for number, weight in enumerate(weights):
        is_last = number == nodes - 1
        share = left if is_last else min(left, round(value * weight / sum(weights)))
        left -= share
        later = round(share * CORRECTION) if random.random() < CORRECTED_SHARE else 0
        found.append(Part(_seconds(random, EARLIEST_SECONDS, LATEST_SECONDS), share - later))
        found.append(Part(_seconds(random, *CORRECTED_SECONDS), later))
    return [part for part in found if part.value]


def published(found: list[Part], end: datetime, now: datetime) -> int | None:
    """Return the sum of what is published at `now` of the minute that ended at `end`; None before the first part."""
    known = [part.value for part in found if end + part.after <= now]
    return sum(known) if known else None


@dataclass
class Publication:
    """Publishes finished minutes: in parts, or each as a whole at its end if nothing is `random`.

    Counts come node by node; what is not a count comes at one moment.
    """

    cloudwatch: CloudWatch
    random: Random | None
    _waiting: list[tuple[datetime, Datum]] = field(default_factory=list, init=False)

    def add(self, data: Iterable[Datum]) -> None:
        """Take minutes that have ended."""
        for datum in data:
            end = datum.minute + MINUTE
            if self.random is None:
                self._waiting.append((end, datum))
            elif isinstance(datum.value, int):
                drawn = parts(datum.value, self.random)
                self._waiting += [(end + part.after, replace(datum, value=part.value)) for part in drawn]
            else:
                self._waiting.append((end + _seconds(self.random, EARLIEST_SECONDS, LATEST_SECONDS), datum))

    def publish(self, now: datetime, *, silent: bool = False) -> None:
        """Publish what is due at `now`, or lose it if CloudWatch is silent."""
        due = [datum for at, datum in self._waiting if at <= now]
        self._waiting = [(at, datum) for at, datum in self._waiting if at > now]
        if due and not silent:
            self.cloudwatch.publish(due)


def _seconds(random: Random, least: float, most: float) -> timedelta:
    return timedelta(seconds=random.uniform(least, most))
