"""How target groups are set, and what an edit or a switch does to them."""

from collections.abc import Iterator, Mapping

from provider.advice.preflight.findings import ADVICE, RISK, Hit, Hits, rule
from provider.advice.preflight.forecast import forecast, switch_of
from provider.advice.preflight.ingresses import ALB, ingresses, scheme_of
from provider.advice.preflight.manifests import at, label_of, name_of
from provider.advice.preflight.setup import Setup, setups
from provider.advice.preflight.target_groups import TargetGroup, groups_of, own_groups

ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
DNS = "target_group_health.dns_failover.minimum_healthy_targets"
_ANNOTATIONS = ("metadata", "annotations")


def _groups(setup: Setup) -> dict[str, TargetGroup]:
    """Return a target group of the Rollout's Services for each object that makes one: the last."""
    return {group.object: group for group in own_groups(setup)}


@rule("TargetTypeUnset", ADVICE, f"Set `{ALB}target-type: ip`, or `spec.targetType` of the binding.")
def target_types(setup: Setup) -> Hits:
    """The Ingress or the TargetGroupBinding does not say its target type: the controller's default is `instance`, where
    single pods are never judged; a binding takes the target group's.
    """
    for label, group in _groups(setup).items():
        kind, _, name = label.partition("/")
        binding = setup.find(kind, name) if kind == "TargetGroupBinding" else None
        if binding is not None and not at(binding, "spec.targetType"):
            yield Hit(f"{group.label} has no targetType", (label,), ("spec",))
        elif group.is_default_type:
            says = f"{group.label} does not say the target type of Service {group.service}"
            yield Hit(f"{says}: the default is {group.target_type}", (label,), _ANNOTATIONS)


@rule("HealthChecksDiffer", RISK, "Give both Services the same `healthcheck-…` annotations.")
def health_checks(setup: Setup) -> Hits:
    """Preview and production are health-checked in different ways: green can be healthy in one and not in the other."""
    groups = [group for group in own_groups(setup) if group.is_checked]
    first = next((group for group in groups if group.service == setup.production), groups[0] if groups else None)
    others = {group.service for group in groups if first} - {first.service if first else ""}
    for service in sorted(others):
        theirs = first.health_check if first else {}
        for group in groups:
            differ = [
                f"{key} {theirs[key]} and {value}"
                for key, value in group.health_check.items()
                if theirs.get(key, value) != value
            ]
            if first and group.service == service and differ:
                says = f"The target groups of Services {first.service} and {service} are checked differently"
                yield Hit(f"{says}: {'; '.join(differ)}", (f"Service/{first.service}", f"Service/{service}"))
                break


@rule("ProbeDiffers", ADVICE, "Check the same path in both.")
def probes(setup: Setup) -> Hits:
    """The readiness probe and the load balancer check different paths: a pod can be Ready and unhealthy."""
    paths = [at(container, "readinessProbe.httpGet.path") for container in at(setup.pod, "spec.containers", [])]
    probed = sorted({str(path) for path in paths if path})
    for label, group in _groups(setup).items() if probed and not setup.manifests.is_live else ():
        path = group.health_check.get("path", "")
        is_http = label.startswith("Ingress/") and group.health_check["protocol"].startswith("HTTP")
        if path and is_http and path not in probed:
            says = f"{group.label} checks {path}, the readiness probe {', '.join(probed)}"
            yield Hit(says, (label, setup.label), (*_ANNOTATIONS, f"{ALB}healthcheck-path"))


def _attributes(setup: Setup) -> Iterator[tuple[tuple[str], Mapping[str, str]]]:
    """Yield each set of attributes of the Rollout's target groups, with what has it."""
    for group in {(each.object, *sorted(each.attributes.items())): each for each in own_groups(setup)}.values():
        yield (f"Service/{group.service}" if setup.manifests.is_live else group.object,), group.attributes


@rule("FailsOverEarly", RISK, "Leave `minimum_healthy_targets` at AWS's default (count 1, percentage off).")
def failover(setup: Setup) -> Hits:
    """With a higher threshold of healthy targets the load balancer gives up on a target group in which only the first
    targets of green are healthy: it sends requests to unhealthy targets too, or takes the zone out of DNS.
    """
    for objects, attributes in _attributes(setup):
        for name, means in ((ROUTING, "requests go to unhealthy targets too"), (DNS, "the zone leaves DNS")):
            for unit in ("count", "percentage"):
                least = attributes.get(f"{name}.{unit}", "1")
                if least not in {"1", "off"}:  # AWS's defaults: only without any healthy target
                    below = f"{least}{' %' if unit == 'percentage' else ''} healthy targets"
                    yield Hit(f"Below {below} {means} ({name}.{unit})", objects)


