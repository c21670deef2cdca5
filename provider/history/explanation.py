"""Why does a Rollout move or not? What Argo asked, what it was told, what it will do, and what you do.

`state` is the state of the Rollout in one word, `sentence` what it means, `action` what it asks of people (`none`,
`wait` or `fix`), and `commands` are complete. `queries` are what Argo's current AnalysisRun asks of this provider, or
what its next one will ask, each with the answer now; the worst of them gives `phase`, `reason` and `message`. Such an
answer is for people: it is in no history, metric or alert. `history` is as in `/v1/history`.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from provider.checks import QUESTIONS, green_pods
from provider.checks.parameters import Query
from provider.checks.question import AnyCheck, Sources, answer, parse
from provider.history import argo_record, recall
from provider.history.argo_record import ArgoRecord
from provider.history.last_looks import Evidence, Key
from provider.history.switches import Switches
from provider.model.analysis import Analysis, AnalysisMetric
from provider.model.errors import BadQuery, CannotTell
from provider.model.reasons import Action, Phase
from provider.model.records import GroupHealth, Stage, Verdict
from provider.redaction import redacted
from provider.rules import pods
from provider.rules.analysis_arguments import placeholders
from provider.rules.green import find_green, production_of
from provider.rules.waiting import Facts, Situation, situation_of
from provider.sources.deadline import Deadline

NAME = "explain"

LOOK_AFTER = timedelta(seconds=15)
"""Older answers are made again when somebody opens the page."""

MOST_ASKED = 8
"""Queries of one look: whoever writes a template must not make a page ask a hundred."""

SHORTEST_SECONDS = 0.5
"""With less than this left of its time a look asks nothing more."""

CHECKS = "replicas,target-health"
"""What is asked about a Rollout whose analyses do not ask this provider: no CloudWatch, whose metrics cost money."""


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """One query of Argo, asked for a person; `metric` is None if no analysis asks this provider.

    `note` says how the query differs from Argo's, or why it has no answer.
    """

    analysis: Analysis | None
    metric: AnalysisMetric | None
    query: Query | None = None
    endpoint: str = ""
    verdict: Verdict | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is told of a Rollout."""

    record: ArgoRecord
    situation: Situation
    answers: tuple[QueryAnswer, ...]
    evidence: Evidence | None = None

    @property
    def worst(self) -> QueryAnswer | None:
        """The answer that tells how green stands: the worst phase, then one that needs a person."""
        answered = [answer for answer in self.answers if answer.verdict is not None]
        return max(answered, key=_severity, default=None)

    @property
    def action(self) -> Action:
        """What it asks of people: also what an answer needs for which Argo would wait in vain."""
        worst = self.worst.verdict if self.worst else None
        needs_person = worst is not None and (worst.phase is Phase.FAILED or worst.reason.action is Action.FIX)
        return Action.FIX if needs_person and self.situation.action is Action.WAIT else self.situation.action

    @property
    def sentence(self) -> str:
        """The state's sentence, and what the answer adds that Argo has not heard."""
        worst, sentence = self.worst, redacted(self.situation.sentence)
        if worst is None or worst.verdict is None or worst.verdict.phase is Phase.SUCCESSFUL:
            return sentence
        phase, state = worst.verdict.phase, self.situation.state
        if state in {"PausedBeforePromotion", "PausedForPerson"}:
            return f"{sentence} The answer now is {phase}: do not promote it yet."
        if phase is not Phase.FAILED or state == "Aborted":
            return sentence
        is_asked = state == "AnalysisRunning"
        heard = "Argo's next measurement counts as a failure" if is_asked else "Argo asks nothing at the moment"
        return f"{sentence} The answer now is Failed: {heard}."


def _severity(query: QueryAnswer) -> tuple[int, bool]:
    assert query.verdict is not None  # noqa: S101 - the caller has looked
    return query.verdict.phase.severity, query.verdict.reason.action is Action.FIX


