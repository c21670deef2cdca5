"""What Gateways and the configurations of the AWS Load Balancer Controller say of a route's target groups.

Source: AWS Load Balancer Controller 3.5, docs/guide/gateway/targetgroupconfig.md, pkg/gateway/tg_config_constructor.go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provider.advice.preflight.manifests import Object, at, name_of
from provider.advice.preflight.setup import Setup

CONTROLLERS = ("gateway.k8s.aws/alb", "gateway.k8s.aws/nlb")
_ATTRIBUTES = "targetGroupAttributes"


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
        return {str(at(each, "key")): str(at(each, "value", "")) for each in items(self.props, _ATTRIBUTES)}


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
    is_ours = None if of_class is None else at(of_class, "spec.controllerName") in CONTROLLERS
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
    for config in configs[:1]:
        ranked = []
        for each in items(config, "spec.routeConfigurations"):
            identifier = [at(each, f"routeIdentifier.{part}") for part in ("kind", "namespace", "name")]
            written = [part for part in identifier if part]
            if identifier == [*written, *(None,) * (3 - len(written))] and tuple(written) == key[: len(written)]:
                ranked.append((len(written), at(each, "targetGroupProps", {})))
        yield from [props for rank, props in sorted(ranked, key=lambda pair: -pair[0]) if rank][:1]
    yield from (at(config, "spec.defaultConfiguration", {}) for config in configs)


def _merged(layers: list[Any]) -> dict[str, Any]:
    """Merge by field, the first layer the strongest; attributes by their key."""
    props: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for layer in reversed([layer for layer in layers if isinstance(layer, Mapping)]):
        props |= layer
        attributes |= {str(at(each, "key")): each for each in items(layer, _ATTRIBUTES)}
    return props | {_ATTRIBUTES: list(attributes.values())}
