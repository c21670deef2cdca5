"""What Kubernetes and Argo refuse in a Rollout and its templates, and how Argo can switch without asking.

Sources: Argo Rollouts 1.10.1, pkg/apis/rollouts/validation (validation.go, validation_references.go),
utils/analysis/factory.go, rollout/trafficrouting/alb/alb.go; kube-apiserver's field validation.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from provider.advice.preflight.findings import Hit, Severity, rule
from provider.advice.preflight.manifests import GROUPS, Object, at, label_of, name_of
from provider.advice.preflight.setup import Setup
from provider.advice.preflight.target_groups import USE_ANNOTATION, backends_of, groups_of
from provider.model import records
from provider.model.records import HASH_LABEL, Stage
from provider.rules.analysis import places_of, wanted_templates
from provider.rules.analysis_arguments import PLACEHOLDER, mapping
from provider.rules.green_size import why_no_pods
from provider.sources.kubernetes.schemas import FieldPath, SchemaError, dotted, known_versions

BLOCKS, RISK, ADVICE = Severity.BLOCKS, Severity.RISK, Severity.ADVICE
STRATEGY = ("spec", "strategy")
_OWN = ("Service", "Ingress", "AnalysisTemplate", "ClusterAnalysisTemplate", "TargetGroupBinding", "Deployment",
        "HorizontalPodAutoscaler", "Namespace")  # fmt: skip


def _is_relevant(setup: Setup, manifest: Object) -> bool:
    """Tell whether an object is the Rollout, or one of those that it leads to."""
    kind, name = str(manifest.get("kind")), name_of(manifest)
    if manifest is setup.rollout:
        return True
    if kind in {"AnalysisTemplate", "ClusterAnalysisTemplate"}:
        return (kind, name) in wanted_templates(setup.rollout, setup.templates)
    if kind == "Service":
        return name in {*setup.service_names.values(), setup.root}
    return kind in _OWN and kind != "Rollout"


def _errors(setup: Setup) -> Iterator[tuple[Object, SchemaError]]:
    for key, source in setup.manifests.sources.items():
        manifest = setup.manifests.objects[key]
        if key[1] in {"", setup.namespace} and _is_relevant(setup, manifest):
            yield from ((manifest, error) for error in source.errors)


@rule(
    "ManifestInvalid",
    BLOCKS,
    "A field is missing or has another type than the API's: Kubernetes refuses the object.",
    "Correct the field; a number or true in quotes is a text.",
)
def invalid(setup: Setup) -> Iterator[Hit]:
    """Every field has the type that the API wants."""
    for manifest, error in _errors(setup):
        if not error.is_unknown:
            yield Hit(f"{label_of(manifest)}: {error.message}", (label_of(manifest),), error.path)
    if setup.unreadable:
        yield Hit(f"The provider cannot read {setup.label}: {setup.unreadable}", (setup.label,))
    for name in setup.services:
        if setup.service(name) is None and not setup.manifests.is_live:
            yield Hit(f"The provider cannot read Service {name}: a value in it is out of range", (f"Service/{name}",))
    if not setup.name:
        yield Hit("The Rollout has no metadata.name", (setup.label,), ("metadata",))


@rule(
    "ApiVersionUnknown",
    BLOCKS,
    "There is no such API version of the kind: Kubernetes refuses the object.",
    "Write the version that the cluster serves.",
)
def api_versions(setup: Setup) -> Iterator[Hit]:
    """Every object has an API version that there is."""
    for (kind, namespace, _), manifest in setup.manifests.objects.items():
        versions, version = known_versions(kind), str(manifest.get("apiVersion", ""))
        is_near = namespace in {"", setup.namespace} and _is_relevant(setup, manifest)
        if versions and version not in versions and is_near and not setup.manifests.is_live and kind in GROUPS:
            says = f"{label_of(manifest)} has apiVersion {version or '(none)'}; known is {' and '.join(versions)}"
            yield Hit(says, (label_of(manifest),), ("apiVersion",), None if kind == "Rollout" else RISK)


@rule(
    "FieldUnknown",
    RISK,
    "The API has no such field. kubectl refuses the object; other clients drop the field in silence.",
    "Correct its name or its place.",
)
def unknown_fields(setup: Setup) -> Iterator[Hit]:
    """Every field is one that the API has."""
    for manifest, error in _errors(setup):
        if error.is_unknown:
            yield Hit(f"{name_of(manifest)} has the field {dotted(error.path)}", (label_of(manifest),), error.path)


@rule(
    "StrategyInvalid",
    BLOCKS,
    "Argo refuses the strategy: the Rollout is InvalidSpec, and no version is deployed.",
    "Correct the field in the sentence.",
)
def strategies(setup: Setup) -> Iterator[Hit]:
    """Argo accepts the strategy."""
    for says, path in _strategy_problems(setup):
        yield Hit(says, (setup.label,), (*STRATEGY, *path))


def _strategy_problems(setup: Setup) -> Iterator[tuple[str, FieldPath]]:  # noqa: C901, PLR0912 - one list of Argo's
    strategy = mapping(at(setup.rollout, "spec.strategy"))
    has_blue_green, has_canary = "blueGreen" in strategy, "canary" in strategy
    if has_blue_green and has_canary:
        yield "The strategy has blueGreen and canary, and only one can be", ()
    if not has_blue_green and not has_canary:
        yield "The strategy has neither blueGreen nor canary", ()
    pairs = [("blueGreen", "activeService", "previewService"), ("canary", "stableService", "canaryService"),
             ("canary.pingPong", "pingService", "pongService")]  # fmt: skip
    for place, one, other in pairs:
        first, second = at(strategy, f"{place}.{one}"), at(strategy, f"{place}.{other}")
        if first and first == second:
            yield f"{one} and {other} are the same Service {first}", (*place.split("."), other)
    if has_blue_green and not at(strategy, "blueGreen.activeService"):
        yield "blueGreen has no activeService", ("blueGreen",)
    canary = mapping(strategy.get("canary"))
    routing = canary.get("trafficRouting")
    for number, step in enumerate(canary.get("steps") or ()):
        if "setCanaryScale" in step and routing is None:
            yield "setCanaryScale needs trafficRouting", ("canary", "steps", number, "setCanaryScale")
        weight = step.get("setWeight")
        if isinstance(weight, int) and not 0 <= weight <= 100 and not at(routing, "maxTrafficWeight"):
            yield f"setWeight {weight} is not between 0 and 100", ("canary", "steps", number, "setWeight")
    pair = mapping(canary.get("pingPong"))
    if pair and not (pair.get("pingService") and pair.get("pongService")):
        yield "pingPong needs both pingService and pongService", ("canary", "pingPong")
    alb = at(routing, "alb")
    if alb is not None:
        if pair and not at(alb, "rootService"):
            yield "pingPong needs trafficRouting.alb.rootService", ("canary", "trafficRouting", "alb")
        if not pair and not (canary.get("stableService") and canary.get("canaryService")):
            yield "trafficRouting needs stableService and canaryService, or pingPong", ("canary", "trafficRouting")
    if at(setup.rollout, "spec.template") is not None and at(setup.rollout, "spec.workloadRef") is not None:
        yield "The Rollout has a template and a workloadRef, and only one can be", ()


@rule(
    "IngressRuleMissing",
    BLOCKS,
    "Argo writes weights into a rule of the Ingress that `trafficRouting.alb` names, with the backend "
    "`rootService` (else `stableService`) and the port `use-annotation`. Without the rule Argo refuses the "
    "Rollout; with another port the controller ignores the weights.",
    "Give the Ingress a rule with that backend and `port: {name: use-annotation}`.",
)
def ingress_rules(setup: Setup) -> Iterator[Hit]:
    """Each Ingress that Argo writes exists, and has the rule for it."""
    path = (*STRATEGY, "canary", "trafficRouting", "alb")
    for name in setup.routed_ingresses if "Ingress" not in setup.manifests.unread else ():
        ingress = setup.manifests.find("Ingress", setup.namespace, name)
        if ingress is None:
            where = "" if setup.manifests.is_live else " among the manifests"
            says = f"trafficRouting.alb names Ingress {name}, and there is none{where}"
            yield Hit(says, (setup.label,), path, None if setup.manifests.is_live else RISK)
            continue
        rules = [backend for backend in backends_of(ingress) if backend.name == setup.root]
        if not rules:
            says = f"Ingress {name} has no rule with the backend {setup.root}, into which Argo writes the weights"
            yield Hit(says, (label_of(ingress), setup.label), ("spec", "rules"))
        for backend in rules:
            if backend.port != USE_ANNOTATION:
                says = f"The rule of {setup.root} in Ingress {name} has port {backend.port} and not {USE_ANNOTATION}"
                yield Hit(f"{says}: the controller ignores the weights", (label_of(ingress), setup.label), backend.path)


@rule(
    "TemplateMissing",
    BLOCKS,
    "An analysis names a template that does not exist: Argo refuses the Rollout (InvalidSpec).",
    "Create it, or correct the name, `clusterScope` or the namespace.",
)
def templates(setup: Setup) -> Iterator[Hit]:
    """Each template of an analysis exists, and those that templates name."""
    for place, analysis in places_of(setup.rollout).items():
        used = wanted_templates(
            {"spec": {"strategy": {"blueGreen": {"prePromotionAnalysis": analysis}}}}, setup.templates
        )
        for kind, name in sorted(used - setup.templates.keys()):
            if kind not in setup.manifests.unread and not _renamed(setup, kind, name):
                yield _missing(setup, kind, name, place)


@rule(
    "ServiceMissing",
    BLOCKS,
    "The strategy names a Service that does not exist: Argo refuses the Rollout (InvalidSpec).",
    "Create it, or correct the name.",
)
def services(setup: Setup) -> Iterator[Hit]:
    """Each Service of the strategy exists."""
    for field, name in setup.service_names.items() if "Service" not in setup.manifests.unread else ():
        if name not in setup.services and not _renamed(setup, "Service", name):
            yield _missing(setup, "Service", name, field)


def _missing(setup: Setup, kind: str, name: str, field: str) -> Hit:
    """Say that an object is missing; of files nobody knows whether they are all."""
    where = "" if setup.manifests.is_live else " among the manifests"
    says = f"{field} names {kind} {name}, and there is none{where}"
    return Hit(says, (setup.label,), _path_of(setup, field), None if setup.manifests.is_live else RISK)


def _path_of(setup: Setup, field: str) -> FieldPath:
    strategy = "blueGreen" if setup.blue_green is not None else "canary"
    if field in {"pingService", "pongService"}:
        return (*STRATEGY, strategy, "pingPong", field)
    if found := re.fullmatch(r"steps\[(\d+)\]", field):
        return (*STRATEGY, strategy, "steps", int(found[1]), "analysis")
    return (*STRATEGY, strategy, field)


@rule(
    "NamePrefixLeftBehind",
    BLOCKS,
    "A reference of the Rollout misses a prefix or suffix that the object of that kind has: kustomize renames the"
    " objects, and not a Rollout's references to them.",
    "Add the nameReference configuration of `rollout-examples/name-references`.",
)
def left_behind(setup: Setup) -> Iterator[Hit]:
    """No reference misses the prefix or suffix that the Rollout itself has."""
    wanted = [("Service", name, field) for field, name in setup.service_names.items()]
    for place, analysis in places_of(setup.rollout).items():
        names = [
            (str(at(one, "templateName", "")), at(one, "clusterScope") is True) for one in analysis.get("templates", ())
        ]
        wanted += [
            ("ClusterAnalysisTemplate" if clustered else "AnalysisTemplate", name, place) for name, clustered in names
        ]
    for kind, name, field in wanted:
        renamed = _renamed(setup, kind, name)
        if renamed:
            says = f"{field} names {name}, and there is a {kind} {renamed}"
            yield Hit(says, (setup.label, f"{kind}/{renamed}"), _path_of(setup, field))


def _renamed(setup: Setup, kind: str, name: str) -> str:
    """Return the object that kustomize renamed, if the Rollout has the same prefix or suffix."""
    namespace = "" if kind == "ClusterAnalysisTemplate" else setup.namespace
    every = [name_of(one) for one in setup.manifests.of(kind, namespace)]
    for other in every if name and name not in every else ():
        if other.endswith(f"-{name}") and setup.name.startswith(other.removesuffix(name)):
            return other
        if other.startswith(f"{name}-") and setup.name.endswith(other.removeprefix(name)):
            return other
    return ""


@rule(
    "SelectsNothing",
    BLOCKS,
    "A Service of the strategy selects a label that the Rollout's pods do not have, as kustomize's `labels` with "
    "`includeSelectors` leaves it: Argo refuses the Rollout.",
    "Remove the label from the selector, or add it to the pod template.",
)
def selectors(setup: Setup) -> Iterator[Hit]:
    """Each Service selects the Rollout's pods."""
    labels = at(setup.pod, "metadata.labels", {})
    for name, service in setup.services.items() if setup.pod else ():
        for key, value in at(service, "spec.selector", {}).items():
            if key != HASH_LABEL and labels.get(key) != value:
                says = f"Service {name} selects {key}={value}, which the Rollout's pods do not have"
                yield Hit(says, (f"Service/{name}", setup.label), ("spec", "selector", key))


