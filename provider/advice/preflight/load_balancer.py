"""What the load balancer sees: Services, Ingresses, bindings, ports, health checks, and the gap of a switch."""

import json
from collections import Counter
from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.manifests import Object, Setup, at, name_of

PREFIX = "alb.ingress.kubernetes.io/"
CHECKED = (
    "healthcheck-path",
    "healthcheck-port",
    "healthcheck-protocol",
    "success-codes",
    "healthcheck-timeout-seconds",
)
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
"""The routes of the Gateway API that the load balancer controller 3.x acts on."""

MOST_GROUPS = 5
"""AWS's quota of target groups per action of a rule, which cannot be raised."""

MOST_TARGETS = 1000
"""AWS's default quota of targets per target group and load balancer."""


def behind(setup: Setup) -> Iterator[Finding]:
    """Each Service that is judged is behind the load balancer, as far as Ingresses, routes and bindings are known."""
    if setup.blue_green is not None and "previewService" not in setup.service_names and setup.gates:
        yield finding(Code.NO_PREVIEW_SERVICE, (f"Rollout/{setup.name}",), "The strategy has no previewService")
    routed = _routed(setup)
    if {"Ingress", "TargetGroupBinding"} & setup.manifests.unread.keys():
        return
    if not (setup.ingresses or setup.bindings or routed):
        return
    used = routed | {name for one in setup.ingresses for name in _backends(one)}
    used |= {name for name, one in setup.services.items() if at(one, "spec.type") == "LoadBalancer"}
    used |= {str(at(one, "spec.serviceRef.name")) for one in setup.bindings}
    if setup.canary is not None and _root(setup) in used:  # Argo writes the pair into the rule of rootService
        used |= set(setup.service_names.values())
    for field, name in setup.service_names.items():
        if name not in used:
            says = f"{field} {name} is in no Ingress, no route and no TargetGroupBinding"
            yield finding(Code.NOT_BEHIND_LOAD_BALANCER, (f"Service/{name}",), says)


def _routed(setup: Setup) -> set[str]:
    """Return the Services that a route of the Gateway API in their namespace leads to."""
    return {
        str(backend.get("name"))
        for kind in ROUTES
        for route in setup.manifests.of(kind, setup.namespace)
        for rule in at(route, "spec.rules", [])
        for backend in rule.get("backendRefs") or ()
        if backend.get("kind", "Service") == "Service" and backend.get("namespace", setup.namespace) == setup.namespace
    }


def _root(setup: Setup) -> str:
    alb = at(setup.canary, "trafficRouting.alb", {})
    return str(alb.get("rootService") or at(setup.canary, "stableService", ""))


def _backends(ingress: Object) -> set[str]:
    return {name for name, _ in backends(ingress)}


def backends(ingress: Object) -> list[tuple[str, object]]:
    """Return every Service that an Ingress names, with its port: in its rules, and in actions in annotations."""
    named = [at(ingress, "spec.defaultBackend", {})]
    named += [path.get("backend", {}) for rule in at(ingress, "spec.rules", []) for path in at(rule, "http.paths", [])]
    found = [
        (str(at(one, "service.name")), at(one, "service.port.name") or at(one, "service.port.number"))
        for one in named
        if at(one, "service.name")
    ]
    for key, text in at(ingress, "metadata.annotations", {}).items():
        for one in _groups_of(text) if key.startswith(f"{PREFIX}actions.") else ():
            name, port = (one.get(key) or one.get(key[:1].upper() + key[1:]) for key in ("serviceName", "servicePort"))
            found.append((str(name), port))
    return found


def _groups_of(text: str) -> list[Object]:
    """Return the target groups that an action in an annotation forwards to."""
    try:
        action = json.loads(text)
    except ValueError:
        return []
    return list(at(action, "forwardConfig.targetGroups", at(action, "ForwardConfig.TargetGroups", [])))


def selectors(setup: Setup) -> Iterator[Finding]:
    """Each Service selects the Rollout's pods."""
    labels = at(setup.pod, "metadata.labels")
    if labels is None:
        return
    for name, service in setup.services.items():
        wanted = at(service, "spec.selector", {})
        missing = {
            key: value
            for key, value in wanted.items()
            if labels.get(key) != value and key != "rollouts-pod-template-hash"
        }
        for key, value in missing.items():
            says = f"Service {name} selects {key}={value}, which the Rollout's pods do not have"
            yield finding(Code.SELECTS_NOTHING, (f"Service/{name}", f"Rollout/{setup.name}"), says)


def ports(setup: Setup) -> Iterator[Finding]:
    """Each port that a Service, an Ingress or a binding names exists."""
    containers = at(setup.pod, "spec.containers")
    named = {str(port.get("name")) for one in containers or () for port in one.get("ports") or ()}
    for name, service in setup.services.items():
        for port in at(service, "spec.ports", []):
            target = port.get("targetPort")
            if containers is not None and isinstance(target, str) and not target.isdigit() and target not in named:
                says = f"Service {name} leads to the port {target}, which no container has"
                yield finding(Code.PORT_MISSING, (f"Service/{name}", f"Rollout/{setup.name}"), says)
    for kind, one, behind_it, port in _ported(setup):
        found = [*at(setup.services.get(behind_it, {}), "spec.ports", [])]
        if found and port not in {each.get(key) for each in found for key in ("name", "port")}:
            says = f"{kind} {name_of(one)} names port {port} of Service {behind_it}, which has none"
            yield finding(Code.PORT_MISSING, (f"{kind}/{name_of(one)}", f"Service/{behind_it}"), says)


