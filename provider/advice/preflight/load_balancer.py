"""What the load balancer sees: which target groups there are, how they are set, and what an edit or a switch does."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from provider.advice.preflight.findings import ADVICE, BLOCKS, RISK, Hit, Hits, rule
from provider.advice.preflight.forecast import forecast, switch_of
from provider.advice.preflight.manifests import at, label_of, name_of
from provider.advice.preflight.routing import (
    ALB,
    Backend,
    actions_of,
    annotations_of,
    backends_of,
    ingresses,
    scheme_of,
)
from provider.advice.preflight.setup import Setup, setups
from provider.advice.preflight.target_groups import (
    TargetGroup,
    groups_of,
    is_load_balancer_known,
    own_groups,
    service_port,
    target_groups,
)
from provider.model.records import HASH_LABEL, Topology
from provider.rules.expected_targets import State
from provider.rules.unchecked import unchecked

NOT_IN_USE = "Target.NotInUse"
"""AWS's reason for an `unused` target of a group in no rule, or in a zone that the load balancer does not have."""

MOST_GROUPS, MOST_TARGETS = 5, 1000
"""AWS's quotas: of target groups per action of a rule, which is fixed, and of targets per target group, the default."""

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
        elif group.has_defaults and not group.written_type:
            says = f"{group.label} does not say the target type of Service {group.service}"
            yield Hit(f"{says}: the default is {group.target_type}", (label,), _ANNOTATIONS)


@rule("HealthChecksDiffer", RISK, "Give both Services the same `healthcheck-…` annotations.")
def health_checks(setup: Setup) -> Hits:
    """Preview and production are health-checked in different ways: green can be healthy in one and not in the other."""
    groups = [group for group in own_groups(setup) if group.is_checked]
    first = min(groups, key=lambda group: group.service != setup.production, default=None)
    name, theirs = (first.service, first.health_check) if first else ("", {})
    by_service: dict[str, str] = {}
    for group in groups:
        pairs = [(key, theirs.get(key, value), value) for key, value in group.health_check.items()]
        differ = "; ".join(f"{key} {expected} and {value}" for key, expected, value in pairs if expected != value)
        if differ and group.service != name:
            by_service.setdefault(group.service, differ)
    for service, differ in sorted(by_service.items()):
        says = f"The target groups of Services {name} and {service} are checked differently: {differ}"
        yield Hit(says, (f"Service/{name}", f"Service/{service}"))


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
            old, becomes = before.find("Ingress", name_of(ingress)), scheme_of(setup, ingress)
            was = scheme_of(before, old) if old is not None else becomes
            if was != becomes:
                says = f"Ingress {name_of(ingress)} changes its scheme from {was} to {becomes}: it gets another"
                yield Hit(f"{says} load balancer", (label_of(ingress),), (*_ANNOTATIONS, f"{ALB}scheme"))


def _is_unread(setup: Setup) -> bool:
    return bool({"Ingress", "TargetGroupBinding"} & setup.manifests.unread.keys())


@rule("NoPreviewService", BLOCKS, "Add a `previewService` behind its own listener rule.")
def no_preview(setup: Setup) -> Hits:
    """Without `previewService` green is in no target group before the switch: the gate answers NoPreviewService for
    ever.
    """
    if setup.blue_green is not None and "previewService" not in setup.service_names and setup.gates:
        yield setup.strategy_hit("The strategy has no previewService", is_certain=setup.asks_provider)


@rule("NotBehindLoadBalancer", BLOCKS, "Add a rule for it; a host that only you know is enough.")
def behind(setup: Setup) -> Hits:
    """No Ingress of the ALB controller, no route and no TargetGroupBinding uses this Service: its pods are never
    health-checked, and the gate answers NoBinding for ever.
    """
    named = {name_of(ingress) for ingress in setup.of("Ingress")}
    if _is_unread(setup) or not is_load_balancer_known(setup) or set(setup.routed_ingresses) - named:
        return
    used = {group.service for group in target_groups(setup)}
    used |= {backend.name for ingress in ingresses(setup) for backend in backends_of(ingress)}
    if setup.canary is not None and setup.root in used:
        used |= set(setup.service_names.values())  # Argo writes the pair into the rule of rootService
    for field, name in setup.service_names.items():
        if name not in used:
            says = f"{field} {name} is in no Ingress of the ALB controller, no route and no TargetGroupBinding"
            yield Hit(says, (f"Service/{name}",), is_certain=setup.asks_provider)


@rule("TargetGroupNotInUse", BLOCKS, "Add a rule; weight 0, or a host only you know, is enough.")
def in_use(setup: Setup) -> Hits:
    """No listener rule forwards to the target group, so the load balancer never health-checks it. Seen in a cluster
    only.
    """
    for health in setup.manifests.seen.health:
        if not health.group.in_use:
            says = f"No listener rule forwards to target group {health.group.name} of Service {health.binding.service}"
            yield Hit(says, (f"Service/{health.binding.service}",))