@rule(
    "ArgumentMissing",
    BLOCKS,
    "A template declares an argument without a value, and the Rollout passes none: no AnalysisRun is created, or "
    "it ends in Error.",
    "Pass it, or give it a default.",
)
def arguments(setup: Setup) -> Iterator[Hit]:
    """Every argument that a template needs has a value."""
    for analysis in setup.analyses:
        for argument in analysis.arguments:
            if argument.value is None and not argument.source:
                says = f"{analysis.place} does not pass the argument {argument.name}, which has no default"
                yield Hit(says, (setup.label,), _path_of(setup, analysis.place))
        declared = {argument.name for argument in analysis.arguments}
        for problem in analysis.problems:
            if "cannot be resolved" in problem or (problem.startswith("argument ") and "no value" not in problem):
                yield Hit(f"{analysis.place}: {problem}", (setup.label,), _path_of(setup, analysis.place))
        for metric in analysis.metrics:
            for problem in metric.problems:
                if "cannot be resolved" in problem and "workflow" not in problem and declared is not None:
                    kind, name = metric.template
                    yield Hit(f"Metric {metric.name} of {name}: {problem}", (f"{kind}/{name}",))


@rule(
    "ArgumentUnknown",
    ADVICE,
    "The Rollout passes an argument that no template of the analysis declares: Argo drops it.",
    "Correct its name.",
)
def unknown_arguments(setup: Setup) -> Iterator[Hit]:
    """What is passed is declared."""
    for analysis in setup.analyses:
        passed = [str(at(one, "name", "")) for one in places_of(setup.rollout)[analysis.place].get("args", ())]
        if any(key not in setup.templates for key in wanted_templates(setup.rollout, setup.templates)):
            continue
        for name in dict.fromkeys(passed):
            if name not in {argument.name for argument in analysis.arguments}:
                says = f"{analysis.place} passes the argument {name}, which none of its templates declares"
                yield Hit(says, (setup.label,), _path_of(setup, analysis.place))


