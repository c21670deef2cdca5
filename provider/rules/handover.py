"""Handover: green's pods as targets of the production target groups, before the switch.

Pure rules: which Service and groups are production's, whether green can become a target there, what is to be
registered, how far it is, and when it must be undone. Facts: with green registered and healthy in the production group
a switch leaves no second without a healthy target (runs with Argo Rollouts 1.9.1 and 1.10.1, AWS Load Balancer
Controller 3.5.0).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from provider.model.errors import CannotTell
from provider.model.handovers import RecordedGroup, RecordedTarget
from provider.model.reasons import Reason
from provider.model.records import (
    Binding,
    Endpoint,
    Green,
    GreenService,
    GroupHealth,
    Service,
    ServicePort,
    Stage,
    Topology,
    same_address,
)
from provider.rules.counts import GroupCounts
from provider.rules.expected_targets import State, addresses_of, expected_targets, keys_by_pod, percent
from provider.rules.green import bindings_of, require_service, service_port


def find_production(topology: Topology, green: Green, service: GreenService) -> GreenService:
    """Return the production Service with green's endpoints as they will be behind it after the switch.

    `service` is the Service that green is behind now. Raises CannotTell: HandoverNotNeeded, HandoverImpossible,
    ServiceNotFound, NoBinding, ServicePortNotFound.
    """
    rollout = green.rollout
    if rollout.is_ping_pong:
        raise CannotTell(
            Reason.HANDOVER_NOT_NEEDED,
            f"Rollout {rollout.name} is a ping-pong canary, which switches without a gap: no handover is needed",
        )
    name = rollout.strategy.production_service
    if not name:
        raise CannotTell(
            Reason.HANDOVER_IMPOSSIBLE,
            f"The canary strategy of Rollout {rollout.name} names no stableService, so there is no production target "
            "group to hand over to: set stableService",
        )
    production = require_service(topology, name)
    bindings = bindings_of(topology, production)
    endpoints = tuple(_moved(green, service, production, bindings))
    return GreenService(production, Stage.BEFORE_SWITCH, endpoints, bindings)


def require_own_groups(production: Iterable[GroupHealth], others: Iterable[tuple[Binding, str]]) -> None:
    """Refuse a production group that another Service's pods are targets of too. Raises CannotTell.

    `others` are the bindings of other Services, each with the ARN of its group: a binding may name it instead.
    """
    own = {health.group.arn for health in production}
    for other, arn in others:
        if arn in own:
            raise CannotTell(
                Reason.HANDOVER_IMPOSSIBLE,
                f"TargetGroupBinding {other.name} fills the production target group from Service {other.service} too, "
                "so its targets cannot be told apart: give the production Service a target group of its own",
            )


def _moved(green: Green, service: GreenService, production: Service, bindings: Iterable[Binding]) -> Iterable[Endpoint]:
    """Yield green's endpoints with the ports that the production Service will give them."""
    uids = {pod.uid for pod in green.pods}
    ports = [port for binding in bindings if (port := service_port(production, binding)) is not None]
    sources = {port.name: _source_of(port, service.service, production) for port in ports}
    for endpoint in service.endpoints:
        if endpoint.pod_uid in uids:
            known = dict(endpoint.ports)
            numbers = {name: known.get(of) if isinstance(of, str) else of for name, of in sources.items()}
            moved = tuple((name, number) for name, number in numbers.items() if number is not None)
            yield msgspec.structs.replace(endpoint, service=production.name, ports=moved)


def _source_of(port: ServicePort, service: Service, production: Service) -> int | str:
    """Return a production port's number, or the name of green's ServicePort that has the same named targetPort."""
    target = port.target_port
    if isinstance(target, int) and target:
        return target
    alike = next((one.name for one in service.ports if (one.target_port or one.port) == (target or port.port)), None)
    if alike is None:
        raise CannotTell(
            Reason.HANDOVER_IMPOSSIBLE,
            f"Service {production.name} has targetPort {target or port.port}, and Service {service.name} has not, so "
            "green's number of that port is unknown: give both Services the same targetPort",
        )
    return alike


def require_ip_targets(healths: Iterable[GroupHealth]) -> None:
    """Refuse groups that hold no pods, or that no load balancer checks. Raises CannotTell."""
    for health in healths:
        group = health.group
        if group.target_type == "instance":
            raise CannotTell(
                Reason.HANDOVER_NOT_NEEDED,
                f"Production target group {group.name} has instance targets: its nodes stay when the Service switches",
            )
        if not group.in_use:
            raise CannotTell(
                Reason.TARGET_GROUP_NOT_IN_USE,
                f"No listener rule forwards to production target group {group.name}, so the load balancer never "
                "health-checks it",
            )


