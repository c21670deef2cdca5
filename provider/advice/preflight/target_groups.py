"""Which target groups each Service gets, and with which settings: the one resolver of preflight, forecast and convert.

A setting is the Service's annotation, else its own Ingress's, Gateway's or load balancer Service's, else the
controller's default of that kind. In a cluster AWS says them. What belongs to another controller makes no target group.
Source: AWS Load Balancer Controller 3.5, pkg/ingress/model_build_target_group.go, pkg/gateway/model,
pkg/service/model_build_target_group.go; docs/guide/ingress/ingress_class.md.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import msgspec

from provider.advice.preflight.manifests import Object, at, label_of, name_of
from provider.advice.preflight.setup import Setup
from provider.model import records
from provider.sources.kubernetes.schemas import FieldPath
from provider.sources.kubernetes.shapes.answers import record_of
from provider.sources.kubernetes.shapes.binding import TargetGroupBinding

ALB = "alb.ingress.kubernetes.io/"
NLB = "service.beta.kubernetes.io/aws-load-balancer-"
USE_ANNOTATION = "use-annotation"
CONTROLLERS = ("ingress.k8s.aws/alb", "eks.amazonaws.com/alb")
GATEWAY_CONTROLLERS = ("gateway.k8s.aws/alb", "gateway.k8s.aws/nlb")
OTHERS = ("nginx", "traefik", "haproxy", "kong", "istio", "gce", "contour", "cilium", "azure", "openshift", "apisix")
"""How the IngressClass of other controllers begins, by their own documentation."""

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")

_HEALTH = {
    "path": ("healthcheck-path", "/"),
    "port": ("healthcheck-port", "traffic-port"),
    "protocol": ("healthcheck-protocol", ""),
    "codes": ("success-codes", "200"),
    "interval": ("healthcheck-interval-seconds", "15"),
    "timeout": ("healthcheck-timeout-seconds", "5"),
    "healthy threshold": ("healthy-threshold-count", "2"),
    "unhealthy threshold": ("unhealthy-threshold-count", "2"),
}
"""What a health check has, with the annotation of an Ingress and the controller's default."""

_GATEWAY_HEALTH = {
    "path": "healthCheckPath", "port": "healthCheckPort", "protocol": "healthCheckProtocol",
    "codes": "matcher.httpCode", "interval": "healthCheckInterval", "timeout": "healthCheckTimeout",
    "healthy threshold": "healthyThresholdCount", "unhealthy threshold": "unhealthyThresholdCount",
}  # fmt: skip


@dataclass(frozen=True)
class TargetGroup:
    """A target group that a Service gets. A text is empty, and a number 0, where nothing that is known tells.

    `port` is as the rule writes it. `object` is what makes it, and `path` where there. `inputs` are what the controller
    builds its name from: another value is another target group.
    """

    service: str
    port: int | str
    object: str
    path: FieldPath = ()
    target_type: str = ""
    is_default_type: bool = False
    health_check: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    load_balancer: str = ""
    host: str = ""
    route: str = ""
    condition: str = ""
    weight: int = 1
    inputs: Mapping[str, str] = field(default_factory=dict)
    is_checked: bool = True
    """Whether all health check settings are known: of a binding in files none is."""

    @property
    def label(self) -> str:
        """How a sentence names what makes it."""
        return self.object.replace("/", " ", 1)

    @property
    def interval_seconds(self) -> float:
        """The seconds between two health checks; the controller's default where it is not known."""
        text = self.health_check.get("interval", "")
        return float(text) if text.isdigit() and int(text) > 0 else 15.0

    def binding(self, setup: Setup) -> records.Binding:
        """Return the TargetGroupBinding that the controller makes for it, as the live gate reads one."""
        port: int | str = int(self.port) if str(self.port).isdigit() else self.port
        name = f"{self.object}/{self.service}:{self.port}"
        written = setup.manifests.find("TargetGroupBinding", setup.namespace, self.object.partition("/")[2])
        if written is not None and self.object.startswith("TargetGroupBinding/"):
            try:
                binding = record_of(TargetGroupBinding, written)
                return binding if isinstance(binding, records.Binding) else _binding(name, self, port)
            except msgspec.ValidationError:
                pass
        return _binding(name, self, port)


