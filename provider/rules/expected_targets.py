"""The targets that green should have in one target group, compared one by one with what is registered there.

Pure. With `ip` targets a pod is a target: (its address of the binding's family, its own port). With `instance`
targets a node is a target, which says nothing about single pods. Other targets in the group (blue draining, other
clusters) are ignored. Source of the rules: aws-load-balancer-controller pkg/backend/endpoint_resolver.go.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import (
    Binding,
    CompactRecord,
    Green,
    GreenService,
    GroupHealth,
    Pod,
    PodTarget,
    ServicePort,
    Target,
    same_address,
)
from provider.rules.green import service_port

TargetKey = tuple[str, int]
"""What tells a target from the others of its group: its address or instance id, and its port."""


class State(StrEnum):
    """Target states in AWS's words, plus `missing` (not registered) and `unknown` (new in AWS); the worst is last."""

    HEALTHY = "healthy"
    INITIAL = "initial"
    MISSING = "missing"
    DRAINING = "draining"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"

    @property
    def severity(self) -> int:
        """0 for healthy; the more a state needs a person, the higher."""
        return _SEVERITY[self]


_SEVERITY = {state: place for place, state in enumerate(State)}


class Seen(CompactRecord, frozen=True, gc=False):
    """One target that green should have, as the load balancer sees it. `reason` and `description` are AWS's.

    `word` is AWS's own word for an unknown state. `fault` is set where waiting does not help. `is_anomalous` and
    `override` are as in `Target`.
    """

    name: str
    state: State
    address: str = ""
    port: int = 0
    reason: str = ""
    description: str = ""
    pods: tuple[Pod, ...] = ()
    word: str = ""
    fault: Reason | None = None
    is_anomalous: bool = False
    override: str = ""

    @property
    def says(self) -> str:
        """The state in AWS's words."""
        return self.word or self.state.value

    @property
    def cause(self) -> str:
        """What a sentence groups by: AWS's reason code, or why a missing target is missing."""
        return self.description if self.state is State.MISSING else self.reason

    @property
    def blames_pod(self) -> bool:
        """Whether this is the pod's own failure: `Elb.` reasons are failures of the load balancer."""
        return self.state is State.UNHEALTHY and not self.reason.startswith("Elb.")


_HEALTHY = Seen("", State.HEALTHY)
"""Every target of a pod that is healthy and nothing else: its name is not needed, and there may be a thousand."""


@dataclass(frozen=True)
class Expected:
    """All targets that green should have in one group, and the noun for them in a sentence.

    `every`: all of them must be healthy, whatever the percentage. `keys` are those of the targets that each pod (uid)
    is behind, and `registered` are all targets of the group by their keys.
    """

    noun: str
    targets: tuple[Seen, ...]
    keys: Mapping[str, Sequence[TargetKey]]
    registered: Mapping[TargetKey, Target]
    every: bool = False

    @cached_property
    def notable(self) -> tuple[Seen, ...]:
        """Those of which there is more to say than that they are healthy: usually a few of a thousand."""
        return tuple(one for one in self.targets if one is not _HEALTHY)

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """How many targets are in each state; 0 of those in none."""
        counts = Counter(one.state for one in self.notable)
        counts[State.HEALTHY] += len(self.targets) - len(self.notable)
        return counts

    def pod_targets(self, group: str) -> dict[PodTarget, bool]:
        """Return every target that a pod is behind, and whether it is healthy; `group` is the ARN of the group."""
        healthy = {key for key, target in self.registered.items() if target.state == State.HEALTHY}
        return {(group, uid, *key): key in healthy for uid, own in self.keys.items() for key in own}


def expected_targets(
    green: Green, service: GreenService, health: GroupHealth, instance_ids: Mapping[str, str]
) -> Expected:
    """Return green's targets in one group. `instance_ids` maps node names to EC2 instance ids.

    Raises CannotTell (TargetTypeUnsupported) for a lambda or alb target group.
    """
    match health.group.target_type:
        case "ip":
            return _pods_as_targets(green, service, health)
        case "instance":
            return _nodes_as_targets(green, service, health, instance_ids)
        case other:
            raise CannotTell(
                Reason.TARGET_TYPE_UNSUPPORTED,
                f"Target group {health.group.name} has target type {other}; only ip and instance targets can be judged",
            )


def _pods_as_targets(green: Green, service: GreenService, health: GroupHealth) -> Expected:
    registered = _by_key(health.targets)
    keys = _keys_by_pod(service, health.binding)
    seen = []
    families = _families_by_pod(service) if len(keys) < len(green.pods) else {}
    for pod in green.pods:
        own = keys.get(pod.uid, ())
        if len(own) == 1:  # the usual case, and then usually healthy
            target = registered.get(own[0])
            is_plain = target is not None and target.is_plainly_healthy
            found = _HEALTHY if is_plain else _seen(pod.name, own[0], target, (pod,))
        elif own:
            several = [_seen(pod.name, key, registered.get(key), (pod,)) for key in own]
            found = max(several, key=lambda one: one.state.severity)
        else:
            found = _without_address(pod, families.get(pod.uid, set()), service, health.binding)
        seen.append(found)
    absent = Seen("", State.MISSING, description="pod not created yet")
    return Expected("green targets", (*seen, *[absent] * (green.desired - len(seen))), keys, registered)


def _families_by_pod(service: GreenService) -> dict[str, set[str]]:
    """Map pod uids to the address families of their endpoints."""
    families: dict[str, set[str]] = {}
    for endpoint in service.endpoints:
        families.setdefault(endpoint.pod_uid, set()).add(endpoint.family)
    return families


