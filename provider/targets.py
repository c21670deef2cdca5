"""The targets that green should have in one target group, compared one by one with what is registered there.

Pure. With `ip` targets a pod is a target: (its address of the binding's family, its own port). With `instance`
targets a node is one, and says nothing about single pods. Other targets in the group (blue draining, other clusters)
are not looked at. Source of the rules: aws-load-balancer-controller pkg/backend/endpoint_resolver.go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from provider.errors import CannotTell
from provider.green import service_port
from provider.reasons import Reason
from provider.records import Binding, Green, GreenService, GroupHealth, Many, Pod, ServicePort, Target, same_address


class State(StrEnum):
    """Target states in AWS's words, plus `missing` (not registered); worst last."""

    HEALTHY = "healthy"
    INITIAL = "initial"
    MISSING = "missing"
    DRAINING = "draining"
    UNAVAILABLE = "unavailable"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"

    @property
    def severity(self) -> int:
        """0 for healthy; among the others the one that most needs a human counts most."""
        return _SEVERITY[self]


_SEVERITY = {state: place for place, state in enumerate(State)}


class Seen(Many, frozen=True, gc=False):
    """One target that green should have, as the load balancer sees it. `reason` and `description` are AWS's."""

    name: str
    state: State
    address: str = ""
    port: int = 0
    reason: str = ""
    description: str = ""
    pods: tuple[Pod, ...] = ()

    @property
    def cause(self) -> str:
        """What to group by in a sentence: AWS's reason code, or for a missing target why it is missing."""
        return self.description if self.state is State.MISSING else self.reason

    @property
    def blames_pod(self) -> bool:
        """Whether this is the pod's own failure: `Elb.` reasons are faults of the load balancer."""
        return self.state is State.UNHEALTHY and not self.reason.startswith("Elb.")


_HEALTHY = Seen("", State.HEALTHY)
"""A pod's healthy target: nobody asks for its name, and there are a thousand of them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """All targets that green should have in one group, and what they are called in a sentence.

    `every`: the percentage does not apply, all of them must be healthy.
    """

    noun: str
    targets: tuple[Seen, ...]
    every: bool = False


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
                f"Target group {health.group.name} has {other} targets; only ip and instance targets can be green's",
            )


def _pods_as_targets(green: Green, service: GreenService, health: GroupHealth) -> Expected:
    registered = _by_key(health.targets)
    keys = _keys_by_pod(service, health.binding)
    seen = []
    for pod in green.pods:
        own = keys.get(pod.uid, ())
        if len(own) == 1:  # nearly always, and then nearly always healthy
            target = registered.get(own[0])
            is_healthy = target is not None and target.state == "healthy"
            found = _HEALTHY if is_healthy else _seen(pod.name, own[0], target, (pod,))
        elif own:
            several = [_seen(pod.name, key, registered.get(key), (pod,)) for key in own]
            found = max(several, key=lambda one: one.state.severity)
        else:
            found = Seen(pod.name, State.MISSING, description="no address behind the Service yet", pods=(pod,))
        seen.append(found)
    absent = Seen("", State.MISSING, description="pod not created yet")
    return Expected("green targets", (*seen, *[absent] * (green.desired - len(seen))))


def addresses_of(green: Green, service: GreenService, binding: Binding) -> set[tuple[str, int]]:
    """Return the (address, port) of every living green pod, as they should be registered by this binding."""
    keys = _keys_by_pod(service, binding)
    return {key for pod in green.pods for key in keys.get(pod.uid, ())}


def _keys_by_pod(service: GreenService, binding: Binding) -> dict[str, list[tuple[str, int]]]:
    """Map pod uids to their (address, port), as the load balancer controller would register them."""
    wanted = _port(service, binding).name
    keys: dict[str, list[tuple[str, int]]] = {}
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
    """With externalTrafficPolicy Local a node stands for its own ready green pods, with Cluster for anybody's."""
    node_port = _port(service, health.binding).node_port
    registered = _by_key(target for target in health.targets if target.port == node_port)
    if service.service.external_traffic_policy != "Local":
        nodes = tuple(_seen(target.id, key, target, ()) for key, target in registered.items())
        living = tuple(node for node in nodes if node.state is not State.DRAINING)
        return Expected("registered nodes (instance targets: single pods are not judged)", living)
    on_node = ready_pods_by_node(green, service)
    seen = []
    for node, pods in on_node.items():
        key = (instance_ids.get(node, node), node_port)
        seen.append(_seen(node, key, registered.get(key), pods))
    noun = "nodes that run a ready green pod (instance targets: single pods are not judged)"
    return Expected(noun, tuple(seen), every=True)


def ready_pods_by_node(green: Green, service: GreenService) -> dict[str, tuple[Pod, ...]]:
    """Group green's pods that are ready behind the Service by the node they run on."""
    node_of = {one.pod_uid: one.node_name for one in service.endpoints if one.ready}
    nodes: dict[str, tuple[Pod, ...]] = {}
    for pod in green.pods:
        if pod.uid in node_of:
            node = node_of[pod.uid]
            nodes[node] = (*nodes.get(node, ()), pod)
    return nodes


def _seen(name: str, key: tuple[str, int], target: Target | None, pods: tuple[Pod, ...]) -> Seen:
    address, port = key
    if target is None or (target.state == "unused" and target.reason == "Target.NotRegistered"):
        return Seen(name, State.MISSING, address, port, "", "not registered", pods)
    return Seen(name, _state(target.state), address, port, target.reason, target.description, pods)


def _state(aws_state: str) -> State:
    """Map AWS's state; `unhealthy.draining` is unhealthy, and a state we do not know is no health information."""
    return _AWS_STATES.get(aws_state) or _AWS_STATES.get(aws_state.partition(".")[0], State.UNAVAILABLE)


_AWS_STATES = {state.value: state for state in State if state is not State.MISSING}


def _by_key(targets: Iterable[Target]) -> dict[tuple[str, int], Target]:
    """Index targets; of two entries for the same address and port (one per zone) the worse one counts."""
    found: dict[tuple[str, int], Target] = {}
    for target in targets:
        key = (same_address(target.id), target.port)
        known = found.setdefault(key, target)
        if known is not target and _state(known.state).severity < _state(target.state).severity:
            found[key] = target
    return found


def _port(service: GreenService, binding: Binding) -> ServicePort:
    port = service_port(service.service, binding)
    if port is None:  # find_service has refused such a binding; said again for whoever calls without it
        raise CannotTell(Reason.SERVICE_PORT_NOT_FOUND, f"Service {service.service.name} has no port {binding.port}")
    return port
