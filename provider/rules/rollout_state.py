"""What Argo is doing with the Rollout, as a part of the answer.

After an abort, or a pause for an inconclusive analysis, Argo does nothing until a person acts. So a pass becomes
Inconclusive with that reason; a failure stays a failure. The same holds where production's Service selects green too.
Once green is stable an abort means nothing any more: Argo before 1.10 leaves `status.abort` true after a retry that it
took for a rollback.
Sources: argoproj/argo-rollouts utils/conditions/conditions.go, rollout/pause.go, rollout/bluegreen.go, and runs of the
controller (1.9.1, 1.10.1).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from provider.model.answer import RolloutState, applicable
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import HASH_LABEL, BlueGreen, Canary, ReplicaSet, Rollout, Topology, Verdict
from provider.rules.green import production_of

INCONCLUSIVE_PAUSES = ("InconclusiveAnalysisRun", "InconclusiveExperiment")
"""Pauses that only a person ends; during the others (a step, before promotion) Argo keeps measuring."""


def require_valid(rollout: Rollout) -> None:
    """Raise CannotTell (InvalidSpec) for a Rollout that Argo rejects."""
    if rollout.activity.invalid_spec:
        raise CannotTell(
            Reason.INVALID_SPEC, f"Argo rejects the spec of Rollout {rollout.name}: {rollout.activity.invalid_spec}"
        )


def in_context(verdict: Verdict, topology: Topology, now: datetime) -> Verdict:
    """Add what Argo is doing to an answer, and give an aborted or paused Rollout its own reason."""
    rollout = topology.rollout
    verdict = replace(verdict, observed={**verdict.observed, "rollout": observed(topology, now)})
    if rollout.activity.invalid_spec or verdict.phase is Phase.FAILED:
        return verdict
    if rollout.activity.is_aborted and rollout.is_rolling:
        return _with(verdict, Reason.ROLLOUT_ABORTED, _aborted(topology, now))
    if name := _without_hash(topology):
        return _with(verdict, Reason.ACTIVE_SERVICE_WITHOUT_HASH, _ungated(rollout, name))
    if any(pause in INCONCLUSIVE_PAUSES for pause in rollout.activity.pauses):
        return _with(verdict, Reason.ROLLOUT_PAUSED, _paused(rollout))
    return verdict


def observed(topology: Topology, now: datetime) -> RolloutState:
    """Return what every answer shows of Argo's own state, without what does not apply."""
    activity = topology.rollout.activity
    aborted_at = activity.aborted_at.isoformat() if activity.aborted_at else "unknown"
    shown: RolloutState = {
        "phase": activity.phase or "unknown",
        "abortedAt": aborted_at if activity.is_aborted else "",
        "message": activity.message,
        "pauses": list(activity.pauses),
        "fullPromotion": activity.is_promoted_full,
        "fastRollback": _fast_rollback_until(topology, now) is not None,
        "step": step_of(topology.rollout),
    }
    return applicable(shown)


def step_of(rollout: Rollout) -> str:
    """Return a canary's step as Argo counts it, from 0; empty where there is none."""
    steps = rollout.strategy.steps if isinstance(rollout.strategy, Canary) else ()
    return f"{rollout.activity.step} of {len(steps)}" if rollout.activity.step is not None and steps else ""


def _with(verdict: Verdict, reason: Reason, sentence: str) -> Verdict:
    """Put Argo's state, which decides, before the rest of the answer."""
    message = f"{sentence} Otherwise: {verdict.message}"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=reason, message=message)


def _aborted(topology: Topology, now: datetime) -> str:
    rollout, activity = topology.rollout, topology.rollout.activity
    at = f" at {activity.aborted_at:%H:%M:%S} UTC" if activity.aborted_at else ""
    why = f" ({activity.message})" if activity.message else ""
    aborted = f"Argo aborted Rollout {rollout.name}{at}{why}. Deploy another version"
    until = _fast_rollback_until(topology, now)
    if until is not None:
        return (
            f"{aborted}: before {until:%H:%M:%S} UTC a retry on Argo Rollouts older than 1.10 switches without any "
            "analysis."
        )
    because = ", as green has no scale-down deadline" if isinstance(rollout.strategy, BlueGreen) else ""
    return f"{aborted}, or retry this one: Argo asks again{because}."


def _fast_rollback_until(topology: Topology, now: datetime) -> datetime | None:
    times = (replica_set.scale_down_at for replica_set in _own(topology.rollout, topology.replica_sets))
    return next((at for at in times if retry_skips_analysis(topology.rollout, at, now)), None)


def retry_skips_analysis(rollout: Rollout, scale_down_at: datetime | None, now: datetime) -> bool:
    """Tell whether Argo before 1.10 takes a retry of this aborted green for a rollback, which asks nothing.

    It does in blue-green while green has a scale-down deadline. Seen on 1.9.1 and 1.10.1 (docs/versions.md).
    """
    return isinstance(rollout.strategy, BlueGreen) and scale_down_at is not None and scale_down_at > now


def _without_hash(topology: Topology) -> str | None:
    """Return the production Service if its selector has no hash beside a stable version, so that users reach green.

    On a first deploy there is no stable version, and Argo has not written the hash yet. Argo writes it when it
    reconciles the Rollout, so something else removes it, or Argo does not run.
    """
    rollout = topology.rollout
    production = topology.services.get(production_of(rollout) or "")
    if not rollout.stable_hash or not rollout.is_rolling or production is None or production.selector.get(HASH_LABEL):
        return None
    return production.name


def _ungated(rollout: Rollout, name: str) -> str:
    which, so = "Service", "users reach green before any gate"
    if isinstance(rollout.strategy, BlueGreen):
        which, so = "active Service", "Argo will switch to green without asking"
    return (
        f"The selector of {which} {name} has no {HASH_LABEL}, so {so}. "
        f"Set it to {rollout.stable_hash} (blue), and stop what overwrites the selector."
    )


def _paused(rollout: Rollout) -> str:
    return (
        f"Argo paused Rollout {rollout.name} after an inconclusive analysis. Resume it to start a new analysis (in a "
        "canary step, promoting skips the analysis)."
    )


def _own(rollout: Rollout, replica_sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    return [replica_set for replica_set in replica_sets if replica_set.owner_uid == rollout.uid]
