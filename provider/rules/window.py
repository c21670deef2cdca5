"""Which whole minutes of metrics may be judged.

CloudWatch publishes late, so the window ends `lag` before now. It never begins before green was behind its Service:
earlier points of the target group belong to another version. All times are UTC, by AWS's clock, which cuts the minutes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from provider.model.clocks import A_SECOND, Skew
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Window

MINUTE = timedelta(minutes=1)

RECENT = timedelta(minutes=15)
"""How far before the finished minutes the busiest minute of a traffic is looked for."""

PUBLISHED_AFTER = timedelta(seconds=40)
"""How long after its end a minute is looked at first (assumed: by then a fourth of its counts are published)."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Green's minutes: `first` is its first whole one, finished ones end at `finished`, unfinished ones at `until`."""

    first: datetime
    finished: datetime
    until: datetime

    def recent(self, length: timedelta) -> Window:
        """Every minute to read: those of `windows`, and those before them that tell how busy this traffic is."""
        return Window(self.finished - max(RECENT, length), self.until)

    def windows(self, length: timedelta) -> tuple[Window, ...]:
        """Return the windows of at most `length` that end with each unfinished minute, the earliest first.

        Each will be judged again when it is finished: it is what `open_window` returns then.
        """
        ends = Window(self.finished + MINUTE, self.until + MINUTE).minutes
        return tuple(Window(max(end - length, self.first), end) for end in ends if end - self.first >= MINUTE)


def minutes_of(now: datetime, lag: timedelta, served_since: datetime) -> Minutes:
    """Tell green's minutes apart, for the arguments of `open_window`.

    `until` follows from `finished` alone, so that all who ask between two moves of `finished` read the same minutes.
    It is never before the end of the last minute that is over.
    """
    finished = _floor(now - lag)
    return Minutes(_ceiling(served_since + A_SECOND), finished, finished + ceil(lag / MINUTE) * MINUTE)


def early_minutes(now: datetime, lag: timedelta, served_since: datetime) -> Minutes | None:
    """Return the minutes to look at while no window is open, None before green's first one is published in part.

    They change once a minute like those of `minutes_of`, but late in it: nothing can pass yet, so metrics that are read
    once a minute are read when as much as possible of them is published.
    """
    published = now - PUBLISHED_AFTER
    minutes = minutes_of(published, lag, served_since)
    return minutes if minutes.first + MINUTE <= published else None


def open_window(now: datetime, length: timedelta, lag: timedelta, served_since: datetime, service: str) -> Window:
    """Return the newest window of at most `length` whole minutes, ending at `now - lag` floored to the minute.

    `service` names the Service that has selected green since `served_since`, which has whole seconds: requests of that
    second may have reached the version before. Raises CannotTell (WindowNotOpen) while the window is shorter than a
    minute.
    """
    minutes = minutes_of(now, lag, served_since)
    start = max(minutes.finished - length, minutes.first)
    if minutes.finished - start < MINUTE:
        opens = minutes.first + MINUTE + lag
        raise CannotTell(
            Reason.WINDOW_NOT_OPEN,
            f"Green has been behind Service {service} since {served_since:%H:%M:%S} UTC. CloudWatch lags by "
            f"{lag.total_seconds():g} s; the first full minute can be judged at {opens:%H:%M:%S} UTC.",
        )
    return Window(start, minutes.finished)


def require_clocks(clocks: Iterable[Skew], now: datetime) -> None:
    """Refuse to choose minutes by clocks that are too far from ours (`now`). Raises CannotTell (ClockSkew)."""
    for clock in clocks:
        if clock.is_too_far:
            raise CannotTell(
                Reason.CLOCK_SKEW, f"It is unknown which minutes of metrics are green's. {clock.sentence(now)}."
            )


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + MINUTE
