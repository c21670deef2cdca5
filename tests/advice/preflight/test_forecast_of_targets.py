"""The forecast against the target states of the embedded AWS, which know nothing of it."""

import pytest

from provider.advice.preflight.forecast import CALL_SECONDS, CALL_TARGETS, Switch, forecast
from tests.world.aws.load_balancer import Group, LoadBalancers

STEP_SECONDS = 0.1
SWITCHES = 50


def gap_of_a_switch(pods: int, interval: int, seed: int) -> float:
    """Deregister blue and register green as the controller does; return how many seconds no target is healthy."""
    now = 0.0
    states = LoadBalancers(lambda: now)
    group = Group(f"arn:{seed}", interval_seconds=interval)
    blue, green = ([(f"{colour}-{number}", 8080) for number in range(pods)] for colour in ("blue", "green"))
    states.register(group, blue)
    states.settle()
    calls = [
        (change, targets[start : start + CALL_TARGETS])
        for change, targets in ((states.deregister, blue), (states.register, green))
        for start in range(0, pods, CALL_TARGETS)
    ]
    empty = 0
    for step in range(int((interval + 3) / STEP_SECONDS)):
        now = step * STEP_SECONDS
        while calls and now >= CALL_SECONDS * (2 * -(-pods // CALL_TARGETS) - len(calls) + 1):
            change, targets = calls.pop(0)
            change(group, targets)
        empty += all(health.state != "healthy" for _, _, health in states.health(group))
    return empty * STEP_SECONDS


@pytest.mark.parametrize(("pods", "interval"), [(4, 10), (8, 10), (40, 15), (250, 5)])
def test_nearly_all_gaps_lie_within_the_forecast(pods, interval):
    """Of fifty switches at most two are better than best or worse than worst, and their mean is what was expected."""
    expected = forecast(Switch(pods, pods, interval)).gap

    gaps = [gap_of_a_switch(pods, interval, seed) for seed in range(SWITCHES)]

    assert sum(expected.best - 0.2 <= gap <= expected.worst + 0.2 for gap in gaps) >= SWITCHES - 2
    assert abs(sum(gaps) / SWITCHES - expected.expected) < 0.7
