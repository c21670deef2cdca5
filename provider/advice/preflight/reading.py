"""Reads what a live preflight inspects: the objects, green's pods, the target groups, the rate, and our own rights.

Each part that cannot be read is said, and the rest is inspected all the same: nothing is claimed about what was not
read. AWS is asked within the call budget of all queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import HASH_LABEL, Binding, GroupHealth, Metric, PodState, TargetGroup, Topology, Window
from provider.rules.counts import REQUESTS, count_group, dimension
from provider.rules.expected_targets import State
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import access
from provider.sources.kubernetes.manifests import read
from provider.sources.kubernetes.objects import MAX_SINGLE_READS

MOST_PODS = 300
"""Pods that are read whole (10 KB each); of more only the first few."""

MINUTES = 15
"""The minutes of CloudWatch that a rate is made of."""

LAG = timedelta(minutes=2)
"""CloudWatch's minutes are complete two minutes after their end."""

CLUSTERED = {"ClusterAnalysisTemplate", "Namespace", "MutatingWebhookConfiguration"}


@dataclass(frozen=True, slots=True)
class Rate:
    """What production carried in the last `minutes` minutes: requests per second, of all users and of one target.

    `busiest_per_target` is that of the busiest minute, divided by the healthy targets there are now.
    """

    minutes: int
    requests_per_second: float
    busiest_per_target: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; empty for files."""

    health: Mapping[str, tuple[GroupHealth, ...]] = field(default_factory=dict)
    """The target groups of each Service with their targets."""
    attributes: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    """The attributes of the target groups of each Service, in AWS's words; empty if they may not be read."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """TargetGroupBindings whose target group does not exist, each with a sentence."""
    denied: tuple[str, ...] = ()
    """What the provider may not do: a verb and a resource of Kubernetes, or an IAM action, each in a sentence."""
    pods: tuple[PodState, ...] = ()
    """Green's pods."""
    rate: Rate | None = None
    """None if CloudWatch could not be read, or counted nothing."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The hosts by which requests reach each Service; empty if listener rules may not be read."""

    @property
    def groups(self) -> Mapping[str, tuple[TargetGroup, ...]]:
        """The target groups of each Service as AWS describes them."""
        return {service: tuple(one.group for one in some) for service, some in self.health.items()}


def read_seen(
    sources: Sources, namespace: str, rollout: str, deadline: Deadline
) -> tuple[dict[tuple[str, str, str], Mapping[str, Any]], dict[str, str], Seen]:
    """Read a Rollout and what it leads to: objects, a sentence for each kind that is not read, and the rest.

    Raises RolloutNotFound, and CannotTell if the Rollout cannot be read.
    """
    found = read(sources.cluster, namespace, rollout, deadline)
    objects = {
        (kind, "" if kind in CLUSTERED else namespace, str(manifest.get("metadata", {}).get("name", ""))): manifest
        for kind, several in found.objects.items()
        for manifest in several
    }
    unread = dict(found.unread)
    return objects, unread, _Seeing(sources, deadline, unread).seen(namespace, rollout, objects)


