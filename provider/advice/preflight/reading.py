"""Reads what a live preflight inspects: the objects, green's pods, the target groups, the rate, and our own rights.

Each part that cannot be read is said, and the rest is inspected all the same: nothing is claimed about what was not
read. AWS is asked within the call budget of all queries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import HASH_LABEL, Binding, GroupHealth, Metric, PodState, TargetGroup, Topology, Window
from provider.rules.counts import REQUESTS, count_group, dimension
from provider.rules.expected_targets import State
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import access
from provider.sources.kubernetes.manifests import Objects, read
from provider.sources.kubernetes.objects import MAX_SINGLE_READS

MOST_PODS = 300
"""Pods that are read whole (10 KB each); of more only the first few."""

MINUTES = 15
"""The minutes of CloudWatch that a rate is made of."""

LAG = timedelta(minutes=2)
"""CloudWatch's minutes are complete two minutes after their end."""

Health = Mapping[str, tuple[GroupHealth, ...]]
"""The target groups of each Service with their targets."""

Attributes = Mapping[str, tuple[Mapping[str, str], ...]]
"""The attributes of the target groups of each Service, in AWS's words; empty if they may not be read."""

Hosts = Mapping[str, tuple[str, ...]]
"""The hosts by which requests reach each Service; empty if listener rules may not be read."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rate:
    """What production carried in the last minutes: requests per second, of all users and of one target.

    `busiest_per_target` is that of the busiest minute, divided by the healthy targets there are now.
    """

    requests_per_second: float = 0.0
    busiest_per_target: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; empty for files."""

    health: Health = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)
    """TargetGroupBindings whose target group does not exist, each with a sentence."""
    denied: tuple[str, ...] = ()
    """What the provider may not do: a verb and a resource of Kubernetes, or an IAM action, each in a sentence."""
    pods: tuple[PodState, ...] = ()
    """Green's pods."""
    rate: Rate | None = None
    """None if CloudWatch could not be read, or counted nothing."""
    hosts: Hosts = field(default_factory=dict)

    @property
    def groups(self) -> Mapping[str, tuple[TargetGroup, ...]]:
        """The target groups of each Service as AWS describes them."""
        return {service: tuple(one.group for one in some) for service, some in self.health.items()}


def read_seen(
    sources: Sources, namespace: str, rollout: str, deadline: Deadline
) -> tuple[Objects, dict[str, str], Seen]:
    """Read a Rollout and what it leads to: objects, a sentence for each kind that is not read, and the rest.

    Raises RolloutNotFound, and CannotTell if the Rollout cannot be read.
    """
    objects, unread = read(sources.cluster, namespace, rollout, deadline)
    return objects, unread, _Seeing(sources, deadline, unread).seen(namespace, rollout, objects)


