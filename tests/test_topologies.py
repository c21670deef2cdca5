"""Topologies beside one Ingress with one ALB: with the shapes that the load balancer controller writes (v3.5.0)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.scene import GREEN
from tests.world.cluster import objects

GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health"
EVERYTHING = "/v1/gate?namespace=shop&rollout=web"


def binding(name, service, arn, *, labels, port=80, **spec):
    """A TargetGroupBinding as the controller leaves it: labels of its stack, security groups, checkpoint, status."""
    made = objects.target_group_binding(name, service=service, arn=arn, port=port)
    made["metadata"] |= {
        "labels": labels,
        "finalizers": ["elbv2.k8s.aws/resources"],
        "annotations": {"elbv2.k8s.aws/checkpoint": "f00/ba4", "elbv2.k8s.aws/checkpoint-timestamp": "1795000000"},
        "generation": 1,
    }
    ingress = [{"from": [{"securityGroup": {"groupID": "sg-0123456789abcdef0"}}], "ports": [{"protocol": "TCP"}]}]
    made["spec"] |= {
        "networking": {"ingress": ingress},
        "vpcID": "vpc-0123456789abcdef0",
        "ipAddressType": "ipv4",
    } | spec
    return made


GATEWAY = {"gateway.k8s.aws.alb/stack-namespace": "shop", "gateway.k8s.aws.alb/stack-name": "web-gateway"}
GATEWAY_NLB = {"gateway.k8s.aws.nlb/stack-namespace": "shop", "gateway.k8s.aws.nlb/stack-name": "web-gateway"}
OF_SERVICE = {"service.k8s.aws/stack-namespace": "shop", "service.k8s.aws/stack-name": "web-preview"}
EXPLICIT_GROUP = {"ingress.k8s.aws/stack": "everything"}


@dataclass(frozen=True)
class Shape:
    """What differs in the binding and in the target group of the green Service."""

    name: str
    labels: dict[str, str]
    spec: dict[str, Any] = field(default_factory=dict)


SHAPES = {
    "Ingress group": Shape("k8s-shop-webprevi-0123456789", EXPLICIT_GROUP),
    # The name is made of the route's namespace and name, not of the Service's.
    "HTTPRoute": Shape("k8s-shop-webroute-0123456789", GATEWAY, {"targetGroupProtocol": "HTTP"}),
    "GRPCRoute": Shape("k8s-shop-grpcrout-0123456789", GATEWAY, {"targetGroupProtocol": "HTTP"}),
    "targetGroupName of a TargetGroupConfiguration": Shape("my-own-name", GATEWAY, {"targetGroupProtocol": "HTTPS"}),
    "NLB of a Service, TCP": Shape("k8s-shop-webprevi-aaaaaaaaaa", OF_SERVICE, {"targetGroupProtocol": "TCP"}),
    "NLB of a Service, TLS": Shape("k8s-shop-webprevi-bbbbbbbbbb", OF_SERVICE, {"targetGroupProtocol": "TLS"}),
    "NLB of a UDPRoute": Shape("k8s-shop-udproute-cccccccccc", GATEWAY_NLB, {"targetGroupProtocol": "UDP"}),
    "multi-cluster": Shape("shared", {}, {"multiClusterTargetGroup": True}),
}


@pytest.fixture
def only(scene, world):
    """Bind green's Service by one binding only, to the scene's group."""

    def bind(shape):
        world.kubernetes.delete("TargetGroupBinding", "shop", f"k8s-shop-{scene.preview}")
        scene.put(binding(shape.name, scene.preview, scene.arn, labels=shape.labels, **shape.spec))

    return bind


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_targets_of_every_binding_are_judged(client, scene, only, shape):
    """Whoever made the binding and whatever its protocol: green passes, and a target that is not healthy holds it."""
    only(shape)

    passed = client.get(GATE).json
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    held = client.get(GATE).json

    assert (passed["phase"], passed["reason"]) == ("Successful", "AllChecksPassed"), passed["message"]
    assert (held["phase"], held["reason"]) == ("Inconclusive", "TargetsInitial")


def test_every_load_balancer_must_agree(client, scene, world):
    """A Service behind several Ingresses and ALBs has several groups, by other ports too: the worst decides."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "admin", "port": 81, "targetPort": "http"}]
    scene.service = objects.service(scene.preview, selector=scene.service["spec"]["selector"], ports=ports)
    other = world.aws.target_group("other", load_balancer="internal")
    for number, ip in enumerate(scene.addresses):
        state = "unhealthy" if number == 0 else "healthy"
        world.aws.load_balancers.pin(other, ip, 8080, state, "Elb.InternalError" if number == 0 else None)
    labels = {"ingress.k8s.aws/stack-namespace": "shop", "ingress.k8s.aws/stack-name": "web-internal"}
    scene.put(binding("k8s-shop-webprevi-dddddddddd", scene.preview, other, labels=labels, port="admin"))

    answer = client.get("/v1/target-health?namespace=shop&rollout=web").json

    assert answer["reason"] == "TargetsUnhealthyInGrace", answer["message"]
    assert [target_group["name"] for target_group in answer["observed"]["targetGroups"]] == [
        "other",
        "k8s-shop-web-preview",
    ]
    assert "the worst of 2 target groups" in answer["message"]


