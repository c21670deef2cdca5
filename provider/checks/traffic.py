"""Read what `errors` and `warm` judge: CloudWatch's metrics of green's and blue's target groups.

This file decides of which groups they are read and from which minute on. `checks/errors.py` and `checks/warm.py` judge
them, `rules/counts.py` counts, `rules/latency.py` measures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from provider.checks import parameters
from provider.checks.parameters import Parameter
from provider.checks.question import Sources
from provider.checks.strictness import HIGHER
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import (
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
from provider.rules.counts import (
    NEW_FLOWS,
    TARGET_RESETS,
    UNHEALTHY_FLOWS,
    LoadBalancerCounts,
    count_load_balancer,
    dimension,
    metrics_of,
    metrics_of_load_balancer,
    total,
)
from provider.rules.green import find_blue_bindings, find_service
from provider.rules.window import Minutes, early_minutes, minutes_of, open_window, require_clocks
from provider.sources.deadline import Deadline


class Query(parameters.Query):
    """The parameters of everything that judges metrics."""

    window_seconds: int = Parameter(
        default=180,
        stricter=HIGHER,
        ge=60,
        le=3600,
        multiple_of=60,
        description="Length of the judged window in seconds, whole minutes.",
    )
    lag_seconds: int = Parameter(
        default=120,
        stricter=HIGHER,
        ge=0,
        le=900,
        description="Seconds before now at which the window ends, because CloudWatch publishes late.",
    )
    min_requests: int = Parameter(
        default=0,
        stricter=HIGHER,
        ge=0,
        le=1_000_000_000,
        description="Minimum number of requests to green; with fewer the answer is Inconclusive.",
    )

    @property
    def length(self) -> timedelta:
        """The length of the window."""
        return timedelta(seconds=self.window_seconds)

    @property
    def lag(self) -> timedelta:
        """How long before now the window ends."""
        return timedelta(seconds=self.lag_seconds)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Green, its Service, the window, and the target groups that are judged, with every point in it.

    `blue` are the target groups that serve blue at the same time. While no minute is finished, `not_open` says so and
    the window is empty. `foreign` counts the target groups of other applications by load balancer ARN, for load
    balancers whose own errors would fail green.
    """

    green: Green
    service: GreenService
    window: Window
    groups: tuple[TargetGroup, ...]
    blue: tuple[TargetGroup, ...]
    read_at: Mapping[Kind, datetime]
    minutes: Minutes
    points: Points = field(default_factory=dict)
    foreign: Mapping[str, int] = field(default_factory=dict)
    not_open: CannotTell | None = None

    def with_points(self, points: Points, read_at: datetime) -> "Traffic":
        """Add points; the oldest reading of metrics counts."""
        oldest = min(read_at, self.read_at.get(Kind.METRICS, read_at))
        return replace(self, points={**self.points, **points}, read_at={**self.read_at, Kind.METRICS: oldest})


def read_subjects(
    topology: Topology, green: Green, query: Query, sources: Sources, deadline: Deadline, *, unfinished: bool = False
) -> Traffic:
    """Open the window, and describe the target groups of the green Service and of blue, without their points.

    With `unfinished` the window need not be open once there are `early_minutes`. Raises CannotTell:
    SelectorAgeUnknown, ClockSkew, WindowNotOpen, TargetGroupNotInUse, NoHttpMetrics, and what reads and `find_service`
    raise.
    """
    service = find_service(topology, green, query.service)
    kubernetes = sources.other_clocks.kubernetes()
    require_clocks((kubernetes,), sources.clock())
    since = kubernetes.ours(_served_since(green, service))
    _opened(since, service, query, sources, unfinished=unfinished)
    # After the switch no Service selects blue any more.
    blue_bindings = (
        _readable(find_blue_bindings(topology, green), sources) if service.stage is Stage.BEFORE_SWITCH else ()
    )
    readings = sources.load_balancers.groups((*service.bindings, *blue_bindings), deadline)
    # AWS's clock is known by now.
    window, minutes, not_open = _opened(since, service, query, sources, unfinished=unfinished)
    described = tuple(reading.value for reading in readings)
    groups = described[: len(service.bindings)]
    if not_open and not all(_has_metrics(group) for group in groups):
        raise not_open
    for group in groups:
        _require_metrics(group, window, sources, deadline)
    blue = tuple(group for group in described[len(service.bindings) :] if _has_metrics(group))
    read_at = {**green.times, Kind.TARGET_GROUPS: min(reading.read_at for reading in readings)}
    return Traffic(green, service, window, groups, blue, read_at, minutes=minutes, not_open=not_open)


def _opened(
    since: datetime, service: GreenService, query: Query, sources: Sources, *, unfinished: bool
) -> tuple[Window, Minutes, CannotTell | None]:
    """Open the window; if `unfinished` minutes will do, an empty one with the reason why it is not open."""
    regions = [sources.load_balancers.target_groups.region(binding) for binding in service.bindings]
    ends, begins = _moments(since, regions, sources)
    try:
        window = open_window(ends, query.length, query.lag, begins, service.service.name)
    except CannotTell as error:
        early = early_minutes(ends, query.lag, begins) if unfinished else None
        if early is None:
            raise
        return Window(early.first, early.first), early, error
    return window, minutes_of(ends, query.lag, begins), None


