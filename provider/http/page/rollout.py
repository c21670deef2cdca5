"""All that the page of one Rollout shows: its explanation, and the evidence of the last look.

Opening the page asks what Argo asks, as any query would, from shared evidence and within the call budget; refreshing it
reads only Argo's record again. Kubernetes is read for whole pods that are not ready, at most once in five seconds.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from provider.checks import target_health
from provider.checks.gate import NAMES, PARTS
from provider.checks.question import Sources
from provider.history import recall
from provider.history.argo_record import ArgoRecord
from provider.history.explanation import Explanation, QueryAnswer, problems_of, stage_of
from provider.history.last_looks import Evidence
from provider.history.switches import Switches
from provider.http.page import pods
from provider.http.page.charts import errors_per_minute, numbers_over_time
from provider.model.argo import MetricResult
from provider.model.errors import CannotTell
from provider.model.reasons import Action, Phase
from provider.model.records import HASH_LABEL, GroupHealth, PodState
from provider.redaction import redacted
from provider.rules.analysis_arguments import placeholders
from provider.rules.expected_targets import State
from provider.rules.progress import sentence_of
from provider.rules.switch_seen import SwitchSeen
from provider.sources.deadline import Deadline

SYMBOLS = {Phase.SUCCESSFUL: "✓", Phase.INCONCLUSIVE: "…", Phase.FAILED: "✗"}
"""Beside the word, so that nothing depends on a colour."""

ACTIONS = {
    Action.NONE: ("✓", "Nothing to do", "successful"),
    Action.WAIT: ("…", "Wait", "inconclusive"),
    Action.FIX: ("✗", "A person must act", "failed"),
}
"""The sign, the words and the colour's name of each action."""

EXPLAIN_SECONDS = 2.0
"""Time limit for reading what only explains."""

MOST_ROWS = 100
"""Pods in the table unless all are asked for; those that are healthy are only in the grid."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of Argo as the page shows it: the answer now, and the command that asks the same."""

    answer: QueryAnswer
    curl: str
    checks: tuple[tuple[str, list[str], str, str], ...]

    @property
    def symbol(self) -> str:
        """A sign for the phase."""
        return SYMBOLS[self.answer.verdict.phase] if self.answer.verdict else ""


def context(
    explanation: Explanation,
    switches: Switches,
    sources: Sources,
    *,
    shown: Callable[[pods.Row], bool] | None,
    address: str,
    is_token_needed: bool,
) -> dict[str, Any]:
    """Return what the template of a Rollout's page needs.

    `shown` filters the table of pods; without it those that are not healthy. `address` is the provider's own.
    """
    record, state, now = explanation.record, explanation.record.state, sources.clock()
    seen, evidence = switches.of(state.key), explanation.evidence
    page: dict[str, Any] = {
        "state": state,
        "situation": explanation.situation,
        "sentence": explanation.sentence,
        "action": ACTIONS[explanation.action],
        "stage": stage_of(explanation.worst),
        "answered": ago(evidence.answered_at, now) if evidence and evidence.answered_at else "",
        "asked": [
            Asked(query, _curl(query, address, is_token_needed=is_token_needed), tuple(_checks(query)))
            for query in explanation.answers
        ],
        "versions": record.versions,
        **_measured(record, seen),
        "changes": recall.changes_of(record)[: recall.MOST_CHANGES],
        "switches": [switch.observed() for switch in seen],
        "problems": [redacted(problem) for problem in problems_of(record)],
        "redacted": redacted,
    }
    health = evidence.health if evidence is not None else None
    if evidence is not None and health is not None and health.green.rollout.current_hash == state.current_hash:
        page |= _targets(evidence, health, sources, shown, now)
    if evidence is not None and evidence.traffic is not None:
        page["minutes"] = errors_per_minute(evidence.traffic)
    return page


