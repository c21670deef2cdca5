"""The targets that green should have in one target group, compared one by one with the registered ones.

Pure. With `ip` targets a pod is a target: its address of the binding's family, and its port. With `instance` targets a
node is a target, which does not tell the health of single pods. Other targets in the group (blue, other clusters) are
ignored. Source of the rules: aws-load-balancer-controller pkg/backend/endpoint_resolver.go.
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
"""A target in its group: its address or instance id, and its port."""


class State(StrEnum):
    """Target states in AWS's words, `missing` (not registered) and `unknown` (new in AWS); the worst is last."""

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
        """0 for healthy, higher for worse."""
        return _SEVERITY[self]


_SEVERITY = {state: position for position, state in enumerate(State)}


class ExpectedTarget(CompactRecord, frozen=True, gc=False):
    """One target that green should have, as the load balancer sees it. `reason` and `description` are AWS's.

    `word` is AWS's word for an unknown state. `fault` is set if waiting does not help. `is_anomalous` and
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
    def state_word(self) -> str:
        """The state in AWS's words."""
        return self.word or self.state.value

    @property
    def cause(self) -> str:
        """What a sentence groups by: AWS's reason code, or why the target is missing."""
        return self.description if self.state is State.MISSING else self.reason

    @property
    def blames_pod(self) -> bool:
        """Whether the pod failed: `Elb.` reasons are failures of the load balancer."""
        return self.state is State.UNHEALTHY and not self.reason.startswith("Elb.")


_HEALTHY = ExpectedTarget("", State.HEALTHY)
"""Stands for every healthy target of a pod: its name is not needed, and there may be a thousand."""


@dataclass(frozen=True)
class ExpectedTargets:
    """All targets that green should have in one group, and the noun for them in a sentence.

    `every`: all of them must be healthy, whatever the percentage. `keys` maps pod uids to their targets, `registered`
    has all targets of the group.
    """

    noun: str
    targets: tuple[ExpectedTarget, ...]
    keys: Mapping[str, Sequence[TargetKey]]
    registered: Mapping[TargetKey, Target]
    every: bool = False

    @cached_property
    def notable(self) -> tuple[ExpectedTarget, ...]:
        """All but the plainly healthy ones: usually a few of a thousand."""
        return tuple(target for target in self.targets if target is not _HEALTHY)

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """How many targets are in each state."""
        counts = Counter(target.state for target in self.notable)
        counts[State.HEALTHY] += len(self.targets) - len(self.notable)
        return counts

    def pod_targets(self, group: str) -> dict[PodTarget, bool]:
        """Map every target of a pod to whether it is healthy; `group` is the ARN of the group."""
        healthy = {key for key, target in self.registered.items() if target.state == State.HEALTHY}
        return {(group, uid, *key): key in healthy for uid, keys in self.keys.items() for key in keys}


def expected_targets(
    green: Green, service: GreenService, health: GroupHealth, instance_ids: Mapping[str, str]
) -> ExpectedTargets:
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


def _pods_as_targets(green: Green, service: GreenService, health: GroupHealth) -> ExpectedTargets:
    registered = _by_key(health.targets)
    keys = keys_by_pod(service, health.binding)
    targets = []
    families = _families_by_pod(service) if len(keys) < len(green.pods) else {}
    for pod in green.pods:
        pod_keys = keys.get(pod.uid, ())
        if len(pod_keys) == 1:  # the usual case, usually healthy
            target = registered.get(pod_keys[0])
            is_plain = target is not None and target.is_plainly_healthy
            targets.append(_HEALTHY if is_plain else _expected(pod.name, pod_keys[0], target, (pod,)))
        elif pod_keys:
            several = [_expected(pod.name, key, registered.get(key), (pod,)) for key in pod_keys]
            targets.append(max(several, key=lambda target: target.state.severity))
        else:
            targets.append(_without_address(pod, families.get(pod.uid, set()), service, health.binding))
    absent = ExpectedTarget("", State.MISSING, description="pod not created yet")
    targets += [absent] * (green.desired - len(targets))
    return ExpectedTargets("green targets", tuple(targets), keys, registered)


def _families_by_pod(service: GreenService) -> dict[str, set[str]]:
    """Map pod uids to the address families of their endpoints."""
    families: dict[str, set[str]] = {}
    for endpoint in service.endpoints:
        families.setdefault(endpoint.pod_uid, set()).add(endpoint.family)
    return families


def _without_address(pod: Pod, families: set[str], service: GreenService, binding: Binding) -> ExpectedTarget:
    """Return the missing target of a pod that has no usable endpoint, with the fault if it will never have one."""
    if binding.family in families:
        # A pod that lacks a named targetPort is in an EndpointSlice without that port.
        port, fault = _port(service, binding), Reason.TARGET_PORT_NOT_FOUND
        description = f"no container port {port.target_port or port.name or port.port}"
    elif families:
        fault, description = Reason.ADDRESS_FAMILY_MISMATCH, f"the Service has only {' and '.join(sorted(families))}"
    else:
        return ExpectedTarget(pod.name, State.MISSING, description="no address behind the Service yet", pods=(pod,))
    return ExpectedTarget(pod.name, State.MISSING, description=description, pods=(pod,), fault=fault)