def _moments(since: datetime, regions: Iterable[str], sources: Sources) -> tuple[datetime, datetime]:
    """Return now and `since` by AWS's clocks: the earliest and the latest. Raises CannotTell (ClockSkew)."""
    now, clocks = sources.clock(), [sources.other_clocks.cloudwatch(region) for region in regions]
    require_clocks(clocks, now)
    return min(clock.earliest(now) for clock in clocks), max(clock.latest(since) for clock in clocks)


def window_since(
    since: datetime, length: timedelta, lag: timedelta, service: str, regions: Iterable[str], sources: Sources
) -> Window:
    """Return the window in these regions; `since` is by our clock. Raises CannotTell (ClockSkew, WindowNotOpen)."""
    ends, begins = _moments(since, regions, sources)
    return open_window(ends, length, lag, begins, service)


def load_balancers_of(traffic: Traffic, window: Window) -> list[LoadBalancerCounts]:
    """Count each load balancer in front of green's groups, once."""
    arns = dict.fromkeys(group.load_balancer_arns[0] for group in traffic.groups)
    return [count_load_balancer(arn, traffic.points, window) for arn in arns]


def count_foreign(
    topology: Topology, traffic: Traffic, arns: Iterable[str], sources: Sources, deadline: Deadline
) -> dict[str, int]:
    """Count, by load balancer, the target groups that none of the Rollout's own Services is bound to."""
    arns = tuple(arns)
    if not arns:
        return {}
    bound = tuple(binding for binding in topology.bindings if binding.service in topology.services)
    named = _readable((binding for binding in bound if not binding.arn), sources)
    own = {binding.arn for binding in bound} | {
        reading.value.arn for reading in sources.load_balancers.groups(named, deadline)
    }
    places = {group.load_balancer_arns[0]: group.place for group in traffic.groups}
    return {arn: len(sources.load_balancers.target_groups.attached(arn, places[arn], deadline) - own) for arn in arns}


def _readable(bindings: Iterable[Binding], sources: Sources) -> tuple[Binding, ...]:
    """Leave out target groups that the provider may not read: blue is only compared with, and must not block green."""
    return tuple(binding for binding in bindings if sources.load_balancers.account.roles.allow(binding))


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


def _require_metrics(group: TargetGroup, window: Window, sources: Sources, deadline: Deadline) -> None:
    if not group.in_use:
        raise CannotTell(
            Reason.TARGET_GROUP_NOT_IN_USE,
            f"No listener rule forwards to target group {group.name}, so it gets no requests. Add a rule (weight 0 is "
            "enough).",
        )
    if not _has_metrics(group):
        raise CannotTell(
            Reason.NO_HTTP_METRICS,
            f"Target group {group.name} is behind a {_kind(group)}, which counts no HTTP responses"
            f"{_of_flows(group, window, sources, deadline)}. Ask gate with checks=replicas,target-health instead.",
        )


def _of_flows(group: TargetGroup, window: Window, sources: Sources, deadline: Deadline) -> str:
    """Say what a Network Load Balancer counts instead; it counts that for all of its target groups together."""
    arn = group.load_balancer_arns[0]
    if ":loadbalancer/net/" not in arn:
        return ""
    metrics = {name: Metric(name, dimension(arn)) for name in (NEW_FLOWS, TARGET_RESETS, UNHEALTHY_FLOWS)}
    points = sources.cloudwatch.points(group.place, tuple(metrics.values()), window, deadline).value
    flows, resets, unhealthy = (total(points, metric, window) for metric in metrics.values())
    return (
        f" (reported only: {window} it had {flows} new flows in all of "
        f"its target groups, its targets reset {resets}, and {unhealthy} went to targets although none was healthy)"
    )


def _kind(group: TargetGroup) -> str:
    return "Network Load Balancer" if ":loadbalancer/net/" in group.load_balancer_arns[0] else "Gateway Load Balancer"


def _has_metrics(group: TargetGroup) -> bool:
    return group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0]


def read_points(
    groups: tuple[TargetGroup, ...], blue: tuple[TargetGroup, ...], window: Window, sources: Sources, deadline: Deadline
) -> tuple[Points, datetime]:
    """Read what counts requests and errors, of groups and of what is compared with them; as `read_metrics`."""
    metrics = [
        (group, [*metrics_of(group, judged=True), *metrics_of_load_balancer(group.load_balancer_arns[0])])
        for group in groups
    ]
    metrics += [(group, metrics_of(group, judged=False)) for group in blue]
    return read_metrics(metrics, window, sources, deadline)


def read_metrics(
    metrics_by_group: Iterable[tuple[TargetGroup, Iterable[Metric]]],
    window: Window,
    sources: Sources,
    deadline: Deadline,
) -> tuple[Points, datetime]:
    """Read metrics of target groups with one call per place; return the points and when the oldest was read.

    Dimension values contain random ids of AWS, so metrics of different places never have the same name. Raises
    CannotTell: ClockSkew, and what reads raise.
    """
    by_place: dict[Place, dict[Metric, None]] = {}
    for group, metrics in metrics_by_group:
        by_place.setdefault(group.place, {}).update(dict.fromkeys(metrics))
    # Nearly always one place, so sequential calls cost nothing.
    readings = [
        sources.cloudwatch.points(place, tuple(metrics), window, deadline) for place, metrics in by_place.items()
    ]
    require_clocks((sources.other_clocks.cloudwatch(place.region) for place in by_place), sources.clock())
    points = {metric: minutes for reading in readings for metric, minutes in reading.value.items()}
    return points, min(reading.read_at for reading in readings)
