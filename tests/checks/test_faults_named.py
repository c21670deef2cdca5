"""What waiting cannot mend is named: the reason, the names in the sentence, and the action that a person must take."""

import pytest

from provider.model.reasons import Action, Reason
from tests.scene import BLUE, GREEN
from tests.world.cluster import objects

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health"
BACKING_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}


def put_slices(scene):
    """Put the scene with the EndpointSlices of its Service as it is now, and no older ones."""
    for manifest in scene.world.kubernetes.all("EndpointSlice", "shop"):
        scene.world.kubernetes.delete("EndpointSlice", "shop", manifest["metadata"]["name"])
    scene.put()


def break_pod(scene, number, state=None, restarts=0, **status):
    """Make one pod not ready, with a container in this state, and its target missing."""
    since = scene.pods[number]["metadata"]["creationTimestamp"]
    for condition in scene.pods[number]["status"]["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition |= {"status": "False", "lastTransitionTime": since}
    if state is not None:
        ready = {"name": "mesh", "ready": True, "restartCount": 0, "state": {"running": {}}}
        app = {"name": "app", "ready": False, "restartCount": restarts, "state": state}
        status = {"containerStatuses": [ready, app]} | status
    scene.pods[number]["status"] |= status
    scene.replica_set["status"] |= {"availableReplicas": scene.replicas - 1, "readyReplicas": scene.replicas - 1}
    scene.pin(scene.addresses[number], "unused", "Target.NotRegistered")
    put_slices(scene)


def whole_pods_read(scene):
    return [call for call in scene.world.kubernetes_faults.calls if "/pods/" in call.name]


@pytest.mark.parametrize(
    ("state", "restarts", "status", "sentence"),
    [
        (BACKING_OFF, 7, {}, "CrashLoopBackOff, 7 restarts (container app)"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, 0, {}, "ImagePullBackOff (container app)"),
        ({"running": {}}, 1, {}, "running but not ready, 1 restart (container app)"),
        ({"terminated": {"reason": "OOMKilled", "exitCode": 137}}, 2, {}, "OOMKilled, 2 restarts (container app)"),
        (
            None,
            0,
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
            },
            "Unschedulable",
        ),
        (None, 0, {"phase": "Pending"}, "Pending"),
    ],
    ids=["crash loop", "image", "not ready", "out of memory", "unschedulable", "pending"],
)
def test_a_pod_that_does_not_start_is_named_with_its_container(scene, client, state, restarts, status, sentence):
    """Where replicas are missing each check names a pod, its container's state and how often it was restarted."""
    break_pod(scene, 1, state, restarts, **status)

    health, gate = client.get(HEALTH).json, client.get(GATE).json

    name = scene.pods[1]["metadata"]["name"]
    assert (
        f"2 of 3 green targets healthy in k8s-shop-web-preview; 1 missing (not registered); {name}: {sentence}"
        in (health["message"])
    )
    assert f"2 of 3 replicas of web-{GREEN} available; {name}: {sentence}" in gate["message"]
    assert [(pod["name"], pod["restartCount"]) for pod in gate["observed"]["podsNotReady"]] == [(name, restarts)]
    assert gate["observed"]["podsNotReady"][0]["state"] in sentence


def test_the_pod_most_in_trouble_is_named(scene, client):
    """Of several pods that are not ready the sentence names one that crashes rather than one that just starts."""
    break_pod(scene, 0, {"waiting": {"reason": "ContainerCreating"}})
    break_pod(scene, 2, BACKING_OFF, 7)

    answer = client.get(HEALTH).json

    assert f"{scene.pods[2]['metadata']['name']}: CrashLoopBackOff" in answer["message"]
    assert [pod["state"] for pod in answer["observed"]["podsNotReady"]] == ["CrashLoopBackOff", "ContainerCreating"]


def test_whole_pods_are_read_only_where_replicas_are_missing_for_long(scene, client, wall_clock):
    """No whole pod is read while all replicas are available, nor for pods that have just been created."""
    break_pod(scene, 1, BACKING_OFF, 7)
    wall_clock.advance(5 - scene.ready_for.total_seconds())
    young = client.get(GATE).json
    before = whole_pods_read(scene)
    wall_clock.advance(10)

    old = client.get(GATE).json

    assert before == []
    assert "CrashLoopBackOff" not in young["message"]
    assert "CrashLoopBackOff" in old["message"]
    assert whole_pods_read(scene)