def test_targets_of_another_cluster_are_nobodys_business(client, scene, world, only):
    """In a group that several clusters share, sick targets that are not green's pods change nothing."""
    only(SHAPES["multi-cluster"])
    world.aws.load_balancers.pin(scene.arn, "10.99.0.1", 8080, "unhealthy", "Target.Timeout")

    assert client.get(GATE).json["phase"] == "Successful"


def test_a_dual_stack_service_is_judged_by_the_binding_s_family(client, scene, world):
    """With IPv4 and IPv6 endpoints each binding takes its own: a missing IPv6 target holds green, and is named so."""
    six = world.aws.target_group("six")
    slices = [
        {
            **endpoint_slice,
            "addressType": "IPv6",
            "metadata": {**endpoint_slice["metadata"], "name": f"{endpoint_slice['metadata']['name']}-six"},
        }
        for endpoint_slice in objects.endpoint_slices(scene.service, scene.pods)
    ]
    for one in slices:
        one["endpoints"] = [
            {**each, "addresses": [f"fd00::{number + 1}"]} for number, each in enumerate(one["endpoints"])
        ]
    scene.put(binding("web-six", scene.preview, six, labels=GATEWAY, ipAddressType="ipv6"), *slices)
    for number in range(2):
        world.aws.load_balancers.pin(six, f"fd00::{number + 1}", 8080, "healthy")

    held = client.get(GATE).json
    world.aws.load_balancers.pin(six, "fd00:0:0:0:0:0:0:3", 8080, "healthy")
    passed = client.get(GATE).json

    assert (held["phase"], held["reason"]) == ("Inconclusive", "TargetsMissing")
    assert "2 of 3 green targets healthy in six" in held["message"]
    assert passed["phase"] == "Successful", passed["message"]


@pytest.mark.parametrize(
    ("kind", "sentence"), [("net", "Network Load Balancer"), ("gwy", "Gateway Load Balancer")], ids=["NLB", "GWLB"]
)
def test_no_http_metrics_is_a_reason_of_its_own(client, scene, kind, sentence):
    """Behind a load balancer that counts no HTTP responses, errors and warm say so and what to ask instead."""
    # moto names every load balancer like an Application Load Balancer.
    new = f"loadbalancer/{kind}/".encode()
    scene.world.aws.faults.add("", rewrite=lambda body: body.replace(b"loadbalancer/app/", new))

    answers = [client.get(url).json for url in (EVERYTHING, "/v1/errors?namespace=shop&rollout=web", f"{GATE},warm")]

    assert [(answer["phase"], answer["reason"]) for answer in answers] == [("Inconclusive", "NoHttpMetrics")] * 3
    assert all(f"is behind a {sentence}, which counts no HTTP responses" in answer["message"] for answer in answers)
    assert client.get(GATE).json["phase"] == "Successful"


def test_what_a_network_load_balancer_counts_is_reported(client, scene):
    """Resets by targets, and flows to targets although none was healthy, are told of the whole load balancer."""
    aws = scene.world.aws
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=3)
    name = aws.load_balancer().partition("loadbalancer/")[2].replace("app/", "net/")
    for metric, value in (("NewFlowCount", 900), ("TCP_Target_Reset_Count", 7), ("UnhealthyRoutingFlowCount", 2)):
        datum = {"MetricName": metric, "Dimensions": [{"Name": "LoadBalancer", "Value": name}], "Timestamp": minute}
        aws.client("cloudwatch").put_metric_data(Namespace="AWS/NetworkELB", MetricData=[{**datum, "Value": value}])
    # moto names every load balancer like an Application Load Balancer.
    aws.faults.add("", rewrite=lambda body: body.replace(b"loadbalancer/app/", b"loadbalancer/net/"))

    answer = client.get("/v1/errors?namespace=shop&rollout=web").json

    assert answer["reason"] == "NoHttpMetrics"
    assert (
        "900 new flows in all of its target groups, its targets reset 7, and 2 went to targets although"
        in answer["message"]
    )


