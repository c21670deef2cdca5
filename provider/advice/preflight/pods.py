"""Green's and blue's pods: their readiness gates, the time that they get to end, and whether blue could return.

The load balancer controller's webhook adds a gate for each TargetGroupBinding of ip targets whose Service selects the
pod, when the pod is created and never later. Source: AWS Load Balancer Controller, docs/deploy/pod_readiness_gate.md.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from provider.advice.preflight.findings import Hit, Severity, rule
from provider.advice.preflight.manifests import Object, at, name_of
from provider.advice.preflight.setup import Setup
from provider.advice.preflight.target_groups import groups_of
from provider.rules.expected_targets import State

RISK, ADVICE = Severity.RISK, Severity.ADVICE
GRACE_SECONDS, DEREGISTRATION_SECONDS, SCALE_DOWN_SECONDS = 30, 300, 30
"""The defaults of Kubernetes, AWS and Argo."""

GATES = "target-health.elbv2.k8s.aws", "target-health.eks.amazonaws.com"
"""Before the binding's name in the condition of a gate: the load balancer controller's, and EKS Auto Mode's."""

LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
LABELS = LABEL, "eks.amazonaws.com/pod-readiness-gate-inject"
"""By which a namespace asks for gates: the load balancer controller's label, and EKS Auto Mode's."""

WEBHOOK = "mpod.elbv2.k8s.aws"
DEREGISTRATION_DELAY = "deregistration_delay.timeout_seconds"
STRATEGY = ("spec", "strategy")


def _is_labelled(setup: Setup) -> bool:
    labels = at(setup.manifests.find("Namespace", "", setup.namespace), "metadata.labels", {})
    return any(labels.get(label) == "enabled" for label in LABELS)


def _gates(setup: Setup) -> Mapping[str, set[str]]:
    """Return the bindings whose gate each of green's pods has."""
    return {
        pod.name: {name for prefix, _, name in (gate.partition("/") for gate, _ in pod.gates) if prefix in GATES}
        for pod in setup.manifests.seen.pods
    }


def _are_targets_pods(setup: Setup) -> bool:
    return any(group.target_type == "ip" for group in groups_of(setup, setup.production))


@rule(
    "ReadinessGateMissing",
    ADVICE,
    "The namespace has no label for readiness gates: pods are Ready before the load balancer finds them healthy, "
    "also in a restart that no analysis sees.",
    "Label the namespace `elbv2.k8s.aws/pod-readiness-gate-inject: enabled`; in EKS Auto Mode it is "
    "`eks.amazonaws.com/pod-readiness-gate-inject`.",
)
def label(setup: Setup) -> Iterator[Hit]:
    """Pods get readiness gates; gates that they have tell more than a label."""
    namespace = setup.manifests.find("Namespace", "", setup.namespace)
    if (
        namespace is not None
        and _are_targets_pods(setup)
        and not _is_labelled(setup)
        and not any(_gates(setup).values())
    ):
        says = f"Namespace {setup.namespace} has no label {LABEL}: enabled"
        yield Hit(says, (f"Namespace/{setup.namespace}",), ("metadata", "labels"))


@rule(
    "ReadinessGateHangs",
    RISK,
    "With readiness gates a sick green never becomes Ready, so Argo never begins the analysis, and the Rollout hangs.",
    "Set `progressDeadlineAbort: true`.",
)
def hangs(setup: Setup) -> Iterator[Hit]:
    """A sick green ends by itself."""
    has_gates = (
        any(_gates(setup).values()) if setup.manifests.seen.pods else _is_labelled(setup) and _are_targets_pods(setup)
    )
    if setup.blue_green is not None and has_gates and not at(setup.rollout, "spec.progressDeadlineAbort"):
        yield Hit("Pods get readiness gates, and progressDeadlineAbort is not set", (setup.label,), ("spec",))


@rule(
    "GateOfNoBinding",
    ADVICE,
    "Pods have the readiness gate of a TargetGroupBinding that is gone. The controller sets such a gate to True, "
    "so it protects nothing. Seen in a cluster only.",
    "Deploy again: the next pods get the gates of the bindings that there are.",
)
def stale_gates(setup: Setup) -> Iterator[Hit]:
    """No pod has a gate of a binding that does not exist."""
    if "TargetGroupBinding" not in setup.manifests.unread:
        every = {name_of(one) for one in setup.manifests.of("TargetGroupBinding", setup.namespace)}
        for name in sorted(set().union(*_gates(setup).values()) - every):
            yield Hit(
                f"Pods have the readiness gate of TargetGroupBinding {name}, which does not exist", (setup.label,)
            )