def addresses_of(green: Green, service: GreenService, binding: Binding) -> set[tuple[str, int]]:
    """Return the (address, port) of every living green pod, as they should be registered by this binding."""
    keys = keys_by_pod(service, binding)
    return {key for pod in green.pods for key in keys.get(pod.uid, ())}


def keys_by_pod(service: GreenService, binding: Binding) -> dict[str, list[TargetKey]]:
    """Map pod uids to their (address, port), as the load balancer controller would register them."""
    port_name = _port(service, binding).name
    keys: dict[str, list[TargetKey]] = {}
    for endpoint in service.endpoints:
        if endpoint.family == binding.family:
            address = same_address(endpoint.address)
            for name, number in endpoint.ports:
                # If the ServicePort has no name, the controller uses every port of a slice.
                if not port_name or name == port_name:
                    keys.setdefault(endpoint.pod_uid, []).append((address, number))
    return keys


def _nodes_as_targets(
    green: Green, service: GreenService, health: GroupHealth, instance_ids: Mapping[str, str]
) -> ExpectedTargets:
    """Return nodes: those with a ready green pod for externalTrafficPolicy Local, all registered ones for Cluster."""
    node_port = _port(service, health.binding).node_port
    registered = _by_key(target for target in health.targets if target.port == node_port)
    if service.service.external_traffic_policy != "Local":
        nodes = (_expected(target.id, key, target, ()) for key, target in registered.items())
        not_draining = tuple(node for node in nodes if node.state is not State.DRAINING)
        noun = "registered nodes (instance targets: single pods are not judged)"
        return ExpectedTargets(noun, not_draining, {}, registered)
    targets = []
    keys: dict[str, tuple[TargetKey, ...]] = {}
    for node, pods in ready_pods_by_node(green, service).items():
        key = (instance_ids.get(node, node), node_port)
        targets.append(_expected(node, key, registered.get(key), pods))
        keys |= {pod.uid: (key,) for pod in pods}
    noun = "nodes that run a ready green pod (instance targets: single pods are not judged)"
    return ExpectedTargets(noun, tuple(targets), keys, registered, every=True)


def ready_pods_by_node(green: Green, service: GreenService) -> dict[str, tuple[Pod, ...]]:
    """Group green's pods that are ready behind the Service by the node they run on."""
    node_of = {endpoint.pod_uid: endpoint.node_name for endpoint in service.endpoints if endpoint.ready}
    nodes: dict[str, tuple[Pod, ...]] = {}
    for pod in green.pods:
        if pod.uid in node_of:
            node = node_of[pod.uid]
            nodes[node] = (*nodes.get(node, ()), pod)
    return nodes


def _expected(name: str, key: TargetKey, target: Target | None, pods: tuple[Pod, ...]) -> ExpectedTarget:
    address, port = key
    if target is None or (target.state == "unused" and target.reason == "Target.NotRegistered"):
        return ExpectedTarget(name, State.MISSING, address, port, "", "not registered", pods)
    state, reason = _state(target.state), target.reason
    word = target.state if state is State.UNKNOWN else ""
    fault = Reason.HEALTH_CHECK_DISABLED if reason == "Target.HealthCheckDisabled" else None
    description, is_anomalous, override = target.description, target.is_anomalous, target.override
    return ExpectedTarget(name, state, address, port, reason, description, pods, word, fault, is_anomalous, override)


def _state(aws_state: str) -> State:
    """Map AWS's state; `unhealthy.draining` is unhealthy."""
    return _AWS_STATES.get(aws_state) or _AWS_STATES.get(aws_state.partition(".")[0], State.UNKNOWN)


_AWS_STATES: dict[str, State] = {state.value: state for state in State if state not in (State.MISSING, State.UNKNOWN)}


def _by_key(targets: Iterable[Target]) -> dict[TargetKey, Target]:
    """Index targets; of two entries for the same address and port (one per zone) the worse one counts."""
    by_key: dict[TargetKey, Target] = {}
    for target in targets:
        key = (same_address(target.id), target.port)
        other = by_key.setdefault(key, target)
        if other is not target and _badness(other) < _badness(target):
            by_key[key] = target
    return by_key


def _badness(target: Target) -> tuple[int, bool, bool]:
    return _state(target.state).severity, bool(target.override), target.is_anomalous


def _port(service: GreenService, binding: Binding) -> ServicePort:
    port = service_port(service.service, binding)
    if port is None:  # find_service refuses such a binding; other callers do not use it
        raise CannotTell(Reason.SERVICE_PORT_NOT_FOUND, f"Service {service.service.name} has no port {binding.port}")
    return port


def percent(part: int, whole: int) -> float:
    """Return a percentage with one decimal, rounded down: 100.0 means all of them."""
    return (part * 1000 // whole) / 10 if whole else 0.0