@rule(
    "DefaultsContradict",
    BLOCKS,
    "Two templates of one analysis give an argument different defaults: Argo refuses it, even if the Rollout "
    "passes its own.",
    "Give it the same default, or none.",
)
def defaults(setup: Setup) -> Iterator[Hit]:
    """Templates of one analysis agree on the default of an argument."""
    for analysis in setup.analyses:
        for problem in analysis.problems:
            if problem.startswith("templates give argument"):
                yield Hit(f"{analysis.place}: {problem}", tuple(f"{kind}/{name}" for kind, name in analysis.templates))


@rule(
    "SameNameTwice",
    ADVICE,
    "A ClusterAnalysisTemplate and an AnalysisTemplate have the same name: `clusterScope` decides which one is used.",
    "Rename one of them.",
)
def same_names(setup: Setup) -> Iterator[Hit]:
    """No template of an analysis has a namesake of the other kind."""
    for analysis in setup.analyses:
        for kind, name in analysis.templates:
            other = "AnalysisTemplate" if kind == "ClusterAnalysisTemplate" else "ClusterAnalysisTemplate"
            if (other, name) in setup.templates:
                says = f"{analysis.place} uses {kind} {name}; there is an {other} of that name too"
                yield Hit(says, (f"{kind}/{name}", f"{other}/{name}"))


