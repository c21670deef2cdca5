"""Was a switch preceded by a pass? Judged from what one replica of the provider answered and saw.

Argo switches without asking after a retry (before 1.10), on a rollback within the scale-down delay, on `promote
--full`, or if somebody else edits the Service. Nothing else would notice.
"""

from dataclasses import dataclass, replace

from provider.model.reasons import Phase
from provider.model.records import HASH_LABEL, Stage, Switch

MOST_HASHES = 20
"""Versions remembered of a Rollout: more than revisionHistoryLimit's default (10)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one replica knows of a Rollout's versions, by pod template hash, the newest last.

    `serving` is the version that production last served, empty before the first look; `served` are those before it.
    `passed` are the versions that were answered Successful before the switch, and not Failed since.
    """

    serving: str = ""
    served: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    ungated: str = ""
    """The version that production serves without a pass, else empty."""


def after_answer(seen: Seen, pod_hash: str, phase: Phase, stage: Stage | None) -> Seen:
    """Remember an answer: a pass before the switch counts for its version until a failure."""
    if phase is Phase.FAILED:
        return replace(seen, passed=tuple(passed_hash for passed_hash in seen.passed if passed_hash != pod_hash))
    if phase is Phase.SUCCESSFUL and stage is Stage.BEFORE_SWITCH:
        return replace(seen, passed=_with(seen.passed, pod_hash))
    return seen


def after_look(seen: Seen, serving: str) -> Seen:
    """Remember which version production serves now; `ungated` names it if nothing let it pass.

    The first look tells nothing, since the switch may be long past. A version that served before is a rollback.
    """
    if not serving or serving == seen.serving:
        return seen
    known = serving in seen.passed or serving in seen.served
    return replace(
        seen,
        serving=serving,
        served=_with(seen.served, seen.serving) if seen.serving else seen.served,
        ungated="" if known or not seen.serving else serving,
    )


def serving(switch: Switch) -> str:
    """Return the version that production serves: by the Service's selector, for ping-pong by Argo's status."""
    if switch.rollout.is_ping_pong:
        return switch.rollout.stable_hash
    return switch.service.selector.get(HASH_LABEL, "") if switch.service else ""


def _with(hashes: tuple[str, ...], pod_hash: str) -> tuple[str, ...]:
    return (*(each for each in hashes if each != pod_hash), pod_hash)[-MOST_HASHES:]
