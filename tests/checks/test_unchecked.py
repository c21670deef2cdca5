"""A pass names the production target groups that it says nothing about; a preflight finds the ports."""

import pytest

from tests.scene import BLUE, GREEN
from tests.world.cluster import objects

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health"
PREFLIGHT = "/v1/preflight?namespace=shop&rollout=web"
PORTS = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "tls", "port": 443, "targetPort": 8443}]


def bind(scene, name, port, service="web-active"):
    """Bind a target group of this name to a port of a Service."""
    arn = scene.world.aws.target_group(name)
    scene.put(objects.target_group_binding(name, service=service, port=port, arn=arn))
    return arn


@pytest.fixture
def two_ports(scene):
    """Production has a target group for each of two ports, the preview for one."""
    selector = {"app": "web", objects.HASH_LABEL: GREEN}
    scene.service = objects.service("web-preview", selector=selector, ports=PORTS)
    scene.put(objects.service("web-active", selector={"app": "web", objects.HASH_LABEL: BLUE}, ports=PORTS))
    bind(scene, "active-http", 80)
    bind(scene, "active-tls", 443)
    return scene


@pytest.mark.parametrize("url", [HEALTH, GATE])
@pytest.mark.usefixtures("two_ports")
def test_the_group_that_only_production_has_is_named(client, url):
    """The pass is about the port that both have, and says that nothing checks the other one before the switch."""
    answer = client.get(url).json

    assert answer["phase"] == "Successful"
    assert answer["observed"]["uncheckedTargetGroups"] == ["active-tls"]
    assert answer["message"].endswith(
        "3 of 3 green targets healthy in k8s-shop-web-preview; no check before the switch covers production target "
        "group active-tls"
    )
    assert answer["measurement"][2] == answer["message"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda scene: bind(scene, "preview-tls", 443, "web-preview"), id="not checked yet"),
        pytest.param(lambda scene: scene.switch(promoted=False), id="after the switch"),
        pytest.param(lambda scene: scene.world.kubernetes.delete("TargetGroupBinding", "shop", "active-tls"), id="one"),
    ],
)
def test_nothing_is_said_where_it_does_not_matter(two_ports, client, change):
    """Once the preview has the port too, after the switch, or without such a group, no group is unchecked."""
    change(two_ports)

    assert "uncheckedTargetGroups" not in client.get(HEALTH).json["observed"]


def test_many_groups_fit_the_answer(two_ports, client):
    """However many groups of however long names production has, the body stays under 2 KiB and names at most five."""
    for number in range(12):
        bind(two_ports, f"a-target-group-of-a-long-name-{number:02}", 443)
    response = client.get(GATE)

    assert len(response.data) < 2048
    assert len(response.json["observed"]["uncheckedTargetGroups"]) == 5
    assert "and 11 more" in response.json["message"]


@pytest.mark.usefixtures("two_ports")
def test_a_preflight_finds_the_port(client):
    """A risk names the port that only production has."""
    response = {finding["code"]: finding for finding in client.get(PREFLIGHT).json["findings"]}["PortNotChecked"]

    assert response["severity"] == "risk"
    assert response["says"].startswith(
        "Service web-active is behind the load balancer at port 443 (tls), and Service web-preview is not"
    )
    assert response["objects"] == ["Service/web-active", "Service/web-preview"]


def test_weight_0_may_be_why_there_is_no_binding(scene, client):
    """Some controllers make no binding for a route of weight 0, where a canary begins: said beside the missing rule."""
    before = client.get(HEALTH).json
    strategy = {"canary": {"canaryService": "web-preview", "stableService": "web-active"}}
    scene.rollout["spec"]["strategy"] = strategy
    scene.put()
    scene.world.kubernetes.delete("TargetGroupBinding", "shop", "k8s-shop-web-preview")
    canary = client.get(HEALTH).json
    scene.rollout["spec"]["strategy"] = {"blueGreen": {"activeService": "web-active", "previewService": "web-preview"}}
    scene.put()
    blue_green = client.get(HEALTH).json

    assert before["phase"] == "Successful"
    assert {(answer["reason"], answer["observed"]["action"]) for answer in (canary, blue_green)} == {
        ("NoBinding", "fix")
    }
    assert "let an Ingress, Gateway or TargetGroupBinding use it" in canary["message"]
    assert "weight 0" in canary["message"]
    assert "weight" not in blue_green["message"]


LABELS = [{"eks.amazonaws.com/pod-readiness-gate-inject": "enabled"}, {}]


@pytest.mark.parametrize("labels", LABELS, ids=["Auto Mode", "no label"])
@pytest.mark.parametrize("prefix", ["target-health.elbv2.k8s.aws", "target-health.eks.amazonaws.com"])
@pytest.mark.parametrize("with_gate", [3, 2])
def test_gates_that_pods_have_are_better_evidence_than_a_label(scene, client, labels, prefix, with_gate):
    """No label is missed where the pods have their gates, and a pod that lacks its own is found with any label."""
    condition = f"{prefix}/k8s-shop-web-preview"
    for pod in scene.pods[:with_gate]:
        pod["spec"]["readinessGates"] = [{"conditionType": condition}]
        pod["status"]["conditions"].append({"type": condition, "status": "True"})
    scene.bind_active()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
    scene.put(namespace)

    response = {finding["code"]: finding["says"] for finding in client.get(PREFLIGHT).json["findings"]}

    assert "ReadinessGateMissing" not in response
    assert ("PodsWithoutGate" in response) is (with_gate < 3)
    assert response.get("PodsWithoutGate", "1 of 3 pods").startswith("1 of 3 pods")


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ("web-active", "stableService web-active selects no rollouts-pod-template-hash"),
        ("web-root", "rootService web-root selects no rollouts-pod-template-hash"),
    ],
)
def test_a_preflight_finds_production_without_hash(scene, client, service, sentence):
    """In a canary too: its stable Service, and a root Service that has a target group of its own."""
    alb = {"rootService": "web-root", "servicePort": 80}
    canary = {"canaryService": "web-preview", "stableService": "web-active", "trafficRouting": {"alb": alb}}
    scene.rollout["spec"] |= {"strategy": {"canary": canary}}
    scene.rollout["spec"]["template"] = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    scene.put(objects.service("web-root", selector={"app": "web"}))
    before = client.get(PREFLIGHT).json["findings"]
    if service == "web-root":
        bind(scene, "root", 80, "web-root")
    else:
        scene.put(objects.service("web-active", selector={"app": "web"}))

    [found] = [finding for finding in client.get(PREFLIGHT).json["findings"] if finding["code"] == "ActiveWithoutHash"]

    assert "ActiveWithoutHash" not in {one["code"] for one in before}
    assert found["says"].startswith(sentence)
