"""What Kubernetes and Argo refuse in a Rollout and what it names, and how Argo can switch without asking.

Sources: Argo Rollouts 1.10.1, pkg/apis/rollouts/validation, rollout (bluegreen.go, canary.go, analysis.go,
trafficrouting/alb/alb.go), utils/replicaset; kube-apiserver's field validation.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from provider.advice.preflight.findings import ADVICE, BLOCKS, RISK, Hit, Hits, rule
from provider.advice.preflight.manifests import GROUPS, Object, at, label_of, name_of
from provider.advice.preflight.routing import USE_ANNOTATION, backends_of
from provider.advice.preflight.setup import Setup
from provider.model import records
from provider.model.analysis import ProblemKind
from provider.model.records import HASH_LABEL, Stage
from provider.rules.analysis import templates_of, wanted_templates
from provider.rules.analysis_arguments import mapping
from provider.rules.green_size import why_no_pods
from provider.sources.kubernetes.schemas import FieldPath, SchemaError, dotted, known_versions

_NEAR = {"Ingress", "TargetGroupBinding", "Deployment", "HorizontalPodAutoscaler", "Namespace"}
"""Kinds of which every object of the namespace may concern the Rollout."""


def _is_relevant(setup: Setup, key: tuple[str, str, str]) -> bool:
    """Tell whether an object is the Rollout, or one of those that it leads to."""
    kind, namespace, name = key
    if namespace not in {"", setup.namespace}:
        return False
    if kind in {"AnalysisTemplate", "ClusterAnalysisTemplate"}:
        return (kind, name) in wanted_templates(setup.rollout, setup.templates)
    if kind == "Service":
        return name in {*setup.service_names.values(), setup.root}
    return kind in _NEAR or setup.manifests.objects[key] is setup.rollout


def _errors(setup: Setup, *, is_unknown: bool) -> Iterator[tuple[Object, SchemaError]]:
    for key, source in setup.manifests.sources.items():
        errors = [error for error in source.errors if error.is_unknown == is_unknown]
        if errors and _is_relevant(setup, key):
            manifest, versions = setup.manifests.objects[key], known_versions(key[0])
            is_old = versions and manifest.get("apiVersion", versions[0]) not in versions and key[0] != "Rollout"
            yield from ((manifest, error) for error in errors if not is_old)


@rule("ManifestInvalid", BLOCKS, "Correct the field; a number or true in quotes is a text.")
def invalid(setup: Setup) -> Hits:
    """A field is missing or has another type than the API's: Kubernetes refuses the object."""
    for manifest, error in _errors(setup, is_unknown=False):
        yield Hit(f"{label_of(manifest)}: {error.message}", (label_of(manifest),), error.path)
    if setup.unreadable:
        yield setup.hit(f"The provider cannot read {setup.label}: {setup.unreadable}")
    for name in setup.services if not setup.manifests.is_live else ():
        if setup.service(name) is None:
            yield Hit(f"The provider cannot read Service {name}: a value in it is out of range", (f"Service/{name}",))
    if not setup.name:
        yield setup.hit("The Rollout has no metadata.name", "metadata")


@rule("ApiVersionUnknown", BLOCKS, "Write the version that the cluster serves.")
def api_versions(setup: Setup) -> Hits:
    """There is no such API version of the kind: Kubernetes refuses the object."""
    for key, manifest in setup.manifests.objects.items() if not setup.manifests.is_live else ():
        kind, label, version = key[0], label_of(manifest), str(manifest.get("apiVersion", ""))
        versions = known_versions(kind) if kind in GROUPS else ()
        if versions and version not in versions and _is_relevant(setup, key):
            says = f"{label} has apiVersion {version or '(none)'}; known is {' and '.join(versions)}"
            yield Hit(says, (label,), ("apiVersion",), is_certain=kind == "Rollout")


@rule("FieldUnknown", RISK, "Correct its name or its place.")
def unknown_fields(setup: Setup) -> Hits:
    """The API has no such field. kubectl refuses the object; other clients drop the field in silence."""
    for manifest, error in _errors(setup, is_unknown=True):
        yield Hit(f"{name_of(manifest)} has the field {dotted(error.path)}", (label_of(manifest),), error.path)


@rule("StrategyInvalid", BLOCKS, "Correct the field in the sentence.")
def strategies(setup: Setup) -> Hits:
    """Argo refuses the strategy: the Rollout is InvalidSpec, and no version is deployed."""
    strategy = mapping(at(setup.rollout, "spec.strategy"))
    problems = chain(_together(setup, strategy), _pairs(strategy), _canary(mapping(strategy.get("canary"))))
    yield from (setup.hit(says, "spec", "strategy", *path) for says, path in problems)


