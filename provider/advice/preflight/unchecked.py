"""Is green behind the load balancer at every port at which production is? At others no gate sees it."""

from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.load_balancer import ROUTES, backends
from provider.advice.preflight.manifests import Object, Setup, at
from provider.advice.preflight.switching import production_of


def ports(setup: Setup) -> Iterator[Finding]:
    """Each port of the pods that production's target groups reach is reached by one of green's too."""
    if {"Ingress", "TargetGroupBinding"} & setup.manifests.unread.keys():
        return
    for production, green in _pairs(setup):
        behind, checked = _ports_behind(setup, production), _ports_behind(setup, green)
        targets = {_target(setup, port) for port in checked}
        for port in behind if checked else ():  # one that is behind no load balancer at all has a finding of its own
            if _target(setup, port) not in targets:
                name = f" ({port['name']})" if port.get("name") else ""
                says = f"Service {production} is behind the load balancer at port {port.get('port')}{name}, and Service"
                objects = (f"Service/{production}", f"Service/{green}")
                yield finding(Code.PORT_NOT_CHECKED, objects, f"{says} {green} is not: no gate sees green there")


def _pairs(setup: Setup) -> Iterator[tuple[str, str]]:
    """Yield production's Service and green's; of a ping-pong pair in files either may be production's."""
    names = setup.service_names
    production = production_of(setup)
    for field in ("previewService", "canaryService", "pingService", "pongService"):
        if production and field in names and names[field] != production:
            yield production, names[field]
    pair = names.get("pingService"), names.get("pongService")
    if not production and all(pair):
        yield str(pair[0]), str(pair[1])
        yield str(pair[1]), str(pair[0])


def _ports_behind(setup: Setup, name: str) -> list[Object]:
    """Return the ports of a Service that a load balancer leads to, as far as bindings, Ingresses and routes tell."""
    service = setup.services.get(name, {})
    own: list[Object] = at(service, "spec.ports", [])
    if at(service, "spec.type") == "LoadBalancer":
        return own
    named = {str(port) for other, port in _led_to(setup) if other == name and port is not None}
    return [port for port in own if {str(port.get("name")), str(port.get("port"))} & named]


def _led_to(setup: Setup) -> Iterator[tuple[str, object]]:
    """Yield each Service that is led to, with the port's name or number; in a cluster the bindings know it all."""
    for binding in setup.bindings:
        yield str(at(binding, "spec.serviceRef.name")), at(binding, "spec.serviceRef.port")
    if setup.manifests.is_live and setup.bindings:
        return
    for ingress in setup.ingresses:
        yield from backends(ingress)
    for kind in ROUTES:
        for route in setup.manifests.of(kind, setup.namespace):
            for rule in at(route, "spec.rules", []):
                for backend in rule.get("backendRefs") or ():
                    yield str(backend.get("name")), backend.get("port")
    for name in setup.service_names.values():  # Argo writes both Services into the rule with this port
        yield name, at(setup.canary, "trafficRouting.alb.servicePort")


def _target(setup: Setup, port: Object) -> str:
    """Return the port of the pods that a Service's port leads to: its number, where the pod template has the name."""
    target = str(port.get("targetPort") or port.get("port"))
    containers = at(setup.pod, "spec.containers", [])
    declared = [one for each in containers for one in each.get("ports") or ()]
    return next((str(one.get("containerPort")) for one in declared if one.get("name") == target), target)
