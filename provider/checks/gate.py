"""Is green ready in every respect: available, a healthy target everywhere, and answering without 5xx?

The worst phase of its checks decides: Failed, then Inconclusive, then Successful. `observed.checks` has one line per
check. The gate takes the parameters of all of them (`minHealthyPercent` is of its replicas and of its targets), and
`checks` to select some.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field, create_model, field_validator

from provider.checks import question
from provider.checks.question import Check, Sources, cannot_tell
from provider.model.errors import CannotTell
from provider.model.reasons import MEANINGS, Action, Reason
from provider.model.records import Green, Kind, Phase, Topology, Verdict
from provider.sources.deadline import Deadline


class Query(question.Query):
    """The parameters of `gate`, in addition to those of its checks."""

    checks: str | None = Field(
        default=None, description="The checks to make, separated by commas. Default: all of them but `warm`."
    )

    def wants(self, part: Check) -> bool:
        """Tell whether the query includes this check."""
        return part.by_default if self.checks is None else part.name in self.checks.split(",")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What each check gathered, or why it could not."""

    green: Green
    parts: tuple[tuple[Check, question.Evidence | CannotTell], ...]

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


def gate_of(parts: Sequence[Check]) -> Check:
    """Return the gate over these checks."""
    return Check(
        name="gate",
        about=str(__doc__),
        charts="healthyPercent",
        asks_aws=lambda query: any(part.asks_aws(query) for part in parts if query.wants(part)),
        query=_query(parts),
        gather=partial(_gather, parts),
        judge=judge,
    )


def _query(parts: Sequence[Check]) -> type[question.Query]:
    """Join the parameters of all checks."""
    names = [part.name for part in parts]

    def known(value: str | None) -> str | None:
        asked = (value or "").split(",")
        if value is not None and (len(set(asked)) < len(asked) or not set(asked) <= set(names)):
            raise ValueError(f"must name some of {', '.join(names)}, each once, separated by commas")
        return value

    models: list[type[question.Query]] = [Query, *(part.query for part in parts)]
    # A model that another one already extends adds nothing, and Python cannot order the two as bases.
    leaves = [one for one in models if not any(one is not other and issubclass(other, one) for other in models)]
    return create_model(
        "GateQuery",
        __base__=tuple(dict.fromkeys(leaves)),
        __validators__={"known_checks": field_validator("checks")(known)},
    )


def _gather(
    parts: Sequence[Check], query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline
) -> Evidence:
    """Let the checks gather at the same time. Missing evidence makes one check Inconclusive; the others still count."""

    def gather(part: Check) -> question.Evidence | CannotTell:
        try:
            return part.gather(query, topology, green, sources, deadline)
        except CannotTell as error:
            return error

    wanted = [part for part in parts if query.wants(part)]
    # Gathering waits for reads, so it must not occupy the threads that reads run on.
    begun = [sources.gathering.submit(gather, part) for part in wanted[:-1]]
    last = gather(wanted[-1])
    gathered = [*(future.result() for future in begun), last]  # each keeps the deadline by itself
    return Evidence(green, tuple(zip(wanted, gathered, strict=True)))


def _verdict(part: Check, query: Query, found: question.Evidence | CannotTell, now: datetime) -> Verdict:
    """Judge one check. Missing evidence makes this check Inconclusive; the others still count."""
    if isinstance(found, CannotTell):
        return cannot_tell(found, {})
    try:
        return part.judge(query, found, now)
    except CannotTell as error:
        return cannot_tell(error, {})


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Let the worst check decide: by phase, then one that needs a person before one that only waits, then the first."""
    verdicts = [(part, _verdict(part, query, found, now)) for part, found in evidence.parts]
    phase = max((verdict.phase for _, verdict in verdicts), key=lambda one: one.severity)
    deciding = [(part, verdict) for part, verdict in verdicts if verdict.phase is phase]
    deciding.sort(key=lambda one: MEANINGS[one[1].reason].action is not Action.FIX)
    passed = phase is Phase.SUCCESSFUL
    said = [f"{part.name}: {verdict.message}" for part, verdict in (verdicts if passed else deciding)]
    message = "; ".join(said).replace(".; ", ". ")
    charted = [verdict.number for part, verdict in verdicts if part.charts == "healthyPercent"]
    observed: dict[str, Any] = {
        **evidence.green.observed(),
        **{key: value for _, verdict in reversed(deciding) for key, value in verdict.observed.items()},
        "checks": [
            {"check": part.name, "phase": verdict.phase.value, "reason": verdict.reason.value}
            for part, verdict in verdicts
        ],
    }
    return Verdict(
        phase=phase,
        reason=Reason.ALL_CHECKS_PASSED if passed else deciding[0][1].reason,
        message=message,
        number=(charted or [verdict.number for _, verdict in verdicts])[0],
        observed=observed,
    )
