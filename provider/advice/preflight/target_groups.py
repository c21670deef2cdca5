"""Which target groups each Service gets, and with which settings: the one resolver of preflight, forecast and convert.

A setting is the Service's annotation, else its own Ingress's, Gateway's or load balancer Service's, else the
controller's default of that kind. In a cluster AWS says them. What belongs to another controller makes no target group.
Source: AWS Load Balancer Controller 3.5, pkg/ingress/model_build_target_group.go, pkg/gateway/model,
pkg/service/model_build_target_group.go.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

import msgspec

from provider.advice.preflight.manifests import Object, at, label_of, name_of
from provider.advice.preflight.routing import (
    ALB,
    Backend,
    Forward,
    RouteSettings,
    annotations_of,
    backends_of,
    class_params,
    controller_of,
    forwards_of,
    ingresses,
    items,
    settings_of,
)
from provider.advice.preflight.setup import Setup
from provider.model import records
from provider.sources.kubernetes.schemas import FieldPath
from provider.sources.kubernetes.shapes.answers import record_of
from provider.sources.kubernetes.shapes.service import TargetGroupBinding

NLB = "service.beta.kubernetes.io/aws-load-balancer-"
NLB_CLASSES = {"service.k8s.aws/nlb", "eks.amazonaws.com/nlb"}
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
INTERVAL_SECONDS = 15.0

_HEALTH = {
    "path": ("healthcheck-path", "healthCheckPath", "/"),
    "port": ("healthcheck-port", "healthCheckPort", "traffic-port"),
    "protocol": ("healthcheck-protocol", "healthCheckProtocol", ""),
    "codes": ("success-codes", "matcher.httpCode", "200"),
    "interval": ("healthcheck-interval-seconds", "healthCheckInterval", "15"),
    "timeout": ("healthcheck-timeout-seconds", "healthCheckTimeout", "5"),
    "healthy threshold": ("healthy-threshold-count", "healthyThresholdCount", "2"),
    "unhealthy threshold": ("unhealthy-threshold-count", "unhealthyThresholdCount", "2"),
}
"""Of a health check: an Ingress's annotation, a TargetGroupConfiguration's field, the controller's default."""

_NLB_HEALTH = {"path": "/", "port": "traffic-port", "protocol": "TCP", "interval": "10"}
"""Of a load balancer Service: what an annotation can say, with the controller's default."""


@dataclass(frozen=True)
class TargetGroup:
    """A target group that a Service gets. A text is empty, and a number 0, where nothing that is known tells.

    `port` is as the rule writes it. `object` is what makes it, and `path` where there. `inputs` are what the controller
    builds its name from: another value is another target group. `is_certain` is whether the AWS Load Balancer
    Controller makes it for sure. `has_defaults` is whether what nothing says has the controller's default, and
    `is_checked` whether all health check settings are known: of a binding in files none is.
    """

    service: str
    port: int | str
    object: str
    path: FieldPath = ()
    written_type: str = ""
    health_check: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    load_balancer: str = ""
    host: str = ""
    route: str = ""
    condition: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    is_certain: bool = True
    has_defaults: bool = False
    is_checked: bool = True

    @property
    def target_type(self) -> str:
        """What its targets are, by the controller's default where nothing says it."""
        return self.written_type or ("instance" if self.has_defaults else "")

    @property
    def label(self) -> str:
        """How a sentence names what makes it."""
        return self.object.replace("/", " ", 1)

    @property
    def interval_seconds(self) -> float:
        """The seconds between two health checks; the controller's default where it is not known."""
        text = self.health_check.get("interval", "")
        return float(text) if text.isdigit() and int(text) > 0 else INTERVAL_SECONDS

    def binding(self, setup: Setup) -> records.Binding:
        """Return the TargetGroupBinding that the controller makes for it, as the live gate reads one."""
        kind, _, name = self.object.partition("/")
        written = setup.find(kind, name) if kind == "TargetGroupBinding" else None
        with suppress(msgspec.ValidationError):
            if written is not None and isinstance(binding := record_of(TargetGroupBinding, written), records.Binding):
                return binding
        port: int | str = int(self.port) if str(self.port).isdigit() else self.port
        name = f"{self.object}/{self.service}:{self.port}"
        return records.Binding(name, self.service, port, "", name, "IPv4", "", stack=self.load_balancer)


