"""Whether Argo will give green any pods, and what to change if it will not.

Pure. Sources: argoproj/argo-rollouts utils/replicaset/canary.go (GetCanaryReplicasOrWeight,
approximateWeightedCanaryStableReplicaCounts), utils/replicaset/replicaset.go (NewRSNewReplicas).
"""

from provider.model.records import BlueGreen, Canary, CanaryScale, Rollout, Stage


def why_no_pods(rollout: Rollout, stage: Stage) -> str:
    """Return why Argo gives green no pods and what to change; empty if time alone can bring some.

    Also empty after an abort, which scales green down too and has its own sentence.
    """
    activity = rollout.activity
    if activity.is_aborted and rollout.is_rolling:
        return ""
    skips_strategy = activity.is_promoted_full or not rollout.stable_hash or not rollout.is_rolling
    match rollout.strategy:
        case Canary() as canary if not skips_strategy:
            return _at_step(rollout, canary)
        case BlueGreen(preview_replica_count=0) if not skips_strategy:
            if stage is Stage.BEFORE_SWITCH and not activity.is_preview_over:
                return "previewReplicaCount is 0, so before the switch there is nothing to check. Raise or remove it."
    return _with_all_replicas(rollout)


def _with_all_replicas(rollout: Rollout) -> str:
    return "" if rollout.replicas else f"Rollout {rollout.name} itself is scaled to 0 (spec.replicas). Scale it up."


def _at_step(rollout: Rollout, canary: Canary) -> str:
    """Follow the steps from the current one to the first that adds pods or does not end by itself."""
    for index in range(rollout.activity.step or 0, len(canary.steps)):
        if _has_pods(rollout, canary, index):
            return ""
        if canary.steps[index].waits:
            return _what_to_change(rollout, canary, index)
    return _with_all_replicas(rollout)  # after the last step


def _has_pods(rollout: Rollout, canary: Canary, index: int) -> bool:
    """Tell whether Argo gives green at least one pod at a step."""
    scale = _scale(canary, index)
    if scale and scale.replicas is not None:
        return scale.replicas > 0
    weight = scale.weight if scale and scale.weight is not None else _weight(canary, index)
    if canary.is_routed or canary.surges or rollout.replicas > 1:
        return weight * rollout.replicas > 0  # Argo rounds up
    return weight * rollout.replicas >= 50  # the one replica is either blue's or green's


def _scale(canary: Canary, index: int) -> CanaryScale | None:
    """Return the last setCanaryScale up to a step; None if the weight decides (no router, or matchTrafficWeight)."""
    if not canary.is_routed:
        return None
    last = next((step.scale for step in reversed(canary.steps[: index + 1]) if step.scale), None)
    return None if last and last.matches_weight else last


def _weight(canary: Canary, index: int) -> int:
    """Return the weight at a step: that of the last setWeight, 0 before the first."""
    return next((step.weight for step in reversed(canary.steps[: index + 1]) if step.weight is not None), 0)


def _what_to_change(rollout: Rollout, canary: Canary, index: int) -> str:
    scale, weight = _scale(canary, index), _weight(canary, index)
    if not rollout.replicas and (scale is None or scale.replicas is None):
        return _with_all_replicas(rollout)
    if scale and (scale.replicas is not None or scale.weight is not None):
        return "at this step setCanaryScale asks for 0 pods. Raise it."
    if weight:
        return f"without trafficRouting, weight {weight} of 1 replica is 0 pods. Raise replicas, maxSurge or setWeight."
    if not canary.is_routed:
        return (
            "at this step the canary has weight 0. Put a setWeight above 0 before it (setCanaryScale would need "
            "trafficRouting)."
        )
    return (
        "at this step the canary has weight 0, and no setCanaryScale is in effect. Put a step setCanaryScale: "
        "{weight: 100} before it."
    )
