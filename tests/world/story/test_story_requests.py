"""What the story's Rollouts leave in CloudWatch, told with two clocks that a test moves together."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import floor
from typing import TYPE_CHECKING

import pytest

from tests.world.aws.metrics import Wall, dimensions, minutes, points
from tests.world.story.rollouts import target_group_name
from tests.world.story.story import Story

if TYPE_CHECKING:
    from tests.conftest import Clock
    from tests.world.world import World

TEN = minutes(-10, -1)


class Teller:
    """A story of some Rollouts, whose metrics are published without delay."""

    def __init__(self, world: World, clock: Clock, *names: str) -> None:
        self.world, self.clock, self.wall = world, clock, Wall()
        self.began = self.wall.now
        self.story = Story(world, publish_delay_seconds=0.0, now=self.wall)
        self.story.rollouts = tuple(each for each in self.story.rollouts if each.name in names)
        self.story.set_up()

    def tick(self, seconds: float = 0.5) -> None:
        self.clock.seconds += seconds
        self.wall.now += timedelta(seconds=seconds)
        self.story.tick()

    def arn(self, service: str) -> str:
        name = service if service == "neighbour" else target_group_name("shop", service)
        [group] = self.world.aws.client().describe_target_groups(Names=[name])["TargetGroups"]
        return str(group["TargetGroupArn"])

    def healthy_count(self, service: str) -> int:
        return sum(health.state == "healthy" for health in self.world.aws.health(self.arn(service)))

    def points(
        self, metric: str, service: str | None = None, *, load_balancer: str = "demo", statistic: str = "Sum"
    ) -> dict[datetime, float]:
        group = None if service is None else self.arn(service)
        named = dimensions(self.world.aws.load_balancer(load_balancer), group)
        return points(self.world, metric, named, statistic)


def test_noisy(world: World, clock: Clock) -> None:
    """Green of noisy answers 8 % of 300 requests a minute with 5xx, blue 0.1 % of 3000; every target is healthy."""
    teller = Teller(world, clock, "noisy")

    assert teller.points("RequestCount", "noisy-preview") == dict.fromkeys(TEN, 300.0)
    assert teller.points("HTTPCode_Target_5XX_Count", "noisy-preview") == dict.fromkeys(TEN, 24.0)
    assert teller.points("RequestCount", "noisy-active") == dict.fromkeys(TEN, 3000.0)
    assert teller.points("HTTPCode_Target_5XX_Count", "noisy-active") == dict.fromkeys(TEN, 3.0)
    assert teller.points("RequestCount") == dict.fromkeys(TEN, 3300.0)
    for statistic in ("Minimum", "Average", "Maximum"):
        found = teller.points("HealthyHostCount", "noisy-preview", statistic=statistic)
        assert found == dict.fromkeys(TEN, 4.0)


def test_dimensions_are_exact(world: World, clock: Clock) -> None:
    """Only the exact set of dimensions finds points: not the target group alone, nor Argo's short names."""
    teller = Teller(world, clock, "noisy")
    load_balancer, group = world.aws.load_balancer(), teller.arn("noisy-preview")
    exact = dimensions(load_balancer, group)
    short = {name: value.partition("/")[2] for name, value in exact.items()}

    assert points(world, "RequestCount", exact)
    for wrong in (dimensions(None, group), short, exact | {"AvailabilityZone": "eu-west-1a"}):
        assert points(world, "RequestCount", wrong) == {}


def test_idle(world: World, clock: Clock) -> None:
    """Green of idle has no RequestCount and no errors, only healthy hosts; its load balancer has requests."""
    teller = Teller(world, clock, "idle")

    for metric in ("RequestCount", "HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount"):
        assert teller.points(metric, "idle-preview") == {}
    assert teller.points("HealthyHostCount", "idle-preview", statistic="Minimum") == dict.fromkeys(TEN, 3.0)
    assert teller.points("RequestCount") == dict.fromkeys(TEN, 1200.0)


def test_shared(world: World, clock: Clock) -> None:
    """Green of shared is clean on a load balancer whose errors are a neighbour's."""
    teller = Teller(world, clock, "shared")
    found = {
        (metric, service): set(teller.points(metric, service, load_balancer="shared").values())
        for metric in (
            "RequestCount",
            "HTTPCode_Target_5XX_Count",
            "TargetConnectionErrorCount",
            "HTTPCode_ELB_5XX_Count",
            "HTTPCode_ELB_502_Count",
            "HTTPCode_ELB_503_Count",
        )
        for service in ("shared-preview", "shared-active", "neighbour", None)
    }

    assert {key: values for key, values in found.items() if values} == {
        ("RequestCount", "shared-preview"): {300.0},
        ("RequestCount", "shared-active"): {1200.0},
        ("RequestCount", "neighbour"): {1800.0},
        ("RequestCount", None): {3300.0},
        ("HTTPCode_Target_5XX_Count", "neighbour"): {360.0},
        ("HTTPCode_Target_5XX_Count", None): {360.0},
        ("TargetConnectionErrorCount", "neighbour"): {120.0},
        ("TargetConnectionErrorCount", None): {120.0},
        ("HTTPCode_ELB_502_Count", None): {120.0},
        ("HTTPCode_ELB_5XX_Count", None): {120.0},
    }
    bindings = world.kubernetes.stored("TargetGroupBinding")
    assert [one.shared["spec"]["serviceRef"]["name"] for one in bindings] == ["shared-active", "shared-preview"]


