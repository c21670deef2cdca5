"""What AWS says of the target groups, and what green's pods say of their readiness gates: only known in a cluster."""

from collections.abc import Iterator
from datetime import datetime

from provider.evidence.records import TargetGroup
from provider.preflight.findings import Code, Finding, finding
from provider.preflight.manifests import Object, Setup, at, name_of

GATE = "target-health.elbv2.k8s.aws/"


def in_use(setup: Setup) -> Iterator[Finding]:
    """A listener rule forwards to each target group of the Rollout's Services."""
    for service, groups in setup.manifests.groups.items():
        for group in groups:
            if not group.in_use:
                says = f"No listener rule forwards to target group {group.name} of Service {service}"
                yield finding(Code.TARGET_GROUP_NOT_IN_USE, (f"Service/{service}",), says)


def health_checks(setup: Setup) -> Iterator[Finding]:
    """The target groups of all of the strategy's Services are checked alike."""
    known = [(service, group) for service, groups in setup.manifests.groups.items() for group in groups]
    for service, group in known[1:]:
        first_service, first = known[0]
        ours, theirs = _settings(group), _settings(first)
        differ = [f"{name} {theirs[name]} and {ours[name]}" for name in ours if ours[name] != theirs[name]]
        if differ:
            says = f"The target groups of Services {first_service} and {service} differ: {'; '.join(differ)}"
            yield finding(Code.HEALTH_CHECKS_DIFFER, (f"Service/{first_service}", f"Service/{service}"), says)


def _settings(group: TargetGroup) -> dict[str, object]:
    check = group.health_check
    return {
        "protocol": check.protocol,
        "port": check.port,
        "path": check.path,
        "codes": check.codes,
        "interval": group.health_check_interval_seconds,
        "timeout": check.timeout_seconds,
        "healthy threshold": check.healthy_threshold,
        "unhealthy threshold": group.unhealthy_threshold,
    }


def readiness_gates(setup: Setup) -> Iterator[Finding]:
    """Each of green's pods has the gate of each binding of ip targets whose Service selected it, and no other."""
    bindings = {name_of(one): one for one in setup.bindings if at(one, "spec.targetType", "ip") == "ip"}
    every = {name_of(one) for one in setup.manifests.of("TargetGroupBinding", setup.namespace)}
    pods = setup.manifests.pods
    gates = {pod.name: {gate.removeprefix(GATE) for gate, _ in pod.gates if gate.startswith(GATE)} for pod in pods}
    gone = sorted(set().union(*gates.values()) - every) if gates else []
    for name in gone:
        says = f"Pods have the readiness gate of TargetGroupBinding {name}, which does not exist"
        yield finding(Code.GATE_OF_NO_BINDING, (f"Rollout/{setup.name}",), says)
    if not any(gates.values()):
        return  # no pod has any: the namespace has no label, which has a finding of its own
    for name, binding in bindings.items():
        without = [pod for pod in pods if name not in gates[pod.name]]
        if without and _is_previews(setup, binding):
            says = f"{len(without)} of {len(pods)} pods have no readiness gate of TargetGroupBinding {name}"
            why = _why(binding, without[0].created_at)
            yield finding(Code.PODS_WITHOUT_GATE, (f"TargetGroupBinding/{name}",), f"{says}: {why}")


def _is_previews(setup: Setup, binding: Object) -> bool:
    """Tell whether a binding's Service selects green before its pods are made: only then do they get its gate."""
    names = setup.service_names
    before = {names.get("previewService"), names.get("pingService"), names.get("pongService")} - {None}
    return at(binding, "spec.serviceRef.name") in before


def _why(binding: Object, pod_created_at: datetime | None) -> str:
    """Return the likely cause."""
    made = at(binding, "metadata.creationTimestamp")
    if pod_created_at is not None and made and str(made) > pod_created_at.strftime("%Y-%m-%dT%H:%M:%SZ"):
        return "it is younger than they are, and a pod's gates are fixed when it is created"
    return "its Service did not select them when they were created, or the controller's webhook did not answer"
