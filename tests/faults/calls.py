"""Every call that the provider makes to Kubernetes and AWS, each on a Rollout for which that call decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from provider.rules.counts import HEALTHY_HOSTS, REQUESTS
from provider.sources.kubernetes.objects import MAX_SINGLE_READS
from tests.scene import GREEN, Scene
from tests.world.cluster import objects
from tests.world.world import World

NODE_PORT = 30080


@dataclass(frozen=True)
class Call:
    """One call: how to recognize it, the question that makes it, and that question's answer without any fault.

    `{lane}` in a text is the lane's name: of the namespace, of the Rollout, and of everything that hangs on it.
    """

    name: str
    match: str
    says: str
    build: Callable[[World, str], object]
    answers: tuple[str, str] = ("Successful", "TargetsHealthy")
    question: str = "target-health"
    about: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    lists: bool = False
    thorough: bool = False
    """Whether every fault is tried, and some of them with shared evidence: all calls go through the same functions."""

    def __str__(self) -> str:
        return self.name

    def can_have(self, fault: str, cache: str) -> bool:
        """Whether the matrix tries this fault with this call, in this state of the shared evidence."""
        if cache == "cold" and self.thorough:
            return True
        return fault in ONE_OF_EACH_KIND and (cache == "cold" or self.thorough)


def healthy(world: World, lane: str) -> Scene:
    """Three healthy pods before the switch."""
    return Scene(world, name=lane, namespace=lane, ready_for=timedelta(minutes=30)).build()


def one_sick(world: World, lane: str) -> Scene:
    """One of three pods is unhealthy for long: Failed, for which its pod is read."""
    scene = healthy(world, lane)
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout", "Request timed out")
    return scene


def all_sick(world: World, lane: str) -> Scene:
    """More unhealthy pods than are read one by one."""
    scene = Scene(
        world, name=lane, namespace=lane, replicas=MAX_SINGLE_READS + 1, ready_for=timedelta(minutes=30)
    ).build()
    for address in scene.addresses:
        scene.pin(address, "unhealthy", "Target.Timeout", "Request timed out")
    return scene


def on_nodes(count: int) -> Callable[[World, str], Scene]:
    """Instance targets with externalTrafficPolicy Local: a pod on each of these many nodes."""

    def build(world: World, lane: str) -> Scene:
        scene = Scene(world, name=lane, namespace=lane, replicas=count, ready_for=timedelta(minutes=30)).build()
        scene.arn = world.aws.target_group(f"{lane}-nodes", target_type="instance", load_balancer=lane)
        for number, pod in enumerate(scene.pods):
            pod["spec"]["nodeName"] = f"{lane}-node-{number}"
            world.kubernetes.put(objects.node(f"{lane}-node-{number}", instance_id=f"i-{number:017x}"))
            world.aws.load_balancers.pin(scene.arn, f"i-{number:017x}", NODE_PORT, "healthy")
        scene.service = objects.service(
            scene.preview,
            namespace=lane,
            selector=scene.service["spec"]["selector"],
            ports=[{"name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT}],
            externalTrafficPolicy="Local",
        )
        scene.put(_binding(scene, arn=scene.arn, target_type="instance"))
        return scene

    return build


def by_name(world: World, lane: str) -> Scene:
    """The binding names its target group instead of giving its ARN."""
    scene = healthy(world, lane)
    scene.put(_binding(scene, target_group_name=f"k8s-shop-{scene.preview}"))
    return scene


def with_traffic(world: World, lane: str) -> Scene:
    """A load balancer of its own, alive in every minute; green answers without any 5xx."""
    scene = healthy(world, lane)
    balancer = world.aws.load_balancer(lane)
    scene.arn = world.aws.target_group(f"{lane}-with-traffic", load_balancer=lane)
    for address in scene.addresses:
        scene.pin(address, "healthy")
    scene.put(_binding(scene, arn=scene.arn))
    world.aws.publish(balancer, None, REQUESTS, dict.fromkeys(minutes(), 100))
    world.aws.publish(balancer, scene.arn, REQUESTS, dict.fromkeys(minutes(), 50))
    world.aws.publish(balancer, scene.arn, HEALTHY_HOSTS, dict.fromkeys(minutes(), 3))
    return scene


def after_switch_with_503s(world: World, lane: str) -> Scene:
    """After the switch the load balancer answers 503 itself: whether that is green's fault depends on who shares it."""
    scene = with_traffic(world, lane)
    active = objects.service(f"{lane}-active", namespace=lane, selector={"app": lane, objects.HASH_LABEL: GREEN})
    scene.put(active, objects.target_group_binding("active", namespace=lane, service=f"{lane}-active", arn=scene.arn))
    balancer = world.aws.load_balancer(lane)
    world.aws.publish(balancer, None, "HTTPCode_ELB_5XX_Count", dict.fromkeys(minutes(), 30))
    world.aws.publish(balancer, None, "HTTPCode_ELB_503_Count", dict.fromkeys(minutes(), 30))
    return scene


