"""A target that was healthy a moment ago: what one look after the other says of it, over HTTP."""

from dataclasses import replace
from datetime import UTC

import pytest

from provider.sources.seen_healthy import SeenHealthy
from provider.telemetry import Metrics
from tests.app import create_app
from tests.world.cluster import objects

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health"

SICK = ("unhealthy", "Target.Timeout")


@pytest.fixture
def ask(client, wall_clock):
    """Ask some seconds later; return phase, reason and sentence."""

    def ask(seconds=0.0, url=HEALTH):
        wall_clock.advance(seconds)
        answer = client.get(url).json
        return answer["phase"], answer["reason"], answer["message"]

    wall_clock.stop()
    return ask


def test_one_unhealthy_look_fails_no_green(scene, ask):
    """Pods that were ready for ten minutes and healthy wait at the first unhealthy look, and fail a grace later."""
    before = ask()
    scene.pin(scene.addresses[1], *SICK)
    first, later, over = ask(10), ask(45), ask(16)

    assert before[0] == "Successful"
    assert first[:2] == later[:2] == ("Inconclusive", "TargetsUnhealthyInGrace")
    assert first[2].endswith("; not healthy for 0 s so far; will count as failed after 60 s")
    assert later[2].endswith("; not healthy for 45 s so far; will count as failed after 60 s")
    assert over[:2] == ("Failed", "TargetsUnhealthy")
    assert "1 unhealthy (Target.Timeout), not healthy for 61 s, longer than the 60 s grace period" in over[2]


def test_a_green_that_was_never_healthy_is_aborted_no_later(scene, ask):
    """Of a target that was never seen healthy the readiness of its containers decides, at the first look."""
    scene.pin(scene.addresses[1], *SICK)

    phase, reason, sentence = ask()

    assert (phase, reason) == ("Failed", "TargetsUnhealthy")
    assert (
        "1 unhealthy (Target.Timeout), with containers ready for 10 min, longer than the 60 s grace period" in sentence
    )


def test_after_a_restart_nothing_was_seen(scene, ask, sources):
    """Another process knows nothing of what this one saw, and judges by readiness."""
    ask()
    scene.pin(scene.addresses[1], *SICK)
    ask(10)

    restarted = create_app(replace(sources, seen_healthy=SeenHealthy()), Metrics()).test_client()

    assert restarted.get(HEALTH).get_json()["phase"] == "Failed"


@pytest.mark.parametrize("state", ["initial", "draining", "unavailable"])
def test_the_grace_counts_from_the_first_look_at_which_it_was_not_healthy(scene, ask, state):
    """A target that is something else before it is unhealthy has its grace from then; one that recovers begins anew."""
    ask()
    scene.pin(scene.addresses[1], state)
    ask(10)
    scene.pin(scene.addresses[1], *SICK)
    waits, fails = ask(50), ask(11)
    scene.pin(scene.addresses[1], "healthy")
    recovers = ask(10)
    scene.pin(scene.addresses[1], *SICK)
    again = ask(10)

    assert [answer[0] for answer in (waits, fails, recovers, again)] == [
        "Inconclusive",
        "Failed",
        "Successful",
        "Inconclusive",
    ]
    assert "not healthy for 50 s so far" in waits[2]
    assert "not healthy for 0 s so far" in again[2]


def test_every_query_shares_what_was_seen(scene, ask):
    """Whichever endpoint saw a target healthy, and however many queries share a reading, the grace is the same."""
    ask(url=GATE)
    scene.pin(scene.addresses[1], *SICK)
    first = [ask(10), *(ask(0, url) for url in (HEALTH, GATE, f"{HEALTH}&minHealthyPercent=90"))]
    second = [ask(60.5), ask(0, GATE)]

    assert {answer[0] for answer in first} == {"Inconclusive"}
    assert {answer[0] for answer in second} == {"Failed"}


def test_a_pod_with_the_address_of_another_was_not_seen_healthy(scene, ask):
    """A replacement that gets the address of a pod that was healthy is judged by its own readiness."""
    ask()
    scene.pods[1]["metadata"]["uid"] = "uid-of-the-replacement"
    scene.put()
    scene.pin(scene.addresses[1], *SICK)

    assert ask(10)[0] == "Failed"


def test_a_pod_that_starts_again_keeps_its_grace(scene, ask, wall_clock):
    """A pod whose containers were restarted is in grace until they are ready for long enough, whatever was seen."""
    ask()
    scene.pin(scene.addresses[1], *SICK)
    ask(10)
    wall_clock.advance(80)
    ready = objects.timestamp(wall_clock().astimezone(UTC))
    for condition in scene.pods[1]["status"]["conditions"]:
        condition["lastTransitionTime"] = ready
    scene.put()

    waits, fails = ask(20), ask(42)

    assert waits[:2] == ("Inconclusive", "TargetsUnhealthyInGrace")
    assert "will count as failed once the pod has been ready for 60 s" in waits[2]
    assert fails[0] == "Failed"


def test_minutes_in_which_nobody_asked_do_not_count(scene, ask):
    """A target that is unhealthy at the first look after a pause is in grace from that look."""
    ask()
    scene.pin(scene.addresses[1], *SICK)

    after, later = ask(600), ask(61)

    assert after[0] == "Inconclusive"
    assert later[0] == "Failed"


def test_a_node_that_was_healthy(scene, ask, world):
    """With instance targets the same holds for a node that runs a ready green pod."""
    scene.service["spec"] |= {"type": "NodePort", "externalTrafficPolicy": "Local"}
    scene.service["spec"]["ports"][0]["nodePort"] = 30080
    arn = world.aws.target_group("k8s-shop-nodes", target_type="instance")
    binding = objects.target_group_binding(
        f"k8s-shop-{scene.preview}", service=scene.preview, arn=arn, target_type="instance"
    )
    nodes = []
    for number, pod in enumerate(scene.pods):
        name, instance = f"node-{number}", f"i-{number:017}"
        pod["spec"]["nodeName"] = name
        nodes.append(objects.node(name, instance_id=instance))
        world.aws.load_balancers.pin(arn, instance, 30080, "healthy")
    scene.put(binding, *nodes)
    before = ask()
    world.aws.load_balancers.pin(arn, f"i-{1:017}", 30080, *SICK)

    assert before[0] == "Successful"
    assert ask(10)[:2] == ("Inconclusive", "TargetsUnhealthyInGrace")
    assert ask(61)[0] == "Failed"
