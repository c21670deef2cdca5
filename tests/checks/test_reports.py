"""Situations from public reports about Argo Rollouts, the load balancer controller and Kubernetes, answered right."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.scene import GREEN, Scene
from tests.world.cluster import objects

ABOUT = "namespace=shop&rollout=web"
HEALTH = f"/v1/target-health?{ABOUT}"
GATE = f"/v1/gate?{ABOUT}&checks=replicas,target-health"

ENDED = [
    ("Failed", "Evicted"),
    ("Failed", "OutOfcpu"),
    ("Failed", "NodeShutdown"),
    ("Failed", "UnexpectedAdmissionError"),
    ("Succeeded", ""),
]
"""kubernetes#113278, kubernetes#98012: phases and reasons of pods that have ended."""


def brief(answer: Any) -> tuple[str, str, str]:
    return answer.json["phase"], answer.json["reason"], answer.json["observed"]["action"]


@pytest.mark.parametrize(("phase", "reason"), ENDED)
@pytest.mark.parametrize("question", [HEALTH, GATE])
def test_a_pod_that_has_ended_lies_beside_its_replacement(scene, client, phase, reason, question):
    """Three of three pods run: the one that has ended is neither running nor wanted, and is shown nowhere."""
    scene.add_ended_pod(reason, phase)

    answer = client.get(question)

    assert brief(answer)[::2] == ("Successful", "none")
    assert "3 of 3 green targets healthy" in answer.json["message"]
    assert "examples" not in answer.json["observed"]
    assert "podsNotReady" not in answer.json["observed"]


