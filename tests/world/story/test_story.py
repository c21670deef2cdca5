"""The story, told in a minute and a half of a clock that a test moves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.world.cluster import objects
from tests.world.story.rollouts import target_group_name
from tests.world.story.story import Story

if TYPE_CHECKING:
    from tests.conftest import Clock
    from tests.world.world import World


class Teller:
    """A story and the means to look at its target groups."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self.clock = world, clock
        self.story = Story(world)
        self.story.rollouts = tuple(each for each in self.story.rollouts if each.name != "big")
        self.story.set_up()

    def tell_until(self, seconds: float) -> None:
        while self.story.seconds < seconds:
            self.clock.seconds += 0.5
            self.story.tick()

    def states(self, service: str) -> Counter[str]:
        client = self.world.aws.client()
        [group] = client.describe_target_groups(Names=[target_group_name("shop", service)])["TargetGroups"]
        found = client.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        return Counter(entry["TargetHealth"]["State"] for entry in found["TargetHealthDescriptions"])

    def hashes(self, rollout: str) -> tuple[str, str]:
        status = self.world.kubernetes.get("Rollout", "shop", rollout)["status"]
        return status["currentPodHash"], status["stableRS"]

    def selected(self, service: str) -> str:
        selector = self.world.kubernetes.get("Service", "shop", service)["spec"]["selector"]
        return str(selector[objects.HASH_LABEL])


@pytest.fixture
def teller(world: World, clock: Clock) -> Teller:
    return Teller(world, clock)


def test_web_is_switched_and_promoted(teller: Teller) -> None:
    """Green is healthy in preview before the switch, in the active group after it, and then stable."""
    teller.tell_until(0.5)
    web = teller.world.kubernetes.get("Rollout", "shop", "web")
    assert int(web["status"]["observedGeneration"]) < web["metadata"]["generation"]

    teller.tell_until(20.0)
    green, blue = teller.hashes("web")
    assert green != blue
    assert (teller.selected("web-preview"), teller.selected("web-active")) == (green, blue)
    assert teller.states("web-preview") == {"healthy": 6}

    teller.tell_until(29.5)
    assert teller.selected("web-active") == green
    assert teller.states("web-active")["draining"] == 6
    assert teller.states("web-active")["initial"] > 0

    teller.tell_until(59.0)
    assert teller.hashes("web") == (green, green)
    assert teller.states("web-active") == {"healthy": 6}
    labels = {objects.HASH_LABEL: blue}
    assert teller.world.kubernetes.stored("Pod", "shop", app="web", **labels) == []

    teller.tell_until(80.0)
    assert teller.hashes("web")[1] == green
    assert teller.states("web-preview") == {"healthy": 6}


def test_broken_is_aborted_and_tried_again(teller: Teller) -> None:
    """One green pod stays unhealthy, the active Service never moves, and blue survives several attempts."""
    _, blue = teller.hashes("broken")
    for attempt in range(3):
        teller.tell_until(attempt * 75.0 + 60.0)
        assert teller.states("broken-preview") == {"healthy": 3, "unhealthy": 1}
        teller.tell_until(attempt * 75.0 + 70.0)
        assert teller.world.kubernetes.get("Rollout", "shop", "broken")["status"]["abort"] is True

    assert teller.selected("broken-active") == blue
    assert teller.states("broken-active") == {"healthy": 4}


def test_the_waiting_ones_stand_still(teller: Teller) -> None:
    """All targets of unattached are unused for ever; no target group knows the green of nopreview."""
    teller.tell_until(60.0)

    assert teller.states("unattached-preview") == {"unused": 3}
    for name in ("unattached", "nopreview"):
        green, blue = teller.hashes(name)
        assert green != blue
        assert teller.selected(f"{name}-active") == blue


def test_ping_and_pong_swap_roles(teller: Teller) -> None:
    """Green is healthy at weight 0 on the idle Service, and no selector moves when it is promoted."""
    teller.tell_until(20.0)
    green, blue = teller.hashes("pingpong")
    assert (teller.selected("pingpong-ping"), teller.selected("pingpong-pong")) == (blue, green)
    assert teller.states("pingpong-pong") == {"healthy": 5}

    teller.tell_until(50.0)
    status = teller.world.kubernetes.get("Rollout", "shop", "pingpong")["status"]
    assert (status["stableRS"], status["canary"]["stablePingPong"]) == (green, "pong")
    assert (teller.selected("pingpong-ping"), teller.selected("pingpong-pong")) == (blue, green)

    teller.tell_until(80.0)
    assert teller.selected("pingpong-ping") == teller.hashes("pingpong")[0]
    assert teller.states("pingpong-ping") == {"healthy": 5}