@rule(
    "MetricNamedTwice",
    BLOCKS,
    "Two metrics of one analysis have the same name: Argo refuses it.",
    "Rename one of them.",
)
def metric_names(setup: Setup) -> Iterator[Hit]:
    """No two metrics of one analysis have the same name."""
    for analysis in setup.analyses:
        for name, number in Counter(metric.name for metric in analysis.metrics).items():
            if number > 1:
                objects = tuple(f"{kind}/{template}" for kind, template in analysis.templates)
                yield Hit(f"{analysis.place} has {number} metrics named {name}", objects)


@rule(
    "ArgumentInDryRun",
    BLOCKS,
    "`dryRun` and `measurementRetention` take no arguments: the AnalysisRun ends in Error.",
    "Write the name.",
)
def dry_runs(setup: Setup) -> Iterator[Hit]:
    """No template uses an argument where none is taken."""
    for key in wanted_templates(setup.rollout, setup.templates) & setup.templates.keys():
        spec = mapping(setup.templates[key].get("spec"))
        for field in ("dryRun", "measurementRetention"):
            if PLACEHOLDER.search(json.dumps(spec.get(field) or [], default=str)):
                yield Hit(
                    f"{key[1]} uses an argument in {field}, where none is taken", ("/".join(key),), ("spec", field)
                )


