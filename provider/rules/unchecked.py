"""Production target groups that no check before the switch covers.

Pure. After the switch green's pods are in every target group that the production Service is bound to. The checks before
the switch judge the groups of green's Service. A production group is covered if one of these reaches the same port of
the pods, as the load balancer controller registers them, over the same kind of address. A group at a load balancer that
green shares with production does not cover a group at another one.
"""

from dataclasses import replace

from provider.model.reasons import Phase
from provider.model.records import Binding, Service, ServicePort, Stage, Topology, Verdict
from provider.rules.green import production_of, service_port

MAX_NAMES = 5
"""Target groups listed in an answer, whose body must stay small."""

MAX_IN_SENTENCE = 2
"""Target groups that the sentence names; it counts the others."""

_BoundPort = tuple[Binding, ServicePort]


def with_unchecked(verdict: Verdict, topology: Topology) -> Verdict:
    """Add to a pass before the switch the production target groups that it does not cover."""
    if verdict.phase is not Phase.SUCCESSFUL or verdict.observed.get("stage") != Stage.BEFORE_SWITCH:
        return verdict
    names = unchecked(topology, str(verdict.observed.get("service")))
    if not names:
        return verdict
    others = f" and {len(names) - MAX_IN_SENTENCE} more" if len(names) > MAX_IN_SENTENCE else ""
    groups = f"target group{'s' if len(names) > 1 else ''} {', '.join(names[:MAX_IN_SENTENCE])}{others}"
    return replace(
        verdict,
        message=f"{verdict.message}; no check before the switch covers production {groups}",
        observed={**verdict.observed, "uncheckedTargetGroups": list(names[:MAX_NAMES])},
    )


def unchecked(topology: Topology, green_service: str) -> tuple[str, ...]:
    """Name the target groups of production's Service for which green's Service has no counterpart."""
    production = topology.services.get(production_of(topology.rollout) or "")
    green = topology.services.get(green_service)
    if production is None or green is None or production.name == green.name:
        return ()
    checked, bound = _bound(topology, green), _bound(topology, production)
    shared = {binding.stack for binding, _ in checked} & {binding.stack for binding, _ in bound}
    names = (
        binding.target_group
        for binding, port in bound
        if not any(
            _same_group(binding, other)
            or (_same_place(binding, other, shared) and _same_pod_port(topology, port, other_port))
            for other, other_port in checked
        )
    )
    return tuple(dict.fromkeys(names))


def _bound(topology: Topology, service: Service) -> list[_BoundPort]:
    """Return the bindings of a Service, each with its ServicePort; the controller ignores a binding without one."""
    bindings = (binding for binding in topology.bindings if binding.service == service.name)
    return [(binding, port) for binding in bindings if (port := service_port(service, binding)) is not None]


def _same_group(first: Binding, second: Binding) -> bool:
    if first.arn and second.arn:
        return first.arn == second.arn
    return first.target_group == second.target_group


def _same_place(binding: Binding, other: Binding, shared: set[str]) -> bool:
    """Tell whether both take the same kind of address, at the same load balancer or at two that are not shared.

    `shared` are the stacks with groups of both Services.
    """
    same = binding.stack == other.stack or not {binding.stack, other.stack} & shared
    return same and binding.family == other.family


def _same_pod_port(topology: Topology, first: ServicePort, second: ServicePort) -> bool:
    """Tell whether two ServicePorts reach the same port of green's pods."""
    numbers = _pod_port(topology, first), _pod_port(topology, second)
    if all(isinstance(number, int) for number in numbers):
        return numbers[0] == numbers[1]
    if isinstance(first.target_port, str) and isinstance(second.target_port, str):
        return first.target_port == second.target_port
    return first.port == second.port  # the number of a port name that no Service resolves is unknown


def _pod_port(topology: Topology, port: ServicePort) -> int | str:
    """Return the number of a pod's port; its name if no EndpointSlice of green's pods has the number."""
    target = port.target_port or port.port
    if isinstance(target, int):
        return target
    same_target = {
        (service.name, service_port.name)
        for service in topology.services.values()
        for service_port in service.ports
        if service_port.target_port == target
    }
    numbers = (
        number
        for endpoint in topology.endpoints
        for name, number in endpoint.ports
        if (endpoint.service, name) in same_target
    )
    return next(numbers, target)
