"""Read what `errors` judges: CloudWatch's metrics of green's and blue's target groups.

This file decides what is read and from which minute on. `checks/errors.py` judges it, `rules/counts.py` counts it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provider.checks.question import Sources
from provider.evidence.deadline import Deadline
from provider.evidence.exceptions import CannotTell
from provider.evidence.reasons import Reason
from provider.evidence.records import (
    Binding,
    Green,
    GreenService,
    Kind,
    Metric,
    Place,
    Points,
    Stage,
    TargetGroup,
    Topology,
    Window,
)
from provider.rules.counts import LoadBalancerCounts, count_load_balancer, metrics_of, metrics_of_load_balancer
from provider.rules.green import find_blue_bindings
from provider.rules.window import open_window


@dataclass(frozen=True, slots=True)
class Traffic:
    """Green, its Service, the window, and every point in it.

    `blue` are the target groups that serve blue at the same time. `foreign` counts the target groups of other
    applications by load balancer ARN, for load balancers whose own errors would fail green.
    """

    green: Green
    service: GreenService
    window: Window
    groups: tuple[TargetGroup, ...]
    blue: tuple[TargetGroup, ...]
    points: Points
    read_at: Mapping[Kind, datetime]
    foreign: Mapping[str, int] = field(default_factory=dict)


def read_traffic(
    topology: Topology,
    service: GreenService,
    green: Green,
    length: timedelta,
    lag: timedelta,
    sources: Sources,
    deadline: Deadline,
) -> Traffic:
    """Open the window, describe green's and blue's target groups, and read all of their metrics, a call per place.

    Raises CannotTell: SelectorAgeUnknown, WindowNotOpen, TargetGroupNotInUse, TargetTypeUnsupported, what reads raise.
    """
    since = _served_since(green, service)
    window = open_window(sources.clock(), length, lag, since, service.service.name)
    # After the switch no Service selects blue any more.
    blue_bindings = (
        _readable(find_blue_bindings(topology, green), sources) if service.stage is Stage.BEFORE_SWITCH else ()
    )
    known = sources.load_balancers.groups((*service.bindings, *blue_bindings), deadline)
    described = tuple(one.value for one in known)
    groups = described[: len(service.bindings)]
    for group in groups:
        _require_metrics(group)
    blue = tuple(group for group in described[len(service.bindings) :] if _has_metrics(group))
    points, points_read_at = read_points(groups, blue, window, sources, deadline)
    return Traffic(
        green=green,
        service=service,
        window=window,
        groups=groups,
        blue=blue,
        points=points,
        read_at={
            Kind.TOPOLOGY: topology.read_at,
            Kind.TARGET_GROUPS: min(one.read_at for one in known),
            Kind.METRICS: points_read_at,
        },
    )


def load_balancers_of(traffic: Traffic) -> list[LoadBalancerCounts]:
    """Count each load balancer in front of green's groups, once."""
    arns = dict.fromkeys(group.load_balancer_arns[0] for group in traffic.groups)
    return [count_load_balancer(arn, traffic.points, traffic.window) for arn in arns]


def count_foreign(
    topology: Topology, traffic: Traffic, arns: Iterable[str], sources: Sources, deadline: Deadline
) -> dict[str, int]:
    """Count, by load balancer, the target groups that none of the Rollout's own Services is bound to."""
    arns = tuple(arns)
    if not arns:
        return {}
    bound = tuple(one for one in topology.bindings if one.service in topology.services)
    named = _readable((one for one in bound if not one.arn), sources)
    own = {one.arn for one in bound} | {one.value.arn for one in sources.load_balancers.groups(named, deadline)}
    places = {group.load_balancer_arns[0]: group.place for group in traffic.groups}
    return {arn: len(sources.load_balancers.attached(arn, places[arn], deadline) - own) for arn in arns}


def _readable(bindings: Iterable[Binding], sources: Sources) -> tuple[Binding, ...]:
    """Leave out target groups that the provider may not read: blue is only compared with, and must not block green."""
    return tuple(one for one in bindings if sources.load_balancers.may_read(one))


def _served_since(green: Green, service: GreenService) -> datetime:
    """Return since when the Service selects green. Earlier points belong to another version."""
    written = service.service.selector_written_at
    if written is None:
        raise CannotTell(
            Reason.SELECTOR_AGE_UNKNOWN,
            f"Service {service.service.name} has no managedFields that say when its selector was written, so it is "
            "unknown which metrics are green's",
        )
    return max(green.replica_set.created_at, written)


def _require_metrics(group: TargetGroup) -> None:
    if not group.in_use:
        raise CannotTell(
            Reason.TARGET_GROUP_NOT_IN_USE,
            f"No listener rule forwards to target group {group.name}, so it gets no requests. Add a rule (weight 0 is "
            "enough).",
        )
    if not _has_metrics(group):
        raise CannotTell(
            Reason.TARGET_TYPE_UNSUPPORTED,
            f"Target group {group.name} is behind a {_kind(group)}, which has no HTTP metrics. Ask gate with "
            "checks=replicas,target-health instead.",
        )


def _kind(group: TargetGroup) -> str:
    return "Network Load Balancer" if ":loadbalancer/net/" in group.load_balancer_arns[0] else "Gateway Load Balancer"


def _has_metrics(group: TargetGroup) -> bool:
    return group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0]


def read_points(
    groups: tuple[TargetGroup, ...], blue: tuple[TargetGroup, ...], window: Window, sources: Sources, deadline: Deadline
) -> tuple[Points, datetime]:
    """Read every metric with one call per place; return the points and when the oldest was read.

    Dimension values contain random ids of AWS, so metrics of different places never have the same name.
    """
    by_place: dict[Place, dict[Metric, None]] = {}
    for group in groups:
        wanted = [*metrics_of(group, judged=True), *metrics_of_load_balancer(group.load_balancer_arns[0])]
        by_place.setdefault(group.place, {}).update(dict.fromkeys(wanted))
    for group in blue:
        by_place.setdefault(group.place, {}).update(dict.fromkeys(metrics_of(group, judged=False)))
    # Nearly always one place, so sequential calls cost nothing.
    found = [sources.cloudwatch.points(one, tuple(metrics), window, deadline) for one, metrics in by_place.items()]
    points = {metric: minutes for known in found for metric, minutes in known.value.items()}
    return points, min(known.read_at for known in found)
