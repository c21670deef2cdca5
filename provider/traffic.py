"""What users' requests to green met: the evidence of the `errors` question, as CloudWatch has it.

Here is what is read and from when on; what it means is in `checks/errors.py`, how points become counts in `counts.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provider.budget import Budget
from provider.cloudwatch import Points
from provider.counts import LoadBalancerCounts, count_load_balancer, metrics_of, metrics_of_load_balancer
from provider.errors import CannotTell
from provider.green import find_blue_bindings
from provider.load_balancers import region_of
from provider.question import Sources
from provider.reasons import Reason
from provider.records import Green, GreenService, Kind, Metric, Stage, TargetGroup, Topology, Window
from provider.window import open_window


@dataclass(frozen=True, slots=True)
class Traffic:
    """Green, its Service, the minutes looked at, and every point of them.

    `blue` are the target groups that serve blue meanwhile. `foreign` counts target groups of others by load balancer
    ARN; only those load balancers are in it whose own errors would fail green.
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
    budget: Budget,
) -> Traffic:
    """Open the window, describe green's and blue's target groups, and read all of their metrics, a call per region.

    Raises CannotTell: SelectorAgeUnknown, WindowNotOpen, TargetGroupNotInUse, TargetTypeUnsupported, what reads raise.
    """
    window = open_window(sources.clock(), length, lag, _served_since(green, service))
    # After the switch blue is behind no Service of its own any more.
    blue_bindings = find_blue_bindings(topology, green) if service.stage is Stage.BEFORE_SWITCH else ()
    known = sources.load_balancers.groups((*service.bindings, *blue_bindings), budget)
    described = tuple(one.value for one in known)
    groups = described[: len(service.bindings)]
    for group in groups:
        _require_metrics(group)
    blue = tuple(group for group in described[len(service.bindings) :] if _has_metrics(group))
    points, points_read_at = _points(groups, blue, window, sources, budget)
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
    """Count every load balancer that green's groups are behind, once."""
    arns = dict.fromkeys(group.load_balancer_arns[0] for group in traffic.groups)
    return [count_load_balancer(arn, traffic.points, traffic.window) for arn in arns]


def count_foreign(topology: Topology, arns: Iterable[str], sources: Sources, budget: Budget) -> dict[str, int]:
    """Count, by load balancer, the target groups that none of the Rollout's own Services is bound to."""
    own = {one.arn for one in topology.bindings if one.service in topology.services}
    return {arn: len(sources.load_balancers.attached(arn, budget) - own) for arn in arns}


def _served_since(green: Green, service: GreenService) -> datetime:
    """Before this its Service's target groups counted somebody else's answers."""
    written = service.service.selector_written_at
    if written is None:
        raise CannotTell(
            Reason.SELECTOR_AGE_UNKNOWN,
            f"Service {service.service.name} does not say when its selector was written (managedFields), so nobody "
            "knows since when green serves",
        )
    return max(green.replica_set.created_at, written)


def _require_metrics(group: TargetGroup) -> None:
    if not group.in_use:
        raise CannotTell(
            Reason.TARGET_GROUP_NOT_IN_USE,
            f"Target group {group.name} is in no listener rule, so it gets no request: forward a rule to it",
        )
    if not _has_metrics(group):
        raise CannotTell(
            Reason.TARGET_TYPE_UNSUPPORTED,
            f"Target group {group.name} is not behind an Application Load Balancer, which alone counts HTTP answers",
        )


def _has_metrics(group: TargetGroup) -> bool:
    return group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0]


def _points(
    groups: tuple[TargetGroup, ...], blue: tuple[TargetGroup, ...], window: Window, sources: Sources, budget: Budget
) -> tuple[Points, datetime]:
    """Read every metric of the question, one call per region, and say when the oldest was read."""
    by_region: dict[str, dict[Metric, None]] = {}
    for group in groups:
        wanted = [*metrics_of(group, judged=True), *metrics_of_load_balancer(group.load_balancer_arns[0])]
        by_region.setdefault(region_of(group.arn), {}).update(dict.fromkeys(wanted))
    for group in blue:
        by_region.setdefault(region_of(group.arn), {}).update(dict.fromkeys(metrics_of(group, judged=False)))
    # One region in all but the rarest cases, so that one after another is no loss.
    found = [sources.cloudwatch.points(one, tuple(metrics), window, budget) for one, metrics in by_region.items()]
    points = {metric: minutes for known in found for metric, minutes in known.value.items()}
    return points, min(known.read_at for known in found)
