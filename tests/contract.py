"""What is told of three Rollouts in turn: the demo's story and real Argo Rollouts must both tell it so.

Told in `tests/stories/test_story.py` by the embedded controllers, in `tests/real` by the real ones.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from provider.model.answer import Answer

_EARLY = (
    r"(\S*/(RolloutNotObserved|ReplicaSetNotObserved|ReplicaSetNotFound|ServiceNotSwitched|NoPods|PodsNotReady)\S* )*"
)
"""Moments at the beginning that a look now and then may miss."""

_WAITS = r"({phase}/Targets(Missing|Initial)@{stage} )+"
_WAITS_FOR_GREEN = _WAITS.format(phase="(Progressing|Paused)", stage="BeforeSwitch")

IN_TURN = {
    "healthy": _EARLY
    + _WAITS_FOR_GREEN
    + r"((Progressing|Paused)/TargetsHealthy@BeforeSwitch )+"
    + _WAITS.format(phase=r"\w+", stage="AfterSwitch")
    + r"\w+/TargetsHealthy@AfterSwitch ",
    "retried": _EARLY
    + _WAITS_FOR_GREEN
    + r"Progressing/TargetsUnhealthyInGrace@BeforeSwitch Progressing/TargetsUnhealthy@BeforeSwitch "
    + r"Degraded/TargetsUnhealthy@BeforeSwitch (Progressing/TargetsUnhealthy@BeforeSwitch )?"
    + _WAITS.format(phase="(Progressing|Healthy)", stage="AfterSwitch"),
    "gated": _EARLY
    + _WAITS_FOR_GREEN
    + r"Progressing/TargetsUnhealthyInGrace@BeforeSwitch Progressing/TargetsUnhealthy@BeforeSwitch "
    + r"Degraded/TargetsUnhealthy@BeforeSwitch ",
}
"""By situation: Argo's phase, the reason and the stage of each answer of `target-health`, equal ones said once.

healthy: a blue-green switch to a healthy green. retried: a sick green, aborted, and retried before its scale-down
deadline on Argo Rollouts before 1.10. gated: a sick green that readiness gates keep from the analysis.
"""


def said(answer: dict[str, Any]) -> str:
    """Return an answer as `IN_TURN` writes it."""
    stage = answer["observed"].get("stage")
    phase = answer["observed"].get("rollout", {}).get("phase", "")
    return f"{phase}/{answer['reason']}" + (f"@{stage}" if stage else "")


def is_kept(situation: str, answers: Iterable[dict[str, Any]]) -> bool:
    """Tell whether these answers, oldest first, are those of a situation."""
    return re.match(IN_TURN[situation], in_turn(answers)) is not None


def in_turn(answers: Iterable[dict[str, Any]]) -> str:
    """Return what was said, each change once and followed by a space."""
    found: list[str] = []
    for answer in answers:
        if found[-1:] != [said(answer)]:
            found.append(said(answer))
    return "".join(f"{manifest} " for manifest in found)


def is_declared(answer: dict[str, Any]) -> bool:
    """Tell whether every key of an answer, at any depth, is declared in provider/model/answer.py, with its type."""
    return bool(json.loads(msgspec.json.encode(msgspec.convert(answer, Answer))) == answer)