@rule("TargetGroupGone", BLOCKS, "Create the target group, correct the binding, or delete one that is left over.")
def gone(setup: Setup) -> Hits:
    """The target group of a TargetGroupBinding does not exist in AWS: no pod is registered, and the gate answers
    TargetGroupNotFound for ever. Seen in a cluster only.
    """
    for name, says in setup.manifests.seen.gone.items():
        yield Hit(f"TargetGroupBinding {name}: {says}".rstrip("."), (f"TargetGroupBinding/{name}",))


@rule("ZoneNotEnabled", BLOCKS, "Add a subnet of that zone to the load balancer, or keep the pods out of the zone.")
def zones(setup: Setup) -> Hits:
    """Targets are `unused` (Target.NotInUse) although a rule forwards to their group: their pods run in an Availability
    Zone that the load balancer does not have, and never get a request. Seen in a cluster only.
    """
    for health in setup.manifests.seen.health:
        outside = sum(target.state == State.UNUSED and target.reason == NOT_IN_USE for target in health.targets)
        if outside and health.group.in_use:
            says = f"{outside} of {len(health.targets)} targets of {health.group.name} are in no zone of its"
            yield Hit(f"{says} load balancer", (f"Service/{health.binding.service}",))


@rule("PermissionMissing", BLOCKS, "Grant it as in `deploy/base/cluster-role.yaml` and `deploy/iam-policy.json`.")
def rights(setup: Setup) -> Hits:
    """The provider lacks a permission that queries about this Rollout need: they answer Inconclusive for ever. Seen in
    a cluster only.
    """
    yield from (setup.hit(says.rstrip(".")) for says in setup.manifests.seen.denied)


@rule("PortMissing", BLOCKS, "Correct the name or the number.")
def ports(setup: Setup) -> Hits:
    """A port that is named does not exist: the target group stays empty."""
    names = _port_names(setup)
    for name, service in setup.services.items():
        for number, port in enumerate(at(service, "spec.ports", [])):
            target = at(port, "targetPort")
            if names is not None and isinstance(target, str) and not target.isdigit() and target not in names:
                says = f"Service {name} leads to the port {target}, which no container has while it runs"
                is_certain = any(group.is_certain for group in groups_of(setup, name))  # otherwise Argo takes it
                yield Hit(says, (f"Service/{name}", setup.label), ("spec", "ports", number, "targetPort"), is_certain)
    for group in target_groups(setup):
        named = setup.find("Service", group.service)
        is_relevant = group.service in {*setup.service_names.values(), setup.root} and at(named, "spec.ports")
        if is_relevant and group.port != "" and service_port(named, group.port) is None:
            says = f"{group.label} names port {group.port} of Service {group.service}, which does not have it"
            yield Hit(says, (group.object, f"Service/{group.service}"), group.path, group.is_certain)


def _port_names(setup: Setup) -> set[str] | None:
    """Return the names of ports of the containers that run beside each other; None if the pods are not known.

    An init container that restarts always is a sidecar: it runs for as long as the others.
    """
    containers = at(setup.pod, "spec.containers")
    sidecars = [each for each in at(setup.pod, "spec.initContainers", []) if at(each, "restartPolicy") == "Always"]
    every = [port for each in (*(containers or ()), *sidecars) for port in at(each, "ports", [])]
    return {str(at(port, "name")) for port in every if at(port, "name")} if containers is not None else None


@rule("PortNotChecked", RISK, "Add a rule for that port of green's Service; a host that only you know is enough.")
def unchecked_ports(setup: Setup) -> Hits:
    """Production is behind the load balancer at a port at which green's Service is not: before the switch nothing
    checks green there. A pass of the gate names the target groups (`uncheckedTargetGroups`).
    """
    green, production, now = setup.green_service, setup.production, datetime.now(UTC)
    groups = {group.binding(setup).target_group: group for group in own_groups(setup)}
    bindings = tuple(group.binding(setup) for group in groups.values())
    services = {name: service for name in setup.service_names.values() if (service := setup.service(name)) is not None}
    topology = Topology(setup.record, (), services, (), (), bindings, now, now)
    for name in unchecked(topology, green) if groups_of(setup, green) and not _is_unread(setup) else ():
        port = service_port(setup.services.get(production), groups[name].port)
        port_name = f" ({at(port, 'name')})" if at(port, "name") else ""
        says = f"Service {production} is behind the load balancer at port {at(port, 'port', groups[name].port)}"
        says += f"{port_name}, and Service {green} is not"
        yield Hit(f"{says}: no gate sees green there", (f"Service/{production}", f"Service/{green}"))