@rule(
    "NoPodsAtGate",
    BLOCKS,
    "At the gate Argo gives green no pods, so the gate waits for ever: the answer is NoPodsDesired.",
    "Begin the steps with `setCanaryScale`, or a weight above 0, in front of the gate.",
)
def pods_at_gates(setup: Setup) -> Iterator[Hit]:
    """Green has pods when the gate asks."""
    strategy = setup.record.strategy
    if not isinstance(strategy, records.Canary) or not setup.record.replicas:
        return
    for analysis in setup.gates if setup.canary is not None else ():
        step = int(analysis.place.removeprefix("steps[").removesuffix("]"))
        activity = records.Activity(step=step)
        rollout = replace(setup.record, activity=activity, current_hash="green", stable_hash="blue")
        why = why_no_pods(rollout, Stage.BEFORE_SWITCH) if analysis.queries else ""
        if why:
            yield Hit(f"{analysis.place} asks while green has no pods: {why.rstrip('.')}", (setup.label,),
                      _path_of(setup, analysis.place))  # fmt: skip


@rule(
    "NoGate",
    RISK,
    "No analysis before the switch asks this provider, so Argo switches whatever the load balancer says.",
    "Add `prePromotionAnalysis`, or an analysis step before the weight moves, as in the examples.",
)
def gate(setup: Setup) -> Iterator[Hit]:
    """Something before the switch asks this provider."""
    if (setup.blue_green is None and setup.canary is None) or setup.asks_provider:
        return
    for analysis in setup.gates:
        is_partly_known = any("does not exist" in problem for problem in analysis.problems)
        if is_partly_known or any(
            one.unknown_arguments or "http" not in url_of(one) for one in analysis.metrics if one.request
        ):
            return  # it may be what is not known
    for _, metric, *_ in setup.metrics():
        if is_misspelt(metric):
            return  # it has a finding of its own
    yield Hit("No analysis before the switch asks this provider", (setup.label,), STRATEGY)


