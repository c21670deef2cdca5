"""The model of a load balancer: the state of a target over time, without sleeping and without moto."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.world.aws.load_balancer import Group, LoadBalancers

GROUP = Group("arn:g", interval_seconds=5.0, deregistration_delay_seconds=10.0)
TARGET = ("10.0.0.4", 8080)

REGISTERING = ("initial", "Elb.RegistrationInProgress")
INITIAL = ("initial", "Elb.InitialHealthChecking")
HEALTHY = ("healthy", None)
UNHEALTHY = ("unhealthy", "Target.ResponseCodeMismatch")
DRAINING = ("draining", "Target.DeregistrationInProgress")
NOT_REGISTERED = ("unused", "Target.NotRegistered")
NOT_IN_USE = ("unused", "Target.NotInUse")


class Scene:
    """One load balancer, the time, and whether the target's health check passes."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.passing = True
        self.group = GROUP
        self.balancers = LoadBalancers(lambda: self.seconds, lambda _id, _port: self.passing)

    def state(self) -> tuple[str, str | None]:
        [(_, _, health)] = self.balancers.health(self.group, [TARGET])
        return health.state, health.reason

    def run(self, script: str) -> tuple[str, str | None]:
        for word in script.split():
            match word:
                case "register":
                    self.balancers.register(self.group, [TARGET])
                case "deregister":
                    self.balancers.deregister(self.group, [TARGET])
                case "fail" | "pass":
                    self.passing = word == "pass"
                case "detach" | "attach":
                    self.group = replace(GROUP, in_use=word == "attach")
                case seconds:
                    self.seconds += float(seconds)
            self.state()
        return self.state()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", NOT_REGISTERED),
        ("register", REGISTERING),
        ("register 0.9", REGISTERING),
        ("register 1.0", INITIAL),
        ("register 6.0", HEALTHY),  # registration + one interval, whatever the spread
        ("fail register 6.0", INITIAL),  # one failed check is not yet unhealthy
        ("fail register 11.0", UNHEALTHY),
        ("fail register 11.0 pass 5.0", UNHEALTHY),  # recovery needs two consecutive passes
        ("fail register 11.0 pass 5.0 5.0", HEALTHY),
        ("fail register 11.0 pass 5.0 fail 5.0 pass 5.0", UNHEALTHY),
        ("register 6.0 fail 5.0", HEALTHY),  # one failed check does not matter
        ("register 6.0 fail 5.0 5.0", UNHEALTHY),
        ("register 6.0 fail 5.0 pass 5.0 fail 5.0", HEALTHY),
        ("register 6.0 register", HEALTHY),  # registering again changes nothing
        ("register 6.0 deregister", DRAINING),
        ("register 6.0 deregister 9.9", DRAINING),
        ("register 6.0 deregister 10.0", NOT_REGISTERED),
        ("register 6.0 deregister 5.0 deregister 5.0", NOT_REGISTERED),  # the delay does not start again
        ("register 6.0 deregister 5.0 register", REGISTERING),
        ("register 6.0 deregister 5.0 register 6.0", HEALTHY),
        ("deregister", NOT_REGISTERED),  # no error
        ("detach register 60.0", NOT_IN_USE),
        ("detach register 60.0 attach", REGISTERING),
        ("detach register 60.0 attach 6.0", HEALTHY),
        ("register 6.0 detach", NOT_IN_USE),
        ("register 6.0 detach attach 1.0", INITIAL),
        ("detach register deregister", NOT_REGISTERED),  # nothing to drain
    ],
)
def test_states_over_time(script: str, expected: tuple[str, str | None]) -> None:
    """A target goes through AWS's states at AWS's moments; seconds are written as numbers."""
    assert Scene().run(script) == expected


def test_first_checks_are_spread() -> None:
    """Targets registered together become healthy spread over the interval, the same way in each run."""
    runs = []
    for _ in range(2):
        scene = Scene()
        scene.balancers.register(GROUP, [(f"10.0.0.{number}", 8080) for number in range(100)])
        scene.seconds += 3.5
        runs.append([health.state for _, _, health in scene.balancers.health(GROUP)])

    assert runs[0] == runs[1]
    assert 30 < runs[0].count("healthy") < 70


def test_pin() -> None:
    """A pinned state is answered for a target that was never registered, alone and in the whole list."""
    scene = Scene()
    scene.balancers.pin(GROUP.arn, *TARGET, "unavailable", "Elb.InternalError", "text")

    assert scene.run("60.0") == ("unavailable", "Elb.InternalError")
    assert [(id_, port) for id_, port, _ in scene.balancers.health(GROUP)] == [TARGET]


@pytest.mark.parametrize(("targets", "interval", "first", "last"), [(4, 10.0, 3.0, 7.5), (40, 15.0, 1.3, 15.5)])
def test_the_hole_of_a_switch_is_as_long_as_it_was_measured(
    targets: int, interval: float, first: float, last: float
) -> None:
    """No target is healthy for registration + interval / (targets + 1) on average; what was measured is possible."""
    firsts, lasts = [], []
    for number in range(100):
        seconds = 0.0
        balancers = LoadBalancers(lambda: seconds)  # noqa: B023 - it is called before the loop goes on
        group = replace(GROUP, arn=f"arn:{number}", interval_seconds=interval)
        balancers.register(group, [(f"10.0.{number}.{one}", 8080) for one in range(targets)])
        healthy: list[float] = []
        while len(healthy) < targets:
            seconds += 0.1
            now = sum(health.state == "healthy" for _, _, health in balancers.health(group))
            healthy += [seconds] * (now - len(healthy))
        firsts.append(healthy[0])
        lasts.append(healthy[-1])

    assert sum(firsts) / len(firsts) == pytest.approx(1 + interval / (targets + 1), abs=0.3)
    assert min(firsts) <= first <= max(firsts)
    assert min(lasts) <= last <= max(lasts)
