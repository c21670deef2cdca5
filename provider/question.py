"""What every question shares: its parameters, what a check is, and the one way from a question to an answer.

A check is a file in `provider/checks/`: `gather` asks the readers for its evidence, `judge` is a pure function of the
query, the evidence and the time. This module does the rest once for all of them: find green, keep the time budget,
turn "could not look" into a verdict, and refuse stale evidence.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from provider import body
from provider.budget import Budget
from provider.cloudwatch import CloudWatch
from provider.cluster import Cluster
from provider.errors import BadQuery, CannotTell, Problem
from provider.green import find_green
from provider.load_balancers import LoadBalancers
from provider.reasons import Reason
from provider.records import Green, Kind, Phase, Topology, Verdict
from provider.sharing import Sharing

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL_VALUE = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"


class Query(BaseModel):
    """The parameters of every question, camelCase on the wire. Unknown, malformed and empty ones are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=False
    )

    namespace: str = Field(pattern=_DNS_LABEL, max_length=63, description="Namespace of the Rollout.")
    rollout: str = Field(pattern=_DNS_SUBDOMAIN, max_length=253, description="Name of the Rollout.")
    pod_template_hash: str | None = Field(
        default=None,
        pattern=_LABEL_VALUE,
        max_length=63,
        description="The hash the asker means by green (podTemplateHashValue: Latest). "
        "If it is not the current green, the answer is Inconclusive/Superseded. Left out: whichever is green now.",
    )
    service: str | None = Field(
        default=None,
        pattern=_DNS_LABEL,
        max_length=63,
        description="One of the Rollout's own strategy Services, instead of the one chosen by strategy and stage.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_empty_and_no_flags(cls, value: object) -> object:
        """An empty value is what Argo sends for an argument it could not resolve: never a default."""
        if value is None or (isinstance(value, str) and not value.strip()):
            raise ValueError("must not be empty")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError("must be a text or a number")  # noqa: TRY004 - pydantic collects only ValueError
        return value


class Evidence(Protocol):
    """What a check gathers, and when."""

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The readers, what questions share, and the time of every question: all that an answer needs.

    Reads run on `threads`; what waits for reads of its own, beside a question's own thread, on `gathering`.
    """

    cluster: Cluster
    load_balancers: LoadBalancers
    cloudwatch: CloudWatch
    sharing: Sharing
    threads: ThreadPoolExecutor
    gathering: ThreadPoolExecutor
    budget_seconds: float

    @property
    def clock(self) -> Callable[[], datetime]:
        """The one clock by which evidence is read and judged."""
        return self.sharing.clock


@dataclass(frozen=True, slots=True)
class Check:
    """One question.

    `about` is its documentation; `charts` names the number it gives Argo to chart; `asks_aws` tells whether its answer
    needs AWS, whose calls are counted.
    """

    name: str
    about: str
    charts: str
    asks_aws: Callable[[Any], bool]
    query: type[Query]
    gather: Callable[[Any, Topology, Green, Sources, Budget], Evidence]
    judge: Callable[[Any, Any, datetime], Verdict]


def parse(check: Check, fields: Iterable[tuple[str, object]]) -> Query:
    """Make a check's query of wire names and values; a name that comes twice is refused.

    Raises BadQuery naming every parameter at fault.
    """
    pairs = list(fields)
    names = [name for name, _ in pairs]
    problems = [
        Problem(name[:100], "is given more than once") for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    try:
        query = check.query.model_validate(dict(pairs))
    except ValidationError as error:
        raise BadQuery((*problems, *(_problem(check, one) for one in error.errors()))) from error
    if problems:
        raise BadQuery(tuple(problems))
    return query


def _problem(check: Check, error: Any) -> Problem:
    # Without a place it is about the names themselves: one that is no Unicode text.
    name = str((*error["loc"], "body")[0])[:100]
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(sorted(str(field.alias) for field in check.query.model_fields.values()))
            return Problem(name, f"is not a parameter of {check.name}; these are: {known}")
        case "missing":
            return Problem(name, "is required")
        case "value_error":
            return Problem(name, str(error["ctx"]["error"]))
        case _:
            return Problem(name, error["msg"][:1].lower() + error["msg"][1:])


def answer(check: Check, query: Query, sources: Sources) -> Verdict:
    """Answer a question within its time budget, by what is known already where that is fresh.

    Raises RolloutNotFound; everything else that keeps us from looking is an Inconclusive verdict.
    """
    question = (check.name, query)
    judged: _Judged | None = sources.sharing.recall(question)
    if judged is None:
        judged = _look_and_judge(check, query, sources)
        if judged.complete:
            again = replace(judged, verdict=replace(judged.verdict, written=body.write_once(judged.verdict)))
            sources.sharing.remember(question, again, judged.read_at)
    limits = {kind: sources.sharing.freshness.limit(kind, sources.budget_seconds) for kind in judged.read_at}
    return refuse_stale(judged.verdict, judged.read_at, sources.clock(), limits)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict, and when its evidence was read; `complete` unless something kept us from looking."""

    verdict: Verdict
    read_at: Mapping[Kind, datetime]
    complete: bool


def _look_and_judge(check: Check, query: Query, sources: Sources) -> _Judged:
    asker = f"{query.namespace}/{query.rollout}"
    budget = Budget(sources.budget_seconds, sources.threads, asker=asker, began_at=sources.clock())
    known: dict[str, Any] = {}
    read_at: Mapping[Kind, datetime] = {}
    try:
        topology = _topology(check, query, sources, budget)
        read_at = {Kind.TOPOLOGY: topology.read_at}
        green = find_green(topology, query.pod_template_hash)
        known = green.observed()
        evidence = check.gather(query, topology, green, sources, budget)
        return _Judged(check.judge(query, evidence, sources.clock()), evidence.read_at, complete=True)
    except CannotTell as error:
        return _Judged(cannot_tell(error, known), read_at, complete=False)


def _topology(check: Check, query: Query, sources: Sources, budget: Budget) -> Topology:
    """Look at the cluster; a question that needs AWS first sees whether it is its turn, and describes groups early."""
    if not check.asks_aws(query):
        return sources.cluster.topology(query.namespace, query.rollout, budget)
    sources.load_balancers.require_turn(budget)
    foresee = partial(sources.load_balancers.foresee, budget=budget)
    return sources.cluster.topology(query.namespace, query.rollout, budget, foresee)


def cannot_tell(error: CannotTell, known: Mapping[str, Any]) -> Verdict:
    """Make the Inconclusive verdict of a CannotTell, with what is known all the same."""
    return Verdict(Phase.INCONCLUSIVE, error.reason, str(error), observed={**known, **error.observed})


def refuse_stale(
    verdict: Verdict, read_at: Mapping[Kind, datetime], now: datetime, limits: Mapping[Kind, float]
) -> Verdict:
    """Add the age of the evidence to a verdict, and let neither a pass nor a failure rest on old or future evidence.

    `limits` are in seconds. One second into the future is allowed: the clock may be stepped while a question is under
    way.
    """
    ages = {kind: (now - at).total_seconds() for kind, at in read_at.items()}
    observed = {
        **verdict.observed,
        body.AGES: {kind: round(age, 1) for kind, age in ages.items()},
        body.JUDGED_AT: now.isoformat(timespec="seconds"),
    }
    stale = [kind for kind, age in ages.items() if not -1 <= age <= limits[kind]]
    if verdict.phase is Phase.INCONCLUSIVE or not stale:
        return Verdict(verdict.phase, verdict.reason, verdict.message, verdict.number, observed, verdict.written)
    kind = stale[0]
    sentence = (
        f"The evidence ({kind}) is {ages[kind]:.1f} s old, more than the {limits[kind]:g} s allowed, so it decides "
        f"nothing ({verdict.phase} otherwise: {verdict.message})"
    )
    return Verdict(Phase.INCONCLUSIVE, Reason.STALE_EVIDENCE, sentence, verdict.number, observed)