def url_of(metric: object) -> str:
    """Return the URL of a metric's request."""
    return str(getattr(getattr(metric, "request", None), "url", "") or "")


def is_misspelt(metric: object) -> bool:
    """Tell whether a metric asks an endpoint below /v1 that there is not, with the parameters of this provider."""
    url = url_of(metric)
    names = re.findall(r"[?&](\w+)=", url)
    return getattr(metric, "query", None) is None and "/v1/" in url and {"namespace", "rollout"} <= set(names)


@rule(
    "WeightBeforeGate",
    RISK,
    "In ping-pong the weight moves before the first gate: users reach green before anything asks.",
    "Begin the steps with `setCanaryScale` and the gate, and move the weight after it.",
)
def weight_before_gate(setup: Setup) -> Iterator[Hit]:
    """In ping-pong no weight moves before the gate."""
    strategy = setup.record.strategy
    if not isinstance(strategy, records.Canary) or not strategy.is_ping_pong or setup.canary is None:
        return
    asking = [int(one.place.removeprefix("steps[").removesuffix("]")) for one in setup.gates if one.queries]
    for number, step in enumerate(strategy.steps[: min(asking, default=0)]):
        if step.weight:
            says = f"setWeight {step.weight} comes before the first gate (steps[{min(asking)}])"
            yield Hit(says, (setup.label,), (*STRATEGY, "canary", "steps", number, "setWeight"))
            return


@rule(
    "RetrySkipsGate",
    RISK,
    "Argo Rollouts before 1.10 takes a retry within `abortScaleDownDelaySeconds` (default 30) for a rollback, and"
    " switches to the aborted version without any analysis.",
    "Set `abortScaleDownDelaySeconds: 0`, or use Argo Rollouts 1.10 or newer.",
)
def retries(setup: Setup) -> Iterator[Hit]:
    """A retry asks again."""
    delay = at(setup.blue_green, "abortScaleDownDelaySeconds", 30)
    if setup.blue_green is not None and delay != 0:
        says = (
            f"abortScaleDownDelaySeconds is {delay}: a retry within that time switches without an analysis before 1.10"
        )
        yield Hit(says, (setup.label,), (*STRATEGY, "blueGreen", "abortScaleDownDelaySeconds"))


@rule(
    "RollbackWindow",
    RISK,
    "Within `rollbackWindow` an undo switches without any analysis.",
    "Remove it, if a rollback must be checked too.",
)
def rollbacks(setup: Setup) -> Iterator[Hit]:
    """A rollback asks too."""
    if at(setup.rollout, "spec.rollbackWindow.revisions"):
        says = "rollbackWindow is set: an undo within it runs no analysis"
        yield Hit(says, (setup.label,), ("spec", "rollbackWindow"))


@rule(
    "NoWayBack",
    RISK,
    "`revisionHistoryLimit: 0` keeps no version to roll back to.",
    "Keep at least one.",
)
def history(setup: Setup) -> Iterator[Hit]:
    """A version is kept to roll back to."""
    if at(setup.rollout, "spec.revisionHistoryLimit") == 0:
        says = "revisionHistoryLimit is 0: no version is kept to roll back to"
        yield Hit(says, (setup.label,), ("spec", "revisionHistoryLimit"))


@rule(
    "PreviewReplicaCount",
    RISK,
    "The pods beyond `previewReplicaCount` are created after the gate: nothing checks them.",
    "Remove `previewReplicaCount`.",
)
def later_pods(setup: Setup) -> Iterator[Hit]:
    """Every pod of green exists when the gate asks."""
    strategy, wanted = setup.record.strategy, setup.record.replicas
    count = strategy.preview_replica_count if isinstance(strategy, records.BlueGreen) else None
    if count is not None and count < wanted:
        by = f" (HorizontalPodAutoscaler {name_of(setup.autoscaler)})" if setup.autoscaler is not None else ""
        says = f"previewReplicaCount is {count} of {wanted} replicas{by}: the other {wanted - count} are never checked"
        yield Hit(says, (setup.label,), (*STRATEGY, "blueGreen", "previewReplicaCount"))


