"""The readiness gates that the load balancer controller gives pods: does each have the right ones, and if not, why?

Its webhook adds a gate for each TargetGroupBinding of ip targets whose Service selects the pod, when the pod is created
and never later. Source: AWS Load Balancer Controller, docs/deploy/pod_readiness_gate.md and webhooks/core.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.load_balancer import target_type
from provider.advice.preflight.manifests import Object, Setup, at, name_of
from provider.advice.preflight.switching import production_of

GATES = "target-health.elbv2.k8s.aws", "target-health.eks.amazonaws.com"
"""Before the binding's name in the condition of a gate: the load balancer controller's, and EKS Auto Mode's."""

LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
LABELS = LABEL, "eks.amazonaws.com/pod-readiness-gate-inject"
"""By which a namespace asks for gates: the load balancer controller's label, and EKS Auto Mode's."""

WEBHOOK = "mpod.elbv2.k8s.aws"


def label(setup: Setup) -> Iterator[Finding]:
    """Pods get readiness gates, and a sick green then ends by itself; gates that they have tell more than a label."""
    namespace = setup.manifests.find("Namespace", "", setup.namespace)
    if namespace is None or target_type(setup, production_of(setup)) != "ip":
        return
    if not _is_labelled(setup) and not any(_gates(setup).values()):
        says = f"Namespace {setup.namespace} has no label {LABEL}: enabled"
        yield finding(Code.READINESS_GATE_MISSING, (f"Namespace/{setup.namespace}",), says)
    elif setup.blue_green is not None and not at(setup.rollout, "spec.progressDeadlineAbort"):
        says = "Pods get readiness gates, and progressDeadlineAbort is not set"
        yield finding(Code.READINESS_GATE_HANGS, (f"Rollout/{setup.name}",), says)


def of_pods(setup: Setup) -> Iterator[Finding]:
    """Each of green's pods has the gate of each binding whose Service selected it, and no other."""
    pods, gates = setup.manifests.seen.pods, _gates(setup)
    if "TargetGroupBinding" in setup.manifests.unread:
        return
    every = {name_of(one) for one in setup.manifests.of("TargetGroupBinding", setup.namespace)}
    for name in sorted(set().union(*gates.values()) - every) if gates else ():
        says = f"Pods have the readiness gate of TargetGroupBinding {name}, which does not exist"
        yield finding(Code.GATE_OF_NO_BINDING, (f"Rollout/{setup.name}",), says)
    if not _is_labelled(setup) and not any(gates.values()):
        return  # no surprise then, and the label has a finding of its own
    for binding in setup.bindings:
        name = name_of(binding)
        without = [pod for pod in pods if name not in gates[pod.name]]
        if without and _is_previews(setup, binding):
            says = f"{len(without)} of {len(pods)} pods have no readiness gate of TargetGroupBinding {name}"
            why = _why(setup, binding, without[0].created_at)
            yield finding(Code.PODS_WITHOUT_GATE, (f"TargetGroupBinding/{name}",), f"{says}: {why}")


def _gates(setup: Setup) -> Mapping[str, set[str]]:
    """Return the bindings whose gate each of green's pods has."""
    return {
        pod.name: {name for prefix, _, name in (gate.partition("/") for gate, _ in pod.gates) if prefix in GATES}
        for pod in setup.manifests.seen.pods
    }


def _is_labelled(setup: Setup) -> bool:
    labels = at(setup.manifests.find("Namespace", "", setup.namespace), "metadata.labels", {})
    return any(labels.get(label) == "enabled" for label in LABELS)


def _is_previews(setup: Setup, binding: Object) -> bool:
    """Tell whether a binding's Service selects green before its pods are made: only then do they get its gate."""
    names = setup.service_names
    before = {names.get("previewService"), names.get("pingService"), names.get("pongService")} - {None}
    return at(binding, "spec.serviceRef.name") in before


def _why(setup: Setup, binding: Object, pod_created_at: datetime | None) -> str:
    """Return the likely cause: the first that is known to be so, else what is left."""
    if at(binding, "spec.targetType", "ip") == "instance":
        return "its targets are nodes, and only ip targets have gates"
    made = at(binding, "metadata.creationTimestamp")
    if pod_created_at is not None and made and str(made) > pod_created_at.strftime("%Y-%m-%dT%H:%M:%SZ"):
        return "it is younger than they are, and a pod's gates are fixed when it is created"
    hooks = [
        hook
        for one in setup.manifests.of("MutatingWebhookConfiguration", "")
        for hook in at(one, "webhooks", [])
        if hook.get("name") == WEBHOOK
    ]
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