def _binding(name: str, group: TargetGroup, port: int | str) -> records.Binding:
    return records.Binding(name, group.service, port, "", name, "IPv4", "", stack=group.load_balancer)


@lru_cache(maxsize=4)
def target_groups(setup: Setup) -> tuple[TargetGroup, ...]:
    """Return every target group of the Rollout's namespace; in a cluster its bindings tell which there are."""
    bound = tuple(_of_bindings(setup))
    if setup.manifests.is_live and bound:
        return bound
    return (*bound, *_of_ingresses(setup), *_of_routes(setup), *_of_services(setup))


def groups_of(setup: Setup, service: str) -> list[TargetGroup]:
    """Return the target groups of one Service."""
    return [group for group in target_groups(setup) if group.service == service]


def is_load_balancer_known(setup: Setup) -> bool:
    """Tell whether anything among the manifests leads requests to Services of the namespace."""
    kinds = ("Ingress", "TargetGroupBinding", *ROUTES)
    routed = any(True for kind in kinds for _ in setup.manifests.of(kind, setup.namespace))
    return routed or any(
        at(one, "spec.type") == "LoadBalancer" for one in setup.manifests.of("Service", setup.namespace)
    )


def ingresses(setup: Setup) -> list[Object]:
    """Return the Ingresses of the namespace that are the ALB controller's, or may be."""
    every = setup.manifests.of("Ingress", setup.namespace)
    return [ingress for ingress in every if controller_of(setup, ingress) is not False]


def annotations_of(manifest: Object | None) -> Mapping[str, str]:
    """Return an object's annotations."""
    found = at(manifest, "metadata.annotations", {})
    return found if isinstance(found, Mapping) else {}


def controller_of(setup: Setup, ingress: Object) -> bool | None:
    """Tell whether an Ingress is the ALB controller's; None if nothing tells."""
    annotations = annotations_of(ingress)
    name = str(at(ingress, "spec.ingressClassName") or annotations.get("kubernetes.io/ingress.class", ""))
    known = setup.manifests.find("IngressClass", "", name)
    if known is not None:
        return at(known, "spec.controller") in CONTROLLERS
    if name == "alb":
        return True
    if name.startswith(OTHERS):
        return False
    if any(key.startswith(ALB) for key in annotations):
        return True
    return None if not any(".ingress.kubernetes.io/" in key for key in annotations) else False


def _class_params(setup: Setup, ingress: Object) -> Object:
    name = str(at(ingress, "spec.ingressClassName") or annotations_of(ingress).get("kubernetes.io/ingress.class", ""))
    reference = at(setup.manifests.find("IngressClass", "", name), "spec.parameters.name", "")
    return at(setup.manifests.find("IngressClassParams", "", str(reference)), "spec", {}) or {}


def scheme_of(setup: Setup, ingress: Object) -> str:
    """Return whether an Ingress's load balancer is internal or internet-facing."""
    written = at(_class_params(setup, ingress), "scheme") or annotations_of(ingress).get(f"{ALB}scheme")
    return str(written or "internal")


def actions_of(ingress: Object) -> dict[str, list[tuple[str, int | str, int]]]:
    """Return the Services, ports and weights that each action in an annotation forwards to, by the action's name."""
    prefix = f"{ALB}actions."
    found: dict[str, list[tuple[str, int | str, int]]] = {}
    for key, text in annotations_of(ingress).items():
        if key.startswith(prefix):
            found[key.removeprefix(prefix)] = list(_forwards(text))
    return found