def _together(setup: Setup, strategy: Object) -> Iterator[tuple[str, FieldPath]]:
    if "blueGreen" in strategy and "canary" in strategy:
        yield "The strategy has blueGreen and canary, and only one can be", ()
    if not {"blueGreen", "canary"} & strategy.keys():
        yield "The strategy has neither blueGreen nor canary", ()
    if "blueGreen" in strategy and not at(strategy, "blueGreen.activeService"):
        yield "blueGreen has no activeService", ("blueGreen",)
    if at(setup.rollout, "spec.template") is not None and at(setup.rollout, "spec.workloadRef") is not None:
        yield "The Rollout has a template and a workloadRef, and only one can be", ()


def _pairs(strategy: Object) -> Iterator[tuple[str, FieldPath]]:
    for place, one, other in (
        ("blueGreen", "activeService", "previewService"),
        ("canary", "stableService", "canaryService"),
        ("canary.pingPong", "pingService", "pongService"),
    ):
        first, second = at(strategy, f"{place}.{one}"), at(strategy, f"{place}.{other}")
        if first and first == second:
            yield f"{one} and {other} are the same Service {first}", (*place.split("."), other)


def _canary(canary: Object) -> Iterator[tuple[str, FieldPath]]:
    routing, pair = canary.get("trafficRouting"), mapping(canary.get("pingPong"))
    for number, step in enumerate(canary.get("steps") or ()):
        weight, where = step.get("setWeight"), ("canary", "steps", number)
        if "setCanaryScale" in step and routing is None:
            yield "setCanaryScale needs trafficRouting", (*where, "setCanaryScale")
        if isinstance(weight, int) and not 0 <= weight <= 100 and not at(routing, "maxTrafficWeight"):
            yield f"setWeight {weight} is not between 0 and 100", (*where, "setWeight")
    if pair and not (pair.get("pingService") and pair.get("pongService")):
        yield "pingPong needs both pingService and pongService", ("canary", "pingPong")
    alb = at(routing, "alb")
    if alb is not None and pair and not at(alb, "rootService"):
        yield "pingPong needs trafficRouting.alb.rootService", ("canary", "trafficRouting", "alb")
    if alb is not None and not pair and not (canary.get("stableService") and canary.get("canaryService")):
        yield "trafficRouting needs stableService and canaryService, or pingPong", ("canary", "trafficRouting")


@rule("IngressRuleMissing", BLOCKS, "Give the Ingress a rule with that backend and `port: {name: use-annotation}`.")
def ingress_rules(setup: Setup) -> Hits:
    """Argo writes weights into a rule of the Ingress that `trafficRouting.alb` names, with the backend `rootService`
    (else `stableService`) and the port `use-annotation`. Without the rule Argo refuses the Rollout; with another port
    the controller ignores the weights.
    """
    for name in setup.routed_ingresses if "Ingress" not in setup.manifests.unread else ():
        ingress, objects = setup.find("Ingress", name), (f"Ingress/{name}", setup.label)
        if ingress is None:
            yield _missing(setup, "Ingress", name, "trafficRouting.alb", ("trafficRouting", "alb"))
            continue
        rules = [backend for backend in backends_of(ingress) if backend.name == setup.root]
        if not rules:
            says = f"Ingress {name} has no rule with the backend {setup.root}, into which Argo writes the weights"
            yield Hit(says, objects, ("spec", "rules"))
        for backend in rules:
            if backend.port != USE_ANNOTATION:
                says = f"The rule of {setup.root} in Ingress {name} has port {backend.port} and not {USE_ANNOTATION}"
                yield Hit(f"{says}: the controller ignores the weights", objects, backend.path)


def _missing(setup: Setup, kind: str, name: str, field: str, path: FieldPath = ()) -> Hit:
    """Say that an object is missing; of files nobody knows whether they are all."""
    is_live = setup.manifests.is_live
    says = f"{field} names {kind} {name}, and there is none{'' if is_live else ' among the manifests'}"
    return setup.strategy_hit(says, *(path or setup.field_path(field)), is_certain=is_live)


@rule("TemplateMissing", BLOCKS, "Create it, or correct the name, `clusterScope` or the namespace.")
def templates(setup: Setup) -> Hits:
    """An analysis names a template that does not exist: Argo refuses the Rollout (InvalidSpec)."""
    for place, analysis in setup.places.items():
        for kind, name in sorted(set(templates_of(analysis, setup.templates)) - setup.templates.keys()):
            if kind not in setup.manifests.unread and not _renamed(setup, kind, name):
                yield _missing(setup, kind, name, place)


