"""What a switch after a handover looked like, from one look after another."""

from datetime import timedelta

import pytest

from provider.handover.watch import LONGEST_SECONDS, SHORTEST_SECONDS, LastSwitch
from tests.records import GREEN, NOW, address, target

MINE = frozenset({(address(0), 8080), (address(1), 8080)})


def looked(*looks):
    """What is known after looks of (seconds after the switch, states of the two green targets, healthy blue ones)."""
    found = LastSwitch(GREEN, NOW, MINE)
    for seconds, states, blue in looks:
        targets = [target(number, state) for number, state in enumerate(states) if state]
        targets += [target(100 + number) for number in range(blue)]
        found = found.after_look([{(one.id, one.port): one.state for one in targets}], NOW + timedelta(seconds=seconds))
    return found


@pytest.mark.parametrize(
    ("looks", "seconds", "least", "reset"),
    [
        pytest.param([(0, ["healthy", "healthy"], 2), (2, ["healthy", "healthy"], 0)], 0, 2, 0, id="no gap"),
        pytest.param(
            [(0, ["healthy", "healthy"], 2), (2, ["initial", "healthy"], 0), (9, ["healthy", "healthy"], 0)],
            9,
            1,
            1,
            id="one starts again",
        ),
        pytest.param(
            [(1, [None, None], 0), (4, ["initial", "initial"], 0), (8, ["healthy", "healthy"], 0)], 8, 0, 2, id="a gap"
        ),
        pytest.param([(1, ["unhealthy", "healthy"], 0)], None, 1, 0, id="sick, but not reset"),
    ],
)
def test_the_switch_is_told_as_it_was_seen(looks, seconds, least, reset):
    """Seconds until all of green is healthy for good, the least healthy targets, and those that were reset."""
    found = looked(*looks)

    assert (found.seconds, found.least, len(found.reset)) == (seconds, least, reset)
    assert found.observed()["leastHealthyCount"] == least


def test_a_switch_is_watched_until_the_controller_has_acted():
    """A switch that looks well is watched for some seconds all the same, and one that never does is not for ever."""
    well, never = looked((0, ["healthy", "healthy"], 2)), looked((0, ["initial", "healthy"], 0))

    def is_over(found, seconds):
        return found.is_over(NOW + timedelta(seconds=seconds))

    assert [is_over(well, SHORTEST_SECONDS), is_over(well, SHORTEST_SECONDS + 1)] == [False, True]
    assert [is_over(never, LONGEST_SECONDS), is_over(never, LONGEST_SECONDS + 1)] == [False, True]
