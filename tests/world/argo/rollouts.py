"""Reconciles Rollouts: the strategy acts, and the status says where it stands (argo-rollouts: rollout/sync.go)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.world.argo import blue_green, canary
from tests.world.argo.context import Context, annotations_of, available
from tests.world.argo.templates import REVISION, InvalidSpec
from tests.world.cluster.naming import timestamp
from tests.world.cluster.store import KubernetesStore

Manifest = dict[str, Any]


class RolloutController:
    """Reconciles every Rollout, with the strategy blue-green or canary."""

    def __init__(self, kubernetes: KubernetesStore, now: Callable[[], datetime]) -> None:
        self._kubernetes, self._now = kubernetes, now

    def reconcile(self) -> None:
        """Bring each Rollout one reconcile further."""
        for stored in self._kubernetes.stored("Rollout"):
            rollout = self._kubernetes.get("Rollout", stored.namespace, stored.name)
            rollout["status"] = _reconciled(self._kubernetes, rollout, self._now())
            if rollout != stored.shared:
                self._kubernetes.put(rollout)


def _reconciled(kubernetes: KubernetesStore, rollout: Manifest, now: datetime) -> Manifest:
    """Do one reconcile, and return the Rollout's new status."""
    context = Context(kubernetes, rollout, now)
    context.status |= _counted(context)
    try:
        (blue_green if "blueGreen" in context.spec["strategy"] else canary).reconcile(context)
    except InvalidSpec as error:
        invalid = _condition("InvalidSpec", "True", "InvalidSpec", str(error), now)
        conditions = [*_conditions_of(context.old, "InvalidSpec"), invalid]
        return {**context.old, "conditions": conditions, "phase": "Degraded", "message": f"InvalidSpec: {error}"}
    if context.is_new_template:
        context.clears_pauses = context.removes_abort = True
    elif context.spec.get("progressDeadlineAbort") and _is_stuck(context):
        name = context.green["metadata"]["name"]
        context.abort_message = f'ReplicaSet "{name}" has timed out progressing.'
    if context.old.get("promoteFull") and not context.is_new_template:
        context.clears_pauses = context.removes_abort = True
        if context.status["stableRS"] != context.green_hash:
            context.status["promoteFull"] = True
    _note_pauses(context)
    context.status["conditions"] = _conditions(context)
    phase, message = phase_of(context.spec, context.status)
    status: Manifest = context.status | {"phase": phase} | ({"message": message} if message else {})
    return status


def _counted(context: Context) -> Manifest:
    sets = list(context.sets.values())
    pods = sum(replica_set["status"].get("replicas", 0) for replica_set in sets)
    matched = context.spec["selector"]["matchLabels"]
    status = {
        "observedGeneration": str(context.rollout["metadata"]["generation"]),
        "currentPodHash": context.green_hash,
        "stableRS": context.old.get("stableRS", ""),
        "replicas": pods,
        "HPAReplicas": pods,
        "updatedReplicas": context.green["status"].get("replicas", 0),
        "readyReplicas": sum(replica_set["status"].get("readyReplicas", 0) for replica_set in sets),
        "availableReplicas": sum(available(replica_set) for replica_set in sets),
        "selector": ",".join(f"{name}={value}" for name, value in sorted(matched.items())),
    }
    return {name: value for name, value in status.items() if value != ""}


def _note_pauses(context: Context) -> None:
    """Write abort, or the pause conditions; an abort clears them."""
    if context.is_aborted:
        since = context.old.get("abortedAt") or timestamp(context.now)
        context.status |= {"abort": True, "abortedAt": since}
        return
    if context.clears_pauses:
        return
    present = context.old.get("pauseConditions", [])
    pauses = [pause for pause in present if pause["reason"] not in context.removed_pauses]
    reasons = {pause["reason"] for pause in present}
    added = [reason for reason in context.added_pauses if reason not in reasons]
    pauses += [{"reason": reason, "startTime": timestamp(context.now)} for reason in dict.fromkeys(added)]
    if pauses:
        is_ours = bool(added) or bool(context.old.get("controllerPause"))
        context.status |= {"pauseConditions": pauses} | ({"controllerPause": True} if is_ours else {})


def _is_stuck(context: Context) -> bool:
    """Tell whether progressDeadlineSeconds are over without progress."""
    present = next(iter(_conditions_of(context.old, only="Progressing")), None)
    step = canary._step(context) if "canary" in context.spec["strategy"] else {}
    if present is None or context.is_aborted or {"pause", "analysis"} & step.keys():
        return False
    if context.old.get("pauseConditions") or context.is_promoted or _progresses(context):
        return False
    seconds = timedelta(seconds=context.spec.get("progressDeadlineSeconds", 600))
    over = context.now > datetime.fromisoformat(present["lastUpdateTime"]) + seconds
    return present["reason"] == "ProgressDeadlineExceeded" or (over and present["reason"] != "NewReplicaSetAvailable")


def _progresses(context: Context) -> bool:
    """Tell whether something has moved since the last reconcile."""
    old, new = context.old, context.status
    part = "blueGreen" if "blueGreen" in context.spec["strategy"] else "canary"
    fields = ("activeSelector", "previewSelector") if part == "blueGreen" else ()
    moved = any(old.get(part, {}).get(name) != new.get(part, {}).get(name) for name in fields)
    moved |= any(old.get(name) != new.get(name) for name in ("currentStepIndex", "stableRS", "updatedReplicas"))
    grown = any(new.get(name, 0) > old.get(name, 0) for name in ("readyReplicas", "availableReplicas"))
    return moved or grown or context.is_new_template