@rule("ServiceMissing", BLOCKS, "Create it, or correct the name.")
def services(setup: Setup) -> Hits:
    """The strategy names a Service that does not exist: Argo refuses the Rollout (InvalidSpec)."""
    for field, name in setup.named_services.items() if "Service" not in setup.manifests.unread else ():
        is_missing = setup.find("Service", name) is None
        if is_missing and not _renamed(setup, "Service", name):
            yield _missing(setup, "Service", name, field)


@rule("WorkloadMissing", BLOCKS, "Create it, or correct the name.")
def workloads(setup: Setup) -> Hits:
    """`workloadRef` names a Deployment that does not exist: Argo refuses the Rollout (InvalidSpec). Seen in a cluster
    only.
    """
    kind, name = setup.workload_key
    is_read = setup.manifests.is_live and kind not in setup.manifests.unread
    if kind == "Deployment" and setup.workload is None and is_read:
        yield setup.hit(f"workloadRef names Deployment {name}, and there is none", "spec", "workloadRef")


@rule("NamePrefixLeftBehind", BLOCKS, "Add the nameReference configuration of `rollout-examples/name-references`.")
def left_behind(setup: Setup) -> Hits:
    """A reference of the Rollout misses a prefix or suffix that the object of that kind has: kustomize renames the
    objects, and not a Rollout's references to them.
    """
    named = [(("Service", name), field) for field, name in setup.named_services.items()]
    named += [(key, place) for place, analysis in setup.places.items() for key in templates_of(analysis, {})]
    for (kind, name), field in named:
        renamed = _renamed(setup, kind, name)
        if renamed:
            says = f"{field} names {name}, and there is a {kind} {renamed}"
            yield setup.strategy_hit(says, *setup.field_path(field), also=(f"{kind}/{renamed}",))


def _renamed(setup: Setup, kind: str, name: str) -> str:
    """Return the object that kustomize renamed, if the Rollout has the same prefix or suffix."""
    namespace = "" if kind == "ClusterAnalysisTemplate" else setup.namespace
    names = [name_of(manifest) for manifest in setup.manifests.of(kind, namespace)]
    for other in names if name and name not in names else ():
        if other.endswith(f"-{name}") and setup.name.startswith(other.removesuffix(name)):
            return other
        if other.startswith(f"{name}-") and setup.name.endswith(other.removeprefix(name)):
            return other
    return ""


@rule("SelectsNothing", BLOCKS, "Remove the label from the selector, or add it to the pod template.")
def selectors(setup: Setup) -> Hits:
    """A Service of the strategy selects a label that the Rollout's pods do not have, as kustomize's `labels` with
    `includeSelectors` leaves it: Argo refuses the Rollout.
    """
    labels = at(setup.pod, "metadata.labels", {})
    for name in dict.fromkeys(setup.named_services.values()) if setup.pod else ():
        for key, value in at(setup.find("Service", name), "spec.selector", {}).items():
            if key != HASH_LABEL and labels.get(key) != value:
                says = f"Service {name} selects {key}={value}, which the Rollout's pods do not have"
                yield Hit(says, (f"Service/{name}", setup.label), ("spec", "selector", key))


@rule("NoGate", RISK, "Add `prePromotionAnalysis`, or an analysis step before the weight moves, as in the examples.")
def gate(setup: Setup) -> Hits:
    """No analysis before the switch asks this provider, so Argo switches whatever the load balancer says."""
    problems = [problem.kind for analysis in setup.gates for problem in analysis.problems]
    requests = [metric for analysis in setup.gates for metric in analysis.metrics if metric.request]
    is_unknown = ProblemKind.TEMPLATE in problems or any(
        metric.unknown_arguments or (metric.request and "http" not in metric.request.url) for metric in requests
    )
    is_misspelt = any(place.misspelt_endpoint for place in setup.metrics)
    if setup.has_strategy and not (setup.asks_provider or is_unknown or is_misspelt):
        yield setup.hit("No analysis before the switch asks this provider", "spec", "strategy")


@rule("WeightBeforeGate", RISK, "Begin the steps with `setCanaryScale` and the gate, and move the weight after it.")
def weight_before_gate(setup: Setup) -> Hits:
    """In ping-pong the weight moves before the first gate: users reach green before anything asks."""
    first, strategy = min(setup.asking_steps, default=0), setup.record.strategy
    steps = strategy.steps[:first] if isinstance(strategy, records.Canary) and strategy.is_ping_pong else ()
    for number, step in enumerate(steps):
        if step.weight:
            says = f"setWeight {step.weight} comes before the first gate (steps[{first}])"
            yield setup.strategy_hit(says, "steps", number, "setWeight")
            return


