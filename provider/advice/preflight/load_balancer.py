"""What the load balancer sees: which target groups there are, with which settings, and what a switch does to them."""

from collections.abc import Iterator

from provider.advice.preflight.findings import Hit, Severity, rule
from provider.advice.preflight.forecast import forecast, switch_of
from provider.advice.preflight.manifests import at, label_of, name_of
from provider.advice.preflight.setup import Setup, setups
from provider.advice.preflight.target_groups import (
    ALB,
    TargetGroup,
    actions_of,
    backends_of,
    groups_of,
    ingresses,
    is_load_balancer_known,
    scheme_of,
    service_port,
    target_groups,
)
from provider.model.records import HASH_LABEL
from provider.rules.expected_targets import State
from provider.rules.unchecked import unchecked

BLOCKS, RISK, ADVICE = Severity.BLOCKS, Severity.RISK, Severity.ADVICE
NOT_IN_USE = "Target.NotInUse"
"""AWS's reason for an `unused` target of a group in no rule, or in a zone that the load balancer does not have."""

MOST_GROUPS = 5
"""AWS's quota of target groups per action of a rule, which cannot be raised."""

MOST_TARGETS = 1000
"""AWS's default quota of targets per target group and load balancer."""

ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
DNS = "target_group_health.dns_failover.minimum_healthy_targets"
AT_LEAST_ONE = {"1", "off"}
"""AWS's defaults of `.count` and `.percentage`: failover begins without any healthy target."""


def _is_unread(setup: Setup) -> bool:
    return bool({"Ingress", "TargetGroupBinding"} & setup.manifests.unread.keys())


def _own_groups(setup: Setup) -> list[TargetGroup]:
    names = set(setup.service_names.values())
    return [group for group in target_groups(setup) if group.service in names]


@rule(
    "NoPreviewService",
    BLOCKS,
    "Without `previewService` green is in no target group before the switch: the gate answers NoPreviewService "
    "for ever.",
    "Add a `previewService` behind its own listener rule.",
)
def no_preview(setup: Setup) -> Iterator[Hit]:
    """Blue-green with a gate has a preview Service."""
    if setup.blue_green is not None and "previewService" not in setup.service_names and setup.gates:
        severity = None if setup.asks_provider else RISK
        yield Hit("The strategy has no previewService", (setup.label,), ("spec", "strategy", "blueGreen"), severity)


@rule(
    "NotBehindLoadBalancer",
    BLOCKS,
    "No Ingress of the ALB controller, no route and no TargetGroupBinding uses this Service: its pods are never "
    "health-checked, and the gate answers NoBinding for ever.",
    "Add a rule for it; a host that only you know is enough.",
)
def behind(setup: Setup) -> Iterator[Hit]:
    """Each Service that is judged is behind the load balancer, as far as Ingresses, routes and bindings are known."""
    if _is_unread(setup) or not is_load_balancer_known(setup):
        return
    used = {group.service for group in target_groups(setup)}
    used |= {backend.name for ingress in ingresses(setup) for backend in backends_of(ingress)}
    if setup.canary is not None and setup.root in used:
        used |= set(setup.service_names.values())  # Argo writes the pair into the rule of rootService
    missing = [
        ingress
        for ingress in setup.routed_ingresses
        if ("Ingress", setup.namespace, ingress) not in setup.manifests.objects
    ]
    for field, name in setup.service_names.items() if not missing else ():
        if name not in used:
            says = f"{field} {name} is in no Ingress of the ALB controller, no route and no TargetGroupBinding"
            yield Hit(says, (f"Service/{name}",), (), None if setup.asks_provider else RISK)


@rule(
    "TargetGroupNotInUse",
    BLOCKS,
    "No listener rule forwards to the target group, so the load balancer never health-checks it. Seen in a "
    "cluster only.",
    "Add a rule; weight 0, or a host only you know, is enough.",
)
def in_use(setup: Setup) -> Iterator[Hit]:
    """A listener rule forwards to each target group of the Rollout's Services."""
    for service, groups in setup.manifests.seen.groups.items():
        for group in groups:
            if not group.in_use:
                yield Hit(
                    f"No listener rule forwards to target group {group.name} of Service {service}",
                    (f"Service/{service}",),
                )


@rule(
    "TargetGroupGone",
    BLOCKS,
    "The target group of a TargetGroupBinding does not exist in AWS: no pod is registered, and the gate answers "
    "TargetGroupNotFound for ever. Seen in a cluster only.",
    "Create the target group or correct the binding; delete a binding that is left over.",
)
def gone(setup: Setup) -> Iterator[Hit]:
    """The target group of each binding exists."""
    for name, says in setup.manifests.seen.gone.items():
        yield Hit(f"TargetGroupBinding {name}: {says}".rstrip("."), (f"TargetGroupBinding/{name}",))


