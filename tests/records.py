"""Evidence as plain records for the tests of pure code: no reader, no clock, no network."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from provider.checks import target_health
from provider.checks.traffic import Traffic
from provider.model.records import (
    HASH_LABEL,
    Binding,
    BlueGreen,
    Canary,
    Endpoint,
    Green,
    GreenService,
    GroupHealth,
    Kind,
    Metric,
    Place,
    Pod,
    ReplicaSet,
    Rollout,
    Service,
    ServicePort,
    Stage,
    Target,
    TargetGroup,
    Topology,
    Window,
)
from provider.rules.counts import HEALTHY_HOSTS, REQUESTS, dimension
from provider.rules.window import Minutes

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GREEN, BLUE = "6d9f7c", "5b8c4d"
INTERVAL_SECONDS, THRESHOLD = 15, 2
HOME = Place("eu-west-1")
DEFAULT_GRACE = timedelta(seconds=INTERVAL_SECONDS * THRESHOLD + 30)
ARN = "arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/k8s-shop-web-1f9c/0123456789abcdef"

LOAD_BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:000000000000:loadbalancer/app/shop/0123456789abcdef"

WINDOW = Window(NOW - timedelta(minutes=5), NOW - timedelta(minutes=2))
MINUTES = Minutes(WINDOW.start - timedelta(minutes=30), WINDOW.end, NOW)
GREEN_GROUP = TargetGroup(ARN, "green-group", "ip", (LOAD_BALANCER,), INTERVAL_SECONDS, THRESHOLD, HOME)
BLUE_GROUP = replace(GREEN_GROUP, arn=ARN.replace("web-1f9c", "blue-77aa"), name="blue-group")
BALANCER = dimension(LOAD_BALANCER)


def rollout(strategy: BlueGreen | Canary | None = None, **changes: Any) -> Rollout:
    """A Rollout that Argo has processed, with green rolling."""
    base = Rollout(
        namespace="shop",
        name="web",
        uid="rollout-uid",
        replicas=3,
        strategy=strategy or BlueGreen("active", "preview"),
        generation=7,
        observed_generation="7",
        workload_generation="",
        workload_observed_generation="",
        current_hash=GREEN,
        stable_hash=BLUE,
        stable_ping_pong="",
    )
    return replace(base, **changes)


def replica_set(**changes: Any) -> ReplicaSet:
    """The green ReplicaSet, fully available."""
    return replace(ReplicaSet(f"web-{GREEN}", "rs-uid", "rollout-uid", 3, 3, 2, 2, NOW - timedelta(hours=1)), **changes)


def pod(number: int, **changes: Any) -> Pod:
    """A green pod that is an hour old."""
    return structs.replace(
        Pod(f"web-{GREEN}-{number}", f"pod-{number}", "rs-uid", NOW - timedelta(hours=1), terminating=False), **changes
    )


def service(name: str, pod_hash: str = GREEN, **changes: Any) -> Service:
    """A Service whose one named port is 80, and whose selector was written an hour ago."""
    ports = (ServicePort("http", 80, 30080),)
    return replace(Service(name, {HASH_LABEL: pod_hash}, ports, "Cluster", NOW - timedelta(hours=1)), **changes)


def binding(name: str = "k8s-shop-web-1f9c", of: str = "preview", **changes: Any) -> Binding:
    """A binding by ARN of a Service's port 80."""
    return replace(Binding(name, of, 80, ARN, "", "IPv4", ""), **changes)


def address(number: int) -> str:
    """The address of pod `number`."""
    return f"10.0.{number // 250}.{number % 250 + 1}"


def endpoint(number: int, of: str = "preview", **changes: Any) -> Endpoint:
    """The endpoint of pod `number`, whose http port is 8080."""
    return structs.replace(
        Endpoint(of, "IPv4", address(number), f"pod-{number}", ready=True, node_name="n1", ports=(("http", 8080),)),
        **changes,
    )


