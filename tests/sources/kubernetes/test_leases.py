"""Which replica looks after the handovers: one at a time, and another one soon after it is gone."""

from datetime import timedelta

import pytest

from provider.sources.deadline import Deadline
from provider.sources.kubernetes.leases import LEASE_SECONDS, Leadership
from tests.records import NOW


@pytest.mark.parametrize("pause", [1.0, 2.5, LEASE_SECONDS - 0.5])
def test_one_replica_holds_the_lease_until_it_is_gone(sources, pause):
    """However slowly replicas look, the holder keeps the Lease; once it is gone another one takes over after a time."""
    seconds = [0.0]
    first, second = (
        Leadership(sources.cluster.server, "platform", name, lambda: NOW + timedelta(seconds=seconds[0]))
        for name in ("first", "second")
    )
    held = []
    for _ in range(12):
        held.append([replica.holds(Deadline(10)) for replica in (second, first)])
        seconds[0] += pause
    alone: list[bool] = []
    while not alone or not alone[-1]:
        alone.append(first.holds(Deadline(10)))
        seconds[0] += pause

    assert held == [[True, False]] * 12
    assert not alone[0]
    assert len(alone) * pause <= LEASE_SECONDS + 2 * pause


def test_a_clock_that_differs_decides_nothing(sources):
    """A replica whose clock is an hour ahead waits like any other: clocks are not compared."""
    first = Leadership(sources.cluster.server, "platform", "first", lambda: NOW)
    ahead = Leadership(sources.cluster.server, "platform", "ahead", lambda: NOW + timedelta(hours=1))

    assert first.holds(Deadline(10))
    assert not ahead.holds(Deadline(10))
    assert first.holds(Deadline(10))