@rule("SlowStart", ADVICE, "Remove `slow_start.duration_seconds`; warm green up before the switch instead.")
def slow_start(setup: Setup) -> Hits:
    """With slow start a new target gets its share only gradually, and a switch moves all of them at once."""
    for objects, attributes in _attributes(setup):
        slow = attributes.get("slow_start.duration_seconds", "0")
        if slow != "0":
            yield Hit(f"slow_start.duration_seconds is {slow}", objects)


@rule("Stickiness", ADVICE, "Expect requests to both versions after the switch, or turn it off.")
def stickiness(setup: Setup) -> Hits:
    """With stickiness users stay with a target of the old version until it is deregistered."""
    for objects, attributes in _attributes(setup):
        if attributes.get("stickiness.enabled") == "true":
            yield Hit("stickiness.enabled is true", objects)


@rule("SwitchHasGap", RISK, "Use the ping-pong canary, instance targets, or a handover (docs/handover.md).")
def gap(setup: Setup) -> Hits:
    """With `ip` targets the switch moves a selector: the controller deregisters blue, then registers green, and until
    the first health check passes no target serves traffic.
    """
    switch = switch_of(setup)
    if switch.moves_targets and switch.pods:
        expected = forecast(switch)
        says = f"The switch moves the selector of Service {setup.production}, whose targets are pods (ip):"
        says += f" {expected.gap.says('s')} without a healthy target, and all {switch.pods} healthy after"
        says += f" {expected.whole.expected:.1f} s"
        yield setup.hit(says, "spec", "strategy", also=(f"Service/{setup.production}",))


@rule("TargetGroupRenamed", RISK, "Add a second Service or Ingress, move traffic by weight, remove the old one later.")
def renamed(setup: Setup) -> Hits:
    """The edit gives the Service a new target group: the controller builds its name from the group, the Ingress, the
    Service, the port as the rule writes it, the target type and port, the protocol and the target control port. It
    begins empty and without metrics, no running pod has its readiness gate, and the rule moves to it before its targets
    are healthy. Seen with `--before` only.
    """
    for before in _before(setup):
        for field, was in before.service_names.items():
            name = setup.service_names.get(field, "")
            old = [group for group in groups_of(before, was) if group.inputs]
            new = [group for group in groups_of(setup, name) if group.inputs]
            for group in old if new else ():
                if any(other.inputs == group.inputs for other in new):
                    continue
                same = [other for other in new if (other.host, other.route) == (group.host, group.route)] or new
                becomes = next((other for other in same if all(other.inputs != each.inputs for each in old)), same[0])
                changes = [
                    f"{key} from {value} to {becomes.inputs[key]}"
                    for key, value in group.inputs.items()
                    if becomes.inputs[key] != value
                ]
                says = f"Service {name} in {becomes.label} gets a new target group: {', '.join(changes)}"
                yield Hit(says, (f"Service/{name}", becomes.object), becomes.path)


def _before(setup: Setup) -> list[Setup]:
    every = setups(setup.manifests.before) if setup.manifests.before is not None else []
    return [before for before in every if (before.name, before.namespace) == (setup.name, setup.namespace)]


@rule("LoadBalancerReplaced", RISK, "Add a second Ingress with the new scheme, and move the users' DNS name to it.")
def replaced(setup: Setup) -> Hits:
    """A load balancer cannot change its scheme: the controller makes another one with another address, and deletes the
    old one. Seen with `--before` only.
    """
    for before in _before(setup):
        for ingress in ingresses(setup):
            old, becomes = (
                before.manifests.find("Ingress", setup.namespace, name_of(ingress)),
                scheme_of(setup, ingress),
            )
            was = scheme_of(before, old) if old is not None else becomes
            if was != becomes:
                says = f"Ingress {name_of(ingress)} changes its scheme from {was} to {becomes}: it gets another"
                yield Hit(f"{says} load balancer", (label_of(ingress),), (*_ANNOTATIONS, f"{ALB}scheme"))