@rule(
    "ScaleOutUnchecked",
    ADVICE,
    "An autoscaler scales the Rollout: pods that it adds after the gate are checked by no analysis, only by their"
    " readiness gates.",
    "Label the namespace for readiness gates, and keep a watch after the switch.",
)
def scale_out(setup: Setup) -> Iterator[Hit]:
    """No pod is added after the gate."""
    least, most = at(setup.autoscaler, "spec.minReplicas", 1), at(setup.autoscaler, "spec.maxReplicas", 1)
    if setup.autoscaler is not None and most > least and setup.asks_provider:
        says = f"HorizontalPodAutoscaler {name_of(setup.autoscaler)} can go from {least} to {most} pods after the gate"
        yield Hit(says, (label_of(setup.autoscaler), setup.label), ("spec", "maxReplicas"))


@rule(
    "StaleVerdict",
    RISK,
    "With `autoPromotionEnabled: false` a person promotes later than the gate passed: the verdict may be hours old.",
    "Promote by analysis (`autoPromotionEnabled: true`), and let a person approve the deployment instead.",
)
def stale_verdicts(setup: Setup) -> Iterator[Hit]:
    """The switch follows the verdict at once."""
    if at(setup.blue_green, "autoPromotionEnabled") is False and setup.asks_provider:
        says = "autoPromotionEnabled is false: nothing asks again when a person promotes"
        yield Hit(says, (setup.label,), (*STRATEGY, "blueGreen", "autoPromotionEnabled"))


@rule(
    "FirstDeploy",
    ADVICE,
    "Argo runs no analysis for the first version of a Rollout, or the first after it was taken over from a "
    "Deployment: nothing checks it. Seen in a cluster only.",
    "Deploy the first version while nobody depends on it, or behind a rule without users.",
)
def first_deploy(setup: Setup) -> Iterator[Hit]:
    """There is a version before green: without one Argo asks nobody."""
    if setup.manifests.is_live and setup.asks_provider and not setup.record.stable_hash:
        says = "No version has been promoted yet: the first one takes production traffic without an analysis"
        yield Hit(says, (setup.label,))


@rule(
    "ActiveWithoutHash",
    RISK,
    "A Service of production selects no pod template hash, so pods of every version get its traffic, whatever the"
    " gate says. Argo writes it into the strategy's Services when it reconciles the Rollout; something removed it"
    " since, or Argo is not running. Into `rootService` Argo writes none. Seen in a cluster only.",
    "Look at the Argo Rollouts controller, and keep `spec.selector` out of what your GitOps tool enforces. Let no"
    " rule lead to `rootService` itself: name it with the port `use-annotation`.",
)
def without_hash(setup: Setup) -> Iterator[Hit]:
    """Each Service by which users reach production selects one version."""
    if not setup.manifests.is_live or not setup.record.stable_hash:
        return
    fields = {name: field for field, name in setup.service_names.items() if name == setup.production}
    service = setup.manifests.find("Service", setup.namespace, setup.root) if setup.root else None
    labels, selector = at(setup.pod, "metadata.labels", {}), at(service, "spec.selector", {})
    if setup.root not in fields and selector and selector.items() <= labels.items() and groups_of(setup, setup.root):
        fields[setup.root] = "rootService"
    for name, field in fields.items():
        service = setup.manifests.find("Service", setup.namespace, name)
        if service is not None and HASH_LABEL not in at(service, "spec.selector", {}):
            says = f"{field} {name} selects no {HASH_LABEL}: pods of every version get its traffic"
            yield Hit(says, (setup.label,))