@rule(
    "ZoneNotEnabled",
    BLOCKS,
    "Targets are `unused` (Target.NotInUse) although a rule forwards to their group: their pods run in an "
    "Availability Zone that the load balancer does not have, and never get a request. Seen in a cluster only.",
    "Add a subnet of that zone to the load balancer, or keep the pods out of the zone.",
)
def zones(setup: Setup) -> Iterator[Hit]:
    """Each pod is in an Availability Zone that the load balancer has."""
    for service, several in setup.manifests.seen.health.items():
        for health in several:
            outside = sum(one.state == State.UNUSED and one.reason == NOT_IN_USE for one in health.targets)
            if outside and health.group.in_use:
                says = f"{outside} of {len(health.targets)} targets of {health.group.name} are in no zone of its"
                yield Hit(f"{says} load balancer", (f"Service/{service}",))


@rule(
    "PermissionMissing",
    BLOCKS,
    "The provider lacks a permission that queries about this Rollout need: they answer Inconclusive for ever. "
    "Seen in a cluster only.",
    "Grant it: `deploy/base/cluster-role.yaml` and `deploy/iam-policy.json` have all of them.",
)
def rights(setup: Setup) -> Iterator[Hit]:
    """The provider may read what queries about this Rollout need."""
    for says in setup.manifests.seen.denied:
        yield Hit(says.rstrip("."), (setup.label,))


@rule(
    "PortMissing",
    BLOCKS,
    "A port that is named does not exist: the target group stays empty.",
    "Correct the name or the number.",
)
def ports(setup: Setup) -> Iterator[Hit]:
    """Each port that a Service, an Ingress, a route or a binding names exists."""
    names = container_ports(setup)
    for name, service in setup.services.items():
        for number, port in enumerate(at(service, "spec.ports", [])):
            target = at(port, "targetPort")
            if names is not None and isinstance(target, str) and not target.isdigit() and target not in names:
                says = f"Service {name} leads to the port {target}, which no container has while it runs"
                yield Hit(says, (f"Service/{name}", setup.label), ("spec", "ports", number, "targetPort"))
    for group in target_groups(setup):
        target_of = setup.manifests.find("Service", setup.namespace, group.service)
        ours = group.service in {*setup.service_names.values(), setup.root}
        if ours and at(target_of, "spec.ports") and group.port != "" and service_port(target_of, group.port) is None:
            says = f"{group.object.replace('/', ' ')} names port {group.port} of Service {group.service}"
            yield Hit(f"{says}, which does not have it", (group.object, f"Service/{group.service}"), group.path)


def container_ports(setup: Setup) -> dict[str, int] | None:
    """Return the named ports of the containers that run beside each other; None if the pod is not known.

    An init container that restarts always is a sidecar: it runs for as long as the others.
    """
    containers = at(setup.pod, "spec.containers")
    if not isinstance(containers, list):
        return None
    sidecars = [one for one in at(setup.pod, "spec.initContainers", []) if at(one, "restartPolicy") == "Always"]
    every = [port for one in (*containers, *sidecars) for port in at(one, "ports", [])]
    return {str(at(port, "name")): at(port, "containerPort", 0) for port in every if at(port, "name")}


@rule(
    "PortNotChecked",
    RISK,
    "Production is behind the load balancer at a port at which green's Service is not: before the switch nothing "
    "checks green there. A pass of the gate names the target groups (`uncheckedTargetGroups`).",
    "Add a rule for that port of green's Service; a host that only you know is enough.",
)
def unchecked_ports(setup: Setup) -> Iterator[Hit]:
    """Each production target group has a counterpart of green's, by the rule of the live gate."""
    green, production = setup.green_service, setup.production
    if _is_unread(setup) or not groups_of(setup, green):
        return
    bindings = {group.binding(setup).target_group: group for group in _own_groups(setup)}
    pairs = tuple(group.binding(setup) for group in bindings.values())
    for name in unchecked(setup.topology(pairs), green):
        group = bindings.get(name)
        if group is not None:
            port = service_port(setup.services.get(production), group.port)
            port_name = f" ({at(port, 'name')})" if at(port, "name") else ""
            where = f"at port {at(port, 'port', group.port)}{port_name}"
            says = f"Service {production} is behind the load balancer {where}, and Service {green} is not"
            yield Hit(f"{says}: no gate sees green there", (f"Service/{production}", f"Service/{green}"))


