"""Which whole minutes of metrics may be judged.

A minute's points come late, so the window ends `lag` before now; and it never reaches back before green served, since
the same target group counted somebody else's answers then. All times are UTC and minutes are CloudWatch's.
"""

from datetime import UTC, datetime, timedelta

from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Window

MINUTE = timedelta(minutes=1)


def open_window(now: datetime, length: timedelta, lag: timedelta, served_since: datetime) -> Window:
    """Return the newest window of at most `length` whole minutes, ending at `now - lag` floored to the minute.

    Raises CannotTell (WindowNotOpen) while not one whole minute lies between green's beginning and the end.
    """
    end = _floor(now - lag)
    first = _ceiling(served_since)
    start = max(end - length, first)
    if end - start < MINUTE:
        opens = first + MINUTE + lag
        raise CannotTell(
            Reason.WINDOW_NOT_OPEN,
            f"Green serves since {served_since:%H:%M:%S} UTC, and metrics are complete only {lag.total_seconds():g} s "
            f"later: there is no whole minute to judge before {opens:%H:%M:%S} UTC",
        )
    return Window(start, end)


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + MINUTE
