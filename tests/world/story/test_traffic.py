"""One load balancer's metrics in CloudWatch: which points there are, when, and for how long."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING

import pytest
from moto.cloudwatch.models import cloudwatch_backends

from tests.world.aws.api import ACCOUNT_ID, REGION
from tests.world.aws.meter import Meter, Users
from tests.world.aws.metrics import NOON, Wall, dimensions, minutes, points
from tests.world.aws.publication import MINUTE
from tests.world.story.traffic import Traffic

if TYPE_CHECKING:
    from datetime import datetime

    from tests.world.world import World

EVERY_METRIC = (
    "RequestCount",
    "HTTPCode_Target_5XX_Count",
    "TargetConnectionErrorCount",
    "HealthyHostCount",
    "HTTPCode_ELB_5XX_Count",
    "HTTPCode_ELB_502_Count",
    "HTTPCode_ELB_503_Count",
    "HTTPCode_ELB_504_Count",
)


class Town:
    """Users of target groups on load balancers, and the wall clock, which begins at noon."""

    def __init__(self, world: World, random: Random | None = None) -> None:
        self.world, self.wall = world, Wall()
        self.traffic = Traffic(world.aws, self.wall, random)
        self.meters: dict[str, Meter] = {}

    def add(self, name: str, users: Users, state: str | None = "healthy", load_balancer: str = "demo") -> None:
        arn = self.world.aws.target_group(name, load_balancer=load_balancer)
        if state is not None:
            self.world.aws.load_balancers.pin(arn, "10.0.0.4", 8080, state)
        self.meters[name] = Meter(self.world.aws.load_balancer(load_balancer), arn, users)
        self.traffic.add(self.meters[name])

    def move(self, seconds: float) -> None:
        self.wall.now += timedelta(seconds=seconds)
        self.traffic.tick()

    def of_group(self, metric: str, name: str, statistic: str = "Sum") -> dict[datetime, float]:
        meter = self.meters[name]
        return points(self.world, metric, dimensions(meter.load_balancer, meter.target_group), statistic)

    def of_balancer(self, metric: str, name: str = "demo") -> dict[datetime, float]:
        return points(self.world, metric, dimensions(self.world.aws.load_balancer(name)))

    def published(self, load_balancer: str = "demo") -> set[tuple[str, str]]:
        """Return (metric, group or "") of everything that has a point."""
        found = {(metric, "") for metric in EVERY_METRIC if self.of_balancer(metric, load_balancer)}
        arn = self.world.aws.load_balancer(load_balancer)
        names = [name for name, meter in self.meters.items() if meter.load_balancer == arn]
        return found | {(metric, name) for metric in EVERY_METRIC for name in names if self.of_group(metric, name)}


def test_clean_and_idle_groups(world: World) -> None:
    """What is 0 is absent, the RequestCount of an idle group too, whose HealthyHostCount is there."""
    town = Town(world)
    town.add("busy", Users(5))
    town.add("quiet", Users())

    town.traffic.begin()

    assert town.published() == {
        ("RequestCount", ""),
        ("RequestCount", "busy"),
        ("HealthyHostCount", "busy"),
        ("HealthyHostCount", "quiet"),
    }


def test_a_load_balancer_without_requests(world: World) -> None:
    """A load balancer that gets no request publishes nothing, whatever another one gets."""
    town = Town(world)
    town.add("busy", Users(5))
    town.add("quiet", Users(), load_balancer="quiet")

    town.traffic.begin()

    assert town.published("quiet") == set()
    assert ("RequestCount", "busy") in town.published()


@pytest.mark.parametrize(("state", "hosts"), [("initial", {("HealthyHostCount", "lost")}), (None, set())])
def test_no_target_to_choose(world: World, state: str | None, hosts: set[tuple[str, str]]) -> None:
    """Requests without a target are 503s of the load balancer and in no RequestCount; hosts count if registered."""
    town = Town(world)
    town.add("lost", Users(7), state)

    town.traffic.begin()

    assert town.published() == {("HTTPCode_ELB_5XX_Count", ""), ("HTTPCode_ELB_503_Count", "")} | hosts
    assert set(town.of_balancer("HTTPCode_ELB_503_Count").values()) == {420.0}
    assert set(town.of_balancer("HTTPCode_ELB_5XX_Count").values()) == {420.0}


def test_unconnected_targets(world: World) -> None:
    """A connection error is a request, an error of the group and a 502 of the load balancer."""
    town = Town(world)
    town.add("flaky", Users(10, unconnected=Fraction(1, 10)))

    town.traffic.begin()

    assert set(town.of_group("RequestCount", "flaky").values()) == {600.0}
    assert set(town.of_group("TargetConnectionErrorCount", "flaky").values()) == {60.0}
    for metric in ("HTTPCode_ELB_502_Count", "HTTPCode_ELB_5XX_Count"):
        assert set(town.of_balancer(metric).values()) == {60.0}
        assert town.of_group(metric, "flaky") == {}


def test_history(world: World) -> None:
    """Thirteen minutes are there from the beginning, and the minute of the beginning will be a whole one."""
    town = Town(world)
    town.wall.now += timedelta(seconds=42)
    town.add("busy", Users(5))

    town.traffic.begin()
    assert town.of_group("RequestCount", "busy") == dict.fromkeys(minutes(-13, -1), 300.0)

    town.move(18)
    assert town.of_group("RequestCount", "busy") == dict.fromkeys(minutes(-13, 0), 300.0)


@pytest.mark.parametrize("seed", range(3))
def test_parts(world: World, seed: int) -> None:
    """A minute appears in parts, 20 s after its end at the earliest; a count only grows, and is whole after 170 s."""
    town = Town(world, Random(seed))
    town.add("busy", Users(500))
    town.traffic.begin()
    assert town.of_group("RequestCount", "busy")[NOON - 4 * MINUTE] == 30_000

    seen = []
    for _ in range(46):
        town.move(5)
        seen.append(town.of_group("RequestCount", "busy").get(NOON, 0))
    assert seen == sorted(seen)
    assert seen[(60 + 20) // 5 - 2] == 0
    assert (seen[-1], len(set(seen)) > 2) == (30_000, True)


def test_no_minute_is_ever_changed(world: World) -> None:
    """Each minute is published once, with one call, however often the story ticks."""
    town = Town(world)
    town.add("busy", Users(3))
    town.add("lonely", Users(3), load_balancer="other")
    town.traffic.begin()
    world.aws.faults.forget_calls()

    for _ in range(3 * 240):
        town.move(0.25)

    assert [call.name for call in world.aws.calls] == ["PutMetricData"] * 3
    assert town.of_group("RequestCount", "busy") == dict.fromkeys(minutes(-13, 2), 180.0)


def test_a_clock_that_is_set_back(world: World) -> None:
    """Nothing is counted twice when the wall clock goes back."""
    town = Town(world)
    town.add("busy", Users(5))
    town.traffic.begin()

    for seconds in (50, -40, 30, 20):
        town.move(seconds)

    assert town.of_group("RequestCount", "busy") == dict.fromkeys(minutes(-13, 0), 300.0)


@pytest.mark.parametrize("step_seconds", [60, 4 * 60 * 60])
def test_old_points_are_dropped(world: World, step_seconds: int) -> None:
    """After four hours only the last hour is there, response times included, whether the clock went or leapt."""
    town = Town(world)
    town.add("busy", Users(5))
    town.traffic.begin()

    for _ in range(4 * 60 * 60 // step_seconds):
        town.move(step_seconds)

    assert town.of_group("RequestCount", "busy") == dict.fromkeys(minutes(180, 239), 300.0)
    assert len(cloudwatch_backends[ACCOUNT_ID][REGION].metric_data) == 60 * 4
    assert len(world.aws.cloudwatch.distributions.known) == 60


def test_response_times_have_percentiles(world: World) -> None:
    """The times of a minute's requests come as a count, percentiles and percentile ranks, as in CloudWatch."""
    town = Town(world)
    town.add("busy", Users(5, slower=((0.1, Fraction(10, 100)), (0.5, Fraction(5, 100)))))
    town.traffic.begin()

    found = {
        statistic: set(town.of_group("TargetResponseTime", "busy", statistic).values())
        for statistic in ("SampleCount", "p50", "p95", "p96", "PR(:0.02)", "PR(:0.1)", "PR(:0.099999)", "Maximum")
    }

    assert found == {
        "SampleCount": {300.0},
        "p50": {0.02},
        "p95": {0.1},
        "p96": {0.5},
        "PR(:0.02)": {85.0},
        "PR(:0.1)": {95.0},
        "PR(:0.099999)": {85.0},
        "Maximum": {0.5},
    }


def test_a_month_of_sleep(world: World) -> None:
    """A machine that wakes up after a month publishes the last hour with one call and not the whole month."""
    town = Town(world)
    town.add("busy", Users(5))
    town.traffic.begin()
    world.aws.faults.forget_calls()

    town.move(30 * 24 * 60 * 60)

    assert [call.name for call in world.aws.calls] == ["PutMetricData"]


def test_silence(world: World) -> None:
    """While CloudWatch is silent nothing is published, and what was due then never is."""
    town = Town(world)
    town.add("busy", Users(5))
    town.traffic.begin()

    town.move(60)
    town.traffic.silence()
    town.move(120)
    assert max(town.of_group("RequestCount", "busy")) == NOON
    town.traffic.resume()
    town.move(60)

    assert set(town.of_group("RequestCount", "busy")) == {*minutes(-13, 0), *minutes(3, 3)}
