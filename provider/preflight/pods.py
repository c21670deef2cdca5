"""Green's and blue's pods: readiness gates, and the time that they get to end."""

from collections.abc import Iterator

from provider.preflight.findings import Code, Finding, finding
from provider.preflight.load_balancer import attributes, target_type
from provider.preflight.manifests import Object, Setup, at

GATES = "elbv2.k8s.aws/pod-readiness-gate-inject"
GRACE_SECONDS, DEREGISTRATION_SECONDS, SCALE_DOWN_SECONDS = 30, 300, 30
"""The defaults of Kubernetes, AWS and Argo."""


def _of(setup: Setup) -> tuple[str, ...]:
    return (f"Rollout/{setup.name}",)


def _production(setup: Setup) -> str:
    return setup.service_names.get("activeService") or setup.service_names.get("stableService", "")


def readiness_gates(setup: Setup) -> Iterator[Finding]:
    """Pods get readiness gates, and a sick green then ends by itself."""
    namespace = setup.manifests.find("Namespace", "", setup.namespace)
    if namespace is None or target_type(setup, _production(setup)) != "ip":
        return
    if at(namespace, "metadata.labels", {}).get(GATES) != "enabled":
        says = f"Namespace {setup.namespace} has no label {GATES}: enabled"
        yield finding(Code.READINESS_GATE_MISSING, (f"Namespace/{setup.namespace}",), says)
    elif setup.blue_green is not None and not at(setup.rollout, "spec.progressDeadlineAbort"):
        says = "Pods get readiness gates, and progressDeadlineAbort is not set"
        yield finding(Code.READINESS_GATE_HANGS, _of(setup), says)


def endings(setup: Setup) -> Iterator[Finding]:
    """A pod that is told to stop still answers until nobody sends it requests."""
    containers = at(setup.pod, "spec.containers")
    if not containers:
        return
    sleeps = [_sleep(one) for one in containers]
    if all(one is None for one in sleeps):
        yield finding(Code.NO_PRE_STOP, _of(setup), "No container has a preStop hook")
    longest = max((one for one in sleeps if one is not None), default=0)
    grace = at(setup.pod, "spec.terminationGracePeriodSeconds", GRACE_SECONDS)
    if longest and longest >= grace:
        says = f"preStop takes {longest} s, terminationGracePeriodSeconds is {grace}"
        yield finding(Code.KILLED_TOO_EARLY, _of(setup), says)


def _sleep(container: Object) -> int | None:
    """Return the seconds of a container's preStop; 0 for a hook whose length is unknown, None without one."""
    hook = at(container, "lifecycle.preStop")
    return None if hook is None else int(at(hook, "sleep.seconds", 0))


def blue(setup: Setup) -> Iterator[Finding]:
    """Blue runs for as long as the load balancer waits for its requests."""
    if setup.blue_green is None or setup.hands_over:
        return
    delay = at(setup.blue_green, "scaleDownDelaySeconds", SCALE_DOWN_SECONDS)
    sleeps = [_sleep(one) or 0 for one in at(setup.pod, "spec.containers", [])]
    lasts = delay + max(sleeps, default=0)
    deregistration = attributes(setup).get("deregistration_delay.timeout_seconds", str(DEREGISTRATION_SECONDS))
    if deregistration.isdigit() and lasts < int(deregistration):
        says = f"Blue is stopped {lasts} s after the promotion (preStop included), the deregistration delay is"
        yield finding(Code.BLUE_GONE_TOO_EARLY, _of(setup), f"{says} {deregistration} s")