def _conditions(context: Context) -> list[Manifest]:
    status, now = context.status, context.now
    kept = {condition["type"]: condition for condition in context.old.get("conditions", ())}
    phase, _ = phase_of(context.spec, status | {"conditions": []})
    is_healthy, is_paused = phase == "Healthy", bool(status.get("pauseConditions")) or context.spec.get("paused", False)
    before = kept.get("Progressing", {})
    progressing = _progressing(context, before, is_healthy=is_healthy, is_paused=is_paused)
    if progressing[1] == "ReplicaSetUpdated" and _progresses(context):
        kept["Progressing"] = before | {"lastUpdateTime": ""}
    is_complete = bool(status.get("stableRS")) and status["stableRS"] == context.green_hash
    is_available = status.get("availableReplicas", 0) >= context.replicas
    minimum = "Rollout has minimum availability" if is_available else "Rollout does not have minimum availability"
    wanted = {
        "Available": (str(is_available), "AvailableReason", minimum),
        "Paused": (str(is_paused), "RolloutPaused", "Rollout is paused"),
        "Completed": (str(is_complete), "RolloutCompleted", "RolloutCompleted"),
        "Healthy": (
            str(is_healthy),
            "RolloutHealthy",
            "Rollout is healthy" if is_healthy else "Rollout is not healthy",
        ),
        "Progressing": progressing,
    }
    return [_condition(kind, *values, now, kept.get(kind)) for kind, values in wanted.items()]


def _progressing(context: Context, before: Manifest, *, is_healthy: bool, is_paused: bool) -> tuple[str, str, str]:
    """Return status, reason and message of the condition Progressing; without a change it stays as it was `before`."""
    name, reason = context.green["metadata"]["name"], before.get("reason")
    if context.is_aborted:
        if reason == "RolloutAborted" and not context.abort_message:
            return "False", reason, before["message"]
        cause = f": {context.abort_message}" if context.abort_message else ""
        revision = annotations_of(context.rollout)[REVISION]
        return "False", "RolloutAborted", f"Rollout aborted update to revision {revision}{cause}"
    if is_healthy:
        return "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'
    if is_paused:
        return "Unknown", "RolloutPaused", "Rollout is paused"
    if reason == "RolloutAborted" and not context.is_new_template:
        return "Unknown", "RolloutRetry", "Retrying Rollout after abort"
    if _progresses(context) or reason in (None, "NewReplicaSetAvailable"):
        return "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'
    if reason == "RolloutPaused":
        return "Unknown", "RolloutResumed", "Rollout is resumed"
    if _is_stuck(context):
        return "False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
    return before["status"], before["reason"], before["message"]


def _condition(
    kind: str, status: str, reason: str, message: str, now: datetime, before: Manifest | None = None
) -> Manifest:
    """Return a condition; its times are those of the one before while nothing about it changes."""
    condition = {"type": kind, "status": status, "reason": reason, "message": message}
    moved, changed = timestamp(now), timestamp(now)
    if before is not None and before.get("status") == status:
        moved = before["lastTransitionTime"]
        if before["reason"] == reason:
            changed = before["lastUpdateTime"] or changed
    return condition | {"lastTransitionTime": moved, "lastUpdateTime": changed}


def _conditions_of(status: Manifest, without: str = "", only: str = "") -> list[Manifest]:
    conditions = [condition for condition in status.get("conditions", ()) if condition["type"] != without]
    return [condition for condition in conditions if not only or condition["type"] == only]


def phase_of(spec: Manifest, status: Manifest) -> tuple[str, str]:
    """Return a Rollout's phase and its message (utils/rollout/rolloututil.go)."""
    for condition in status.get("conditions", ()):
        if condition["type"] == "InvalidSpec":
            return "Degraded", f"InvalidSpec: {condition['message']}"
        if condition["reason"] in ("RolloutAborted", "ProgressDeadlineExceeded"):
            return "Degraded", f"{condition['reason']}: {condition['message']}"
    if spec.get("paused"):
        return "Paused", "manually paused"
    if status.get("pauseConditions"):
        return "Paused", str(status["pauseConditions"][0]["reason"])
    if status.get("updatedReplicas", 0) < spec.get("replicas", 1):
        return "Progressing", "more replicas need to be updated"
    if status.get("availableReplicas", 0) < status.get("updatedReplicas", 0):
        return "Progressing", "updated replicas are still becoming available"
    part = status.get("blueGreen", {})
    if "blueGreen" in spec["strategy"] and part.get("activeSelector", "") != status.get("currentPodHash"):
        return "Progressing", "active service cutover pending"
    if status.get("stableRS", "") == status.get("currentPodHash"):
        return "Healthy", ""
    return "Progressing", _waits_for(spec, part)


def _waits_for(spec: Manifest, part: Manifest) -> str:
    if "canary" in spec["strategy"]:
        return "waiting for all steps to complete"
    ended = part.get("postPromotionAnalysisRunStatus", {}).get("status") in ("Successful", "Failed", "Error")
    if "postPromotionAnalysis" in spec["strategy"]["blueGreen"] and not ended:
        return "waiting for analysis to complete"
    return "waiting for post-promotion verification to complete"