def explain(
    sources: Sources, switches: Switches, key: Key, endpoints: frozenset[str], *, refresh: bool = False
) -> Explanation:
    """Explain a Rollout. Raises RolloutNotFound, and CannotTell if the Rollout cannot be read.

    With `refresh` only Argo's record is read again; the answers are those of the last look.
    """
    deadline = Deadline(sources.budget_seconds, rollout="/".join(key), began_at=sources.clock())
    record = argo_record.read(sources, *key, endpoints, deadline)
    evidence = switches.looks.of(key)
    answered_at = evidence.answered_at if evidence else None
    if not refresh and (answered_at is None or sources.clock() - answered_at >= LOOK_AFTER):
        answers = _answers(record, sources, switches, deadline)
        production = _production(switches.looks.of(key), sources, deadline)
        switches.looks.keep_answers(key, answers, production, sources.clock())
        evidence = switches.looks.of(key)
    else:
        answers = evidence.answers if evidence else ()
    return Explanation(record, situation_of(_facts(record, evidence, sources, deadline)), answers, evidence)


def _answers(record: ArgoRecord, sources: Sources, switches: Switches, deadline: Deadline) -> tuple[QueryAnswer, ...]:
    """Ask what Argo asks, within one time limit: after it the other queries are only shown."""
    answers: list[QueryAnswer] = []
    for asked in _wanted(record)[:MOST_ASKED]:
        is_late = deadline.remaining_seconds() < SHORTEST_SECONDS
        late = replace(asked, note="Not asked: the time limit of this look is over.")
        answers.append(late if is_late and answers else _answer(asked, record, sources, switches))
    return tuple(answers)


def _wanted(record: ArgoRecord) -> list[QueryAnswer]:
    """Return what Argo asks now of this provider; the default if it asks nothing."""
    asked = [QueryAnswer(analysis, metric) for analysis in record.current for metric in analysis.queries]
    return asked or [QueryAnswer(None, None, note="No analysis of this Rollout asks this provider.")]


def _answer(asked: QueryAnswer, record: ArgoRecord, sources: Sources, switches: Switches) -> QueryAnswer:
    """Ask one query for a person."""
    check, fields, note = _query(asked, record)
    try:
        query: Query = parse(check, fields)
    except BadQuery as error:
        return replace(asked, endpoint=check.name, note=f"This provider refuses it (400): {error}.")
    if (query.namespace, query.rollout) != record.state.key:
        return replace(asked, endpoint=check.name, note=f"It asks about Rollout {query.namespace}/{query.rollout}.")
    verdict = answer(check, query, sources, switches.looks.keep)
    return replace(asked, query=query, endpoint=check.name, verdict=verdict, note=note)


def _query(asked: QueryAnswer, record: ArgoRecord) -> tuple[AnyCheck, list[tuple[str, object]], str]:
    """Return the check, its parameters, and how these differ from what Argo sends."""
    state = record.state
    metric = asked.metric
    if metric is None or metric.query is None:
        fields = [("namespace", state.namespace), ("rollout", state.name), ("checks", CHECKS)]
        return QUESTIONS["gate"], list(fields), asked.note
    notes = []
    given = [(name, value) for name, value in metric.query.parameters if not placeholders(value)]
    if len(given) < len(metric.query.parameters):
        notes.append("without what comes from a Secret")
    if metric.query.endpoint not in QUESTIONS:  # a handover changes something
        notes.append(f"as gate with checks={CHECKS}, since {metric.query.endpoint} would act")
        shared = set(_names(green_pods.Query))
        given = [(name, value) for name, value in given if name in shared] + [("checks", CHECKS)]
    stage = next((value for name, value in given if name == "stage"), "")
    if stage == "beforeSwitch" and not state.is_rolling:
        notes.append("without stage, since nothing is rolled out")
        given = [(name, value) for name, value in given if name != "stage"]
    check = QUESTIONS.get(metric.query.endpoint, QUESTIONS["gate"])
    return check, list(given), f"Asked {'; '.join(notes)}." if notes else ""


def _names(model: type[Query]) -> list[str]:
    return [str(field.alias) for field in model.model_fields.values()]