class _Seeing:
    """One preflight's reads beyond the objects; `unread` gets a sentence for each that fails."""

    def __init__(self, sources: Sources, deadline: Deadline, unread: dict[str, str]) -> None:
        self._sources, self._deadline, self._unread = sources, deadline, unread
        self._denied: list[str] = []

    def seen(self, namespace: str, rollout: str, objects: Objects) -> Seen:
        """Read everything; what depends on a read that failed is left out."""
        self._or("SelfSubjectAccessReview", None, self._review, namespace, objects)
        try:
            topology = self._sources.cluster.topology(namespace, rollout, self._deadline)
            pods = self._pods(topology)
        except CannotTell as error:
            self._unread["Pod"] = self._unread["TargetGroup"] = str(error)
            return Seen(denied=tuple(self._denied))
        health, gone = self._health(topology)
        attributes: Attributes = self._or("TargetGroupAttributes", {}, self._attributes, health)
        production = topology.rollout.strategy.production_service
        carried = self._rate(health if production is None else {production: health.get(production, ())})
        hosts: Hosts = self._or("ListenerRule", {}, self._hosts, health)
        return Seen(health, attributes, gone, tuple(self._denied), pods, carried, hosts)

    def _or(self, kind: str, default: T, read_part: Callable[..., T], *arguments: Any) -> T:
        """Return what is read; the default, and a sentence of what is not read, if that fails."""
        try:
            return read_part(*arguments)
        except CannotTell as error:
            self._unread[kind] = str(error)
            return default

    def _review(self, namespace: str, objects: Objects) -> None:
        """Ask which rights that queries about this Rollout need the provider lacks. Raises CannotTell."""
        bindings = [manifest for (kind, _, _), manifest in objects.items() if kind == "TargetGroupBinding"]
        api = str(bindings[0].get("apiVersion", "")).partition("/")[0] if bindings else ""
        by_node = any(manifest.get("spec", {}).get("targetType") == "instance" for manifest in bindings)
        rights = access.rights_for(api, instance_targets=by_node)
        self._denied += access.denied(self._sources.cluster, namespace, rights, self._deadline)

    def _pods(self, topology: Topology) -> tuple[PodState, ...]:
        """Read green's pods whole: all of them up to a limit, else the first few. Raises CannotTell."""
        names = sorted(pod.name for pod in topology.pods)
        names = names if len(names) <= MOST_PODS else names[:MAX_SINGLE_READS]
        selector = f"{HASH_LABEL}={topology.rollout.current_hash}"
        states = self._sources.cluster.pod_states
        return states(topology.rollout.namespace, names, self._deadline, selector) if names else ()

    def _health(self, topology: Topology) -> tuple[Health, dict[str, str]]:
        """Describe the target groups of the strategy's Services and their targets; say which do not exist."""
        health: dict[str, tuple[GroupHealth, ...]] = {}
        gone: dict[str, str] = {}
        for group in self._together_or_apart(topology.bindings, gone):
            health[group.binding.service] = (*health.get(group.binding.service, ()), group)
        return health, gone

    def _together_or_apart(self, bindings: tuple[Binding, ...], gone: dict[str, str]) -> tuple[GroupHealth, ...]:
        """Read the groups in one go; if one does not exist, each alone."""
        try:
            return self._sources.load_balancers.health(bindings, self._deadline) if bindings else ()
        except CannotTell as error:
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                self._not_read("TargetGroup", error)
                return ()
            if len(bindings) == 1:
                gone[bindings[0].name] = str(error)
                return ()
        return tuple(group for binding in bindings for group in self._together_or_apart((binding,), gone))

    def _not_read(self, kind: str, error: CannotTell) -> None:
        """Say what is not read for want of a permission that queries need too."""
        self._denied += [str(error)] if error.reason is Reason.AWS_FORBIDDEN else []
        self._unread[kind] = str(error)

    def _attributes(self, health: Health) -> Attributes:
        """Read the attributes of each target group, a call for each: a permission that only preflight needs."""
        read_group = self._sources.load_balancers.attributes
        return {
            service: tuple(read_group(one.group, self._deadline) for one in groups)
            for service, groups in health.items()
        }

    def _hosts(self, health: Health) -> Hosts:
        """Read the hosts of the rules that forward to each Service's groups: a permission that only preflight needs."""
        groups = dict.fromkeys(one.group for several in health.values() for one in several)
        hosts = self._sources.load_balancers.listeners.hosts(groups, self._deadline) if groups else {}
        return {
            service: tuple(dict.fromkeys(host for one in several for host in hosts[one.group.arn]))
            for service, several in health.items()
        }

    def _rate(self, health: Health) -> Rate | None:
        """Count what production carried lately; None if it is not known, or nothing."""
        groups = {one.group: one for several in health.values() for one in several if _is_counted(one.group)}
        if not groups:
            return None
        clocks = [self._sources.other_clocks.cloudwatch(group.place.region) for group in groups]
        now = min(clock.earliest(self._sources.clock()) for clock in clocks)
        end = now.astimezone(UTC).replace(second=0, microsecond=0) - LAG
        window = Window(end - timedelta(minutes=MINUTES), end)
        points: dict[Metric, Mapping[datetime, float]] = {}
        try:
            for place in dict.fromkeys(group.place for group in groups):
                metrics = [_requests(group) for group in groups if group.place == place]
                points |= self._sources.cloudwatch.points(place, metrics, window, self._deadline).value
            by_minute = [
                sum(count_group(one, points, Window(minute, minute + timedelta(minutes=1))).requests for one in groups)
                for minute in window.minutes
            ]
        except CannotTell as error:
            self._not_read("Metric", error)
            return None
        healthy = sum(target.state == State.HEALTHY for one in groups.values() for target in one.targets)
        rate = Rate(sum(by_minute) / MINUTES / 60, max(by_minute) / 60 / healthy if healthy else 0.0)
        return rate if sum(by_minute) else None


def _requests(group: TargetGroup) -> Metric:
    return Metric(REQUESTS, dimension(group.load_balancer_arns[0]), dimension(group.arn))


def _is_counted(group: TargetGroup) -> bool:
    """Tell whether CloudWatch counts a group's requests: an Application Load Balancer forwards to it."""
    return group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0]