@rule(
    "PodsWithoutGate",
    ADVICE,
    "Some of green's pods lack the readiness gate of a target group: they are Ready before the load balancer "
    "finds them healthy there. Seen in a cluster only.",
    "Deploy again: the next pods get it. Check the controller's webhook if they do not.",
)
def gates_of_pods(setup: Setup) -> Iterator[Hit]:
    """Each of green's pods has the gate of each binding whose Service selected it."""
    pods, gates = setup.manifests.seen.pods, _gates(setup)
    if "TargetGroupBinding" in setup.manifests.unread or (not _is_labelled(setup) and not any(gates.values())):
        return  # no surprise then, and the label has a finding of its own
    names = setup.service_names
    early = {names.get("previewService"), names.get("pingService"), names.get("pongService")} - {None}
    for binding in setup.bindings:
        name = name_of(binding)
        without = [pod for pod in pods if name not in gates[pod.name]]
        if without and at(binding, "spec.serviceRef.name") in early:  # it selects green before its pods are made
            says = f"{len(without)} of {len(pods)} pods have no readiness gate of TargetGroupBinding {name}"
            why = _why(setup, binding, without[0].created_at)
            yield Hit(f"{says}: {why}", (f"TargetGroupBinding/{name}",))


def _why(setup: Setup, binding: Object, pod_created_at: datetime | None) -> str:
    """Return the likely cause: the first that is known to be so, else what is left."""
    if at(binding, "spec.targetType", "ip") == "instance":
        return "its targets are nodes, and only ip targets have gates"
    made = at(binding, "metadata.creationTimestamp")
    if pod_created_at is not None and made and str(made) > pod_created_at.strftime("%Y-%m-%dT%H:%M:%SZ"):
        return "it is younger than they are, and a pod's gates are fixed when it is created"
    configurations = setup.manifests.of("MutatingWebhookConfiguration", "")
    hooks = [hook for one in configurations for hook in at(one, "webhooks", []) if hook.get("name") == WEBHOOK]
    if not hooks:
        unknown = "MutatingWebhookConfiguration" in setup.manifests.unread
        return _LEFT if unknown else f"no MutatingWebhookConfiguration has the controller's webhook {WEBHOOK}"
    labels = at(setup.manifests.find("Namespace", "", setup.namespace), "metadata.labels", {})
    labels = {"kubernetes.io/metadata.name": setup.namespace, **labels}
    if not any(_selects(at(hook, "namespaceSelector", {}), labels) for hook in hooks):
        return f"the namespaceSelector of {WEBHOOK} does not select namespace {setup.namespace}"
    if not any(_selects(at(hook, "objectSelector", {}), at(setup.pod, "metadata.labels", {})) for hook in hooks):
        return f"the objectSelector of {WEBHOOK} does not select the Rollout's pods"
    if all(hook.get("failurePolicy") == "Ignore" for hook in hooks):
        return f"{_LEFT} (failurePolicy of {WEBHOOK} is Ignore)"
    return "its Service did not select them when they were created"


_LEFT = "its Service did not select them when they were created, or the controller's webhook did not answer"


def _selects(selector: Object, labels: Object) -> bool:
    """Tell whether a label selector selects these labels; an empty one selects everything."""
    same = all(labels.get(key) == value for key, value in at(selector, "matchLabels", {}).items())
    return same and all(_holds(one, labels) for one in at(selector, "matchExpressions", []))


def _holds(requirement: Object, labels: Object) -> bool:
    key, values = str(requirement.get("key")), requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True  # an operator of the future: nothing is known of it


def _pod_hit(setup: Setup, says: str, *path: str | int) -> Hit:
    label, where = setup.pod_owner
    return Hit(says, tuple(dict.fromkeys((setup.label, label))), (*where, *path) if label == setup.label else ())


@rule(
    "NoPreStop",
    RISK,
    "A pod that is told to stop still gets requests until the load balancer has deregistered it; without "
    "`preStop` it refuses them.",
    "Add `lifecycle.preStop` with a sleep of some 30 s.",
)
def no_pre_stop(setup: Setup) -> Iterator[Hit]:
    """A pod that is told to stop still answers until nobody sends it requests."""
    containers = at(setup.pod, "spec.containers", [])
    if containers and all(at(one, "lifecycle.preStop") is None for one in containers):
        yield _pod_hit(setup, "No container has a preStop hook", "spec", "containers", 0)


