"""Target groups of routes: the Service's own configuration, the defaults of its Gateway and class, the controller's."""

import pytest
import yaml

from provider.advice.preflight import inspect
from provider.advice.preflight.findings import Severity
from provider.advice.preflight.forecast import switch_of
from provider.advice.preflight.manifests import parse
from provider.advice.preflight.setup import setups
from provider.advice.preflight.target_groups import groups_of
from tests.advice.preflight.test_findings import Change, objects_of

AWS = "gateway.k8s.aws/v1"
OF_CLASS = {"group": "gateway.k8s.aws", "kind": "LoadBalancerConfiguration", "name": "class", "namespace": "shop"}
OF_GATEWAY = {"group": "gateway.k8s.aws", "kind": "LoadBalancerConfiguration", "name": "gateway"}
IP, INSTANCE = {"targetType": "ip"}, {"targetType": "instance"}


def routed(*added, parameters=OF_GATEWAY, without=()):
    """The example `blue-green` behind a Gateway in place of its Ingress, with these objects beside it."""
    change = Change(objects_of("blue-green"))
    del change.objects["Ingress", "web"]
    gateway = {"gatewayClassName": "alb", "infrastructure": {"parametersRef": parameters}}
    backends = [{"name": "web-active", "port": 80}, {"name": "web-preview", "port": 80}]
    route = {"parentRefs": [{"name": "shared"}], "rules": [{"backendRefs": [backend]} for backend in backends]}
    of_class = {"controllerName": "gateway.k8s.aws/alb", "parametersRef": OF_CLASS}
    for kind, name, spec in (("GatewayClass", "alb", of_class), ("Gateway", "shared", gateway)):
        change.add(manifest("gateway.networking.k8s.io/v1", kind, name, spec))
    change.add(manifest("gateway.networking.k8s.io/v1", "HTTPRoute", "web", route))
    for one in added:
        change.add(one)
    for key in without:
        del change.objects[key]
    [setup] = setups(parse(yaml.safe_dump_all(change.objects.values())))
    return setup


def manifest(api_version, kind, name, spec):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def balancer(name, default=None, **spec):
    spec |= {"defaultTargetGroupConfiguration": {"name": default}} if default else {}
    return manifest(AWS, "LoadBalancerConfiguration", name, spec)


def config(name, default, service="", *routes):
    spec = {"defaultConfiguration": default} | ({"targetReference": {"name": service}} if service else {})
    named = [{"routeIdentifier": identifier, "targetGroupProps": props} for identifier, props in routes]
    return manifest(AWS, "TargetGroupConfiguration", name, spec | {"routeConfigurations": named})


PLAIN = (balancer("class"), balancer("gateway"))
BOTH = (config("a", IP), config("b", INSTANCE), balancer("gateway", "b"))
THIS, OTHER = {"kind": "HTTPRoute", "namespace": "shop", "name": "web"}, {"kind": "HTTPRoute", "namespace": "elsewhere"}


@pytest.mark.parametrize(
    ("added", "target_type"),
    [
        (PLAIN, "instance"),
        (PLAIN[:1], ""),
        ((*PLAIN, config("web", IP, "web-active")), "ip"),
        ((config("a", IP), balancer("class"), balancer("gateway", "a")), "ip"),
        ((balancer("class"), balancer("gateway", "a")), ""),
        ((*BOTH, balancer("class", "a")), "ip"),
        ((*BOTH, balancer("class", "a", mergingMode="prefer-gateway")), "instance"),
        ((*BOTH, balancer("class", "a"), config("web", INSTANCE, "web-active")), "instance"),
        ((*PLAIN, config("web", INSTANCE, "web-active", (THIS, IP))), "ip"),
        ((*PLAIN, config("web", INSTANCE, "web-active", ({"kind": "HTTPRoute"}, IP), (THIS, INSTANCE))), "instance"),
        ((*PLAIN, config("web", INSTANCE, "web-active", (OTHER, IP))), "instance"),
    ],
)
def test_the_target_type_of_a_route(added, target_type):
    """The strongest configuration that says it decides; what is not among the files is not known."""
    setup = routed(*added)

    [group] = groups_of(setup, "web-active")

    assert group.target_type == target_type
    assert switch_of(setup).moves_targets == (target_type == "ip")
    assert bool(switch_of(setup).unknown) == (not target_type)


def test_attributes_of_several_configurations():
    """Attributes are merged by their key, other fields as a whole."""
    slow, late = ({"key": key, "value": "30"} for key in ("slow_start.duration_seconds", "other"))
    check = {"healthCheckConfig": {"healthCheckPath": "/ready"}}
    default = config("a", {**IP, "targetGroupAttributes": [slow], "healthCheckConfig": {"healthCheckInterval": 30}})
    service = config("web", {**check, "targetGroupAttributes": [late]}, "web-active")
    [group] = groups_of(routed(default, service, balancer("class"), balancer("gateway", "a")), "web-active")

    assert group.attributes == {"slow_start.duration_seconds": "30", "other": "30"}
    assert (group.health_check["path"], group.health_check["interval"]) == ("/ready", "15")


@pytest.mark.parametrize(("without", "severity"), [((), Severity.BLOCKS), ([("GatewayClass", "alb")], Severity.RISK)])
def test_a_port_that_a_route_names(without, severity):
    """A missing port blocks behind the controller's GatewayClass; of an unknown class it is a risk."""
    setup = routed(without=without)
    setup.of("HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"][0]["port"] = 81
    [report] = inspect(setup.manifests)

    assert [one.severity for one in report.findings if one.code == "PortMissing"] == [severity]