@rule("BindingShared", RISK, "Give each Service its own target group.")
def shared_bindings(setup: Setup) -> Hits:
    """Several TargetGroupBindings use one target group: without `multiClusterTargetGroup` their controllers deregister
    each other's targets.
    """
    by_group: dict[str, list[str]] = {}
    for binding in setup.of("TargetGroupBinding"):
        group = str(at(binding, "spec.targetGroupARN") or at(binding, "spec.targetGroupName", ""))
        if group and not at(binding, "spec.multiClusterTargetGroup"):
            by_group.setdefault(group, []).append(label_of(binding))
    for group, sharing in by_group.items():
        if len(sharing) > 1:
            yield Hit(f"{len(sharing)} TargetGroupBindings use target group {group}", tuple(sharing))


@rule("TooManyTargets", RISK, "Raise the quota, or use fewer pods.")
def target_quota(setup: Setup) -> Hits:
    """While both versions are in it the production target group would have more than AWS's 1,000 targets (default
    quota).
    """
    together = setup.record.replicas * (2 if setup.hands_over else 1)
    if together > MOST_TARGETS and any(group.target_type == "ip" for group in own_groups(setup)):
        says = f"{together} targets would be in one target group; AWS's default quota is {MOST_TARGETS}"
        yield setup.hit(says, "spec", "replicas")


@rule("TooManyGroups", BLOCKS, "Use fewer Services in one action; batches need one each, so use fewer batches.")
def group_quota(setup: Setup) -> Hits:
    """An action forwards to more than five target groups, AWS's fixed quota per action: the controller cannot write the
    rule, and the load balancer keeps the old one.
    """
    names = {*setup.service_names.values(), setup.root}
    for ingress in ingresses(setup):
        used = {backend.name for backend in backends_of(ingress)}
        for name, forwards in actions_of(ingress).items():
            if len(forwards) > MOST_GROUPS and names & {*used, *(service for service, _ in forwards)}:
                says = f"Action actions.{name} of Ingress {name_of(ingress)} has {len(forwards)} target groups"
                where = (*_ANNOTATIONS, f"{ALB}actions.{name}")
                yield Hit(f"{says}; AWS takes {MOST_GROUPS}", (label_of(ingress),), where)


@rule("PreviewBeforeProduction", RISK, "Give the preview a host, a path or a condition of its own.")
def rule_order(setup: Setup) -> Hits:
    """Rules are tried in their order, and the preview's has the same host and path as production's and stands before
    it: the requests of all users go to the preview.
    """
    green, production = setup.green_service, {setup.production, setup.root} - {"", setup.green_service}
    for ingress in ingresses(setup):
        backends = backends_of(ingress) if f"{ALB}conditions.{green}" not in annotations_of(ingress) else []
        before: dict[tuple[str, str, str], Backend] = {}
        for backend in backends:
            if backend.name == green:
                before.setdefault(backend.match, backend)
            elif backend.name in production and backend.match in before:
                where = f"{backend.host or 'every host'}{backend.route}"
                says = f"In Ingress {name_of(ingress)} the rule of {green} for {where} stands before the one of"
                says += f" {backend.name}: users get {green}"
                yield Hit(says, (label_of(ingress), f"Service/{green}"), before[backend.match].path)


@rule("GreenReachedBeside", RISK, "Let it select one version, or let its rule lead to a Service of the strategy.")
def other_services(setup: Setup) -> Hits:
    """Another Service behind the load balancer selects the pods of every version: its users reach green before any gate
    passes.
    """
    groups = {group.service: group for group in reversed(target_groups(setup)) if not group.condition}
    for service in reversed(groups) if setup.has_strategy else ():
        if service not in setup.service_names.values() and setup.selects_pods(service):
            says = f"Service {service} is behind the load balancer ({groups[service].object}) and selects the pods of"
            says += " every version: its users reach green before the gate"
            yield Hit(says, (f"Service/{service}", groups[service].object))


@rule("ActiveWithoutHash", RISK, "Keep `spec.selector` out of what your GitOps tool enforces, and see that Argo runs.")
def without_hash(setup: Setup) -> Hits:
    """A Service of production selects no pod template hash, so pods of every version get its traffic, whatever the gate
    says. Argo writes it into the strategy's Services when it reconciles the Rollout; something removed it since, or
    Argo is not running. Into `rootService` Argo writes none: let no rule lead to it but with the port `use-annotation`.
    Seen in a cluster only.
    """
    if not setup.manifests.is_live or not setup.record.stable_hash:
        return
    fields = {name: field for field, name in setup.service_names.items() if name == setup.production}
    if setup.root not in fields and setup.selects_pods(setup.root) and groups_of(setup, setup.root):
        fields[setup.root] = "rootService"
    for name, field in fields.items():
        service = setup.find("Service", name)
        if service is not None and HASH_LABEL not in at(service, "spec.selector", {}):
            yield setup.hit(f"{field} {name} selects no {HASH_LABEL}: pods of every version get its traffic")
