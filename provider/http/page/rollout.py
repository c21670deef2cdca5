"""All that the page of one Rollout shows, from evidence in memory.

Opening the page looks once if nobody has for a while, as any query would: with the checks that are asked about this
Rollout anyway, from shared evidence and within the call budget. Refreshing it never does. Kubernetes is read for what
only explains (AnalysisRuns, whole pods), at most once in five seconds.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from provider.checks import QUESTIONS
from provider.checks.gate import PARTS
from provider.checks.question import Sources, answer, parse
from provider.history.journal import Journal
from provider.history.remembered import Key, Remembered
from provider.http.page import pods
from provider.http.page.charts import errors_per_minute, healthy_over_time
from provider.http.page.headline import SYMBOLS, Headline, ago, headline
from provider.model.errors import CannotTell
from provider.model.records import HASH_LABEL, MetricResult, PodState, RunStatus
from provider.redaction import redacted
from provider.rules.rollout_state import step_of
from provider.sources.deadline import Deadline

LOOK_AFTER = timedelta(seconds=15)
"""Older evidence is read again when somebody opens the page; Argo asks every 10 s while it measures."""

EXPLAIN_SECONDS = 2.0
"""Time limit for reading what only explains."""

CHECKS = "replicas,target-health"
"""What the page asks about a Rollout that nobody asked about: no CloudWatch, whose metrics cost money."""


@dataclass(frozen=True, slots=True)
class Run:
    """An AnalysisRun of the Rollout, with its counters by metric; `problem` says why these could not be read."""

    status: RunStatus
    metrics: tuple[MetricResult, ...] = ()
    problem: str = ""


def look(journal: Journal, key: Key, sources: Sources) -> None:
    """Look at a Rollout if the last look is old. Raises RolloutNotFound."""
    known = journal.find(key)
    if known is not None and known.look is not None and sources.clock() - known.look.at < LOOK_AFTER:
        return
    gate = QUESTIONS["gate"]
    fields = [("namespace", key[0]), ("rollout", key[1]), ("checks", _checks(known))]
    answer(gate, parse(gate, fields), sources, journal.saw)


def _checks(known: Remembered | None) -> str:
    """Return the checks of the last gate query about this Rollout."""
    asked = [one.query for one in known.answers.values() if one.endpoint == "gate"] if known else []
    every = ",".join(part.name for part in PARTS)
    return (getattr(asked[-1], "checks", None) or every) if asked else CHECKS


def context(known: Remembered, sources: Sources, shown: Callable[[Any], Any], address: str) -> dict[str, Any]:
    """Return what the template of a Rollout's page needs. `shown` filters rows; `address` is the provider's own."""
    now = sources.clock()
    head = headline(known)
    found: dict[str, Any] = {
        "namespace": known.key[0],
        "name": known.key[1],
        "head": head,
        "ago": lambda moment: ago(moment, now),
        "checks": _verdicts(head),
        "changes": list(reversed(known.changes)),
        "switches": [one.observed() for one in reversed(known.switches.values())],
        "symbols": SYMBOLS,
        "address": address,
    }
    if known.look is not None:
        rollout = known.look.topology.rollout
        found["activity"], found["step"] = rollout.activity, step_of(rollout)
        found["runs"] = [_run(known.key[0], one, sources) for one in rollout.activity.runs]
        found["stable"] = not rollout.is_rolling
    if _is_of_this_version(known):
        found |= _targets(known, sources, shown)
    if known.traffic is not None:
        found["minutes"] = errors_per_minute(known.traffic)
    return found


def _is_of_this_version(known: Remembered) -> bool:
    """Tell whether the last target health is that of the version that the last look calls green."""
    if known.health is None or known.look is None:
        return False
    return known.health.green.rollout.current_hash == known.look.topology.rollout.current_hash


def _targets(known: Remembered, sources: Sources, shown: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what is shown of green's pods and target groups."""
    health = known.health
    assert health is not None  # noqa: S101 - the caller has looked
    states, problem = _pod_states(known, sources)
    targets = pods.targets_of(health)
    rows = pods.rows_of(targets, states)
    counts = Counter(one.state for one in rows)
    return {
        "health": health,
        "read_at": min(one.read_at for one in health.groups),
        "groups": pods.groups_of(targets, health.service.service.name),
        "rows": rows,
        "shown": [one for one in rows if shown(one)],
        "counts": sorted(counts.items(), key=lambda one: -one[0].severity),
        "letters": pods.LETTERS,
        "gates": pods.gates_of(states),
        "pods_problem": problem,
        "line": healthy_over_time(known.samples, health.green.rollout.current_hash),
    }


def _verdicts(head: Headline | None) -> list[tuple[str, list[str], str, str]]:
    """Return each check with the paragraphs of its rule, and its phase and reason in the answer that tells."""
    outcomes = head.verdict.observed.get("checks", []) if head else []
    by_check = {outcome["check"]: (outcome["phase"], outcome["reason"]) for outcome in outcomes}
    if head and head.endpoint and not by_check:
        by_check = {head.endpoint: (head.verdict.phase.value, head.verdict.reason.value)}
    return [(part.name, _paragraphs(part.about), *by_check.get(part.name, ("", ""))) for part in PARTS]


def _paragraphs(about: str) -> list[str]:
    return [" ".join(one.split()).replace("`", "") for one in about.strip().split("\n\n")]


def _pod_states(known: Remembered, sources: Sources) -> tuple[tuple[PodState, ...], str]:
    """Read the pods that are not ready; what prevents it is a sentence."""
    assert known.health is not None  # noqa: S101 - the caller has looked
    names = pods.not_ready(known.health)
    selector = f"{HASH_LABEL}={known.health.green.rollout.current_hash}"
    try:
        return sources.cluster.pod_states(known.key[0], names, _deadline(sources), selector), ""
    except CannotTell as error:
        return (), str(error)


def _run(namespace: str, status: RunStatus, sources: Sources) -> Run:
    try:
        found = sources.cluster.metric_results(namespace, status.name, _deadline(sources))
        # Other providers' values and errors: they may quote a header or an address with a credential.
        shown = tuple(replace(one, value=redacted(one.value), message=redacted(one.message)) for one in found)
        return Run(status, shown)
    except CannotTell as error:
        return Run(status, problem=str(error))


def _deadline(sources: Sources) -> Deadline:
    return Deadline(min(EXPLAIN_SECONDS, sources.budget_seconds))