def _forwards(text: str) -> Iterator[tuple[str, int | str, int]]:
    try:
        action = _lowered(json.loads(text))
    except (ValueError, RecursionError):
        return
    groups = at(action, "forwardconfig.targetgroups", [])
    for group in groups if isinstance(groups, list) else []:
        if at(group, "servicename"):
            weight = at(group, "weight", 1)
            yield str(group["servicename"]), at(group, "serviceport", ""), weight if isinstance(weight, int) else 1


def _lowered(node: Any) -> Any:
    """Return JSON with its keys in lower case: Go takes them in any."""
    if isinstance(node, Mapping):
        return {str(key).lower(): _lowered(value) for key, value in node.items()}
    return [_lowered(item) for item in node] if isinstance(node, list) else node


@dataclass(frozen=True)
class Backend:
    """A backend of an Ingress: the Service or action that a rule names, with its port as written, and where it is."""

    name: str
    port: int | str
    path: FieldPath
    host: str = ""
    route: str = ""
    kind: str = ""

    @property
    def match(self) -> tuple[str, str, str]:
        """Which requests its rule takes."""
        return self.host, self.route, self.kind


def backends_of(ingress: Object) -> list[Backend]:
    """Return every backend of an Ingress, in the order of its rules; the default one is the last."""
    found = []
    for number, rule in enumerate(at(ingress, "spec.rules", [])):
        for index, path in enumerate(at(rule, "http.paths", [])):
            where: FieldPath = ("spec", "rules", number, "http", "paths", index)
            found.append(_backend(at(path, "backend", {}), where, str(at(rule, "host", "")), path))
    default = at(ingress, "spec.defaultBackend")
    return [*found, *([_backend(default, ("spec", "defaultBackend"), "", {})] if default else [])]


def _backend(backend: Object, path: FieldPath, host: str, rule: Object) -> Backend:
    port = at(backend, "service.port.name") or at(backend, "service.port.number", "")
    return Backend(
        str(at(backend, "service.name", "")),
        port,
        path,
        host,
        str(at(rule, "path", "/")),
        str(at(rule, "pathType", "")),
    )


def _of_ingresses(setup: Setup) -> Iterator[TargetGroup]:
    for ingress in ingresses(setup):
        actions, annotations = actions_of(ingress), annotations_of(ingress)
        for backend in backends_of(ingress):
            if backend.port != USE_ANNOTATION:
                forwards: list[tuple[str, int | str, int]] = [(backend.name, backend.port, 1)]
            else:
                forwards = actions.get(backend.name, [])
                if backend.name == setup.root and name_of(ingress) in setup.routed_ingresses:
                    named = {name for name, _, _ in forwards}
                    written = str(at(setup.canary, "trafficRouting.alb.servicePort", ""))
                    forwards = [
                        *forwards,
                        *((one, written, 0) for one in setup.service_names.values() if one not in named),
                    ]
            for service, port, weight in forwards:
                group = of_ingress(setup, ingress, service, port)
                yield replace(
                    group, path=backend.path, host=backend.host, route=backend.route, weight=weight,
                    condition=str(annotations.get(f"{ALB}conditions.{backend.name}", "")),
                )  # fmt: skip


def of_ingress(setup: Setup, ingress: Object, name: str, port: int | str) -> TargetGroup:
    """Return the target group that an Ingress of the ALB controller makes for a Service's port."""
    service, of_ingress = setup.manifests.find("Service", setup.namespace, name), annotations_of(ingress)
    merged = {**of_ingress, **annotations_of(service)}
    params = _class_params(setup, ingress)
    written = at(params, "targetType") or merged.get(f"{ALB}target-type")
    is_ours = controller_of(setup, ingress) is True
    target_type = str(written or ("instance" if is_ours else ""))
    group = str(at(params, "group.name") or of_ingress.get(f"{ALB}group.name", ""))
    protocol = str(merged.get(f"{ALB}backend-protocol", "HTTP")).upper()
    health = {key: str(merged.get(ALB + annotation, default)) for key, (annotation, default) in _HEALTH.items()}
    return TargetGroup(
        service=name,
        port=port,
        object=label_of(ingress),
        target_type=target_type,
        is_default_type=not written and is_ours,
        health_check=health | {"protocol": health["protocol"] or protocol},
        attributes=_attributes(merged.get(f"{ALB}target-group-attributes", "")),
        load_balancer=f"group {group}" if group else f"Ingress {setup.namespace}/{name_of(ingress)}",
        inputs={
            "group.name": group or "none",
            "Ingress": name_of(ingress),
            "Service": name,
            "port": str(port),
            "target type": target_type or "not known",
            "target port": _target_port(service, port, target_type),
            "backend-protocol": protocol,
            "backend-protocol-version": str(merged.get(f"{ALB}backend-protocol-version", "HTTP1")),
            "target control port": str(merged.get(f"{ALB}target-control-port.{name}.{port}", "none")),
        },
    )