@rule(
    "TargetTypeUnset",
    ADVICE,
    "The Ingress or the TargetGroupBinding does not say its target type: the controller's default is `instance`, "
    "where single pods are never judged; a binding takes the target group's.",
    f"Set `{ALB}target-type: ip`, or `spec.targetType` of the binding.",
)
def target_types(setup: Setup) -> Iterator[Hit]:
    """Each Ingress and each binding says its target type."""
    for group in {group.object: group for group in _own_groups(setup)}.values():
        if group.object.startswith("TargetGroupBinding/"):
            written = setup.manifests.find("TargetGroupBinding", setup.namespace, group.object.partition("/")[2])
            if written is not None and not at(written, "spec.targetType"):
                yield Hit(f"{group.object.replace('/', ' ')} has no targetType", (group.object,), ("spec",))
        elif group.is_default_type:
            says = f"{group.object.replace('/', ' ')} does not say the target type of Service {group.service}"
            yield Hit(f"{says}: the default is {group.target_type}", (group.object,), ("metadata", "annotations"))


@rule(
    "HealthChecksDiffer",
    RISK,
    "Preview and production are health-checked in different ways: green can be healthy in one and not in the other.",
    "Give both Services the same `healthcheck-…` annotations.",
)
def health_checks(setup: Setup) -> Iterator[Hit]:
    """The target groups of production and of green are checked alike."""
    groups = [group for group in _own_groups(setup) if group.is_checked]
    first = next((group for group in groups if group.service == setup.production), groups[0] if groups else None)
    told = set()
    for group in groups:
        theirs = first.health_check if first else {}
        differ = [
            f"{key} {theirs[key]} and {value}"
            for key, value in group.health_check.items()
            if key in theirs and theirs[key] != value
        ]
        if first and differ and group.service != first.service and group.service not in told:
            told.add(group.service)
            says = f"The target groups of Services {first.service} and {group.service} are checked differently"
            yield Hit(f"{says}: {'; '.join(differ)}", (f"Service/{first.service}", f"Service/{group.service}"))


@rule(
    "ProbeDiffers",
    ADVICE,
    "The readiness probe and the load balancer check different paths: a pod can be Ready and unhealthy.",
    "Check the same path in both.",
)
def probes(setup: Setup) -> Iterator[Hit]:
    """The load balancer checks what the readiness probe does."""
    paths = [at(one, "readinessProbe.httpGet.path") for one in at(setup.pod, "spec.containers", [])]
    probed = sorted({str(path) for path in paths if path})
    for group in {group.object: group for group in _own_groups(setup) if not setup.manifests.is_live}.values():
        path = group.health_check.get("path", "")
        if (
            path
            and probed
            and path not in probed
            and group.is_checked
            and group.health_check.get("protocol", "").startswith("HTTP")
        ):
            is_written = group.object.startswith("Ingress/")
            says = f"{group.object.replace('/', ' ')} checks {path}, the readiness probe {', '.join(probed)}"
            if is_written:
                yield Hit(says, (group.object, setup.label), ("metadata", "annotations", f"{ALB}healthcheck-path"))


@rule(
    "SwitchHasGap",
    RISK,
    "With `ip` targets the switch moves a selector: the controller deregisters blue, then registers green, and "
    "until the first health check passes no target serves traffic.",
    "Use the ping-pong canary, instance targets, or a handover (docs/handover.md).",
)
def gap(setup: Setup) -> Iterator[Hit]:
    """The switch leaves no time without a healthy target."""
    switch = switch_of(setup)
    if switch.moves_targets and switch.pods:
        expected = forecast(switch)
        says = (
            f"The switch moves the selector of Service {setup.production}, whose targets are pods (ip): "
            f"{expected.gap.says('s')} without a healthy target, and all {switch.pods} healthy after "
            f"{expected.whole.expected:.1f} s"
        )
        yield Hit(says, (setup.label, f"Service/{setup.production}"), ("spec", "strategy"))


@rule(
    "BindingShared",
    RISK,
    "Several TargetGroupBindings use one target group: without `multiClusterTargetGroup` their controllers "
    "deregister each other's targets.",
    "Give each Service its own target group.",
)
def shared_bindings(setup: Setup) -> Iterator[Hit]:
    """No two bindings share a target group, unless they say so."""
    by_group: dict[str, list[str]] = {}
    for binding in setup.manifests.of("TargetGroupBinding", setup.namespace):
        group = str(at(binding, "spec.targetGroupARN") or at(binding, "spec.targetGroupName", ""))
        if group and not at(binding, "spec.multiClusterTargetGroup"):
            by_group.setdefault(group, []).append(label_of(binding))
    for group, sharing in by_group.items():
        if len(sharing) > 1:
            yield Hit(f"{len(sharing)} TargetGroupBindings use target group {group}", tuple(sharing))