class _Seeing:
    """One preflight's reads beyond the objects; `unread` gets a sentence for each that fails."""

    def __init__(self, sources: Sources, deadline: Deadline, unread: dict[str, str]) -> None:
        self._sources, self._deadline, self._unread = sources, deadline, unread
        self._denied: list[str] = []

    def seen(self, namespace: str, rollout: str, objects: Mapping[tuple[str, str, str], Any]) -> Seen:
        """Read everything; what depends on a read that failed is left out."""
        self._review(namespace, objects)
        try:
            topology = self._sources.cluster.topology(namespace, rollout, self._deadline)
            pods = self._pods(topology)
        except CannotTell as error:
            self._unread["Pod"] = self._unread["TargetGroup"] = str(error)
            return Seen(denied=tuple(self._denied))
        health, gone = self._health(topology)
        attributes = self._attributes(health)
        production = topology.rollout.strategy.production_service
        rate = self._rate(health if production is None else {production: health.get(production, ())})
        return Seen(health, attributes, gone, tuple(self._denied), pods, rate, self._hosts(health))

    def _review(self, namespace: str, objects: Mapping[tuple[str, str, str], Any]) -> None:
        """Ask which rights that queries about this Rollout need the provider lacks."""
        bindings = [one for (kind, _, _), one in objects.items() if kind == "TargetGroupBinding"]
        api = str(bindings[0].get("apiVersion", "")).partition("/")[0] if bindings else ""
        by_node = any(one.get("spec", {}).get("targetType") == "instance" for one in bindings)
        rights = access.rights_for(api, instance_targets=by_node)
        try:
            self._denied += access.denied(self._sources.cluster, namespace, rights, self._deadline)
        except CannotTell as error:
            self._unread["SelfSubjectAccessReview"] = str(error)

    def _pods(self, topology: Topology) -> tuple[PodState, ...]:
        """Read green's pods whole: all of them up to a limit, else the first few. Raises CannotTell."""
        names = sorted(pod.name for pod in topology.pods)
        some = names if len(names) <= MOST_PODS else names[:MAX_SINGLE_READS]
        if not some:
            return ()
        selector = f"{HASH_LABEL}={topology.rollout.current_hash}"
        return self._sources.cluster.pod_states(topology.rollout.namespace, some, self._deadline, selector)

    def _health(self, topology: Topology) -> tuple[dict[str, tuple[GroupHealth, ...]], dict[str, str]]:
        """Describe the target groups of the strategy's Services and their targets; say which do not exist."""
        health: dict[str, tuple[GroupHealth, ...]] = {}
        gone: dict[str, str] = {}
        for one in self._together_or_apart(topology.bindings, gone):
            health[one.binding.service] = (*health.get(one.binding.service, ()), one)
        return health, gone

    def _together_or_apart(self, bindings: tuple[Binding, ...], gone: dict[str, str]) -> tuple[GroupHealth, ...]:
        """Read the groups in one go; if one does not exist, each alone."""
        try:
            return self._sources.load_balancers.health(bindings, self._deadline) if bindings else ()
        except CannotTell as error:
            if error.reason is Reason.AWS_FORBIDDEN:
                self._denied.append(str(error))
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                self._unread["TargetGroup"] = str(error)
                return ()
            if len(bindings) == 1:
                gone[bindings[0].name] = str(error)
                return ()
        return tuple(found for one in bindings for found in self._together_or_apart((one,), gone))

    def _attributes(self, health: Mapping[str, tuple[GroupHealth, ...]]) -> dict[str, tuple[Mapping[str, str], ...]]:
        """Read the attributes of each target group, a call for each: a permission that only preflight needs."""
        try:
            return {
                service: tuple(self._sources.load_balancers.attributes(one.group, self._deadline) for one in some)
                for service, some in health.items()
            }
        except CannotTell as error:
            self._unread["TargetGroupAttributes"] = str(error)
            return {}

    def _hosts(self, health: Mapping[str, tuple[GroupHealth, ...]]) -> dict[str, tuple[str, ...]]:
        """Read the hosts of the rules that forward to each Service's groups: a permission that only preflight needs."""
        groups = dict.fromkeys(one.group for some in health.values() for one in some)
        try:
            hosts = self._sources.load_balancers.listeners.hosts(groups, self._deadline) if groups else {}
            return {
                service: tuple(dict.fromkeys(host for one in some for host in hosts[one.group.arn]))
                for service, some in health.items()
            }
        except CannotTell as error:
            self._unread["ListenerRule"] = str(error)
            return {}

    def _rate(self, health: Mapping[str, tuple[GroupHealth, ...]]) -> Rate | None:
        """Count what production carried lately; None if it is not known, or nothing."""
        groups = {one.group: one for some in health.values() for one in some if _is_counted(one.group)}
        if not groups:
            return None
        clocks = [self._sources.other_clocks.cloudwatch(group.place.region) for group in groups]
        now = min(clock.earliest(self._sources.clock()) for clock in clocks)
        end = now.astimezone(UTC).replace(second=0, microsecond=0) - LAG
        window = Window(end - timedelta(minutes=MINUTES), end)
        points: dict[Metric, Mapping[datetime, float]] = {}
        try:
            for place in dict.fromkeys(one.place for one in groups):
                metrics = [_requests(one) for one in groups if one.place == place]
                points |= self._sources.cloudwatch.points(place, metrics, window, self._deadline).value
            by_minute = [
                sum(count_group(one, points, Window(minute, minute + timedelta(minutes=1))).requests for one in groups)
                for minute in window.minutes
            ]
        except CannotTell as error:
            if error.reason is Reason.AWS_FORBIDDEN:
                self._denied.append(str(error))
            self._unread["Metric"] = str(error)
            return None
        healthy = sum(target.state == State.HEALTHY for one in groups.values() for target in one.targets)
        if not sum(by_minute):
            return None
        return Rate(MINUTES, sum(by_minute) / MINUTES / 60, max(by_minute) / 60 / healthy if healthy else 0.0)


def _requests(group: TargetGroup) -> Metric:
    return Metric(REQUESTS, dimension(group.load_balancer_arns[0]), dimension(group.arn))


def _is_counted(group: TargetGroup) -> bool:
    """Tell whether CloudWatch counts a group's requests: an Application Load Balancer forwards to it."""
    return group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0]
