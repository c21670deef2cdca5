"""What the production groups answer while blue and a first batch of green serve together.

The metrics of a target group are of both versions, so they can stop a handover and never prove that green is good: its
share is that of its targets.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from provider.checks.question import Sources
from provider.checks.traffic import read_points, window_since
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import GroupHealth
from provider.rules.counts import GroupCounts, count_group
from provider.sources.deadline import Deadline

LAG = timedelta(seconds=120)
"""CloudWatch's lag: when it has the metrics of a minute, as for `errors`."""

LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FirstBatch:
    """The requests of the production groups since the first batch serves; `waits` says why there are none to judge."""

    counts: tuple[GroupCounts, ...] = ()
    waits: str = ""

    @property
    def worst(self) -> GroupCounts:
        """The group with the highest share of failed requests."""
        return max(self.counts, key=lambda one: one.errors / one.total if one.total else 0.0)

    def is_above(self, max_error_percent: float) -> bool:
        """Tell whether more requests of a group failed than allowed."""
        return any(one.errors * 100 > max_error_percent * one.total for one in self.counts)

    @property
    def is_known(self) -> bool:
        """Whether at least one full minute is complete in every group."""
        return not self.waits and not any(one.silent_minutes for one in self.counts)


def read_first_batch(
    groups: tuple[GroupHealth, ...], since: datetime, service: str, sources: Sources, deadline: Deadline
) -> FirstBatch:
    """Count the requests of the full minutes since green was first registered. Raises CannotTell."""
    try:
        window = window_since(since, LONGEST, LAG, service, [health.group.place.region for health in groups], sources)
    except CannotTell as error:
        if error.reason is not Reason.WINDOW_NOT_OPEN:
            raise
        return FirstBatch(waits=str(error))
    described = tuple(one.group for one in groups)
    points, _ = read_points(described, (), window, sources, deadline)
    return FirstBatch(tuple(count_group(one, points, window) for one in described))