@rule(
    "TooManyTargets",
    RISK,
    "While both versions are in it the production target group would have more than AWS's 1,000 targets (default "
    "quota).",
    "Raise the quota, or use fewer pods.",
)
def target_quota(setup: Setup) -> Iterator[Hit]:
    """Both versions fit into the production target group, where both are in it."""
    together = setup.record.replicas * (2 if setup.hands_over else 1)
    is_by_pod = any(group.target_type == "ip" for group in _own_groups(setup))
    if together > MOST_TARGETS and is_by_pod:
        says = f"{together} targets would be in one target group; AWS's default quota is {MOST_TARGETS}"
        yield Hit(says, (setup.label,), ("spec", "replicas"))


@rule(
    "TooManyGroups",
    BLOCKS,
    "An action forwards to more than five target groups, AWS's fixed quota per action: the controller cannot "
    "write the rule, and the load balancer keeps the old one.",
    "Use fewer Services in one action; batches need one each, so use fewer batches.",
)
def group_quota(setup: Setup) -> Iterator[Hit]:
    """No action forwards to more target groups than AWS takes."""
    names = {*setup.service_names.values(), setup.root}
    for ingress in ingresses(setup):
        used = {backend.name for backend in backends_of(ingress)}
        for name, forwards in actions_of(ingress).items():
            if len(forwards) > MOST_GROUPS and names & {*used, *(one for one, _, _ in forwards)}:
                says = f"Action actions.{name} of Ingress {name_of(ingress)} has {len(forwards)} target groups"
                says += f"; AWS takes {MOST_GROUPS}"
                yield Hit(says, (label_of(ingress),), ("metadata", "annotations", f"{ALB}actions.{name}"))


@rule(
    "PreviewBeforeProduction",
    RISK,
    "Rules are tried in their order, and the preview's has the same host and path as production's and stands "
    "before it: the requests of all users go to the preview.",
    "Give the preview a host, a path or a condition of its own.",
)
def rule_order(setup: Setup) -> Iterator[Hit]:
    """No rule of green takes what is meant for production."""
    green, production = setup.green_service, {setup.production, setup.root} - {""}
    for ingress in ingresses(setup):
        conditions = {key.removeprefix(f"{ALB}conditions.") for key in at(ingress, "metadata.annotations", {})}
        before = []
        for backend in backends_of(ingress):
            if backend.name == green and backend.name not in conditions:
                before.append(backend)
            same = [
                one for one in before if (one.host, one.route, one.kind) == (backend.host, backend.route, backend.kind)
            ]
            if backend.name in production and same and backend.name != green:
                where = f"{backend.host or 'every host'}{backend.route}"
                says = f"In Ingress {name_of(ingress)} the rule of {green} for {where}"
                says += f" stands before the one of {backend.name}: users get {green}"
                yield Hit(says, (label_of(ingress), f"Service/{green}"), same[0].path)


@rule(
    "GreenReachedBeside",
    RISK,
    "Another Service behind the load balancer selects the pods of every version: its users reach green before any"
    " gate passes.",
    "Let it select one version, or let its rule lead to a Service of the strategy.",
)
def other_services(setup: Setup) -> Iterator[Hit]:
    """No Service but the strategy's leads to green."""
    labels = at(setup.pod, "metadata.labels", {})
    told = set()
    for group in target_groups(setup):
        service = setup.manifests.find("Service", setup.namespace, group.service)
        selector = at(service, "spec.selector", {})
        is_own = group.service in setup.service_names.values() or group.service in told
        if is_own or not selector or HASH_LABEL in selector or not labels or group.condition:
            continue
        if all(labels.get(key) == value for key, value in selector.items()) and (setup.blue_green or setup.canary):
            told.add(group.service)
            says = f"Service {group.service} is behind the load balancer ({group.object})"
            yield Hit(
                f"{says} and selects the pods of every version: its users reach green before the gate",
                (f"Service/{group.service}", group.object),
            )