@pytest.mark.parametrize("name", ["noisy", "idle", "shared"])
def test_green_has_stood_for_twenty_minutes(world: World, clock: Clock, name: str) -> None:
    """ReplicaSet, pods and the preview selector are 20 minutes old, and green is healthy in the preview group."""
    teller = Teller(world, clock, name)
    twenty_minutes_ago = teller.began - timedelta(minutes=20)
    teller.tick(600.0)
    rollout = world.kubernetes.get("Rollout", "shop", name)
    green = rollout["status"]["currentPodHash"]
    replica_set = world.kubernetes.get("ReplicaSet", "shop", f"{name}-{green}")
    pods = world.kubernetes.stored("Pod", "shop", **replica_set["spec"]["selector"]["matchLabels"])
    service = world.kubernetes.get("Service", "shop", f"{name}-preview")
    stamps = [replica_set["metadata"]["creationTimestamp"], service["metadata"]["managedFields"][-1]["time"]]
    for pod in pods:
        stamps.append(pod.shared["metadata"]["creationTimestamp"])
        stamps += [condition["lastTransitionTime"] for condition in pod.shared["status"]["conditions"]]

    assert rollout["status"]["stableRS"] != green
    assert service["spec"]["selector"]["rollouts-pod-template-hash"] == green
    assert teller.healthy_count(f"{name}-preview") == rollout["spec"]["replicas"] == len(pods)
    for stamp in stamps:
        assert abs(datetime.fromisoformat(stamp) - twenty_minutes_ago) < timedelta(seconds=10)


def test_503_at_the_switch_of_web(world: World, clock: Clock) -> None:
    """While no target is healthy, each request is a 503 of the load balancer and missing in RequestCount."""
    teller = Teller(world, clock, "web")
    lost_seconds = {"web-active": 0.0, "web-preview": 0.0}

    for _ in range(120):
        for service in lost_seconds:
            lost_seconds[service] += 0.0 if teller.healthy_count(service) else 0.5
        teller.tick()

    [first] = minutes(0, 0)
    of_active, of_preview = 20 * lost_seconds["web-active"], lost_seconds["web-preview"]
    # a second of registration and at most an interval of 5 s until the first check
    assert 1 <= lost_seconds["web-active"] <= 6.5
    assert (
        teller.points("HTTPCode_ELB_503_Count")
        == teller.points("HTTPCode_ELB_5XX_Count")
        == {first: of_active + floor(of_preview)}
    )
    assert teller.points("RequestCount", "web-active")[first] == 1200 - of_active
    assert teller.points("RequestCount")[first] == 1200 - of_active + floor(60 - of_preview)
    assert teller.points("HealthyHostCount", "web-active", statistic="Minimum")[first] == 0
    assert teller.points("HTTPCode_Target_5XX_Count") == {}


def test_pingpong_follows_the_weights(world: World, clock: Clock) -> None:
    """The two groups of pingpong share 20 requests a second by weight."""
    teller = Teller(world, clock, "pingpong")

    for _ in range(120):
        teller.tick()

    # 3 s at 20 %, 3 s at 50 % and 29 s at 100 % for green
    assert teller.points("RequestCount", "pingpong-pong") == {minutes(0, 0)[0]: 20 * (0.6 + 1.5 + 29)}
    assert teller.points("RequestCount", "pingpong-ping")[minutes(0, 0)[0]] == 20 * (25 + 2.4 + 1.5)
    assert teller.points("HTTPCode_ELB_503_Count") == {}


def test_broken_gets_no_requests_on_its_sick_pod(world: World, clock: Clock) -> None:
    """The load balancer never chooses the sick pod, so broken has no 5xx while it has one unhealthy host."""
    teller = Teller(world, clock, "broken")

    for _ in range(120):
        teller.tick()

    assert teller.points("HTTPCode_Target_5XX_Count") == {}
    assert teller.points("RequestCount", "broken-active") == dict.fromkeys([*TEN, *minutes(0, 0)], 600.0)
    assert teller.healthy_count("broken-preview") == 3


def test_every_rollout_is_told(world: World) -> None:
    """The story has thirteen Rollouts, each with a name of its own."""
    assert [rollout.name for rollout in Story(world).rollouts] == [
        "web",
        "broken",
        "unattached",
        "nopreview",
        "pingpong",
        "big",
        "noisy",
        "idle",
        "cold",
        "shared",
        "retried",
        "gated",
        "handover",
    ]
