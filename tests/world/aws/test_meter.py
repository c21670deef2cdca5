"""The meter of one target group: whole numbers out of exact amounts."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world.aws.cloudwatch import Hosts
from tests.world.aws.meter import Counts, Meter, Users

SECOND = 1_000_000


def meter(users: Users, percent: int = 100) -> Meter:
    return Meter("arn:balancer", "arn:group", users, lambda: percent)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["healthy", "healthy"], Counts(300, 30, 6, 0, Hosts(2, 2, 120, 60))),
        (["healthy", "unhealthy", "draining"], Counts(300, 30, 6, 0, Hosts(1, 1, 60, 60))),
        (["initial", "draining"], Counts(0, 0, 0, 300, Hosts(0, 0, 0, 60))),
        (["draining"], Counts(0, 0, 0, 300, None)),
        ([], Counts(0, 0, 0, 300, None)),
    ],
)
def test_who_answers(states: list[str], expected: Counts) -> None:
    """Requests find a target while one is healthy; hosts are counted while one is registered."""
    one = meter(Users(5, target_5xx=Fraction(1, 10), unconnected=Fraction(1, 50)))

    one.look(states)
    one.run(60 * SECOND)

    assert one.close() == expected


def test_a_minute_with_a_gap() -> None:
    """A minute's hosts are its least, its most and an average weighted by time, registered or not."""
    one = meter(Users(10))

    for states, seconds in ((["healthy"] * 4, 30), (["initial"] * 4, 10), ([], 20)):
        one.look(states)
        one.run(seconds * SECOND)

    assert one.close() == Counts(300, 0, 0, 300, Hosts(least=0, most=4, total=120, samples=40))


def test_percent() -> None:
    """A Service with a weight of 20 gets a fifth of the users, one with 0 none."""
    for percent, requests in ((20, 240), (0, 0)):
        one = meter(Users(20), percent)
        one.look(["healthy"])
        one.run(60 * SECOND)
        assert one.close().requests == requests


def test_what_is_left_over_waits() -> None:
    """Half a request is counted with the half of the next minute, and so are errors."""
    one = meter(Users(1, target_5xx=Fraction(8, 100)))
    one.look(["healthy"])
    counted = []

    for _ in range(4):
        one.run(62_500_000)
        counted.append(one.close())

    assert [counts.requests for counts in counted] == [62, 63, 62, 63]
    assert [counts.target_5xx for counts in counted] == [4, 6, 4, 6]  # 4.96, 10.00, 14.96 and 20.00 in all


@given(
    rate=st.integers(0, 300),
    share=st.fractions(0, 1),
    pieces=st.lists(st.lists(st.integers(0, 60 * SECOND), max_size=5), min_size=1, max_size=10),
)
def test_nothing_is_lost_or_made_up(rate: int, share: Fraction, pieces: list[list[int]]) -> None:
    """Over all minutes the counts are the exact amounts rounded down, and no minute has more errors than requests."""
    one = meter(Users(rate, target_5xx=share))
    one.look(["healthy"])
    counted = []

    for minute in pieces:
        for microseconds in minute:
            one.run(microseconds)
        counted.append(one.close())

    requests = sum(counts.requests for counts in counted)
    assert requests == rate * sum(map(sum, pieces)) // SECOND
    assert sum(counts.target_5xx for counts in counted) == int(requests * share)
    assert all(counts.target_5xx <= counts.requests for counts in counted)
