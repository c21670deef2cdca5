"""What leads to Services: the Ingresses of the ALB controller, and what Gateways say of a route's target groups.

Source: AWS Load Balancer Controller 3.5, pkg/ingress, docs/guide/ingress/ingress_class.md,
docs/guide/gateway/targetgroupconfig.md, pkg/gateway/tg_config_constructor.go.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provider.advice.preflight.manifests import Object, at, name_of
from provider.advice.preflight.setup import Setup
from provider.sources.kubernetes.schemas import FieldPath

ALB = "alb.ingress.kubernetes.io/"
USE_ANNOTATION = "use-annotation"
INGRESS_CONTROLLERS = ("ingress.k8s.aws/alb", "eks.amazonaws.com/alb")
GATEWAY_CONTROLLERS = ("gateway.k8s.aws/alb", "gateway.k8s.aws/nlb")
OTHERS = ("nginx", "traefik", "haproxy", "kong", "istio", "gce", "contour", "cilium", "azure", "openshift", "apisix")
"""How the IngressClass of other controllers begins, by their own documentation."""

_GROUP_ATTRIBUTES = "targetGroupAttributes"

Forward = tuple[str, int | str]
"""A Service and its port as written."""


@dataclass(frozen=True)
class Backend:
    """A backend of an Ingress: the Service or action that a rule names, with its port as written, and where it is."""

    name: str
    port: int | str
    path: FieldPath
    host: str = ""
    route: str = "/"
    kind: str = ""

    @property
    def match(self) -> tuple[str, str, str]:
        """Which requests its rule takes."""
        return self.host, self.route, self.kind


def annotations_of(manifest: Object | None) -> Mapping[str, str]:
    """Return an object's annotations."""
    annotations: Mapping[str, str] = at(manifest, "metadata.annotations", {})
    return annotations


def ingresses(setup: Setup) -> list[Object]:
    """Return the Ingresses of the namespace that are the ALB controller's, or may be."""
    every = setup.of("Ingress")
    return [ingress for ingress in every if controller_of(setup, ingress) is not False]


def controller_of(setup: Setup, ingress: Object) -> bool | None:
    """Tell whether an Ingress is the ALB controller's; None if nothing tells."""
    name = _class_name(ingress)
    known = setup.manifests.find("IngressClass", "", name)
    if known is not None:
        return at(known, "spec.controller") in INGRESS_CONTROLLERS
    if name == "alb" or name.startswith(OTHERS):
        return name == "alb"
    if any(key.startswith(ALB) for key in annotations_of(ingress)):
        return True
    return False if any(".ingress.kubernetes.io/" in key for key in annotations_of(ingress)) else None


def _class_name(ingress: Object) -> str:
    return str(at(ingress, "spec.ingressClassName") or annotations_of(ingress).get("kubernetes.io/ingress.class", ""))


def class_params(setup: Setup, ingress: Object) -> Object:
    """Return the IngressClassParams of an Ingress, which beat its annotations; empty without any."""
    reference = at(setup.manifests.find("IngressClass", "", _class_name(ingress)), "spec.parameters.name", "")
    params: Object = at(setup.manifests.find("IngressClassParams", "", str(reference)), "spec", {})
    return params


def scheme_of(setup: Setup, ingress: Object) -> str:
    """Return whether an Ingress's load balancer is internal or internet-facing."""
    written = at(class_params(setup, ingress), "scheme") or annotations_of(ingress).get(f"{ALB}scheme")
    return str(written or "internal")


def actions_of(ingress: Object) -> dict[str, list[Forward]]:
    """Return the Services and ports that each action in an annotation forwards to, by the action's name."""
    prefix = f"{ALB}actions."
    annotations = annotations_of(ingress).items()
    return {key.removeprefix(prefix): list(_forwards(text)) for key, text in annotations if key.startswith(prefix)}


def _forwards(text: str) -> Iterator[Forward]:
    try:
        groups = at(_lowered(json.loads(text)), "forwardconfig.targetgroups", [])
    except (ValueError, RecursionError):
        return
    for group in groups if isinstance(groups, list) else []:
        if at(group, "servicename"):
            yield str(group["servicename"]), at(group, "serviceport", "")


def _lowered(node: Any) -> Any:
    """Return JSON with its keys in lower case: Go takes them in any."""
    if isinstance(node, Mapping):
        return {str(key).lower(): _lowered(value) for key, value in node.items()}
    return [_lowered(item) for item in node] if isinstance(node, list) else node


def backends_of(ingress: Object) -> list[Backend]:
    """Return every backend of an Ingress, in the order of its rules; the default one is the last."""
    backends = [
        _backend(at(path, "backend", {}), ("spec", "rules", number, "http", "paths", index), rule, path)
        for number, rule in enumerate(at(ingress, "spec.rules", []))
        for index, path in enumerate(at(rule, "http.paths", []))
    ]
    default = at(ingress, "spec.defaultBackend")
    return [*backends, *([_backend(default, ("spec", "defaultBackend"), {}, {})] if default else [])]