def _without_address(pod: Pod, families: set[str], service: GreenService, binding: Binding) -> Seen:
    """Return the missing target of a pod that has no usable endpoint, with the fault if it will never have one."""
    if binding.family in families:
        # A pod that lacks a named targetPort stands in an EndpointSlice without that port.
        port, fault = _port(service, binding), Reason.TARGET_PORT_NOT_FOUND
        description = f"no container port {port.target_port or port.name or port.port}"
    elif families:
        fault, description = Reason.ADDRESS_FAMILY_MISMATCH, f"the Service has only {' and '.join(sorted(families))}"
    else:
        return Seen(pod.name, State.MISSING, description="no address behind the Service yet", pods=(pod,))
    return Seen(pod.name, State.MISSING, description=description, pods=(pod,), fault=fault)


def addresses_of(green: Green, service: GreenService, binding: Binding) -> set[tuple[str, int]]:
    """Return the (address, port) of every living green pod, as they should be registered by this binding."""
    keys = _keys_by_pod(service, binding)
    return {key for pod in green.pods for key in keys.get(pod.uid, ())}


def _keys_by_pod(service: GreenService, binding: Binding) -> dict[str, list[TargetKey]]:
    """Map pod uids to their (address, port), as the load balancer controller would register them."""
    wanted = _port(service, binding).name
    keys: dict[str, list[TargetKey]] = {}
    for endpoint in service.endpoints:
        if endpoint.family == binding.family:
            address = same_address(endpoint.address)
            for name, number in endpoint.ports:
                # The controller takes every port of a slice where the ServicePort has no name.
                if not wanted or name == wanted:
                    keys.setdefault(endpoint.pod_uid, []).append((address, number))
    return keys


def _nodes_as_targets(
    green: Green, service: GreenService, health: GroupHealth, instance_ids: Mapping[str, str]
) -> Expected:
    """Return nodes: with externalTrafficPolicy Local those with a ready green pod, with Cluster all registered ones."""
    node_port = _port(service, health.binding).node_port
    registered = _by_key(target for target in health.targets if target.port == node_port)
    if service.service.external_traffic_policy != "Local":
        nodes = tuple(_seen(target.id, key, target, ()) for key, target in registered.items())
        living = tuple(node for node in nodes if node.state is not State.DRAINING)
        return Expected("registered nodes (instance targets: single pods are not judged)", living, {}, registered)
    seen = []
    keys: dict[str, tuple[TargetKey, ...]] = {}
    for node, pods in ready_pods_by_node(green, service).items():
        key = (instance_ids.get(node, node), node_port)
        seen.append(_seen(node, key, registered.get(key), pods))
        keys |= {pod.uid: (key,) for pod in pods}
    noun = "nodes that run a ready green pod (instance targets: single pods are not judged)"
    return Expected(noun, tuple(seen), keys, registered, every=True)


def ready_pods_by_node(green: Green, service: GreenService) -> dict[str, tuple[Pod, ...]]:
    """Group green's pods that are ready behind the Service by the node they run on."""
    node_of = {one.pod_uid: one.node_name for one in service.endpoints if one.ready}
    nodes: dict[str, tuple[Pod, ...]] = {}
    for pod in green.pods:
        if pod.uid in node_of:
            node = node_of[pod.uid]
            nodes[node] = (*nodes.get(node, ()), pod)
    return nodes


def _seen(name: str, key: TargetKey, target: Target | None, pods: tuple[Pod, ...]) -> Seen:
    address, port = key
    if target is None or (target.state == "unused" and target.reason == "Target.NotRegistered"):
        return Seen(name, State.MISSING, address, port, "", "not registered", pods)
    state, reason = _state(target.state), target.reason
    word = target.state if state is State.UNKNOWN else ""
    fault = Reason.HEALTH_CHECK_DISABLED if reason == "Target.HealthCheckDisabled" else None
    more = (target.is_anomalous, target.override)
    return Seen(name, state, address, port, reason, target.description, pods, word, fault, *more)


def _state(aws_state: str) -> State:
    """Map AWS's state; `unhealthy.draining` is unhealthy."""
    return _AWS_STATES.get(aws_state) or _AWS_STATES.get(aws_state.partition(".")[0], State.UNKNOWN)


_AWS_STATES: dict[str, State] = {state.value: state for state in State if state not in (State.MISSING, State.UNKNOWN)}


def _by_key(targets: Iterable[Target]) -> dict[TargetKey, Target]:
    """Index targets; of two entries for the same address and port (one per zone) the worse one counts."""
    found: dict[TargetKey, Target] = {}
    for target in targets:
        key = (same_address(target.id), target.port)
        known = found.setdefault(key, target)
        if known is not target and _badness(known) < _badness(target):
            found[key] = target
    return found


def _badness(target: Target) -> tuple[int, bool, bool]:
    return _state(target.state).severity, bool(target.override), target.is_anomalous


def _port(service: GreenService, binding: Binding) -> ServicePort:
    port = service_port(service.service, binding)
    if port is None:  # find_service refuses such a binding; this is for callers without it
        raise CannotTell(Reason.SERVICE_PORT_NOT_FOUND, f"Service {service.service.name} has no port {binding.port}")
    return port


def percent(part: int, whole: int) -> float:
    """Return a percentage with one decimal, rounded down: 100.0 means all of them."""
    return (part * 1000 // whole) / 10 if whole else 0.0