@lru_cache(maxsize=4)
def target_groups(setup: Setup) -> tuple[TargetGroup, ...]:
    """Return every target group of the Rollout's namespace; in a cluster its bindings tell which there are."""
    bound = (*_described(setup), *_of_bindings(setup))
    if setup.manifests.is_live and bound:
        return bound
    of_ingresses = (
        _of_ingress(setup, ingress, backend, forward)
        for ingress in ingresses(setup)
        for backend in backends_of(ingress)
        for forward in forwards_of(setup, ingress, backend)
    )
    return (*bound, *of_ingresses, *_of_routes(setup), *_of_services(setup))


def groups_of(setup: Setup, service: str) -> list[TargetGroup]:
    """Return the target groups of one Service."""
    return [group for group in target_groups(setup) if group.service == service]


def own_groups(setup: Setup) -> list[TargetGroup]:
    """Return the target groups of the Rollout's Services."""
    return [group for group in target_groups(setup) if group.service in setup.service_names.values()]


def is_load_balancer_known(setup: Setup) -> bool:
    """Tell whether anything among the manifests leads requests to Services of the namespace."""
    is_routed = any(setup.of(kind) for kind in ("Ingress", "TargetGroupBinding", *ROUTES))
    return is_routed or any(at(service, "spec.type") == "LoadBalancer" for service in setup.of("Service"))


def service_port(service: Object | None, port: int | str) -> Object | None:
    """Return the port of a Service that a rule names, by its number or its name."""
    every = at(service, "spec.ports", [])
    return next((one for one in every if str(port) in {str(at(one, "port")), str(at(one, "name"))}), None)


def _of_ingress(setup: Setup, ingress: Object, backend: Backend, forward: Forward) -> TargetGroup:
    """Return the target group that an Ingress makes for a Service's port."""
    name, port = forward
    service, annotations = setup.find("Service", name), annotations_of(ingress)
    merged, params = {**annotations, **annotations_of(service)}, class_params(setup, ingress)
    group_name = str(at(params, "group.name") or annotations.get(f"{ALB}group.name", ""))
    protocol = str(merged.get(f"{ALB}backend-protocol", "HTTP")).upper()
    health = {key: str(merged.get(ALB + annotation, default)) for key, (annotation, _, default) in _HEALTH.items()}
    is_ours = controller_of(setup, ingress) is True
    group = TargetGroup(
        service=name,
        port=port,
        object=label_of(ingress),
        path=backend.path,
        written_type=str(at(params, "targetType") or merged.get(f"{ALB}target-type", "")),
        health_check=health | {"protocol": health["protocol"] or protocol},
        attributes=_attributes(merged.get(f"{ALB}target-group-attributes", "")),
        load_balancer=f"group {group_name}" if group_name else f"Ingress {setup.namespace}/{name_of(ingress)}",
        host=backend.host,
        route=backend.route,
        condition=str(annotations.get(f"{ALB}conditions.{backend.name}", "")),
        is_certain=is_ours,
        has_defaults=is_ours,
    )
    inputs = {
        "group.name": group_name or "none",
        "Ingress": name_of(ingress),
        "Service": name,
        "port": str(port),
        "target type": group.target_type or "not known",
        "target port": _target_port(service, port, group.target_type),
        "backend-protocol": protocol,
        "backend-protocol-version": str(merged.get(f"{ALB}backend-protocol-version", "HTTP1")),
        "target control port": str(merged.get(f"{ALB}target-control-port.{name}.{port}", "none")),
    }
    return replace(group, inputs=inputs)


def _target_port(service: Object | None, port: int | str, target_type: str) -> str:
    """Return the port in a target group's name: a node port for instances, else a number, or that it has a name."""
    written = service_port(service, port)
    if target_type != "ip":
        return str(at(written, "nodePort", "of the node"))
    target = at(written, "targetPort") or at(written, "port", "not known")
    return "a name" if isinstance(target, str) and target != "not known" else str(target)