@pytest.mark.parametrize(("phase", "reason"), ENDED)
@pytest.mark.parametrize("question", [HEALTH, GATE])
def test_a_pod_that_has_ended_and_has_no_replacement_is_missing(scene, client, phase, reason, question):
    """Two pods run and three are wanted: an ended pod stands in for none, even if AWS still calls it healthy."""
    since = scene.pods[2]["status"]["conditions"]
    scene.pods[2] = objects.end(scene.pods[2], phase=phase, reason=reason)
    scene.pods[2]["status"] |= {"podIP": "10.0.0.3", "podIPs": [{"ip": "10.0.0.3"}], "conditions": since}
    scene.replica_set["status"] |= {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    scene.put()

    answer = client.get(question)

    assert brief(answer)[::2] == ("Inconclusive", "wait")
    assert "2 of 3" in answer.json["message"]
    assert "pod not created yet" in client.get(HEALTH).json["message"]


def test_a_pod_that_ends_sick_fails_nobody(scene, client):
    """The target of a pod that has ended is unhealthy until it is deregistered; its readiness of before is no proof."""
    scene.pods[2]["status"] |= {"phase": "Failed", "reason": "NodeShutdown"}
    scene.pin(scene.addresses[2], "unhealthy", "Target.Timeout")
    scene.put()

    assert brief(client.get(f"{HEALTH}&unhealthyGraceSeconds=0")) == ("Inconclusive", "TargetsMissing", "wait")


@pytest.fixture
def at_weight_zero(scene: Scene) -> Scene:
    """argo#556, argo#669, argo#811: the gate of a ping-pong canary asks at weight 0, and green has no pods."""
    scene.rollout["spec"]["strategy"] = {
        "canary": {
            "pingPong": {"pingService": "web-preview", "pongService": "web-active"},
            "trafficRouting": {"alb": {"ingress": "web", "rootService": "web-root", "servicePort": 80}},
            "steps": [
                {"setWeight": 0},
                {"analysis": {"templates": [{"templateName": "alb-gate"}]}},
                {"setWeight": 100},
            ],
        }
    }
    scene.rollout["status"] |= {"currentStepIndex": 1, "canary": {}}
    for pod in scene.pods:
        scene.world.kubernetes.delete("Pod", "shop", pod["metadata"]["name"])
    scene.pods = []
    scene.replica_set["spec"]["replicas"] = 0
    scene.replica_set["status"] = {"replicas": 0, "observedGeneration": 1}
    scene.put()
    return scene


@pytest.mark.parametrize("question", [HEALTH, GATE])
def test_nothing_will_ever_scale_green_up(at_weight_zero, client, question):  # noqa: ARG001 - it is what is asked about
    """A person must act, since waiting changes nothing, and the sentence names setCanaryScale."""
    answer = client.get(question)

    assert brief(answer) == ("Inconclusive", "NoPodsDesired", "fix")
    assert answer.json["message"] == (
        "Green ReplicaSet web-6d9f7c is scaled to 0: at this step the canary has weight 0, and no setCanaryScale is in "
        "effect. Put a step setCanaryScale: {weight: 100} before it."
    )


def test_a_step_that_has_only_just_begun_is_waited_for(at_weight_zero, client):
    """The step before the gate asks for pods, by a weight or by a scale; Kubernetes has not made them yet."""
    steps = at_weight_zero.rollout["spec"]["strategy"]["canary"]["steps"]
    for step in ({"setWeight": 20}, {"setCanaryScale": {"weight": 100}}, {"setCanaryScale": {"replicas": 1}}):
        steps[0] = step
        at_weight_zero.put()

        assert brief(client.get(HEALTH)) == ("Inconclusive", "NoPods", "wait")


def test_an_abort_at_weight_zero_is_an_abort(at_weight_zero, client):
    """While the Rollout is aborted, what to do about the abort is said, and nothing about its steps."""
    at_weight_zero.rollout["status"] |= {"abort": True, "currentStepIndex": 0}
    at_weight_zero.put()

    answer = client.get(HEALTH)

    assert brief(answer) == ("Inconclusive", "RolloutAborted", "fix")
    assert "setCanaryScale" not in answer.json["message"]


@pytest.fixture
def nine_of_ten(world: Any) -> Scene:
    """argo#3991, argo#4341: with replicaProgressThreshold a canary goes on while its tenth pod is being created."""
    scene = Scene(world, replicas=10).build()
    scene.rollout["spec"]["strategy"] = {
        "canary": {
            "canaryService": "web-preview",
            "stableService": "web-active",
            "replicaProgressThreshold": {"type": "Percent", "value": 90},
            "trafficRouting": {"alb": {"ingress": "web", "servicePort": 80}},
            "steps": [
                {"setCanaryScale": {"weight": 100}},
                {"analysis": {"templates": [{"templateName": "alb-gate"}]}},
                {"setWeight": 100},
            ],
        }
    }
    scene.rollout["status"] |= {"currentStepIndex": 1}
    waiting = {"name": "app", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}
    scene.pods[9] = objects.pod(
        scene.replica_set, f"web-{GREEN}-0009", created_at=datetime.now(UTC) - timedelta(minutes=1)
    )
    scene.pods[9]["status"]["containerStatuses"] = [waiting]
    scene.replica_set["status"] |= {"readyReplicas": 9, "availableReplicas": 9}
    scene.world.aws.load_balancers.unpin(scene.arn, "10.0.0.10", 8080)
    scene.put()
    return scene


def test_nine_of_ten_are_enough_for_a_gate_that_asks_for_90_percent(nine_of_ten, client):  # noqa: ARG001 - as above
    """The percentage is of the replicas too: the sentence says 9 of 10, why, and that it is met."""
    answer = client.get(f"{GATE}&minHealthyPercent=90")

    assert brief(answer) == ("Successful", "AllChecksPassed", "none")
    assert answer.json["message"] == (
        "replicas: 9 of 10 replicas of web-6d9f7c available; web-6d9f7c-0009: ContainerCreating (container app); "
        "minHealthyPercent=90 is met; target-health: 9 of 10 green targets healthy in k8s-shop-web-preview; 1 missing "
        "(no address behind the Service yet); minHealthyPercent=90 is met"
    )
    assert answer.json["measurement"][:2] == [90.0, "Successful"]


@pytest.mark.parametrize("more", ["", "&minHealthyPercent=91", "&minHealthyPercent=100"])
def test_nine_of_ten_are_too_few_by_default(nine_of_ten, client, more):  # noqa: ARG001 - as above
    """Without the parameter, and with a higher one, the gate waits for the tenth replica."""
    answer = client.get(GATE + more)

    assert brief(answer) == ("Inconclusive", "ReplicasUnavailable", "wait")
    assert "replicas: 9 of 10 replicas of web-6d9f7c available" in answer.json["message"]
    assert "is met" not in answer.json["message"]


def test_a_pod_that_loses_its_readiness_is_waited_for(scene, client):
    """LBC#1633: the target of a pod that is not ready drains, and the sentence has its container's state."""
    scene.replica_set["status"] |= {"readyReplicas": 2, "availableReplicas": 2}
    scene.not_ready(1, "CrashLoopBackOff", restarts=5, gate="target-health.elbv2.k8s.aws/k8s-shop-web-preview")
    scene.pin(scene.addresses[1], "draining", "Target.DeregistrationInProgress")

    answer = client.get(GATE)

    assert answer.json["phase"] == "Inconclusive"
    assert "CrashLoopBackOff" in answer.json["message"]


def test_green_has_pods_again_after_an_abort(scene, client):
    """argo#4973: healthy targets of an aborted Rollout are no pass."""
    scene.rollout["status"] |= {"abort": True, "phase": "Degraded"}
    scene.put()

    assert brief(client.get(GATE)) == ("Inconclusive", "RolloutAborted", "fix")


def test_replicas_were_raised_during_the_preview(scene, client):
    """argo#4200, argo#4552: a pass about a smaller green says how many of the Rollout's replicas it covers."""
    scene.rollout["spec"]["replicas"] = 6
    scene.put()

    answer = client.get(GATE)

    assert answer.json["phase"] == "Successful"
    assert "this covers only 3 of the Rollout's 6 replicas" in answer.json["message"]


def test_the_address_of_a_new_pod_was_another_ones_before(scene, client):
    """An address that still drains as the target of a former pod is not healthy yet."""
    scene.pin(scene.addresses[1], "draining", "Target.DeregistrationInProgress")

    assert brief(client.get(GATE)) == ("Inconclusive", "TargetsDraining", "wait")