@rule("NoPodsAtGate", BLOCKS, "Put `setCanaryScale`, or a weight above 0, in front of the gate.")
def pods_at_gates(setup: Setup) -> Hits:
    """At the gate Argo gives green no pods, so the gate waits for ever: the answer is NoPodsDesired."""
    for number, analysis in setup.asking_steps.items() if setup.record.replicas else ():
        activity = records.Activity(step=number)
        green = replace(setup.record, activity=activity, current_hash="green", stable_hash="blue")
        why = why_no_pods(green, Stage.BEFORE_SWITCH)
        if why:
            says = f"{analysis.place} asks while green has no pods: {why.rstrip('.')}"
            yield setup.strategy_hit(says, *setup.field_path(analysis.place))


@rule("PreviewReplicaCount", RISK, "Remove `previewReplicaCount`.")
def later_pods(setup: Setup) -> Hits:
    """The pods beyond `previewReplicaCount` are created after the gate: nothing checks them."""
    strategy, wanted = setup.record.strategy, setup.record.replicas
    count = strategy.preview_replica_count if isinstance(strategy, records.BlueGreen) else None
    if count is not None and count < wanted:
        by = f" (HorizontalPodAutoscaler {name_of(setup.autoscaler)})" if setup.autoscaler is not None else ""
        says = f"previewReplicaCount is {count} of {wanted} replicas{by}: the other {wanted - count} are never checked"
        yield setup.strategy_hit(says, "previewReplicaCount")


@rule("ScaleOutUnchecked", ADVICE, "Label the namespace for readiness gates, and keep a watch after the switch.")
def scale_out(setup: Setup) -> Hits:
    """An autoscaler scales the Rollout: pods that it adds after the gate are checked by no analysis, only by their
    readiness gates.
    """
    least, most = setup.scale_range
    if setup.autoscaler is not None and most > least and setup.asks_provider:
        says = f"HorizontalPodAutoscaler {name_of(setup.autoscaler)} can go from {least} to {most} pods after the gate"
        yield Hit(says, (label_of(setup.autoscaler), setup.label), ("spec", "maxReplicas"))


@rule("RetrySkipsGate", RISK, "Set `abortScaleDownDelaySeconds: 0`, or use Argo Rollouts 1.10 or newer.")
def retries(setup: Setup) -> Hits:
    """Argo Rollouts before 1.10 takes a retry within `abortScaleDownDelaySeconds` (default 30) for a rollback, and
    switches to the aborted version without any analysis.
    """
    delay = at(setup.blue_green, "abortScaleDownDelaySeconds", 30)
    if setup.blue_green is not None and delay != 0:
        says = f"abortScaleDownDelaySeconds is {delay}: a retry within that time switches without an analysis"
        yield setup.strategy_hit(f"{says} before 1.10", "abortScaleDownDelaySeconds")


@rule("RollbackWindow", RISK, "Remove it, if a rollback must be checked too.")
def rollbacks(setup: Setup) -> Hits:
    """Within `rollbackWindow` an undo switches without any analysis."""
    if at(setup.rollout, "spec.rollbackWindow.revisions"):
        yield setup.hit("rollbackWindow is set: an undo within it runs no analysis", "spec", "rollbackWindow")


@rule("NoWayBack", RISK, "Keep at least one.")
def history(setup: Setup) -> Hits:
    """`revisionHistoryLimit: 0` keeps no version to roll back to."""
    if at(setup.rollout, "spec.revisionHistoryLimit") == 0:
        says = "revisionHistoryLimit is 0: no version is kept to roll back to"
        yield setup.hit(says, "spec", "revisionHistoryLimit")


@rule("StaleVerdict", RISK, "Promote by analysis, and let a person approve the deployment instead.")
def stale_verdicts(setup: Setup) -> Hits:
    """With `autoPromotionEnabled: false` a person promotes later than the gate passed: the verdict may be hours old."""
    if at(setup.blue_green, "autoPromotionEnabled") is False and setup.asks_provider:
        says = "autoPromotionEnabled is false: nothing asks again when a person promotes"
        yield setup.strategy_hit(says, "autoPromotionEnabled")


@rule("FirstDeploy", ADVICE, "Deploy the first version while nobody depends on it, or behind a rule without users.")
def first_deploy(setup: Setup) -> Hits:
    """Argo runs no analysis for the first version of a Rollout, or the first after it was taken over from a Deployment:
    nothing checks it. Seen in a cluster only.
    """
    if setup.manifests.is_live and setup.asks_provider and not setup.record.stable_hash:
        yield setup.hit("No version has been promoted yet: the first one takes production traffic without an analysis")