def service_port(service: Object | None, port: int | str) -> Object | None:
    """Return the port of a Service that a rule names, by its number or its name."""
    every = at(service, "spec.ports", [])
    return next((one for one in every if str(port) in {str(at(one, "port")), str(at(one, "name"))}), None)


def _target_port(service: Object | None, port: int | str, target_type: str) -> str:
    """Return the port in a target group's name: a node port for instances, else a number, or that it has a name."""
    found = service_port(service, port)
    if target_type != "ip":
        return str(at(found, "nodePort", "of the node"))
    target = at(found, "targetPort") or at(found, "port", "not known")
    return "a name" if isinstance(target, str) and target != "not known" else str(target)


def _attributes(text: object) -> dict[str, str]:
    pairs = [part.partition("=") for part in str(text).split(",") if "=" in part]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _of_routes(setup: Setup) -> Iterator[TargetGroup]:
    for kind in ROUTES:
        for route in setup.manifests.of(kind, setup.namespace):
            controller, load_balancer = _gateway_of(setup, route)
            if controller is False:
                continue
            for number, rule in enumerate(_list(at(route, "spec.rules"))):
                for index, backend in enumerate(_list(at(rule, "backendRefs"))):
                    if at(backend, "kind", "Service") != "Service" or not isinstance(at(backend, "name"), str):
                        continue
                    if at(backend, "namespace", setup.namespace) != setup.namespace:
                        continue
                    where: FieldPath = ("spec", "rules", number, "backendRefs", index)
                    yield _of_route(setup, route, backend, (controller, load_balancer), where)


def _list(node: object) -> list[Any]:
    return node if isinstance(node, list) else []


def _gateway_of(setup: Setup, route: Object) -> tuple[bool | None, str]:
    """Tell whether a route's Gateway is the load balancer controller's (None if nothing tells), and name it."""
    parent: Any = next(iter(_list(at(route, "spec.parentRefs"))), {})
    name, namespace = str(at(parent, "name", "")), str(at(parent, "namespace", setup.namespace))
    gateway = setup.manifests.find("Gateway", namespace, name)
    known = setup.manifests.find("GatewayClass", "", str(at(gateway, "spec.gatewayClassName", "")))
    is_ours = None if known is None else at(known, "spec.controllerName") in GATEWAY_CONTROLLERS
    return is_ours, f"Gateway {namespace}/{name}"


def _of_route(
    setup: Setup,
    route: Object,
    backend: Object,
    gateway: tuple[bool | None, str],
    path: FieldPath,
) -> TargetGroup:
    name, port = str(at(backend, "name", "")), at(backend, "port", "")
    controller, load_balancer = gateway
    config: Any = {}
    for manifest in setup.manifests.of("TargetGroupConfiguration", setup.namespace):
        if at(manifest, "spec.targetReference.name") == name:
            config, controller = at(manifest, "spec.defaultConfiguration", {}), True
    written = at(config, "targetType")
    attributes = [one for one in _list(at(config, "targetGroupAttributes")) if isinstance(one, Mapping)]
    health = {
        key: str(at(config, f"healthCheckConfig.{where}", _HEALTH[key][1])) for key, where in _GATEWAY_HEALTH.items()
    }
    return TargetGroup(
        service=name,
        port=port if isinstance(port, int | str) else "",
        object=label_of(route),
        path=path,
        target_type=str(written or ("instance" if controller else "")),
        is_default_type=not written and bool(controller),
        health_check=health | {"protocol": health["protocol"] or "HTTP"},
        attributes={str(at(one, "key")): str(at(one, "value", "")) for one in attributes},
        load_balancer=load_balancer,
        is_checked=controller is True,
    )