def test_pods_that_cannot_be_read_keep_no_answer(scene, client):
    """A whole pod that may not be read explains nothing, and the answer stays what it is without it."""
    break_pod(scene, 1, BACKING_OFF, 7)
    scene.world.kubernetes_faults.kubernetes_error("/pods/", "Forbidden", "no", 403)

    answer = client.get(GATE).json

    assert answer["reason"] == "ReplicasUnavailable"
    assert "podsNotReady" not in answer["observed"]


def test_a_pod_without_the_named_port_is_a_fault(scene, client):
    """A pod that lacks the named targetPort is never registered: the port and the Service are named, not a wait."""
    scene.pods[1]["spec"]["containers"][0]["ports"] = [{"name": "web", "containerPort": 8080}]
    put_slices(scene)

    answer = client.get(HEALTH).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "TargetPortNotFound")
    assert answer["message"] == (
        "2 of 3 green targets healthy in k8s-shop-web-preview; 1 missing (no container port http). Name a container "
        "port http in the pod template, or correct targetPort in Service web-preview."
    )
    assert answer["observed"]["examples"][0]["name"] == scene.pods[1]["metadata"]["name"]


def test_a_selector_that_matches_no_pod_is_a_fault(scene, client):
    """A Service that selects a label which green's pods do not have is named with the label and a pod."""
    scene.service["spec"]["selector"]["app.kubernetes.io/part-of"] = "shop"
    put_slices(scene)

    answer = client.get(GATE).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "SelectorMatchesNoPod")
    assert "Service web-preview selects app.kubernetes.io/part-of=shop" in answer["message"]
    assert f"pod {scene.pods[0]['metadata']['name']} does not have this label" in answer["message"]


def test_a_binding_of_the_other_address_family_is_a_fault(scene, client):
    """An IPv6 binding of a Service with IPv4 endpoints only can never be filled: both are named."""
    binding = objects.target_group_binding(
        f"k8s-shop-{scene.preview}", service=scene.preview, arn=scene.arn, ip_address_type="ipv6"
    )
    scene.put(binding)

    answer = client.get(HEALTH).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "AddressFamilyMismatch")
    assert "3 missing (the Service has only IPv4)" in answer["message"]
    assert "TargetGroupBinding k8s-shop-web-preview takes IPv6 addresses: make Service web-preview" in answer["message"]


def test_a_group_behind_a_network_load_balancer_says_what_to_ask(scene, client):
    """The gate of a group without HTTP metrics names the checks to ask for instead; asked so, it passes."""
    # moto names every load balancer like an Application Load Balancer.
    scene.world.aws.faults.add("", rewrite=lambda body: body.replace(b"loadbalancer/app/", b"loadbalancer/net/"))

    blocked = client.get("/v1/gate?namespace=shop&rollout=web").json
    passed = client.get(GATE).json

    assert (blocked["phase"], blocked["reason"]) == ("Inconclusive", "NoHttpMetrics")
    assert blocked["message"].startswith(
        "errors: Target group k8s-shop-web-preview is behind a Network Load Balancer, which counts no HTTP responses ("
    )
    assert blocked["message"].endswith("Ask gate with checks=replicas,target-health instead.")
    assert passed["phase"] == "Successful"


def lose_the_hash(scene):
    selector = {"app": "web"}
    scene.put(objects.service("web-active", selector=selector))


@pytest.mark.parametrize("url", [HEALTH, GATE, f"{HEALTH}&stage=beforeSwitch"])
def test_an_active_service_without_hash_never_passes(scene, client, url):
    """Argo switches without asking once the active Service has lost its hash: said, with the hash to put back."""
    lose_the_hash(scene)

    answer = client.get(url).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "ActiveServiceWithoutHash")
    assert "The selector of active Service web-active has no rollouts-pod-template-hash" in answer["message"]
    assert f"Set it to {BLUE} (blue)" in answer["message"]


def test_a_first_deploy_needs_no_hash(scene, client):
    """Before the first version is stable Argo has not written the hash yet, so a missing one is no fault."""
    lose_the_hash(scene)
    scene.rollout["status"]["stableRS"] = ""
    scene.put()

    assert client.get(HEALTH).json["phase"] == "Successful"


def test_every_reason_has_an_action():
    """A pass and a failure ask for nothing, everything else to wait or for a person; each says so in sentences."""
    rows = {reason: reason for reason in Reason}

    assert [
        reason for reason, row in rows.items() if (row.action is Action.NONE) == (row.phase == "Inconclusive")
    ] == []
    assert [reason for reason, row in rows.items() if not (row.meaning.endswith(".") and row.todo.endswith("."))] == []