def topology(of: Rollout | None = None, **changes: Any) -> Topology:
    """Green before the switch: preview selects it, active selects blue, one binding each."""
    base = Topology(
        rollout=of or rollout(),
        replica_sets=(replica_set(),),
        services={"preview": service("preview"), "active": service("active", BLUE)},
        pods=tuple(pod(number) for number in range(3)),
        endpoints=tuple(endpoint(number) for number in range(3)),
        bindings=(binding(), binding("k8s-shop-active-77aa", "active")),
        read_at=NOW,
        pods_read_at=NOW,
    )
    return replace(base, **changes)


def target(number: int, state: str = "healthy", reason: str = "", **changes: Any) -> Target:
    """What DescribeTargetHealth says of pod `number`."""
    return structs.replace(Target(address(number), 8080, state, reason), **changes)


def group(*targets: Target, of: Binding | None = None, read_at: datetime = NOW, **changes: Any) -> GroupHealth:
    """A target group in use, with these targets registered."""
    bound = of or binding()
    settings = TargetGroup(ARN, bound.name, "ip", (LOAD_BALANCER,), INTERVAL_SECONDS, THRESHOLD, HOME)
    return GroupHealth(replace(settings, **changes), bound, targets, read_at, read_at)


def evidence(
    *groups: GroupHealth,
    desired: int = 3,
    ready_for: timedelta | None = timedelta(hours=1),
    read_at: datetime = NOW,
    of: Rollout | None = None,
    **changes: Any,
) -> target_health.Evidence:
    """Evidence about `desired` green pods, whose containers have been ready for `ready_for`."""
    pods = tuple(pod(number) for number in range(desired))
    green = Green(
        of or rollout(replicas=desired), replica_set(replicas=desired, available=desired), pods, read_at, read_at
    )
    base = target_health.Evidence(
        green=green,
        service=GreenService(
            service("preview"), Stage.BEFORE_SWITCH, tuple(endpoint(number) for number in range(desired)), (binding(),)
        ),
        groups=groups,
        ready_since={pod.uid: NOW - ready_for for pod in pods} if ready_for is not None else {},
        instance_ids={},
    )
    return replace(base, **changes)


def traffic(
    counts: Mapping[str, float] | None = None,
    *,
    blue: Mapping[str, float] | None = None,
    balancer: Mapping[str, float] | None = None,
    stage: Stage = Stage.BEFORE_SWITCH,
    window: Window = WINDOW,
    foreign: Mapping[str, int] | None = None,
    live: bool = True,
    **changes: Any,
) -> Traffic:
    """Traffic with all counts in the window's first minute; if `live`, metrics confirm every minute."""
    points: dict[Metric, dict[datetime, float]] = {}
    for group, counted in ((GREEN_GROUP, counts or {}), (BLUE_GROUP, blue or {})):
        for name, value in counted.items():
            points[Metric(name, BALANCER, dimension(group.arn))] = {window.start: value}
    for name, value in (balancer or {}).items():
        points[Metric(name, BALANCER)] = {window.start: value}
    if live:
        hosts = Metric(HEALTHY_HOSTS, BALANCER, dimension(ARN), "Maximum")
        points[hosts] = dict.fromkeys(window.minutes, 3.0)
        own = points.setdefault(Metric(REQUESTS, BALANCER), {})
        points[Metric(REQUESTS, BALANCER)] = dict.fromkeys(window.minutes, 1.0) | own
    base = evidence()
    found = Traffic(
        green=base.green,
        service=replace(base.service, stage=stage),
        window=window,
        groups=(GREEN_GROUP,),
        blue=(BLUE_GROUP,) if blue is not None else (),
        points=points,
        read_at={Kind.TOPOLOGY: NOW, Kind.TARGET_GROUPS: NOW, Kind.METRICS: NOW},
        minutes=Minutes(window.start, window.end, window.end),
        foreign=foreign or {},
    )
    return replace(found, **changes)