def _ported(setup: Setup) -> Iterator[tuple[str, Object, str, object]]:
    for one in setup.bindings:
        yield "TargetGroupBinding", one, str(at(one, "spec.serviceRef.name")), at(one, "spec.serviceRef.port")
    for one in setup.ingresses:
        for rule in at(one, "spec.rules", []):
            for path in at(rule, "http.paths", []):
                service = at(path, "backend.service", {})
                port = at(service, "port.name") or at(service, "port.number")
                if port != "use-annotation":
                    yield "Ingress", one, str(service.get("name")), port


def target_type(setup: Setup, service: str = "") -> str:
    """Return the target type of a Service's groups: by its annotation, its binding or its Ingress; empty if unset."""
    own = at(setup.services.get(service, {}), "metadata.annotations", {}).get(f"{PREFIX}target-type")
    bound = [at(one, "spec.targetType") for one in setup.bindings if at(one, "spec.serviceRef.name") == service]
    of_ingress = [at(one, "metadata.annotations", {}).get(f"{PREFIX}target-type") for one in ingresses_of(setup)]
    return str(own or next((one for one in (*bound, *of_ingress) if one), ""))


def ingresses_of(setup: Setup) -> list[Object]:
    """Return the Ingresses that name one of the Rollout's Services."""
    names = {*setup.service_names.values(), _root(setup)}
    return [one for one in setup.ingresses if _backends(one) & names]


def target_types(setup: Setup) -> Iterator[Finding]:
    """Each Ingress and each binding says its target type."""
    for one in ingresses_of(setup):
        if not at(one, "metadata.annotations", {}).get(f"{PREFIX}target-type") and not target_type(
            setup, next(iter(setup.service_names.values()), "")
        ):
            says = f"Ingress {name_of(one)} has no annotation {PREFIX}target-type"
            yield finding(Code.TARGET_TYPE_UNSET, (f"Ingress/{name_of(one)}",), says)
    for one in setup.bindings:
        if not at(one, "spec.targetType"):
            says = f"TargetGroupBinding {name_of(one)} has no targetType"
            yield finding(Code.TARGET_TYPE_UNSET, (f"TargetGroupBinding/{name_of(one)}",), says)


def health_checks(setup: Setup) -> Iterator[Finding]:
    """Production and preview are checked alike, and as the readiness probe does."""
    of_service = {
        name: {key: at(one, "metadata.annotations", {}).get(f"{PREFIX}{key}") for key in CHECKED}
        for name, one in setup.services.items()
    }
    first = next(iter(of_service.items()), None)
    for name, checks in of_service.items():
        differ = [key for key in CHECKED if first and checks[key] != first[1][key]]
        if differ and first:
            says = f"Services {first[0]} and {name} have different {', '.join(differ)}"
            yield finding(Code.HEALTH_CHECKS_DIFFER, (f"Service/{first[0]}", f"Service/{name}"), says)
    probed = {
        str(at(one, "readinessProbe.httpGet.path"))
        for one in at(setup.pod, "spec.containers", [])
        if at(one, "readinessProbe.httpGet.path")
    }
    for one in ingresses_of(setup):
        path = at(one, "metadata.annotations", {}).get(f"{PREFIX}healthcheck-path")
        if path and probed and path not in probed:
            says = f"Ingress {name_of(one)} checks {path}, the readiness probe {', '.join(sorted(probed))}"
            yield finding(Code.PROBE_DIFFERS, (f"Ingress/{name_of(one)}", f"Rollout/{setup.name}"), says)


def bindings(setup: Setup) -> Iterator[Finding]:
    """No two bindings share a target group, unless they say so."""
    every = list(setup.manifests.of("TargetGroupBinding", setup.namespace))
    groups = Counter(str(at(one, "spec.targetGroupARN") or at(one, "spec.targetGroupName")) for one in every)
    for group, number in groups.items():
        sharing = [one for one in every if group in {at(one, "spec.targetGroupARN"), at(one, "spec.targetGroupName")}]
        if number > 1 and not all(at(one, "spec.multiClusterTargetGroup") for one in sharing):
            objects = tuple(f"TargetGroupBinding/{name_of(one)}" for one in sharing)
            yield finding(Code.BINDING_SHARED, objects, f"{number} TargetGroupBindings use target group {group}")


def quota(setup: Setup) -> Iterator[Finding]:
    """Both versions fit into the production target group, where both are in it."""
    replicas = at(setup.rollout, "spec.replicas", 1)
    together = replicas * 2 if setup.hands_over else replicas
    if isinstance(replicas, int) and together > MOST_TARGETS:
        says = f"{together} targets would be in one target group; AWS's default quota is {MOST_TARGETS}"
        yield finding(Code.TOO_MANY_TARGETS, (f"Rollout/{setup.name}",), says)
    for one in ingresses_of(setup):
        for key, text in at(one, "metadata.annotations", {}).items():
            groups = _groups_of(text) if key.startswith(f"{PREFIX}actions.") else ()
            if len(groups) > MOST_GROUPS:
                says = f"Action {key.removeprefix(PREFIX)} of Ingress {name_of(one)} has {len(groups)} target groups"
                yield finding(Code.TOO_MANY_GROUPS, (f"Ingress/{name_of(one)}",), f"{says}; AWS takes {MOST_GROUPS}")
