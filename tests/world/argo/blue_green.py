"""The blue-green strategy (argo-rollouts: rollout/bluegreen.go), but for previewReplicaCount."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.world.argo.assessment import Phase
from tests.world.argo.context import Context, Manifest
from tests.world.cluster.naming import HASH_LABEL

_PAUSE = "BlueGreenPause"


def reconcile(context: Context) -> None:
    """Do one reconcile, up to the status of the strategy."""
    preview = context.strategy.get("previewService")
    if preview and not context.is_halted:
        context.select(preview, context.green)
    if not context.is_new_template:
        _scale(context)
        _pause(context)
        _switch(context)
        _analyse(context)
    _note(context)


def _scale(context: Context) -> None:
    for replica_set in (context.blue, None if context.is_aborted else context.green):
        if replica_set is not None:
            context.set_deadline(replica_set, None)
    if context.blue is not None and context.blue is not context.green:
        context.scale(context.blue, context.replicas)
    context.scale_green(context.replicas)
    context.scale_down_others()
    context.forget_old_revisions()


def _is_fast_tracked(context: Context) -> bool:
    active = context.selected(context.strategy["activeService"])
    return context.is_fast_rollback or bool(context.old.get("promoteFull")) or active in ("", context.green_hash)


def _runs(context: Context) -> tuple[Manifest | None, Manifest | None]:
    status = context.old.get("blueGreen", {})
    before, after = (status.get(f"{when}PromotionAnalysisRunStatus") for when in ("pre", "post"))
    return context.current_run(before), context.current_run(after)


def _has_passed(context: Context) -> bool:
    """Tell whether the analysis before the switch is over, or there is none."""
    before, _ = _runs(context)
    passed = before is not None and before["status"].get("phase") == Phase.SUCCESSFUL
    return passed or "prePromotionAnalysis" not in context.strategy


def _pause(context: Context) -> None:
    if context.old.get("abort") or context.is_halted or not context.is_saturated(context.green):
        return
    seconds = context.strategy.get("autoPromotionSeconds", 0)
    waits = context.strategy.get("autoPromotionEnabled", True) is False or seconds
    if _is_fast_tracked(context) or not waits:
        context.removed_pauses.add(_PAUSE)
    elif _has_passed(context):
        if context.pause(_PAUSE) is not None:
            if _is_pause_over(context):
                context.removed_pauses.add(_PAUSE)
        elif not context.old.get("controllerPause"):
            context.added_pauses.append(_PAUSE)


def _is_pause_over(context: Context) -> bool:
    """Tell whether a person has resumed the Rollout, or autoPromotionSeconds are over."""
    pause, seconds = context.pause(_PAUSE), context.strategy.get("autoPromotionSeconds", 0)
    if context.added_pauses:
        return False
    if context.strategy.get("autoPromotionEnabled", True):
        if not seconds:
            return True
        since = datetime.fromisoformat(pause["startTime"]) if pause else None
        return since is not None and context.now > since + timedelta(seconds=seconds)
    return bool(context.old.get("controllerPause")) and pause is None


def _switch(context: Context) -> None:
    """Point the active Service at green, or after an abort back at blue, while green has all its pods."""
    if context.is_halted or not context.is_saturated(context.green):
        return
    goes_on = _is_fast_tracked(context) or (_is_pause_over(context) and _has_passed(context))
    if context.old.get("abort") and context.blue is not None:
        context.select(context.strategy["activeService"], context.blue)
    elif goes_on:
        context.select(context.strategy["activeService"], context.green)


def _analyse(context: Context) -> None:
    before, after = _runs(context)
    is_skipped = context.is_promoted or context.is_aborted or context.old.get("promoteFull")
    if is_skipped or context.is_fast_rollback or context.blue is None:
        context.cancel(before, after)
    else:
        active = context.old.get("blueGreen", {}).get("activeSelector", "")
        is_switched = active == context.green_hash
        begins = context.is_saturated(context.green)
        analysis = context.strategy.get("prePromotionAnalysis")
        if analysis and not is_switched and active and (before or begins):
            before = context.analyse(analysis, before, "PrePromotion", "pre")
            context.follow(before, "Blue/green pre-promotion")
        else:
            context.cancel(before)
        analysis = context.strategy.get("postPromotionAnalysis")
        if analysis and is_switched and (after or begins):
            after = context.analyse(analysis, after, "PostPromotion", "post")
            context.follow(after, "Blue/green post-promotion")
        else:
            context.cancel(after)
    context.keep_current(prePromotionAnalysisRunStatus=before, postPromotionAnalysisRunStatus=after)


def _note(context: Context) -> None:
    preview, active = context.strategy.get("previewService"), context.selected(context.strategy["activeService"])
    part: Manifest = {"activeSelector": active, "previewSelector": context.selected(preview) if preview else ""}
    if not context.is_new_template:
        part |= context.run_status("prePromotionAnalysisRunStatus")
        part |= context.run_status("postPromotionAnalysisRunStatus")
    shown = context.sets.get(active)
    context.status |= {"blueGreen": {name: value for name, value in part.items() if value}}
    if shown is not None:
        context.status["availableReplicas"] = shown["status"].get("availableReplicas", 0)
        context.status["readyReplicas"] = shown["status"].get("readyReplicas", 0)
    if _is_complete(context, active):
        context.clears_pauses = context.removes_abort = True
        context.status["stableRS"] = context.green["metadata"]["labels"][HASH_LABEL]


def _is_complete(context: Context, active: str) -> bool:
    if context.blue is None or not active:
        return True
    if active != context.green_hash or context.is_new_template:
        return False
    if context.old.get("promoteFull") or context.is_fast_rollback:
        return True
    after = context.current_runs.get("postPromotionAnalysisRunStatus")
    passed = after is not None and after["status"].get("phase") == Phase.SUCCESSFUL
    return not context.is_aborted and (passed or "postPromotionAnalysis" not in context.strategy)
