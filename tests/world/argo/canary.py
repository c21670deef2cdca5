"""The canary strategy with an ALB (argo-rollouts: rollout/canary.go): ping-pong, or stable and canary Services.

Steps: setCanaryScale, setWeight, pause and analysis. dynamicStableScale and replicaProgressThreshold are left out.
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta

from tests.world.argo.analysis_runs import duration
from tests.world.argo.assessment import Phase
from tests.world.argo.context import MANAGED_BY, Context, Manifest, annotations_of, available
from tests.world.cluster.naming import HASH_LABEL

ACTIONS = "alb.ingress.kubernetes.io/actions."
_PAUSE = "CanaryPauseStep"


def reconcile(context: Context) -> None:
    """Do one reconcile, up to the status of the strategy."""
    if "alb" not in context.strategy.get("trafficRouting", {}):
        raise NotImplementedError("the embedded Argo knows the canary with trafficRouting.alb only")
    context.status["canary"] = {
        name: value for name, value in context.old.get("canary", {}).items() if name in ("weights", "stablePingPong")
    }
    context.status["currentStepIndex"] = len(_steps(context)) if context.blue is None else _index(context)
    if context.is_new_template:
        is_back = context.green is context.blue
        context.status["currentStepIndex"] = len(_steps(context)) if is_back else 0
        return
    context.forget_old_revisions()
    _select(context)
    _route(context)
    _analyse(context)
    if not context.added_pauses and not _scale(context):
        _pause(context)
    _note(context)


def _steps(context: Context) -> list[Manifest]:
    steps: list[Manifest] = context.strategy.get("steps", [])
    return steps


def _index(context: Context) -> int:
    return int(context.old.get("currentStepIndex", 0))


def _step(context: Context) -> Manifest:
    """Return the current step; empty after the last."""
    steps, index = _steps(context), _index(context)
    return steps[index] if index < len(steps) else {}


def _last(context: Context, kind: str) -> Manifest | int | None:
    """Return the newest step of a kind up to the current one; None after the last step."""
    if not _step(context):
        return None
    values = (step[kind] for step in reversed(_steps(context)[: _index(context) + 1]) if kind in step)
    return next(values, None)


def _set_weight(context: Context) -> int:
    if context.old.get("abort"):
        return 0
    weight = _last(context, "setWeight") if _step(context) else 100
    return int(weight) if isinstance(weight, int) else 0


def services(context: Context) -> tuple[str, str]:
    """Return the Service of blue, and that of green."""
    if (pair := context.strategy.get("pingPong")) is None:
        return context.strategy["stableService"], context.strategy["canaryService"]
    ping, pong = pair["pingService"], pair["pongService"]
    return (ping, pong) if context.old.get("canary", {}).get("stablePingPong") == "ping" else (pong, ping)


def _select(context: Context) -> None:
    stable, canary = services(context)
    if "pingPong" in context.strategy:
        if not context.is_promoted or context.blue is None:
            context.select(canary, context.green)
        return
    if context.blue is not None:
        _select_available(context, stable, context.blue)
    if context.is_aborted and context.blue is not None:
        context.select(canary, context.blue)
    else:
        _select_available(context, canary, context.green)


def _select_available(context: Context, service: str, replica_set: Manifest) -> None:
    """Point a Service at a ReplicaSet once one of its pods is available, or all of them when Argo adopts it."""
    manifest = context.kubernetes.get("Service", context.namespace, service)
    is_adopted = MANAGED_BY in manifest["metadata"].get("annotations", {})
    if available(replica_set) >= (1 if is_adopted else max(1, replica_set["spec"]["replicas"])):
        context.select(service, replica_set)


def _desired_weight(context: Context) -> int:
    if context.blue is None or context.is_promoted or context.is_aborted or not available(context.green):
        return 0
    if context.old.get("promoteFull"):
        return int(context.old.get("canary", {}).get("weights", {}).get("canary", {}).get("weight", 0))
    if available(context.green) < _wanted(context):
        before = [step["setWeight"] for step in _steps(context)[: _index(context)] if "setWeight" in step]
        return int(before[-1]) if before else 0
    return _set_weight(context)


def _route(context: Context) -> None:
    """Write the weights into the Ingress, and into the status."""
    weight = _desired_weight(context)
    if context.blue is not None and available(context.blue) < (100 - weight) * context.replicas // 100:
        return
    stable, canary = services(context)
    alb = context.strategy["trafficRouting"]["alb"]
    groups = [
        {"ServiceName": canary, "ServicePort": str(alb["servicePort"]), "Weight": weight},
        {"ServiceName": stable, "ServicePort": str(alb["servicePort"]), "Weight": 100 - weight},
    ]
    action = json.dumps({"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}, separators=(",", ":"))
    ingress = context.kubernetes.get("Ingress", context.namespace, alb["ingress"])
    name = ACTIONS + alb.get("rootService", context.strategy.get("stableService", ""))
    if annotations_of(ingress).get(name) != action:
        annotations_of(ingress)[name] = action
        context.kubernetes.put(ingress)
    hashes = [context.green_hash, (context.blue or context.green)["metadata"]["labels"][HASH_LABEL]]
    context.status["canary"]["weights"] = {
        role: {"podTemplateHash": pod_hash, "serviceName": context.strategy.get(f"{role}Service", ""), "weight": part}
        for role, pod_hash, part in zip(("canary", "stable"), hashes, (weight, 100 - weight), strict=True)
    }


def _analyse(context: Context) -> None:
    status = context.old.get("canary", {})
    in_step, behind = (context.current_run(status.get(f"current{kind}AnalysisRunStatus")) for kind in _KINDS)
    is_skipped = context.is_promoted or context.is_aborted or context.old.get("promoteFull")
    if is_skipped or context.blue is None:
        context.cancel(in_step, behind)
        in_step = behind = None
    else:
        in_step, behind = _step_run(context, in_step), _background_run(context, behind)
    context.keep_current(currentStepAnalysisRunStatus=in_step, currentBackgroundAnalysisRunStatus=behind)


_KINDS = ("Step", "Background")


def _step_run(context: Context, run: Manifest | None) -> Manifest | None:
    if context.old.get("pauseConditions") or context.old.get("abort"):
        return run
    index, analysis = str(_index(context)), _step(context).get("analysis")
    if run is not None and run["metadata"]["labels"]["step-index"] != index:
        run = None
    if analysis is None:
        return None
    run = context.analyse(analysis, run, "Step", index, **{"step-index": index})
    context.follow(run, "Step-based")
    return run


def _background_run(context: Context, run: Manifest | None) -> Manifest | None:
    analysis = context.strategy.get("analysis")
    begins = _index(context) >= (analysis or {}).get("startingStep", 0) or not _step(context)
    if analysis is None or not begins:
        return None
    run = context.analyse(analysis, run, "Background")
    context.follow(run, "Background")
    return run


def _wanted(context: Context) -> int:
    """Return how many pods green has by the steps."""
    if context.old.get("promoteFull") or context.blue is None or context.is_promoted:
        return context.replicas
    scale = _last(context, "setCanaryScale")
    if context.old.get("abort") and context.abort_delay() is not None:
        scale = None
    if isinstance(scale, dict) and not scale.get("matchTrafficWeight"):
        if "replicas" in scale:
            return int(scale["replicas"])
        return math.ceil(int(scale["weight"]) * context.replicas / 100)
    return math.ceil(_set_weight(context) * context.replicas / 100)


def _scale(context: Context) -> bool:
    """Scale green and the others; tells whether one changed, which ends this reconcile."""
    if context.is_halted:
        return False
    for replica_set in (context.blue, None if context.is_aborted else context.green):
        if replica_set is not None:
            context.set_deadline(replica_set, None)
    if context.blue not in (None, context.green) and context.scale(context.blue or {}, context.replicas):
        return True
    return context.scale_green(_wanted(context)) or context.scale_down_others()


def _pause(context: Context) -> None:
    if "pause" in _step(context) and context.pause(_PAUSE) is None and not context.old.get("controllerPause"):
        context.added_pauses.append(_PAUSE)


def _note(context: Context) -> None:
    status = context.status
    if context.blue is None or (not context.is_aborted and _is_complete(context)):
        context.clears_pauses = context.removes_abort = True
        status["currentStepIndex"] = len(_steps(context))
        if context.old.get("stableRS") != context.green_hash:
            if "pingPong" in context.strategy:
                was = context.old.get("canary", {}).get("stablePingPong")
                status["canary"]["stablePingPong"] = "pong" if was == "ping" else "ping"
            status["stableRS"] = context.green_hash
    elif context.is_aborted:
        status["currentStepIndex"] = len(_steps(context)) if context.is_promoted else 0
    elif _has_completed_step(context):
        status["currentStepIndex"] = _index(context) + 1
        context.removed_pauses.add(_PAUSE)
        context.current_runs["currentStepAnalysisRunStatus"] = None
    for kind in _KINDS:
        status["canary"] |= context.run_status(f"current{kind}AnalysisRunStatus")


def _is_complete(context: Context) -> bool:
    if available(context.green) < context.replicas:
        return False
    return bool(context.old.get("promoteFull")) or context.is_promoted or not _step(context)


def _has_completed_step(context: Context) -> bool:
    step = _step(context)
    if context.spec.get("paused") or not step or context.added_pauses:
        return False
    if "pause" in step:
        return _is_pause_over(context, step["pause"])
    if "analysis" in step:
        run = context.current_runs["currentStepAnalysisRunStatus"]
        return run is not None and run["status"].get("phase") == Phase.SUCCESSFUL
    if {"setWeight", "setCanaryScale"} & step.keys():
        return available(context.green) >= _wanted(context)
    raise NotImplementedError(f"the embedded Argo does not know the step {step}")


def _is_pause_over(context: Context, step: Manifest) -> bool:
    pause = context.pause(_PAUSE)
    if pause is None:
        return bool(context.old.get("controllerPause"))
    length = step.get("duration")
    if length is None:
        return False
    seconds = timedelta(seconds=int(length)) if str(length).isdigit() else duration(length)
    return context.now > datetime.fromisoformat(pause["startTime"]) + seconds
