"""Which whole minutes may be judged."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.rules.window import early_minutes, open_window

MINUTE = timedelta(minutes=1)
LENGTH, LAG = timedelta(seconds=180), timedelta(seconds=120)
EARLY = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{text}+00:00")


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("12:08:00", "12:03:00", "12:06:00"),
        ("12:08:59.999", "12:03:00", "12:06:00"),
        ("12:07:59.999", "12:02:00", "12:05:00"),
        ("00:01:30", "23:56:00", "23:59:00"),
    ],
)
def test_the_window_is_whole_minutes_that_end_a_lag_ago(now, start, end):
    """The end is now minus the lag floored to the minute, also just at a minute's boundary and over midnight."""
    window = open_window(at(now), LENGTH, LAG, EARLY, "web-preview")

    assert (f"{window.start:%H:%M:%S}", f"{window.end:%H:%M:%S}") == (start, end)
    assert len(window.minutes) == 3


@pytest.mark.parametrize(
    ("served_since", "minutes"),
    [
        ("12:02:58", 3),
        ("12:02:59", 3),
        ("12:03:00", 2),
        ("12:03:59", 2),
        ("12:04:00", 1),
        ("12:04:59", 1),
    ],
)
def test_the_window_never_reaches_back_before_green_served(served_since, minutes):
    """No minute is judged in which green may have been put behind its Service: Kubernetes tells only the second."""
    window = open_window(at("12:08:00"), LENGTH, LAG, at(served_since), "web-preview")

    assert len(window.minutes) == minutes
    assert window.start >= at(served_since) + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "served_since", "opens"),
    [
        ("12:08:00", "12:05:00", "12:09:00"),
        ("12:07:59", "12:04:59", "12:08:00"),
        ("12:08:00", "13:00:00", "13:04:00"),
    ],
)
def test_a_window_that_is_not_open_says_when_it_opens(now, served_since, opens):
    """Less than one full minute is WindowNotOpen, and the sentence names the first time at which it is open."""
    with pytest.raises(CannotTell, match=f"first full minute can be judged at {opens} UTC") as raised:
        open_window(at(now), LENGTH, LAG, at(served_since), "web-preview")

    assert raised.value.reason is Reason.WINDOW_NOT_OPEN
    assert len(open_window(at(opens), LENGTH, LAG, at(served_since), "web-preview").minutes) == 1


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - hypothesis adds none
    hours=st.integers(-12, 14),
    minutes=st.integers(-10_000, 10_000),
)
def test_shifting_every_time_by_whole_minutes_shifts_the_window(now, hours, minutes):
    """Days on which clocks change, other time zones and month ends make no difference: minutes are UTC's."""
    aware = now.replace(tzinfo=UTC)
    shift = minutes * MINUTE

    one = open_window(aware, LENGTH, LAG, aware - timedelta(hours=1), "web-preview")
    other = open_window(
        (aware + shift).astimezone(timezone(timedelta(hours=hours))),
        LENGTH,
        LAG,
        aware + shift - timedelta(hours=1),
        "web-preview",
    )

    assert (other.start, other.end) == (one.start + shift, one.end + shift)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("12:06:39", None),
        ("12:06:40", "12:06:00"),
        ("12:07:39", "12:06:00"),
        ("12:07:40", "12:07:00"),
        ("12:08:39", "12:07:00"),
    ],
)
def test_early_minutes_change_once_a_minute_and_late_in_it(now, until):
    """Each minute since 12:05 is looked at from 40 s after its end on, when much of it is published."""
    minutes = early_minutes(at(now), LAG, at("12:04:58"))

    assert (f"{minutes.until:%H:%M:%S}" if minutes else None) == until