def _production(evidence: Evidence | None, sources: Sources, deadline: Deadline) -> tuple[GroupHealth, ...]:
    """Return production's target groups beside green's; nothing if green's are production's, or they cannot be read."""
    if evidence is None or evidence.health is None:
        return ()
    name = production_of(evidence.look.topology.rollout)
    bindings = tuple(binding for binding in evidence.look.topology.bindings if binding.service == name)
    if name == evidence.health.service.service.name or not bindings:
        return ()
    try:
        return sources.load_balancers.health(bindings, deadline)
    except CannotTell:
        return ()  # the reader has logged and counted it


def _facts(record: ArgoRecord, evidence: Evidence | None, sources: Sources, deadline: Deadline) -> Facts:
    facts = Facts(record.state, sources.by_kubernetes(), record.runs, record.asked, record.versions)
    green = facts.green
    if evidence is None or green is None or green.available >= green.replicas:
        return facts
    with suppress(CannotTell):
        topology = evidence.look.topology
        states = green_pods.read_states(find_green(topology, None), topology.endpoints, sources, deadline)
        waiting = [gate for state in states if not state.state for gate, is_true in state.gates if not is_true]
        return replace(facts, pods=pods.explanation(states), gate=waiting[0] if waiting else "")
    return facts


def observed(explanation: Explanation, switches: Switches) -> dict[str, Any]:
    """Return it as JSON shows it, without what does not apply."""
    record, situation, worst = explanation.record, explanation.situation, explanation.worst
    state = record.state
    argo = {
        "phase": state.activity.phase,
        "message": redacted(state.activity.message),
        "strategy": "blueGreen" if state.is_blue_green else "canary",
        "podTemplateHash": state.current_hash,
        "stablePodTemplateHash": state.stable_hash,
        "revision": state.revision,
        "images": list(state.images),
        "weight": state.weight,
        "step": f"{state.activity.step} of {len(state.steps)}"
        if state.steps and state.activity.step is not None
        else "",
    }
    shown = {
        "namespace": state.namespace,
        "rollout": state.name,
        "state": situation.state,
        "action": explanation.action.value,
        "sentence": explanation.sentence,
        "commands": [{"command": command.text, "effect": command.effect} for command in situation.commands],
        "argo": _set(argo),
        "queries": [_observed(query) for query in explanation.answers],
        "history": recall.observed(record, switches),
        "notRead": list(problems_of(record)),
    }
    if worst and worst.verdict:
        shown |= {"phase": worst.verdict.phase.value, "reason": worst.verdict.reason.value}
        shown |= {"message": worst.verdict.message}
    return shown


def problems_of(record: ArgoRecord) -> tuple[str, ...]:
    """Return what could not be read, or keeps Argo from running an analysis: a sentence each."""
    analyses = record.current or record.planned
    wrong = [f"{analysis.place or analysis.run}: {problem}" for analysis in analyses for problem in analysis.problems]
    wrong += [
        f"metric {metric.name}: {problem}"
        for analysis in analyses
        for metric in analysis.metrics
        for problem in metric.problems
    ]
    return (*record.problems, *wrong)


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None, [])}


def _observed(query: QueryAnswer) -> dict[str, Any]:
    """Return one query with its answer."""
    metric, verdict = query.metric, query.verdict
    shown: dict[str, Any] = {"endpoint": query.endpoint, "note": query.note}
    if query.query is not None:
        shown["parameters"] = query.query.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if query.analysis is not None and metric is not None:
        shown |= {"analysis": query.analysis.place, "analysisRun": query.analysis.run, "metric": metric.name}
        shown |= {"successCondition": metric.success_condition, "failureCondition": metric.failure_condition}
    if metric is not None and metric.request is not None:
        shown |= {"url": redacted(metric.request.url), "method": metric.request.method}
        shown["jsonBody"] = metric.request.json_body
    if verdict is not None:
        shown |= {"phase": verdict.phase.value, "reason": verdict.reason.value, "message": verdict.message}
        shown["observed"] = verdict.observed
    return _set(shown)


def stage_of(query: QueryAnswer | None) -> str:
    """Return before or after the switch, in words; empty if it is not known."""
    stage = str(query.verdict.observed.get("stage", "")) if query and query.verdict else ""
    return {Stage.BEFORE_SWITCH.value: "before the switch", Stage.AFTER_SWITCH.value: "after the switch"}.get(stage, "")
