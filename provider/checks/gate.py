"""Is green ready in every respect: fully available, a healthy target everywhere, and answering without 5xx?

The worst phase of its checks wins: Failed, then Inconclusive, then Successful. `observed.checks` has one line per
check. Takes the parameters of all of them, and `checks` to leave some out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field, create_model, field_validator

from provider import question
from provider.budget import Budget
from provider.errors import CannotTell
from provider.question import Check, Sources, cannot_tell
from provider.reasons import Reason
from provider.records import Green, Kind, Phase, Topology, Verdict


class Query(question.Query):
    """The parameters of `gate` beside those of its checks."""

    checks: str | None = Field(
        default=None, description="The checks to make, separated by commas. Left out: all of them."
    )

    def wants(self, name: str) -> bool:
        """Tell whether the asker wants this check."""
        return self.checks is None or name in self.checks.split(",")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What each wanted check gathered, or why it could not."""

    green: Green
    parts: tuple[tuple[Check, question.Evidence | CannotTell], ...]

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""
        oldest = {Kind.TOPOLOGY: self.green.read_at}
        for _, part in self.parts:
            if not isinstance(part, CannotTell):
                oldest |= {kind: min(at, oldest.get(kind, at)) for kind, at in part.read_at.items()}
        return oldest


def gate_of(parts: Sequence[Check]) -> Check:
    """Return the question that asks all of these checks."""
    return Check(
        name="gate",
        about=str(__doc__),
        charts="healthyPercent",
        asks_aws=lambda query: any(part.asks_aws(query) for part in parts if query.wants(part.name)),
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
    # A model that another one already extends adds nothing, and Python could not order the two.
    leaves = [one for one in models if not any(one is not other and issubclass(other, one) for other in models)]
    return create_model(
        "GateQuery",
        __base__=tuple(dict.fromkeys(leaves)),
        __validators__={"known_checks": field_validator("checks")(known)},
    )


def _gather(
    parts: Sequence[Check], query: Query, topology: Topology, green: Green, sources: Sources, budget: Budget
) -> Evidence:
    """Let the wanted checks gather at the same time; one that cannot look does not keep the others from deciding."""

    def gather(part: Check) -> question.Evidence | CannotTell:
        try:
            return part.gather(query, topology, green, sources, budget)
        except CannotTell as error:
            return error

    wanted = [part for part in parts if query.wants(part.name)]
    # What a check gathers are reads of its own, so it needs a thread beside those that reads run on.
    begun = [sources.gathering.submit(gather, part) for part in wanted[:-1]]
    last = gather(wanted[-1])
    gathered = [*(future.result() for future in begun), last]  # each keeps the budget by itself
    return Evidence(green, tuple(zip(wanted, gathered, strict=True)))


def _verdict(part: Check, query: Query, found: question.Evidence | CannotTell, now: datetime) -> Verdict:
    """Judge one check's evidence; one that is worthless does not keep the others from deciding."""
    if isinstance(found, CannotTell):
        return cannot_tell(found, {})
    try:
        return part.judge(query, found, now)
    except CannotTell as error:
        return cannot_tell(error, {})


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Let the worst check decide; the first of equals."""
    verdicts = [(part, _verdict(part, query, found, now)) for part, found in evidence.parts]
    phase = max((verdict.phase for _, verdict in verdicts), key=lambda one: one.severity)
    deciding = [(part, verdict) for part, verdict in verdicts if verdict.phase is phase]
    passed = phase is Phase.SUCCESSFUL
    message = "; ".join(f"{part.name}: {verdict.message}" for part, verdict in (verdicts if passed else deciding))
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
