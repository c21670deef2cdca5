"""The forecast of a switch: what real controllers showed, and what chance allows."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from provider.advice.preflight.forecast import CALL_SECONDS, CALL_TARGETS, Switch, forecast, remedies, switch_of
from provider.advice.preflight.manifests import parse
from provider.advice.preflight.setup import setups
from tests.advice.preflight.test_findings import ALB, Change, objects_of

SEEN = {
    "4 pods, interval 10 s": (Switch(4, 4, 10), 3.0, 7.5),
    "40 pods, interval 15 s": (Switch(40, 40, 15), 1.3, 15.5),
}
"""Switches of real controllers, measured five times a second: seconds without a healthy target, and until all were."""


@pytest.mark.parametrize(("switch", "gap", "whole"), SEEN.values(), ids=SEEN)
def test_real_switches_lie_within(switch, gap, whole):
    """What was measured with real controllers lies between best and worst, and not far from what was expected."""
    found = forecast(switch)

    assert found.gap.best < gap < found.gap.worst
    assert found.whole.best < whole < found.whole.worst
    assert abs(found.gap.expected - gap) < 0.5


def switched(switch, chance, registration):
    """Play one switch: seconds without a healthy target, and until all were."""
    checks = [
        (number // CALL_TARGETS + 1) * CALL_SECONDS + registration + chance.uniform(0, switch.interval_seconds)
        for number in range(switch.pods)
    ]
    return min(checks), max(checks)


@given(st.integers(1, 600), st.sampled_from([5, 10, 15, 30]), st.integers(0, 2**32))
def test_chance_stays_within_the_bounds(pods, interval, seed):
    """Of many played switches nearly all lie between best and worst, and their mean is what was expected."""
    switch, chance = Switch(pods, pods, interval), random.Random(seed)
    found = forecast(switch)
    played = [switched(switch, chance, chance.choice([0.5, 1.0, 2.0])) for _ in range(60)]
    typical = [switched(switch, chance, 1.0)[0] for _ in range(200)]

    for place, bounds in enumerate((found.gap, found.whole)):
        inside = [bounds.best - 0.5 <= one[place] <= bounds.worst + 0.5 for one in played]
        assert sum(inside) >= len(inside) * 0.9
    assert abs(sum(typical) / len(typical) - found.gap.expected) < max(interval / 8, 0.3)


@given(st.integers(1, 600), st.sampled_from([5, 10, 15, 30]), st.floats(1, 10_000))
@example(475, 15, 1.0)
def test_a_forecast_is_in_order(pods, interval, rate):
    """Best, expected and worst are in this order, time moves on, and the ramp only rises until all are healthy."""
    found = forecast(Switch(pods, pods, interval, requests_per_second=rate, requests_per_target_per_second=1))

    for one in (found.gap, found.whole, found.in_gap):
        assert one is not None
        assert one.best <= one.expected <= one.worst
    assert found.gap.expected <= found.whole.expected
    assert all(a.second <= b.second for a, b in pairwise(found.timeline))
    assert all(a[1] <= b[1] for a, b in pairwise(found.ramp))
    assert found.ramp[-1][1] == pods
    assert found.in_ramp is not None
    assert found.in_ramp >= 0


def test_requests_beyond_the_first_targets():
    """With few targets for all users requests are at risk on the ramp, and the more one target carries the fewer."""
    few = Switch(40, 40, 15, requests_per_second=4000, requests_per_target_per_second=110)
    more = replace(few, requests_per_target_per_second=1000)

    assert (forecast(few).in_ramp or 0) > (forecast(more).in_ramp or 0) > 0
    assert forecast(replace(few, requests_per_target_per_second=0)).in_ramp is None
    assert forecast(replace(few, requests_per_second=0)).in_gap is None


def switch_in(example, change=lambda _: None):
    """The switch of an example after a change."""
    objects = objects_of(example)
    change(Change(objects))
    [setup] = setups(parse(yaml.safe_dump_all(objects.values())))
    return switch_of(setup)


@pytest.mark.parametrize(
    ("example", "why"),
    [
        ("ping-pong", "ping-pong"),
        ("instance-mode", "instance"),
        ("blue-green-without-gap", "handover"),
        ("canary-without-gap", "handover"),
    ],
)
def test_what_moves_no_target_has_no_gap(example, why):
    """Ping-pong, instance targets and a handover leave no second without a healthy target, and say why."""
    switch = switch_in(example)

    assert forecast(switch).gap.worst == 0
    assert why in switch.why
    assert remedies(switch) == []


def test_what_the_manifests_say_is_used():
    """Pods and interval come from the Rollout and the Ingress; the controller's default is 15 s."""
    switch = switch_in("blue-green")
    default = switch_in("blue-green", lambda it: it.annotations.pop(f"{ALB}healthcheck-interval-seconds"))

    assert (switch.pods, switch.interval_seconds, switch.moves_targets) == (6, 10, True)
    assert default.interval_seconds == 15


def test_remedies_are_in_order():
    """What helps most comes first: no gap at all, then shorter ones."""
    gaps = [one.gap.expected for _, one in remedies(Switch(6, 6, 10))]

    assert gaps == sorted(gaps)
    assert gaps[0] == 0
    assert len(remedies(Switch(6, 6, 5))) == 2