def require_same_reach(security_groups: Mapping[str, frozenset[str]], checked: Collection[str]) -> None:
    """Refuse a production load balancer that shares no security group with one that reaches green already.

    `checked` are the load balancers (ARNs) that health-check green in its own group. Raises CannotTell.
    """
    reaching = frozenset[str]().union(*(security_groups[arn] for arn in checked))
    for arn, groups in security_groups.items():
        if not groups & reaching:
            name = arn.rpartition(":loadbalancer/")[2]
            raise CannotTell(
                Reason.HANDOVER_IMPOSSIBLE,
                f"Load balancer {name} serves production and shares no security group with the one that checks green, "
                "so its health checks may not reach green's pods: use one load balancer, or a common security group",
            )


def require_no_users(weights: Mapping[str, Collection[int]]) -> None:
    """Refuse a canary whose stable group still gets requests by a listener rule. Raises CannotTell (HandoverWaiting).

    `weights` are those of every rule that names the group, by its name.
    """
    for name, by_rule in weights.items():
        if any(by_rule):
            raise CannotTell(
                Reason.HANDOVER_WAITING,
                f"Target group {name} of the stable Service still has weight {max(by_rule)} in a listener rule: a "
                "canary is handed over once it has 0 (setWeight: 100)",
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far green is in one production group: its targets that are healthy, and those that are registered.

    `others` counts the healthy targets beside them.
    """

    name: str
    wanted: int
    healthy: int
    registered: int
    others: int

    @property
    def percent(self) -> float:
        """The percentage of green's wanted pods that are healthy there, rounded down to one decimal."""
        return percent(self.healthy, self.wanted)

    @property
    def sentence(self) -> str:
        """Say how far it is."""
        return (
            f"{self.healthy} of {self.wanted} green targets healthy in production group {self.name}, beside "
            f"{self.others} others"
        )


def progress(green: Green, production: GreenService, health: GroupHealth) -> Progress:
    """Compare green's pods with the targets of one production group."""
    expected, own = expected_targets(green, production, health, {}), addresses_of(green, production, health.binding)
    present = {(same_address(target.id), target.port): target.state for target in health.targets}
    return Progress(
        name=health.group.name,
        wanted=len(expected.targets),
        healthy=expected.counts[State.HEALTHY],
        registered=sum(present.get(key, State.UNUSED) not in GONE for key in own),
        others=sum(state == State.HEALTHY for key, state in present.items() if key not in own),
    )


@dataclass(frozen=True, slots=True)
class FirstBatch:
    """The requests of the production groups in the full minutes since a first batch of green serves beside blue.

    They are of both versions, so they can stop a handover and never prove that green is good. Without `counts` there is
    no full minute yet; `waits` says why.
    """

    counts: tuple[GroupCounts, ...] = ()
    waits: str = ""

    @property
    def is_known(self) -> bool:
        """Whether at least one full minute is complete in every group."""
        return bool(self.counts) and not any(count.silent_minutes for count in self.counts)

    def failure(self, max_error_percent: float) -> str:
        """Say which group failed the most requests, empty if that is within the limit."""
        worst = max(self.counts, key=lambda count: count.errors / count.total if count.total else 0.0, default=None)
        if worst is None or worst.errors * 100 <= max_error_percent * worst.total:
            return ""
        return f"{worst.errors} of {worst.total} requests failed in {worst.name} since the first batch serves"


GONE = ("draining", "unused")
"""States of what is no target any more, or never was: to be registered again."""


def recorded_group(
    green: Green, production: GreenService, health: GroupHealth, recorded: Iterable[RecordedGroup], percent: float
) -> RecordedGroup:
    """Return what may be registered in a group: every living green pod, below 100 percent only a first batch.

    That is at most `percent` of the wanted pods, rounded up; those in `recorded`, the groups so far, come first.
    """
    group, by_pod = health.group, keys_by_pod(production, health.binding)
    known = {target.pod_uid for before in recorded if before.arn == group.arn for target in before.targets}
    uids = sorted((pod.uid for pod in green.pods if pod.uid in by_pod), key=lambda uid: (uid not in known, uid))
    if percent < 100:  # else also those beyond the wanted number
        uids = uids[: -int(-green.replica_set.replicas * percent // 100)]
    targets = frozenset(RecordedTarget(*key, uid) for uid in uids for key in by_pod[uid])
    return RecordedGroup(group.arn, group.name, group.place, targets)