def _attributes(text: object) -> dict[str, str]:
    pairs = [part.partition("=") for part in str(text).split(",") if "=" in part]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _of_routes(setup: Setup) -> Iterator[TargetGroup]:
    routes = [route for kind in ROUTES for route in setup.of(kind)]
    for route in routes:
        for number, rule in enumerate(items(route, "spec.rules")):
            for index, backend in enumerate(items(rule, "backendRefs")):
                is_near = at(backend, "namespace", setup.namespace) == setup.namespace
                is_service = at(backend, "kind", "Service") == "Service" and isinstance(at(backend, "name"), str)
                settings = settings_of(setup, route, str(at(backend, "name"))) if is_near and is_service else None
                if settings is not None and settings.is_ours is not False:
                    yield _of_route(route, backend, settings, ("spec", "rules", number, "backendRefs", index))


def _of_route(route: Object, backend: Object, settings: RouteSettings, path: FieldPath) -> TargetGroup:
    port, is_known = at(backend, "port", ""), bool(settings.is_ours) and settings.is_complete
    check = {
        key: at(settings.props, f"healthCheckConfig.{name}", default) for key, (_, name, default) in _HEALTH.items()
    }
    health = {key: str(value) for key, value in check.items()}
    return TargetGroup(
        service=str(at(backend, "name", "")),
        port=port if isinstance(port, int | str) else "",
        object=label_of(route),
        path=path,
        written_type=str(at(settings.props, "targetType") or ""),
        health_check=health | {"protocol": health["protocol"] or "HTTP"},
        attributes=settings.attributes,
        load_balancer=settings.gateway,
        is_certain=bool(settings.is_ours),
        has_defaults=is_known,
        is_checked=is_known,
    )


def _of_services(setup: Setup) -> Iterator[TargetGroup]:
    """Yield those of Services of type LoadBalancer: each has a network load balancer of its own."""
    every = setup.of("Service")
    for service in (each for each in every if at(each, "spec.type") == "LoadBalancer"):
        annotations = annotations_of(service)
        kind = annotations.get(f"{NLB}type", "")
        written = "ip" if kind == "nlb-ip" else annotations.get(f"{NLB}nlb-target-type")
        is_ours = kind in {"external", "nlb-ip"} or str(at(service, "spec.loadBalancerClass")) in NLB_CLASSES
        check = {key: str(annotations.get(f"{NLB}healthcheck-{key}", default)) for key, default in _NLB_HEALTH.items()}
        for number, port in enumerate(at(service, "spec.ports", [])):
            yield TargetGroup(
                service=name_of(service),
                port=at(port, "port", ""),
                object=label_of(service),
                path=("spec", "ports", number),
                written_type=str(written or ""),
                health_check=check | {"protocol": check["protocol"].upper()},
                attributes=_attributes(annotations.get(f"{NLB}target-group-attributes", "")),
                load_balancer=label_of(service),
                is_certain=is_ours,
                has_defaults=is_ours,
                is_checked=bool(written) or is_ours,
            )


def _of_bindings(setup: Setup) -> Iterator[TargetGroup]:
    """Yield the group of each binding of which AWS said nothing."""
    described = {each.binding.name for each in setup.manifests.seen.health}
    services = {each.binding.service for each in setup.manifests.seen.health}
    for manifest in setup.of("TargetGroupBinding"):
        service = str(at(manifest, "spec.serviceRef.name", ""))
        if name_of(manifest) not in described and service not in services:
            yield TargetGroup(
                service=service,
                port=at(manifest, "spec.serviceRef.port", ""),
                object=label_of(manifest),
                path=("spec", "serviceRef"),
                written_type=str(at(manifest, "spec.targetType", "")),
                load_balancer=label_of(manifest),
                is_checked=False,
            )


def _described(setup: Setup) -> Iterator[TargetGroup]:
    """Yield what AWS says of each target group."""
    for health in setup.manifests.seen.health:
        group, check = health.group, health.group.health_check
        yield TargetGroup(
            service=health.binding.service,
            port=health.binding.port,
            object=f"TargetGroupBinding/{health.binding.name}",
            written_type=group.target_type,
            health_check={
                "protocol": str(check.protocol),
                "port": str(check.port),
                "path": str(check.path),
                "codes": str(check.codes),
                "interval": str(group.health_check_interval_seconds),
                "timeout": str(check.timeout_seconds),
                "healthy threshold": str(check.healthy_threshold),
                "unhealthy threshold": str(group.unhealthy_threshold),
            },
            attributes=setup.manifests.seen.attributes.get(group.arn, {}),
            load_balancer=health.binding.stack or "".join(group.load_balancer_arns[:1]),
        )
