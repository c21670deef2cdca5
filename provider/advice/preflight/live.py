"""What will a Rollout's topology do at its switch, told from the objects in the cluster?

It reads the Rollout, its Services, Ingresses, TargetGroupBindings, AnalysisTemplates, its namespace, green's pods and
the provider's own rights; of AWS its target groups, their targets and attributes, and the requests that production got
in the last 15 minutes, within the call budget of all queries.

`findings` has what was found, the worst first: a stable code, its severity (`blocks`, `risk` or `advice`), the objects
concerned, what will happen, what to change, and where to read more. `notChecked` has each kind that could not be read,
with a sentence; the findings that need it are left out. `hosts` has the hosts by which requests reach each Service: of
listener rules, and the load balancers' own names. `forecast` has the seconds without a healthy target at the
switch (best, expected and worst that is likely), the requests at risk in them and in the ramp after them, its timeline,
what would make it shorter, the best first, and what this replica saw of the last switch.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from provider.advice.preflight import inspect
from provider.advice.preflight.forecast import Assumed, observed
from provider.advice.preflight.manifests import Manifests, Rate, Seen, of_cluster
from provider.advice.preflight.setup import setups
from provider.checks.parameters import Parameter, Subject
from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import HASH_LABEL, Binding, GroupHealth, Metric, PodState, TargetGroup, Topology, Window
from provider.rules.counts import REQUESTS, count_group, dimension
from provider.rules.expected_targets import State
from provider.rules.switch_seen import SwitchSeen
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import access
from provider.sources.kubernetes.manifests import Objects, read
from provider.sources.kubernetes.objects import MAX_SINGLE_READS

NAME = "preflight"

MOST_PODS = 300
"""Pods that are read whole (10 KB each); of more only the first few."""

MINUTES = 15
"""The minutes of CloudWatch that a rate is made of."""

LAG = timedelta(minutes=2)
"""CloudWatch's minutes are complete two minutes after their end."""

T = TypeVar("T")


class Query(Subject):
    """The parameters of a preflight: the Rollout, and what its forecast assumes."""

    requests_per_second: float | None = Parameter(
        default=None,
        ge=0,
        le=10_000_000,
        description="Requests of all users per second. Default: what production got in the last 15 minutes.",
    )
    requests_per_target_per_second: float | None = Parameter(
        default=None,
        ge=0,
        le=1_000_000,
        description="Requests per second that one target can carry. Default: what it got in production's busiest "
        "minute of the last 15.",
    )
    registration_seconds: float | None = Parameter(
        default=None,
        ge=0,
        le=60,
        description="Seconds until a registration takes effect, which AWS does not document. Default: 1. Half of it is "
        "the best, twice as much the worst.",
    )

    @property
    def assumed(self) -> Assumed:
        """What the forecast assumes."""
        return Assumed(self.requests_per_second, self.requests_per_target_per_second, self.registration_seconds)


def answer(query: Query, sources: Sources, deadline: Deadline, last: SwitchSeen | None = None) -> dict[str, Any]:
    """Return the answer as JSON; `last` is the last switch that was seen of the Rollout.

    Raises RolloutNotFound; what else cannot be read is in `notChecked`.
    """
    try:
        manifests = manifests_of(sources, query.namespace, query.rollout, deadline)
    except CannotTell as error:
        manifests = Manifests({}, is_live=True, unread={"Rollout": str(error)})
    found: dict[str, Any] = {
        "namespace": query.namespace,
        "rollout": query.rollout,
        "findings": [one.observed for report in inspect(manifests) for one in report.findings],
        "notChecked": [{"kind": kind, "says": why} for kind, why in manifests.unread.items()],
        "hosts": {service: list(some) for service, some in manifests.seen.hosts.items()},
    }
    for setup in setups(manifests):
        found["forecast"] = observed(setup, query.assumed, last)
    return found


def manifests_of(sources: Sources, namespace: str, rollout: str, deadline: Deadline) -> Manifests:
    """Read a Rollout and what it leads to. Each part that cannot be read is said, and the rest is read all the same.

    Raises RolloutNotFound, and CannotTell if the Rollout cannot be read.
    """
    objects, unread = read(sources.cluster, namespace, rollout, deadline)
    return of_cluster(objects, unread, _Seeing(sources, deadline, unread).seen(namespace, rollout, objects))


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
        gone: dict[str, str] = {}
        health = self._health(topology.bindings, gone)
        attributes: dict[str, Mapping[str, str]] = self._or("TargetGroupAttributes", {}, self._attributes, health)
        production = topology.rollout.strategy.production_service
        rate = self._rate([each for each in health if production in {None, each.binding.service}])
        hosts: dict[str, tuple[str, ...]] = self._or("ListenerRule", {}, self._hosts, health)
        return Seen(health, attributes, gone, tuple(self._denied), pods, rate, hosts)

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

    def _health(self, bindings: tuple[Binding, ...], gone: dict[str, str]) -> tuple[GroupHealth, ...]:
        """Describe target groups and their targets in one go; if one does not exist, each alone, and say which."""
        try:
            return self._sources.load_balancers.health(bindings, self._deadline) if bindings else ()
        except CannotTell as error:
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                self._not_read("TargetGroup", error)
                return ()
            if len(bindings) == 1:
                gone[bindings[0].name] = str(error)
                return ()
        return tuple(group for binding in bindings for group in self._health((binding,), gone))

    def _not_read(self, kind: str, error: CannotTell) -> None:
        """Say what is not read for want of a permission that queries need too."""
        self._denied += [str(error)] if error.reason is Reason.AWS_FORBIDDEN else []
        self._unread[kind] = str(error)

    def _attributes(self, health: tuple[GroupHealth, ...]) -> dict[str, Mapping[str, str]]:
        """Read the attributes of each target group, a call for each: a permission that only preflight needs."""
        groups = dict.fromkeys(each.group for each in health)
        return {group.arn: self._sources.load_balancers.attributes(group, self._deadline) for group in groups}

    def _hosts(self, health: tuple[GroupHealth, ...]) -> dict[str, tuple[str, ...]]:
        """Read the hosts of the rules that forward to each Service's groups: a permission that only preflight needs."""
        groups = dict.fromkeys(each.group for each in health)
        of_group = self._sources.load_balancers.listeners.hosts(groups, self._deadline) if groups else {}
        hosts: dict[str, tuple[str, ...]] = {}
        for each in health:
            service = each.binding.service
            hosts[service] = tuple(dict.fromkeys((*hosts.get(service, ()), *of_group[each.group.arn])))
        return hosts

    def _rate(self, health: list[GroupHealth]) -> Rate:
        """Count what production carried lately; zeros if it is not known, or nothing."""
        groups = {each.group: each for each in health if _is_counted(each.group)}
        if not groups:
            return Rate()
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
            return Rate()
        healthy = sum(target.state == State.HEALTHY for one in groups.values() for target in one.targets)
        return Rate(sum(by_minute) / MINUTES / 60, max(by_minute) / 60 / healthy if healthy else 0.0)


def _requests(group: TargetGroup) -> Metric:
    return Metric(REQUESTS, dimension(group.load_balancer_arns[0]), dimension(group.arn))


def _is_counted(group: TargetGroup) -> bool:
    """Tell whether CloudWatch counts a group's requests: an Application Load Balancer forwards to it."""
    return group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0]
