"""Which whole minutes of metrics may be judged.

CloudWatch publishes late, so the window ends `lag` before now. It never begins before green was behind its Service:
earlier points of the target group belong to another version. All times are UTC, by AWS's clock, which cuts the minutes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from provider.model.clocks import A_SECOND, Skew
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Window

MINUTE = timedelta(minutes=1)


def open_window(now: datetime, length: timedelta, lag: timedelta, served_since: datetime, service: str) -> Window:
    """Return the newest window of at most `length` whole minutes, ending at `now - lag` floored to the minute.

    `service` names the Service that has selected green since `served_since`, which has whole seconds: requests of that
    second may have reached the version before. Raises CannotTell (WindowNotOpen) while the window is shorter than a
    minute.
    """
    end = _floor(now - lag)
    first = _ceiling(served_since + A_SECOND)
    start = max(end - length, first)
    if end - start < MINUTE:
        opens = first + MINUTE + lag
        raise CannotTell(
            Reason.WINDOW_NOT_OPEN,
            f"Green has been behind Service {service} since {served_since:%H:%M:%S} UTC. CloudWatch lags by "
            f"{lag.total_seconds():g} s; the first full minute can be judged at {opens:%H:%M:%S} UTC.",
        )
    return Window(start, end)


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
