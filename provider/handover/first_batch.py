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

LAG, LONGEST = timedelta(seconds=120), timedelta(hours=1)
"""CloudWatch's lag, as for `errors`, and the longest window."""


@dataclass(frozen=True, slots=True)
class FirstBatch:
    """The group with the highest share of failed requests since the first batch serves, None before a full minute.

    `waits` says why there is none; `is_known`: at least one full minute is complete in every group.
    """

    worst: GroupCounts | None = None
    is_known: bool = False
    waits: str = ""

    def is_above(self, max_error_percent: float) -> bool:
        """Tell whether more requests of a group failed than allowed."""
        return self.worst is not None and self.worst.errors * 100 > max_error_percent * self.worst.total


def read_first_batch(
    groups: tuple[GroupHealth, ...], since: datetime, service: str, sources: Sources, deadline: Deadline
) -> FirstBatch:
    """Count the requests of the full minutes since green was first registered. Raises CannotTell."""
    described = tuple(health.group for health in groups)
    try:
        window = window_since(since, LONGEST, LAG, service, [group.place.region for group in described], sources)
    except CannotTell as error:
        if error.reason is not Reason.WINDOW_NOT_OPEN:
            raise
        return FirstBatch(waits=str(error))
    points, _ = read_points(described, (), window, sources, deadline)
    counts = [count_group(group, points, window) for group in described]
    worst = max(counts, key=lambda count: count.errors / count.total if count.total else 0.0)
    return FirstBatch(worst, is_known=not any(count.silent_minutes for count in counts))