def minutes() -> list[datetime]:
    """The minutes around now: all that a question of the next few minutes can look at."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return [now + timedelta(minutes=number) for number in range(-7, 6)]


def _binding(scene: Scene, **how: str) -> objects.Manifest:
    return objects.target_group_binding(
        f"k8s-shop-{scene.preview}", namespace=scene.namespace, service=scene.preview, **how
    )


_IN = "in namespace {lane}"
_POD = f"{{lane}}-{GREEN}-0000"
_FULL = "Accept: application/json\n"
_SICK = ("Failed", "TargetsUnhealthy")
_CLEAN = ("Successful", "ErrorsWithinLimit")
_PASSED = ("Successful", "AllChecksPassed")

ONE_OF_EACH_KIND = {"hangs up", "hangs", "trickles", "HTML with 200", "slow first byte"} | {
    *("401", "403", "404 NotFound", "429"),
    *("AccessDenied", "ExpiredToken", "Throttling"),
}
"""What a call that is not thorough, a gate or shared evidence makes of any fault shows in one of each kind."""

_GROUPS = "elasticloadbalancing:DescribeTargetGroups"
_HEALTH = "elasticloadbalancing:DescribeTargetHealth"
_METRICS = "cloudwatch:GetMetricData"

KUBERNETES_CALLS = (
    Call("get Rollout", "/rollouts/{lane}", f"get rollouts.argoproj.io {{lane}} {_IN}", healthy, thorough=True),
    Call(
        "list ReplicaSets", "/{lane}/replicasets?", f"list replicasets.apps {_IN}", healthy, lists=True, thorough=True
    ),
    Call("list pods' metadata", "/{lane}/pods?", f"list pods {_IN}", healthy, lists=True),
    Call(
        "list EndpointSlices",
        "/{lane}/endpointslices?",
        f"list endpointslices.discovery.k8s.io {_IN}",
        healthy,
        lists=True,
    ),
    Call(
        "list TargetGroupBindings",
        "/elbv2.k8s.aws/v1beta1/namespaces/{lane}/",
        f"list targetgroupbindings.elbv2.k8s.aws {_IN}",
        healthy,
        lists=True,
    ),
    Call(
        "list Auto Mode's TargetGroupBindings",
        "/eks.amazonaws.com/v1/namespaces/{lane}/",
        f"list targetgroupbindings.eks.amazonaws.com {_IN}",
        healthy,
        lists=True,
    ),
    Call("get green Service", "/services/{lane}-preview", f"get services {{lane}}-preview {_IN}", healthy),
    Call("get other Service", "/services/{lane}-active", f"get services {{lane}}-active {_IN}", healthy),
    Call("get pod", f"/pods/{_POD}", f"get pods {_POD} {_IN}", one_sick, _SICK),
    Call("list pods in full", "/{lane}/pods?", f"list pods {_IN}", all_sick, _SICK, about=_FULL, lists=True),
    Call("get node", "/nodes/{lane}-node-0", "get nodes {lane}-node-0", on_nodes(2)),
    Call("list nodes", "/nodes?", "list nodes", on_nodes(MAX_SINGLE_READS + 1), lists=True),
    Call(
        "gate: get Rollout",
        "/rollouts/{lane}",
        f"get rollouts.argoproj.io {{lane}} {_IN}",
        with_traffic,
        _PASSED,
        question="gate",
    ),
)

AWS_CALLS = (
    Call("DescribeTargetGroups", "DescribeTargetGroups", _GROUPS, healthy, about="/k8s-shop-{lane}-preview/"),
    Call(
        "DescribeTargetGroups by name",
        "DescribeTargetGroups",
        _GROUPS,
        by_name,
        about="Names.member.1=k8s-shop-{lane}-preview",
    ),
    Call(
        "DescribeTargetGroups by load balancer",
        "DescribeTargetGroups",
        _GROUPS,
        after_switch_with_503s,
        ("Failed", "LoadBalancerErrors"),
        question="errors",
        about="/app/{lane}/",
    ),
    Call(
        "DescribeTargetHealth",
        "DescribeTargetHealth",
        _HEALTH,
        healthy,
        about="/k8s-shop-{lane}-preview/",
        thorough=True,
    ),
    Call(
        "GetMetricData",
        "GetMetricData",
        _METRICS,
        with_traffic,
        _CLEAN,
        question="errors",
        about="app/{lane}/",
        thorough=True,
    ),
    Call(
        "gate: DescribeTargetHealth",
        "DescribeTargetHealth",
        _HEALTH,
        with_traffic,
        _PASSED,
        question="gate",
        about="/{lane}-with-traffic/",
    ),
    Call("gate: GetMetricData", "GetMetricData", _METRICS, with_traffic, _PASSED, question="gate", about="app/{lane}/"),
)
