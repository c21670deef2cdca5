"""What the minutes that CloudWatch has not finished say beyond doubt: they can only fail green.

Pure. A load balancer's nodes publish their parts of a minute one after another, failures and requests not at the same
moment, and a count only grows. So a failure that is published stays, and requests that are not may still come: at most
as many as make up twice the busiest recent minute. If a window fails even then, it fails when it is finished.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from provider.model.records import Points, TargetGroup, Window
from provider.rules.counts import count_group, count_load_balancer
from provider.rules.proportions import chance_of_as_many
from provider.rules.window import MINUTE, Minutes

MARGIN = 2
"""How many times as many requests as in the busiest recent minute an unfinished one may have."""

STEADY_REQUESTS = 1000
"""Traffic with fewer requests a minute may be a burst at any time: its busiest minute counts as this many."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of a window that ends with unfinished minutes.

    `errors` and `requests` are published, so it will have at least as many. `most_requests` is their upper bound; None
    if nothing tells how busy this traffic is. `answered` requests of finished minutes did not fail. If `is_silent`, no
    metric confirms a finished minute.
    """

    name: str
    window: Window
    unfinished_minutes: int
    errors: int
    requests: int
    most_requests: int | None
    answered: int = 0
    is_silent: bool = False

    def fails(self, *, max_error_percent: float, max_errors: int | None, min_requests: int) -> bool:
        """Tell whether the window is above a limit whatever is still published."""
        if max_errors is not None and self.errors > max_errors:
            return True
        if self.is_silent or self.most_requests is None or self.requests < min_requests:
            return False
        return self.errors * 100 > max_error_percent * self.most_requests


@dataclass(frozen=True, slots=True)
class _Minute:
    errors: int
    requests: int
    is_silent: bool = False

    @property
    def total(self) -> int:
        return max(self.requests, self.errors)


Counts = Mapping[datetime, _Minute]
"""The counts of each recent and each unfinished minute."""


def bounds_of_group(
    group: TargetGroup, points: Points, minutes: Minutes, length: timedelta, *, is_production: bool
) -> list[Bounds]:
    """Bound each window of at most `length` of one target group. Raises CannotTell (AwsMalformed).

    A group that serves production before and after the switch (`is_production`) is as busy as it was. Any other may
    get the traffic of another group at any time: at most all that its load balancer has.
    """
    counts = {}
    for minute in minutes.recent(length).minutes:
        count = count_group(group, points, Window(minute, minute + MINUTE))
        counts[minute] = _Minute(count.errors, count.requests, bool(count.silent_minutes))
    traffic = counts if is_production else _of_load_balancer(group.load_balancer_arns[0], points, minutes, length)
    busiest = _busiest(traffic, minutes)
    return [_bound(group.name, counts, minutes, window, busiest, minutes.first) for window in minutes.windows(length)]


def bounds_of_load_balancer(arn: str, points: Points, minutes: Minutes, length: timedelta) -> list[Bounds]:
    """Bound each window of at most `length` of a load balancer and its own 5xx, except those of green's first minute.

    In the first there may be the gap of a switch that registers green's targets only then: it is judged once, when it
    is finished. Raises CannotTell (AwsMalformed).
    """
    counts, second = _of_load_balancer(arn, points, minutes, length), minutes.first + MINUTE
    name, busiest = arn.split("/")[-2], _busiest(counts, minutes)
    return [
        _bound(name, counts, minutes, window, busiest, second)
        for window in minutes.windows(length)
        if window.end > second
    ]


def bounds_together(sides: Iterable[Sequence[Bounds]]) -> list[Bounds]:
    """Add up the groups of one side of a comparison, window by window."""
    return [
        Bounds(
            name=", ".join(bounds.name for bounds in same),
            window=same[0].window,
            unfinished_minutes=same[0].unfinished_minutes,
            errors=sum(bounds.errors for bounds in same),
            requests=sum(bounds.requests for bounds in same),
            most_requests=None
            if any(bounds.most_requests is None for bounds in same)
            else sum(bounds.most_requests or 0 for bounds in same),
            answered=sum(bounds.answered for bounds in same),
            is_silent=any(bounds.is_silent for bounds in same),
        )
        for same in zip(*sides, strict=True)
    ]


def chance_at_most(green: Bounds, blue: Bounds) -> float:
    """Return the highest p-value of green's share against blue's that can come of two unfinished windows.

    Every request of blue's unfinished minutes may have failed: what troubles both may be published for green first.
    """
    if green.most_requests is None or blue.most_requests is None:
        return 1.0
    return max(
        chance_of_as_many(green.errors, green.most_requests, total - blue.answered, total)
        for total in (blue.requests, blue.most_requests)
    )


def _of_load_balancer(arn: str, points: Points, minutes: Minutes, length: timedelta) -> Counts:
    counts = {}
    for minute in minutes.recent(length).minutes:
        count = count_load_balancer(arn, points, Window(minute, minute + MINUTE))
        counts[minute] = _Minute(count.elb_5xx, count.total)
    return counts


def _busiest(counts: Counts, minutes: Minutes) -> int:
    """Return the requests of the busiest minute among the recent finished ones."""
    return max(count.total for minute, count in counts.items() if minute < minutes.finished)


def _bound(name: str, counts: Counts, minutes: Minutes, window: Window, busiest: int, since: datetime) -> Bounds:
    """Bound one window, with the failures since that minute."""
    by_minute = [(minute, counts[minute]) for minute in window.minutes]
    finished = [counted for minute, counted in by_minute if minute < minutes.finished]
    unfinished = [counted for minute, counted in by_minute if minute >= minutes.finished]
    # Failures that came before any request of their minute tell nothing about a share yet.
    is_bounded = busiest > 0 and all(counted.requests for counted in unfinished if counted.errors)
    each = MARGIN * max(busiest, STEADY_REQUESTS, *(counted.total for counted in unfinished))
    return Bounds(
        name=name,
        window=window,
        unfinished_minutes=len(unfinished),
        errors=sum(counted.errors for minute, counted in by_minute if minute >= since),
        requests=max(
            sum(counted.requests for _, counted in by_minute), sum(counted.errors for _, counted in by_minute)
        ),
        most_requests=sum(counted.total for counted in finished) + each * len(unfinished) if is_bounded else None,
        answered=sum(counted.total - counted.errors for counted in finished),
        is_silent=any(counted.is_silent for counted in finished),
    )