def _measured(record: ArgoRecord, seen: Iterable[SwitchSeen]) -> dict[str, Any]:
    """Return the current AnalysisRuns with each metric's last measurement, and a line for each metric."""
    runs, switched_at = record.current_runs, [switch.switched_at for switch in seen]
    names = dict.fromkeys(result.name for run in runs for result in run.results)
    return {
        "runs": [
            (run, record.asked[run.name].place, [(result, _last(result)) for result in run.results]) for run in runs
        ],
        "lines": [line for name in names if (line := numbers_over_time(name, runs, switched_at))],
    }


def _last(result: MetricResult) -> str:
    """Return what a metric's last measurement said; other providers' may quote a credential."""
    return redacted(sentence_of(result.last)) if result.last else ""


def _curl(answer: QueryAnswer, address: str, *, is_token_needed: bool) -> str:
    """Return the command that asks what Argo asks, at the address of this page."""
    if answer.query is None:
        return ""
    query = answer.metric.query if answer.metric and answer.metric.query else None
    given = query.parameters if query else answer.query.model_dump(by_alias=True, exclude_unset=True).items()
    plain = {name: value for name, value in given if not placeholders(str(value))}
    token = '-H "Authorization: Bearer $TOKEN" ' if is_token_needed else ""
    return f"curl {token}'{address}/v1/{answer.endpoint}?{urlencode(plain, safe=',')}'"


def _checks(answer: QueryAnswer) -> list[tuple[str, list[str], str, str]]:
    """Return each check that is asked, with the paragraphs of its rule, and its phase and reason in the answer."""
    if answer.verdict is None:
        return []
    answered = {part["check"]: (part["phase"], part["reason"]) for part in answer.verdict.observed.get("checks", [])}
    if answer.endpoint in NAMES:
        answered = {answer.endpoint: (answer.verdict.phase.value, answer.verdict.reason.value)}
    return [(part.name, _paragraphs(part.about), *answered[part.name]) for part in PARTS if part.name in answered]


def _paragraphs(about: str) -> list[str]:
    return [" ".join(paragraph.split()).replace("`", "") for paragraph in about.strip().split("\n\n")]


def _targets(
    evidence: Evidence,
    health: target_health.Evidence,
    sources: Sources,
    shown: Callable[[pods.Row], bool] | None,
    now: datetime,
) -> dict[str, Any]:
    """Return what is shown of green's pods and target groups, and of production's groups beside them."""
    states, problem = _pod_states(health, sources)
    targets = pods.targets_of(health)
    rows = pods.rows_of(targets, states)
    selected = [row for row in rows if shown(row)] if shown else [row for row in rows if row.state is not State.HEALTHY]
    counts = Counter(row.state for row in rows)
    return {
        "health": health,
        "read": ago(min(group.read_at for group in health.groups), now),
        "groups": pods.groups_of(targets, health.service.service.name),
        "production": [_production(health) for health in evidence.production],
        "rows": rows,
        "shown": selected if shown else selected[:MOST_ROWS],
        "counts": sorted(counts.items(), key=lambda count: -count[0].severity),
        "letters": pods.LETTERS,
        "gates": pods.gates_of(states),
        "pods_problem": problem,
    }


def _production(health: GroupHealth) -> pods.Group:
    """Return a target group of production: of its targets everybody's count, also draining ones."""
    healthy = sum(target.state == State.HEALTHY for target in health.targets)
    return pods.group_of(health, health.binding.service, healthy, len(health.targets))


def _pod_states(health: target_health.Evidence, sources: Sources) -> tuple[tuple[PodState, ...], str]:
    """Read the pods that are not ready; what prevents it is a sentence."""
    rollout = health.green.rollout
    selector = f"{HASH_LABEL}={rollout.current_hash}"
    deadline = Deadline(min(EXPLAIN_SECONDS, sources.budget_seconds))
    try:
        return sources.cluster.pod_states(rollout.namespace, pods.not_ready(health), deadline, selector), ""
    except CannotTell as error:
        return (), str(error)


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago something was."""
    seconds = max((now - moment).total_seconds(), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
