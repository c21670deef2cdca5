"""Which Rollouts are there, and which of them need a person?

Every Rollout that the provider may list, those that need a person first, then those that wait. `state`, `sentence` and
`commands` are as in `/v1/explain`, told from the Rollout alone: nothing is asked of AWS, and no AnalysisRun is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provider.checks.question import Sources
from provider.model.argo import RolloutState
from provider.model.reasons import Action
from provider.redaction import redacted
from provider.rules.waiting import Facts, Situation, situation_of
from provider.sources.deadline import Deadline

NAME = "rollouts"

_ORDER = [Action.FIX, Action.WAIT, Action.NONE]


@dataclass(frozen=True, slots=True)
class Row:
    """One Rollout of the list."""

    state: RolloutState
    situation: Situation

    def matches(self, words: str) -> bool:
        """Tell whether every word is in the Rollout's name, namespace, state, phase, images or AnalysisRun."""
        state = self.state
        runs = " ".join(f"{run.name} {run.phase}" for run in state.activity.runs)
        text = " ".join(
            [state.namespace, state.name, state.activity.phase, self.situation.state, *state.tags, runs]
        ).lower()
        return all(word in text for word in words.lower().split())


def rows(sources: Sources, namespaces: Iterable[str]) -> list[Row]:
    """List the Rollouts of these namespaces, an empty one being the whole cluster. Raises CannotTell."""
    deadline, now = Deadline(sources.budget_seconds), sources.by_kubernetes()
    listed = [state for each in namespaces for state in sources.cluster.argo.states(each, deadline)]
    rows = [Row(state, situation_of(Facts(state, now))) for state in listed]
    return sorted(rows, key=lambda row: (_ORDER.index(row.situation.action), *row.state.key))


def observed(listed: Iterable[Row]) -> dict[str, Any]:
    """Return them as JSON shows them."""
    return {"rollouts": [_observed(row) for row in listed]}


def _observed(row: Row) -> dict[str, Any]:
    state = row.state
    shown: dict[str, Any] = {
        "namespace": state.namespace,
        "rollout": state.name,
        "state": row.situation.state,
        "action": row.situation.action.value,
        "sentence": redacted(row.situation.sentence),
        "commands": [{"command": command.text, "effect": command.effect} for command in row.situation.commands],
        "phase": state.activity.phase,
        "revision": state.revision,
        "images": list(state.images),
        "analysisRuns": [{"name": run.name, "analysis": run.place, "phase": run.phase} for run in state.activity.runs],
    }
    return shown if state.weight is None else {**shown, "weight": state.weight}