_SLEEP = re.compile(r"\bsleep\s+(\d+(?:\.\d+)?)([smh]?)\b")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def _sleep(container: Object) -> float:
    """Return the seconds of a container's preStop, as far as it sleeps: as a hook of its own, or by a command."""
    hook = at(container, "lifecycle.preStop", {})
    command = at(hook, "exec.command", [])
    text = " ".join(str(one) for one in command) if isinstance(command, list) else ""
    return float(at(hook, "sleep.seconds", 0)) + sum(
        float(number) * _UNITS[unit] for number, unit in _SLEEP.findall(text)
    )


def _longest_sleep(setup: Setup) -> float:
    return max((_sleep(one) for one in at(setup.pod, "spec.containers", [])), default=0.0)


@rule(
    "KilledTooEarly",
    RISK,
    "`terminationGracePeriodSeconds` ends before `preStop` and the requests in flight do.",
    "Make it longer than `preStop` plus the longest request.",
)
def endings(setup: Setup) -> Iterator[Hit]:
    """A pod is not killed while its preStop runs."""
    longest, grace = _longest_sleep(setup), at(setup.pod, "spec.terminationGracePeriodSeconds", GRACE_SECONDS)
    if longest and longest >= grace:
        says = f"preStop takes {longest:g} s, terminationGracePeriodSeconds is {grace}"
        yield _pod_hit(setup, says, "spec", "terminationGracePeriodSeconds")


@rule(
    "BlueGoneTooEarly",
    ADVICE,
    "Blue is stopped before its deregistration delay is over: requests that last longer than "
    "`scaleDownDelaySeconds` plus `preStop` are cut, although the load balancer would wait for them.",
    "Make `scaleDownDelaySeconds` longer than the longest request, or the deregistration delay as short as that.",
)
def blue(setup: Setup) -> Iterator[Hit]:
    """Blue runs for as long as the load balancer waits for its requests."""
    groups = groups_of(setup, setup.production)
    if setup.blue_green is None or setup.hands_over or not groups or not setup.pod:
        return
    if not setup.manifests.is_live and not all(group.is_checked for group in groups):
        return  # of a binding in files no attribute is known
    texts = [group.attributes.get(DEREGISTRATION_DELAY, "") for group in groups]
    deregistration = max(int(text) if text.isdigit() else DEREGISTRATION_SECONDS for text in texts)
    lasts = at(setup.blue_green, "scaleDownDelaySeconds", SCALE_DOWN_SECONDS) + _longest_sleep(setup)
    if lasts < deregistration:
        says = f"Blue is stopped {lasts:g} s after the promotion (preStop included), the deregistration delay is"
        says += f" {deregistration} s"
        yield Hit(says, (setup.label,), (*STRATEGY, "blueGreen", "scaleDownDelaySeconds"))


@rule(
    "BlueCannotReturn",
    RISK,
    "When green fails after the switch, blue could not take the traffic back at once: its pods are gone, fewer, "
    "or unhealthy.",
    "Keep blue whole until the watch is over: `scaleDownDelaySeconds`, no `dynamicStableScale`, healthy targets.",
)
def kept(setup: Setup) -> Iterator[Hit]:
    """Blue keeps its pods until nothing can abort any more, and could serve again."""
    kind = "blueGreen" if setup.blue_green is not None else "canary"
    strategy = setup.blue_green if setup.blue_green is not None else setup.canary
    if setup.blue_green is not None and at(strategy, "scaleDownDelaySeconds") == 0:
        says = "scaleDownDelaySeconds is 0: blue is scaled down at the promotion"
        yield Hit(says, (setup.label,), (*STRATEGY, kind, "scaleDownDelaySeconds"))
    if at(strategy, "scaleDownDelayRevisionLimit") == 0:
        says = "scaleDownDelayRevisionLimit is 0: no version that was replaced keeps its pods"
        yield Hit(says, (setup.label,), (*STRATEGY, kind, "scaleDownDelayRevisionLimit"))
    if at(setup.canary, "dynamicStableScale"):
        says = "dynamicStableScale is true: blue shrinks while green grows, so an abort waits for new pods"
        yield Hit(says, (setup.label,), (*STRATEGY, kind, "dynamicStableScale"))
    for health in setup.manifests.seen.health.get(setup.production, ()):
        sick = sum(one.state == State.UNHEALTHY for one in health.targets)
        if sick:
            says = f"{sick} of {len(health.targets)} targets that serve production are unhealthy now"
            yield Hit(says, (f"Service/{health.binding.service}",))
