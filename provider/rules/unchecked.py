"""What no check before the switch covers: production target groups at a port where green is in none.

Pure. After the switch production's Service puts green's pods into every target group that it is bound to. The checks
before the switch see those of green's own Service. A production group is covered if one of these reaches the same port
of the pods, as the load balancer controller registers them, over the same kind of address. A group at a load balancer
that green shares with production covers none at another one.
"""

from dataclasses import replace

from provider.model.reasons import Phase
from provider.model.records import Binding, Service, ServicePort, Stage, Topology, Verdict
from provider.rules.green import production_of, service_port

MAX_NAMES = 5
"""Target groups listed in an answer, whose body must stay small."""

NAMED = 2
"""Target groups named in the sentence; it counts the others."""

_Bound = tuple[Binding, ServicePort]


def with_unchecked(verdict: Verdict, topology: Topology) -> Verdict:
    """Name in a pass before the switch the production target groups that it says nothing about."""
    if verdict.phase is not Phase.SUCCESSFUL or verdict.observed.get("stage") != Stage.BEFORE_SWITCH:
        return verdict
    names = unchecked(topology, str(verdict.observed.get("service")))
    if not names:
        return verdict
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    which = f"target group{'s' if len(names) > 1 else ''} {', '.join(names[:NAMED])}{more}"
    return replace(
        verdict,
        message=f"{verdict.message}; no check before the switch covers production {which}",
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


def _bound(topology: Topology, service: Service) -> list[_Bound]:
    """Return the bindings of a Service with its port; the controller registers nothing for a port that is absent."""
    own = (binding for binding in topology.bindings if binding.service == service.name)
    return [(binding, port) for binding in own if (port := service_port(service, binding)) is not None]


def _same_group(one: Binding, other: Binding) -> bool:
    if one.arn and other.arn:
        return one.arn == other.arn
    return one.target_group == other.target_group


def _same_place(binding: Binding, other: Binding, shared: set[str]) -> bool:
    """Tell whether both take the same kind of address at the same load balancer, or each at one of its own.

    `shared` are the stacks with groups of both Services.
    """
    same = binding.stack == other.stack or not {binding.stack, other.stack} & shared
    return same and binding.family == other.family


def _same_pod_port(topology: Topology, one: ServicePort, other: ServicePort) -> bool:
    """Tell whether two ServicePorts reach the same port of green's pods."""
    first, second = _pod_port(topology, one), _pod_port(topology, other)
    if isinstance(first, int) and isinstance(second, int):
        return first == second
    if isinstance(one.target_port, str) and isinstance(other.target_port, str):
        return one.target_port == other.target_port
    return one.port == other.port  # the number behind a name that no Service of the strategy resolves is unknown


def _pod_port(topology: Topology, port: ServicePort) -> int | str:
    """Return the number of a pod's port; its name if no EndpointSlice of green's pods says which number that is."""
    target = port.target_port or port.port
    if isinstance(target, int):
        return target
    alike = {
        (service.name, one.name)
        for service in topology.services.values()
        for one in service.ports
        if one.target_port == target
    }
    numbers = (number for one in topology.endpoints for name, number in one.ports if (one.service, name) in alike)
    return next(numbers, target)
