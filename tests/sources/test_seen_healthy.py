"""Which targets were seen healthy: readings in any order, shared ones, and what is forgotten."""

from datetime import timedelta

import pytest

from provider.sources import seen_healthy
from provider.sources.seen_healthy import SeenHealthy
from tests.records import NOW

TARGET = ("arn", "uid-1", "10.0.0.1", 8080)
OTHER_POD = ("arn", "uid-2", "10.0.0.1", 8080)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("looks", "since"),
    {
        "never healthy": ([(0, False), (60, False)], None),
        "healthy": ([(0, True), (60, True)], None),
        "not healthy any more": ([(0, True), (10, False), (20, False)], 10),
        "healthy again": ([(0, True), (10, False), (20, True)], None),
        "not healthy once more": ([(0, True), (10, False), (20, True), (30, False)], 30),
        "after minutes in which nobody asked": ([(0, True), (600, False)], 600),
        "one reading for many queries": ([(0, True), (10, False), (10, False), (10, False)], 10),
        "a reading that arrives late": ([(0, True), (10, False), (5, True), (20, False)], 10),
        "healthy in a reading that arrives late": ([(10, False), (5, True), (20, False)], 20),
        "not healthy in a reading that arrives late": ([(0, True), (10, True), (5, False)], 10),
        "healthy since": ([(0, True), (10, True), (5, False), (20, False)], 20),
    }.values(),
)
def test_since_when_a_target_is_not_healthy(looks, since):
    """It is the first reading after the last healthy one; of a target never seen healthy nothing is known."""
    seen, now = SeenHealthy(), at(0)
    for seconds, is_healthy in looks:
        now = max(now, at(seconds))
        found = seen.note({TARGET: is_healthy}, at(seconds), now)

    assert found == ({} if since is None else {TARGET: at(since)})


def test_an_address_that_another_pod_had_is_not_known():
    """A pod that gets the address of one that was healthy was not seen healthy itself."""
    seen = SeenHealthy()
    seen.note({TARGET: True}, at(0), at(0))

    assert seen.note({OTHER_POD: False}, at(10), at(10)) == {}
    assert seen.note({TARGET: False}, at(10), at(10)) == {TARGET: at(10)}


def test_a_slow_answer_takes_nothing_from_the_grace():
    """A target may have been healthy until the answer came, so the time of the request does not count."""
    seen = SeenHealthy()
    seen.note({TARGET: True}, at(0), at(0))

    assert seen.note({TARGET: False}, at(10), at(15)) == {TARGET: at(15)}
    assert seen.note({TARGET: False}, at(20), at(20)) == {TARGET: at(15)}


def test_the_targets_seen_longest_ago_are_forgotten():
    """Memory is bounded by a number of targets, and those that nobody looks at any more go first."""
    seen, most = SeenHealthy(), seen_healthy.MAX_TARGETS
    targets = [("arn", f"uid-{number}", "10.0.0.1", 8080) for number in range(most + 100)]
    seen.note(dict.fromkeys(targets[:most], True), at(0), at(0))
    seen.note(dict.fromkeys(targets[:50], True), at(1), at(1))
    seen.note(dict.fromkeys(targets[most:], True), at(2), at(2))

    unwell = seen.note(dict.fromkeys(targets, False), at(3), at(3))

    assert set(unwell) == {*targets[:50], *targets[150:]}
    assert len(seen._targets) == most
