"""How Argo can switch without asking, or ask about less than what will get the traffic.

Sources: Argo Rollouts 1.10.1, rollout/bluegreen.go, rollout/canary.go, rollout/analysis.go, utils/replicaset.
"""

from dataclasses import replace

from provider.advice.preflight.findings import ADVICE, BLOCKS, RISK, Hit, Hits, rule
from provider.advice.preflight.manifests import at, label_of, name_of
from provider.advice.preflight.setup import Setup
from provider.model import records
from provider.model.analysis import ProblemKind
from provider.model.records import Stage
from provider.rules.green_size import why_no_pods


@rule("NoGate", RISK, "Add `prePromotionAnalysis`, or an analysis step before the weight moves, as in the examples.")
def gate(setup: Setup) -> Hits:
    """No analysis before the switch asks this provider, so Argo switches whatever the load balancer says."""
    unknown = any(problem.kind is ProblemKind.TEMPLATE for one in setup.gates for problem in one.problems)
    unknown |= any(
        metric.unknown_arguments or "http" not in metric.request.url
        for one in setup.gates
        for metric in one.metrics
        if metric.request
    )
    is_misspelt = any(place.misspelt_endpoint for place in setup.metrics)
    if setup.has_strategy and not (setup.asks_provider or unknown or is_misspelt):
        yield setup.hit("No analysis before the switch asks this provider", "spec", "strategy")


@rule("WeightBeforeGate", RISK, "Begin the steps with `setCanaryScale` and the gate, and move the weight after it.")
def weight_before_gate(setup: Setup) -> Hits:
    """In ping-pong the weight moves before the first gate: users reach green before anything asks."""
    first = min(setup.asking_steps, default=0)
    strategy = setup.record.strategy
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
        why = why_no_pods(
            replace(setup.record, activity=activity, current_hash="green", stable_hash="blue"), Stage.BEFORE_SWITCH
        )
        if why:
            says = f"{analysis.place} asks while green has no pods: {why.rstrip('.')}"
            yield setup.analysis_hit(says, analysis.place)


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
