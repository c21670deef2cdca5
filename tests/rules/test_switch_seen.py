"""What was seen of a switch: an interval that holds the truth, whatever was looked at."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.rules.switch_seen import Errors, after_look, begun
from tests.records import GREEN, NOW, group, target

EMPTY, BLUE_ONLY, BOTH = "empty", "blue only", "green too"
GROUPS = {
    EMPTY: (group(target(0, "initial")),),
    BLUE_ONLY: (group(target(0, "initial"), target(9)),),
    BOTH: (group(target(0), target(9)),),
}


def seen_of(looks, *, is_settled=False):
    """What is known after (seconds since the switch, what was found) for each look."""
    seen = begun(GREEN, NOW, pass_preceded=True, is_settled=is_settled)
    for seconds, found in looks:
        at = NOW + timedelta(seconds=seconds)
        seen = after_look(seen, GROUPS[found], at, is_green_healthy=found == BOTH)
    shown = seen.observed()
    return shown.get("withoutHealthyTargetAtLeastSeconds"), shown.get("withoutHealthyTargetAtMostSeconds")


@pytest.mark.parametrize(
    ("looks", "known"),
    {
        "no look": ([], (None, None)),
        "green serves at the first look": ([(4, BOTH)], (0, 4)),
        "blue served still": ([(1, BLUE_ONLY), (3, BOTH)], (0, 3)),
        "one empty look": ([(2, EMPTY), (5, BOTH), (9, BOTH)], (0, 5)),
        "two empty looks": ([(1, EMPTY), (3, EMPTY), (4, BOTH)], (2, 4)),
        "not over yet": ([(1, EMPTY), (3, EMPTY)], (2, None)),
        "nothing of green yet": ([(1, BLUE_ONLY)], (0, None)),
        "a second gap": ([(1, BOTH), (10, EMPTY), (12, EMPTY), (13, BOTH)], (2, 13)),
        "long after the switch": ([(1, BOTH), (301, EMPTY)], (0, 1)),
        "an older look that arrives late": ([(5, BOTH), (3, EMPTY)], (0, 5)),
    }.values(),
)
def test_a_gap_lasted_between_least_and_most(looks, known):
    """At least the time between empty looks in a row, at most every time that no look rules out."""
    assert seen_of(looks) == known


def test_a_switch_that_moves_no_target_has_no_gap():
    """In ping-pong green serves before the switch, so the time until the first look is not suspect."""
    assert seen_of([(8, BOTH)], is_settled=True) == (0, 0)


@given(
    st.floats(0, 20), st.floats(0, 20), st.lists(st.floats(0.1, 60), min_size=1, max_size=20, unique=True).map(sorted)
)
def test_the_truth_is_always_within(start, length, times):
    """Blue goes at `start`, green comes `length` later: whenever one looks, least <= length <= most."""
    found = [EMPTY if start <= at < start + length else BLUE_ONLY if at < start else BOTH for at in times]

    least, most = seen_of(list(zip(times, found, strict=True)))

    assert least is not None
    assert least <= length + 0.1
    assert most is None or most >= length - 0.1


def test_the_counts_of_its_minutes_are_shown():
    """Once CloudWatch is complete the switch says how many requests failed, by whom."""
    seen = begun(GREEN, NOW, pass_preceded=False, is_settled=False)
    assert "errors" not in seen.observed()

    counted = replace(seen, errors=Errors(3, 900, 2, 41))

    assert counted.observed()["errors"] == {
        "minutes": 3,
        "requestCount": 900,
        "target5xxCount": 2,
        "loadBalancer5xxCount": 41,
    }
    assert counted.observed()["passPreceded"] is False