def _backend(backend: Object, where: FieldPath, rule: Object, path: Object) -> Backend:
    port = at(backend, "service.port.name") or at(backend, "service.port.number", "")
    route, kind = str(at(path, "path", "/")), str(at(path, "pathType", ""))
    return Backend(str(at(backend, "service.name", "")), port, where, str(at(rule, "host", "")), route, kind)


def forwards_of(setup: Setup, ingress: Object, backend: Backend) -> list[Forward]:
    """Return what a backend forwards to: itself, or its action, into which Argo writes the strategy's Services."""
    if backend.port != USE_ANNOTATION:
        return [(backend.name, backend.port)]
    forwards = actions_of(ingress).get(backend.name, [])
    if backend.name != setup.root or at(ingress, "metadata.name") not in setup.routed_ingresses:
        return forwards
    named, port = {name for name, _ in forwards}, str(at(setup.canary, "trafficRouting.alb.servicePort", ""))
    return [*forwards, *((name, port) for name in setup.service_names.values() if name not in named)]


@dataclass(frozen=True)
class RouteSettings:
    """What is said of a route's target group: by which Gateway, and whether that is the controller's (None: unknown).

    `is_complete` is whether every configuration is known, so that what none says has the controller's default.
    """

    gateway: str
    is_ours: bool | None
    is_complete: bool
    props: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of the target group."""
        return {str(at(each, "key")): str(at(each, "value", "")) for each in items(self.props, _GROUP_ATTRIBUTES)}


def items(node: Any, path: str) -> list[Any]:
    """Return a list in an object that no schema checks."""
    value = at(node, path)
    return value if isinstance(value, list) else []


def settings_of(setup: Setup, route: Object, service: str) -> RouteSettings:
    """Return what is said of the target group that a route makes for a Service: by the Service's own configuration,
    then by the defaults of the Gateway and of its class.
    """
    parent: Any = next(iter(items(route, "spec.parentRefs")), {})
    name, namespace = str(at(parent, "name", "")), str(at(parent, "namespace", setup.namespace))
    gateway = setup.manifests.find("Gateway", namespace, name)
    of_class = setup.manifests.find("GatewayClass", "", str(at(gateway, "spec.gatewayClassName", "")))
    is_ours = None if of_class is None else at(of_class, "spec.controllerName") in GATEWAY_CONTROLLERS
    several = setup.of("TargetGroupConfiguration")
    own = [config for config in several if at(config, "spec.targetReference.name") == service]
    by_class = _default(setup, at(of_class, "spec.parametersRef"), namespace)
    by_gateway = _default(setup, at(gateway, "spec.infrastructure.parametersRef"), namespace)
    defaults = [config for config, _, _ in (by_class, by_gateway) if config is not None]
    if by_class[2] == "prefer-gateway":
        defaults.reverse()
    layers = [*_layers(own[-1:], setup, route), *_layers(defaults, setup, route)]
    is_complete = of_class is not None and by_class[1] and by_gateway[1]
    return RouteSettings(f"Gateway {namespace}/{name}", True if own else is_ours, is_complete, _merged(layers))


def _default(setup: Setup, reference: Any, namespace: str) -> tuple[Object | None, bool, str]:
    """Return a LoadBalancerConfiguration's default for target groups, whether all is known, and its mergingMode."""
    if reference is None:
        return None, True, ""
    where = str(at(reference, "namespace", namespace))
    config = setup.manifests.find("LoadBalancerConfiguration", where, str(at(reference, "name", "")))
    name = at(config, "spec.defaultTargetGroupConfiguration.name")
    default = setup.manifests.find("TargetGroupConfiguration", where, str(name)) if name else None
    is_known = config is not None and (default is not None or not name)
    return default, is_known, str(at(config, "spec.mergingMode", ""))


def _layers(configs: list[Object], setup: Setup, route: Object) -> Iterator[Any]:
    """Yield what configurations say, the first the strongest; only the strongest one's word on routes counts."""
    key = (at(route, "kind"), at(route, "metadata.namespace", setup.namespace), name_of(route))
    by_rank: dict[int, Any] = {}
    for each in items(next(iter(configs), None), "spec.routeConfigurations"):
        identifier = tuple(at(each, f"routeIdentifier.{part}") for part in ("kind", "namespace", "name"))
        rank = len([part for part in identifier if part])
        if rank and identifier == (*key[:rank], *(None,) * (3 - rank)):
            by_rank.setdefault(rank, at(each, "targetGroupProps", {}))
    yield from ([by_rank[max(by_rank)]] if by_rank else [])
    yield from (at(config, "spec.defaultConfiguration", {}) for config in configs)


def _merged(layers: list[Any]) -> dict[str, Any]:
    """Merge by field, the first layer the strongest; attributes by their key."""
    props: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for layer in reversed([layer for layer in layers if isinstance(layer, Mapping)]):
        props |= layer
        attributes |= {str(at(each, "key")): each for each in items(layer, _GROUP_ATTRIBUTES)}
    return props | {_GROUP_ATTRIBUTES: list(attributes.values())}