@rule(
    "FailsOverEarly",
    RISK,
    "With a higher threshold of healthy targets the load balancer gives up on a target group in which only the "
    "first targets of green are healthy: it sends requests to unhealthy targets too, or takes the zone out of "
    "DNS.",
    "Leave `minimum_healthy_targets` at AWS's default (count 1, percentage off), or use the ping-pong canary.",
)
def failover(setup: Setup) -> Iterator[Hit]:
    """A few healthy targets at the beginning of a switch are enough for the load balancer to use only those."""
    for objects, attributes in _attributes(setup):
        for name, means in ((ROUTING, "requests go to unhealthy targets too"), (DNS, "the zone leaves DNS")):
            for unit in ("count", "percentage"):
                least = attributes.get(f"{name}.{unit}", "1" if unit == "count" else "off")
                if least not in AT_LEAST_ONE:
                    below = f"{least}{' %' if unit == 'percentage' else ''} healthy targets"
                    yield Hit(f"Below {below} {means} ({name}.{unit})", objects)


def _attributes(setup: Setup) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """Return each set of attributes of the Rollout's target groups, with what has it."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for group in _own_groups(setup):
        label = f"Service/{group.service}" if setup.manifests.is_live else group.object
        key = (label, *sorted(f"{name}={value}" for name, value in group.attributes.items()))
        found[key] = dict(group.attributes)
    return [((key[0],), attributes) for key, attributes in found.items()]


@rule(
    "SlowStart",
    ADVICE,
    "With slow start a new target gets its share only gradually, and a switch moves all of them at once.",
    "Remove `slow_start.duration_seconds`; warm green up before the switch instead.",
)
def slow_start(setup: Setup) -> Iterator[Hit]:
    """Nothing keeps green from its share."""
    for objects, attributes in _attributes(setup):
        slow = attributes.get("slow_start.duration_seconds", "0")
        if slow != "0":
            yield Hit(f"slow_start.duration_seconds is {slow}", objects)


@rule(
    "Stickiness",
    ADVICE,
    "With stickiness users stay with a target of the old version until it is deregistered.",
    "Expect requests to both versions after the switch, or turn it off.",
)
def stickiness(setup: Setup) -> Iterator[Hit]:
    """Nothing keeps users with blue."""
    for objects, attributes in _attributes(setup):
        if attributes.get("stickiness.enabled") == "true":
            yield Hit("stickiness.enabled is true", objects)


@rule(
    "TargetGroupRenamed",
    RISK,
    "The edit gives the Service a new target group: the controller builds its name from the group, the Ingress, "
    "the Service, the port as the rule writes it, the target type and port, the protocol and the target control "
    "port. It begins empty and without metrics, no running pod has its readiness gate, and the rule moves to it "
    "before its targets are healthy. Seen with `--before` only.",
    "Add a second Service or Ingress with the new settings, move traffic by weight, and remove the old one later.",
)
def renamed(setup: Setup) -> Iterator[Hit]:
    """Each role keeps the target groups that it has before the edit."""
    for before in _before(setup):
        for field, was in before.service_names.items():
            name = setup.service_names.get(field, "")
            old = [group for group in groups_of(before, was) if group.inputs]
            new = [group for group in groups_of(setup, name) if group.inputs]
            kept = [group.inputs for group in new]
            for group in old:
                if group.inputs in kept or not new:
                    continue
                same = [one for one in new if (one.host, one.route) == (group.host, group.route)] or new
                becomes = next((one for one in same if one.inputs not in [each.inputs for each in old]), same[0])
                changes = [
                    f"{key} from {value} to {becomes.inputs[key]}"
                    for key, value in group.inputs.items()
                    if becomes.inputs[key] != value
                ]
                if changes:
                    says = f"Service {name} in {becomes.object.replace('/', ' ')} gets a new target group"
                    yield Hit(f"{says}: {', '.join(changes)}", (f"Service/{name}", becomes.object), becomes.path)


def _before(setup: Setup) -> list[Setup]:
    if setup.manifests.before is None:
        return []
    return [one for one in setups(setup.manifests.before) if (one.name, one.namespace) == (setup.name, setup.namespace)]


@rule(
    "LoadBalancerReplaced",
    RISK,
    "A load balancer cannot change its scheme: the controller makes another one with another address, and deletes"
    " the old one. Seen with `--before` only.",
    "Add a second Ingress with the new scheme, move the users' DNS name to it, and remove the old one later.",
)
def replaced(setup: Setup) -> Iterator[Hit]:
    """Each Ingress keeps its load balancer."""
    for before in _before(setup):
        for ingress in ingresses(setup):
            old = before.manifests.find("Ingress", setup.namespace, name_of(ingress))
            was, becomes = (scheme_of(before, old) if old else ""), scheme_of(setup, ingress)
            if old is not None and was != becomes:
                says = f"Ingress {name_of(ingress)} changes its scheme from {was} to {becomes}"
                yield Hit(
                    f"{says}: it gets another load balancer",
                    (label_of(ingress),),
                    ("metadata", "annotations", f"{ALB}scheme"),
                )
