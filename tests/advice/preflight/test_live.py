"""Preflight of what is in the cluster: over HTTP and from the command line."""

import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
import yaml

from provider.advice.preflight.live import NAME
from provider.history.switches import Switches
from provider.model.records import HASH_LABEL
from tests import ROOT
from tests.app import create_app
from tests.scene import GREEN
from tests.world.cluster import objects

HEALTH = "/v1/target-health?namespace=shop&rollout=web&unhealthyGraceSeconds=0"
PREFLIGHT = f"/v1/{NAME}?namespace=shop&rollout=web"


@pytest.fixture
def example(world):
    """The objects of the example `blue-green` in the cluster, as Argo has them."""
    for path in sorted((ROOT / "rollout-examples" / "blue-green").glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            one["metadata"].setdefault("uid", f"uid-{one['kind']}-{one['metadata']['name']}")
            world.kubernetes.put(one)
    rollout = world.kubernetes.get("Rollout", "shop", "web")
    active = world.kubernetes.get("Service", "shop", "web-active")
    active["spec"]["selector"][HASH_LABEL] = "abc"
    world.kubernetes.put(rollout | {"status": {"stableRS": "abc"}})
    world.kubernetes.put(active)
    return world


@pytest.mark.usefixtures("example")
def test_the_cluster_is_inspected(client):
    """The same findings as from the files, in JSON, and nothing is left unchecked."""
    found = client.get(PREFLIGHT).json

    assert [(one["code"], one["severity"]) for one in found["findings"]] == [("SwitchHasGap", "risk")]
    assert (found["namespace"], found["rollout"], found["notChecked"]) == ("shop", "web", [])
    assert found["forecast"]["withoutHealthyTargetSeconds"] == {"best": 0.7, "expected": 2.6, "worst": 7.6}
    assert found["forecast"]["remedies"][0]["withoutHealthyTargetSeconds"] == 0


def test_what_is_missing_does_not_exist(client, example):
    """In a cluster an absent template blocks: there is nowhere else where it could be."""
    example.kubernetes.delete("AnalysisTemplate", "shop", "alb-gate")

    [missing] = [one for one in client.get(PREFLIGHT).json["findings"] if one["code"] == "TemplateMissing"]

    assert missing["severity"] == "blocks"
    assert missing["says"] == "prePromotionAnalysis names AnalysisTemplate alb-gate, and there is none"


def test_a_workload_is_read(client, example):
    """The pods of a workloadRef are inspected, and without the Deployment Argo refuses the Rollout."""
    rollout = example.kubernetes.get("Rollout", "shop", "web")
    template = rollout["spec"].pop("template")
    rollout["spec"]["workloadRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    example.kubernetes.put(rollout)
    without = codes_of(client.get(PREFLIGHT).json)
    template["spec"]["containers"][0].pop("lifecycle")
    metadata = {"name": "web", "namespace": "shop"}
    spec = {"selector": rollout["spec"]["selector"], "template": template}
    example.kubernetes.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    assert without == {"SwitchHasGap", "WorkloadMissing"}
    assert codes_of(client.get(PREFLIGHT).json) == {"SwitchHasGap", "NoPreStop"}


def test_an_autoscaler_and_a_class_are_read(client, example):
    """An autoscaler tells the number of pods, and the parameters of an IngressClass beat the Ingress."""
    target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 20, "maxReplicas": 20}
    metadata = {"name": "web", "namespace": "shop"}
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}
    parameters = {"apiGroup": "elbv2.k8s.aws", "kind": "IngressClassParams", "name": "alb"}
    of_class = {"controller": "ingress.k8s.aws/alb", "parameters": parameters}
    alb = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "alb"}, "spec": of_class}
    settings = {"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "IngressClassParams", "metadata": {"name": "alb"}}
    for manifest in (scaler, alb, settings | {"spec": {"targetType": "instance"}}):
        example.kubernetes.put(manifest)

    answer = client.get(PREFLIGHT).json

    assert answer["forecast"]["podCount"] == 20
    assert codes_of(answer) == set()


def test_what_may_not_be_read_is_said(client, example):
    """Without the permission nothing is claimed about those objects, and the answer names the verb."""
    for plural in ("/ingresses", "/analysistemplates", "/services?"):
        example.kubernetes_faults.kubernetes_error(plural, "Forbidden", "no", 403)

    found = client.get(PREFLIGHT).json

    assert {one["kind"] for one in found["notChecked"]} == {"Ingress", "AnalysisTemplate", "Service"}
    assert any("list ingresses.networking.k8s.io" in one["says"] for one in found["notChecked"])
    assert not {"TemplateMissing", "ServiceMissing", "NotBehindLoadBalancer"} & {
        one["code"] for one in found["findings"]
    }


def test_a_rollout_that_cannot_be_read(client, example):
    """Of a Rollout that may not be read nothing is found; of one that is not there the answer is 404."""
    absent = client.get(PREFLIGHT.replace("web", "none"))
    example.kubernetes_faults.kubernetes_error("/rollouts/", "Forbidden", "no", 403)
    refused = client.get(PREFLIGHT).json

    assert absent.status_code == 404
    assert (refused["findings"], refused["notChecked"][0]["kind"]) == ([], "Rollout")


def forecast_of(client, url):
    return client.get(url).json["forecast"]


def codes_of(found):
    return {one["code"] for one in found["findings"]}


def test_what_it_asks_of_aws(client, scene):
    """One call each for groups, targets, attributes, a load balancer's rules, and the rate of production."""
    scene.bind_active()
    scene.world.aws.faults.forget_calls()
    found = client.get(PREFLIGHT).json

    assert Counter(call.name for call in scene.world.aws.calls) == {
        "DescribeTargetGroups": 1,
        "DescribeTargetHealth": 2,
        "DescribeTargetGroupAttributes": 2,
        "DescribeListeners": 1,
        "DescribeRules": 1,
        "DescribeLoadBalancers": 1,
        "GetMetricData": 1,
    }
    assert not {"TargetGroup", "TargetGroupAttributes", "Metric"} & {one["kind"] for one in found["notChecked"]}


@pytest.mark.parametrize(
    ("operation", "kind", "is_needed"),
    [
        ("DescribeTargetGroups", "TargetGroup", True),
        ("DescribeTargetHealth", "TargetGroup", True),
        ("GetMetricData", "Metric", True),
        ("DescribeTargetGroupAttributes", "TargetGroupAttributes", False),
        ("DescribeListeners", "ListenerRule", False),
        ("DescribeRules", "ListenerRule", False),
        ("DescribeLoadBalancers", "ListenerRule", False),
    ],
)
def test_what_aws_forbids(client, scene, operation, kind, is_needed):
    """What may not be read is said with the IAM action; if queries need that action, it blocks."""
    scene.bind_active()
    scene.world.aws.faults.aws_error(operation, "AccessDenied", "no", 403)
    found = client.get(PREFLIGHT).json

    [why] = [one["says"] for one in found["notChecked"] if one["kind"] == kind]
    blocking = [one["says"] for one in found["findings"] if one["code"] == "PermissionMissing"]
    assert f":{operation}" in why
    assert [f":{operation}" in one for one in blocking] == [True] * is_needed


def test_rights_of_its_own(client, scene):
    """The API server is asked which rights the provider lacks; each is named, all at once."""
    scene.world.kubernetes.denied |= {("list", "pods"), ("list", "endpointslices")}
    found = client.get(PREFLIGHT).json

    assert [one["says"] for one in found["findings"] if one["code"] == "PermissionMissing"] == [
        "The provider may not list pods in namespace shop",
        "The provider may not list endpointslices.discovery.k8s.io in namespace shop",
    ]


def test_an_api_server_that_does_not_say(client, scene):
    """Without an answer about rights nothing is claimed about them."""
    scene.world.kubernetes_faults.kubernetes_error("selfsubjectaccessreviews", "Forbidden", "no", 403)
    found = client.get(PREFLIGHT).json

    assert "SelfSubjectAccessReview" in {one["kind"] for one in found["notChecked"]}
    assert "PermissionMissing" not in codes_of(found)


def test_a_group_that_is_gone(client, scene):
    """A binding to a group that AWS does not know is found, and the other group is described all the same."""
    arn = scene.arn.replace("preview", "nowhere")
    scene.put(objects.target_group_binding("k8s-shop-web-active", namespace="shop", service="web-active", arn=arn))
    found = client.get(PREFLIGHT).json

    assert [one["objects"] for one in found["findings"] if one["code"] == "TargetGroupGone"] == [
        ["TargetGroupBinding/k8s-shop-web-active"]
    ]
    assert "TargetGroup" not in {one["kind"] for one in found["notChecked"]}


def publish(scene, clock, by_minute):
    """Publish the RequestCount of production in the last minutes that are complete, the newest first."""
    end = clock().replace(second=0, microsecond=0) - timedelta(minutes=2)
    minutes = {end - timedelta(minutes=number + 1): count for number, count in enumerate(by_minute)}
    scene.world.aws.publish(scene.world.aws.load_balancer(), scene.active_arn, "RequestCount", minutes)


def test_the_rate_of_production(client, scene, wall_clock):
    """The forecast uses what CloudWatch counted in 15 minutes, and the busiest of them for each healthy target."""
    scene.bind_active()
    for address in scene.addresses:
        scene.world.aws.load_balancers.pin(scene.active_arn, address, 8080, "healthy")
    publish(scene, wall_clock, [600, 1800, 600])
    seen = forecast_of(client, PREFLIGHT)
    told = forecast_of(client, f"{PREFLIGHT}&requestsPerSecond=50&requestsPerTargetPerSecond=5&registrationSeconds=4")

    assert (seen["requestsPerSecond"], seen["requestsPerTargetPerSecond"]) == (round(3000 / 900, 1), 10.0)
    assert seen["requestsAtRiskInGap"]["expected"] > 0
    assert (told["requestsPerSecond"], told["registrationSeconds"]) == (50.0, 4.0)
    assert told["withoutHealthyTargetSeconds"]["expected"] > (seen["withoutHealthyTargetSeconds"]["expected"] + 2.5)


def test_a_refused_assumption(client):
    """A rate that is no rate is refused by name."""
    refused = client.get(f"{PREFLIGHT}&requestsPerSecond=-1")

    assert (refused.status_code, refused.json["errors"][0]["parameter"]) == (400, "requestsPerSecond")


@pytest.mark.parametrize(("seconds", "as_forecast"), [(4, True), (40, False)])
def test_the_last_switch_beside_the_forecast(scene, sources, metrics, wall_clock, seconds, as_forecast):
    """What this replica saw of the last switch is shown, and whether the forecast's bounds hold it."""
    switches = Switches(metrics, wall_clock)
    client = create_app(sources, metrics, switches=switches).test_client()
    scene.bind_active()
    client.get(HEALTH)
    switches.look(("shop", "web"), sources)
    before = forecast_of(client, PREFLIGHT)
    scene.switch(promoted=False)
    switches.look(("shop", "web"), sources)
    client.get(HEALTH)
    wall_clock.advance(seconds)
    client.get(HEALTH)
    for address in scene.addresses:
        scene.world.aws.load_balancers.pin(scene.active_arn, address, 8080, "healthy")
    wall_clock.advance(1)
    client.get(HEALTH)
    last = forecast_of(client, PREFLIGHT)["lastSwitch"]

    assert "lastSwitch" not in before
    assert (last["podTemplateHash"], last["lookCount"], last["asForecast"]) == (GREEN, 3, as_forecast)
    assert last["withoutHealthyTargetAtLeastSeconds"] >= seconds


@pytest.mark.usefixtures("example")
def test_from_the_command_line(environment):  # noqa: ARG001 - it leads the command into the world
    """`--live` reads the cluster of the kubeconfig and prints the same tree."""
    command = [sys.executable, "-m", "provider.cli.main", "preflight", "--live", "-n", "shop", "--rollout", "web"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("! Rollout shop/web (blue-green)\n  ✓ activeService web-active\n")


def test_the_tree_shows_target_groups_and_pods(environment, scene):  # noqa: ARG001 - it leads the command into the world
    """Below each Service are its bindings, its target groups and the load balancer; then pods, but no ended one."""
    scene.add_ended_pod()
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    command = [sys.executable, "-m", "provider.cli.main", "preflight", "--live", "-n", "shop", "--rollout", "web"]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()

    first = lines.index("  ✓ previewService web-preview")
    assert lines[first + 1].startswith("    ✓ TargetGroupBinding k8s-shop-web-preview")
    assert lines[first + 2].endswith("(ip): 2 healthy, 1 initial; checks / every 15 s")
    assert "✓ listener rules of app/" in lines[first + 3]
    assert "  ✓ Pods of green: 3 of 3 ready" in lines