def _of_services(setup: Setup) -> Iterator[TargetGroup]:
    """Yield those of Services of type LoadBalancer: each has a network load balancer of its own."""
    for service in setup.manifests.of("Service", setup.namespace):
        if at(service, "spec.type") != "LoadBalancer":
            continue
        annotations, name = annotations_of(service), name_of(service)
        written = annotations.get(f"{NLB}nlb-target-type")
        kind = annotations.get(f"{NLB}type", "")
        written = "ip" if kind == "nlb-ip" else written
        is_ours = kind in {"external", "nlb-ip"} or str(at(service, "spec.loadBalancerClass", "")) in {
            "service.k8s.aws/nlb", "eks.amazonaws.com/nlb"
        }  # fmt: skip
        check = {"interval": str(annotations.get(f"{NLB}healthcheck-interval", "10"))}
        check["path"] = str(annotations.get(f"{NLB}healthcheck-path", "/"))
        check["protocol"] = str(annotations.get(f"{NLB}healthcheck-protocol", "TCP")).upper()
        check["port"] = str(annotations.get(f"{NLB}healthcheck-port", "traffic-port"))
        for number, port in enumerate(at(service, "spec.ports", [])):
            yield TargetGroup(
                service=name,
                port=at(port, "port", ""),
                object=label_of(service),
                path=("spec", "ports", number),
                target_type=str(written or ("instance" if is_ours else "")),
                is_default_type=not written and is_ours,
                health_check=check,
                attributes=_attributes(annotations.get(f"{NLB}target-group-attributes", "")),
                load_balancer=label_of(service),
                is_checked=bool(written) or is_ours,
            )


def _of_bindings(setup: Setup) -> Iterator[TargetGroup]:
    """Yield the group of each binding; in a cluster with what AWS says of it."""
    seen = setup.manifests.seen
    described = {one.binding.name for several in seen.health.values() for one in several}
    for service, several in seen.health.items():
        attributes = seen.attributes.get(service, ())
        for number, health in enumerate(several):
            yield TargetGroup(
                service=service,
                port=health.binding.port,
                object=f"TargetGroupBinding/{health.binding.name}",
                target_type=health.group.target_type,
                health_check=_described(health.group),
                attributes=attributes[number] if number < len(attributes) else {},
                load_balancer=health.binding.stack or "".join(health.group.load_balancer_arns[:1]),
            )
    for manifest in setup.manifests.of("TargetGroupBinding", setup.namespace):
        service = str(at(manifest, "spec.serviceRef.name", ""))
        if name_of(manifest) not in described and service not in seen.health:
            yield TargetGroup(
                service=service,
                port=at(manifest, "spec.serviceRef.port", ""),
                object=label_of(manifest),
                path=("spec", "serviceRef"),
                target_type=str(at(manifest, "spec.targetType", "")),
                load_balancer=label_of(manifest),
                is_checked=False,
            )


def _described(group: records.TargetGroup) -> dict[str, str]:
    """Return the health check that AWS says."""
    check = group.health_check
    return {
        "protocol": str(check.protocol),
        "port": str(check.port),
        "path": str(check.path),
        "codes": str(check.codes),
        "interval": str(group.health_check_interval_seconds),
        "timeout": str(check.timeout_seconds),
        "healthy threshold": str(check.healthy_threshold),
        "unhealthy threshold": str(group.unhealthy_threshold),
    }