@pytest.mark.parametrize("target_type", ["alb", "lambda"])
def test_a_target_that_is_no_pod_is_not_judged(client, scene, target_type):
    """A group whose targets are load balancers or functions says nothing of pods: TargetTypeUnsupported."""
    before, after = b"<TargetType>ip<", f"<TargetType>{target_type}<".encode()
    scene.world.aws.faults.add("DescribeTargetGroups", rewrite=lambda body: body.replace(before, after))

    answer = client.get(GATE).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "TargetTypeUnsupported")
    assert f"has target type {target_type}; only ip and instance targets can be judged" in answer["message"]


@pytest.mark.parametrize("root", ["web-ping", "web-pong", "web-root"])
def test_the_root_service_of_ping_pong_may_be_one_of_the_pair(client, scene, root):
    """Argo's rootService only names the rule: green is judged behind the Service that is not stable, whatever it is."""
    ping_pong = {"pingPong": {"pingService": "web-ping", "pongService": "web-pong"}}
    routing = {"trafficRouting": {"alb": {"ingress": "web", "rootService": root, "servicePort": 80}}}
    scene.rollout["spec"]["strategy"] = {"canary": ping_pong | routing}
    scene.rollout["status"] |= {"canary": {"stablePingPong": "ping"}}
    scene.service = objects.service("web-pong", selector={"app": "web", objects.HASH_LABEL: GREEN})
    scene.put(
        objects.service("web-ping", selector={"app": "web", objects.HASH_LABEL: "5b8c4d"}),
        objects.service("web-root", selector={"app": "web"}),
        binding("k8s-shop-webpong-0123456789", "web-pong", scene.arn, labels=EXPLICIT_GROUP),
    )

    answer = client.get(GATE).json

    assert (answer["phase"], answer["reason"]) == ("Successful", "AllChecksPassed"), answer["message"]


def test_a_canary_of_the_gateway_plugin(client, scene):
    """Argo's Gateway API plugin moves weights in a route; green is judged behind the canary Service as ever."""
    plugin = {"argoproj-labs/gatewayAPI": {"httpRoute": "web", "namespace": "shop"}}
    scene.rollout["spec"]["strategy"] = {
        "canary": {
            "canaryService": scene.preview,
            "stableService": "web-active",
            "trafficRouting": {"plugins": plugin},
            "steps": [{"setWeight": 5}, {"pause": {}}],
        }
    }
    scene.put(binding("k8s-shop-webroute-eeeeeeeeee", scene.preview, scene.arn, labels=GATEWAY))

    answer = client.get(GATE).json

    assert (answer["phase"], answer["reason"]) == ("Successful", "AllChecksPassed"), answer["message"]


def test_a_control_port_is_no_target(client, scene, world):
    """With Target Optimizer a group has a control port too; targets are still address and port of the pods."""
    before, after = b"<TargetType>", b"<TargetControlPort>3000</TargetControlPort><TargetType>"
    world.aws.faults.add("DescribeTargetGroups", rewrite=lambda body: body.replace(before, after))

    passed = client.get(GATE).json
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    held = client.get("/v1/target-health?namespace=shop&rollout=web").json

    assert passed["phase"] == "Successful", passed["message"]
    assert held["observed"]["examples"][0]["port"] == 8080


@pytest.mark.usefixtures("scene")
def test_a_grpc_matcher_is_shown(client, world):
    """A gRPC health check has gRPC codes; they are shown where HTTP codes would be."""
    world.aws.faults.add(
        "DescribeTargetGroups",
        rewrite=lambda body: body.replace(b"<HttpCode>200</HttpCode>", b"<GrpcCode>0-99</GrpcCode>"),
    )

    assert client.get(GATE).json["phase"] == "Successful"
    page = client.get("/rollouts/shop/web", headers={"Accept": "text/html"}).text
    assert "0-99" in page
