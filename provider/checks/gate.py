"""Is green ready in every respect: available, a healthy target everywhere, and answering without 5xx?

The worst phase of its checks decides: Failed, then Inconclusive, then Successful. `observed.checks` has one line per
check. The gate takes the parameters of all of them (`minHealthyPercent` holds for replicas and for targets), and
`checks` to select among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import field_validator

from provider.checks import errors, question, replicas, target_health, warm
from provider.checks.parameters import Parameter
from provider.checks.question import AnyCheck, Check, Sources, cannot_tell
from provider.checks.strictness import Including
from provider.model.errors import CannotTell
from provider.model.reasons import Action, Phase, Reason
from provider.model.records import Green, Kind, Topology, Verdict
from provider.sources.deadline import Deadline

PARTS: tuple[AnyCheck, ...] = (replicas.CHECK, target_health.CHECK, errors.CHECK, warm.CHECK)
"""The checks of the gate, in the order of its sentence."""

NAMES = tuple(part.name for part in PARTS)
DEFAULT = tuple(part.name for part in PARTS if part.by_default)


class Query(target_health.Query, errors.Query, warm.Query):
    """The parameters of every check of the gate, and which of them to make."""

    checks: str | None = Parameter(
        default=None,
        stricter=Including(NAMES, DEFAULT),
        examples=[NAMES[0]],
        description="The checks to make, separated by commas. Default: all of them but `warm`.",
    )

    @field_validator("checks")
    @classmethod
    def _are_checks(cls, value: str | None) -> str | None:
        """Refuse a name that is not a check's, and a check that is named twice."""
        names = (value or "").split(",")
        if value is not None and (len(set(names)) < len(names) or not set(names) <= set(NAMES)):
            raise ValueError(f"must name some of {', '.join(NAMES)}, each once, separated by commas")
        return value

    @property
    def parts(self) -> tuple[AnyCheck, ...]:
        """The checks that the query includes."""
        names = DEFAULT if self.checks is None else self.checks.split(",")
        return tuple(part for part in PARTS if part.name in names)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What each check gathered, or why it could not."""

    green: Green
    parts: tuple[tuple[AnyCheck, question.Evidence | CannotTell], ...]

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""
        oldest = dict(self.green.times)
        for _, part in self.parts:
            if not isinstance(part, CannotTell):
                oldest |= {kind: min(at, oldest.get(kind, at)) for kind, at in part.read_at.items()}
        return oldest

    @property
    def by_check(self) -> Mapping[str, question.Evidence]:
        """What could be gathered, by check."""
        return {check.name: part for check, part in self.parts if not isinstance(part, CannotTell)}


def gather(query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline) -> Evidence:
    """Let the checks gather at the same time. Missing evidence makes one check Inconclusive; the others still count."""

    def gather_part(part: AnyCheck) -> question.Evidence | CannotTell:
        try:
            evidence: question.Evidence = part.gather(query, topology, green, sources, deadline)
        except CannotTell as error:
            return error
        return evidence

    *others, last = query.parts
    # Gathering waits for reads, so it must not occupy the threads that reads run on.
    started = [sources.gathering.submit(gather_part, part) for part in others]
    last_gathered = gather_part(last)
    gathered = [*(future.result() for future in started), last_gathered]  # each keeps the deadline by itself
    return Evidence(green, tuple(zip(query.parts, gathered, strict=True)))


def _verdict(part: AnyCheck, query: Query, evidence: question.Evidence | CannotTell, now: datetime) -> Verdict:
    """Judge one check. Missing evidence makes this check Inconclusive; the others still count."""
    if isinstance(evidence, CannotTell):
        return cannot_tell(evidence, {})
    try:
        return part.judge(query, evidence, now)
    except CannotTell as error:
        return cannot_tell(error, {})


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Let the worst check decide: by phase, then a fix before a wait, then the first."""
    verdicts = [(part, _verdict(part, query, gathered, now)) for part, gathered in evidence.parts]
    phase = max((verdict.phase for _, verdict in verdicts), key=lambda phase: phase.severity)
    deciding = [(part, verdict) for part, verdict in verdicts if verdict.phase is phase]
    deciding.sort(key=lambda judged: judged[1].reason.action is not Action.FIX)
    passed = phase is Phase.SUCCESSFUL
    names: dict[str, list[str]] = {}
    for part, verdict in verdicts if passed else deciding:
        names.setdefault(verdict.message, []).append(part.name)  # `errors` and `warm` wait for the same window
    message = "; ".join(f"{', '.join(parts)}: {sentence}" for sentence, parts in names.items()).replace(".; ", ". ")
    charted = [verdict.number for part, verdict in verdicts if part.charts == "healthyPercent"]
    observed = evidence.green.observed()
    for _, verdict in reversed(deciding):
        observed.update(verdict.observed)
    observed["checks"] = [
        {"check": part.name, "phase": verdict.phase.value, "reason": verdict.reason.value} for part, verdict in verdicts
    ]
    return Verdict(
        phase=phase,
        reason=Reason.ALL_CHECKS_PASSED if passed else deciding[0][1].reason,
        message=message,
        number=(charted or [verdict.number for _, verdict in verdicts])[0],
        observed=observed,
    )


CHECK = Check(
    name="gate",
    about=str(__doc__),
    charts="healthyPercent",
    asks_aws=lambda query: any(part.asks_aws(query) for part in query.parts),
    query=Query,
    gather=gather,
    judge=judge,
)
