"""What every question shares: its parameters, what a check is, and the one way from a question to an answer.

A check is a file in `provider/checks/`: `gather` asks the readers for its evidence, `judge` is a pure function of the
query, the evidence and the time. This module does the rest once for all of them: find green, keep the time limit,
turn "could not look" into a verdict, and refuse stale evidence.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from provider.checks import body
from provider.model.errors import BadQuery, CannotTell, Problem
from provider.model.reasons import MEANINGS, Reason
from provider.model.records import Green, Kind, Phase, Stage, Switch, Topology, Verdict
from provider.rules import rollout_state
from provider.rules.green import find_green, require_stage, stage_of
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.clock import OtherClocks
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.reader import Cluster
from provider.sources.seen_healthy import SeenHealthy
from provider.sources.shared import Shared

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_TOKENS_HAVE = 16
"""Shorter texts are no bearer token, so a sentence may quote them."""

_SCIENTIFIC = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?[eE]\+?[0-9]{1,2}")
_LABEL_VALUE = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"


class Subject(BaseModel):
    """Which Rollout a request is about; camelCase on the wire. Unknown, malformed and empty parameters are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=False
    )

    namespace: str = Field(pattern=_DNS_LABEL, max_length=63, description="Namespace of the Rollout.")
    rollout: str = Field(pattern=_DNS_SUBDOMAIN, max_length=253, description="Name of the Rollout.")

    @field_validator("*", mode="before")
    @classmethod
    def _as_tools_write_it(cls, value: object, field: ValidationInfo) -> object:
        """Drop blanks around a value and its list items, and read 1e+06 as a whole number, as Helm and Argo write it.

        An empty value is refused: Argo sends it for an argument that it could not resolve.
        """
        if isinstance(value, str):
            value = ",".join(item.strip() for item in value.split(","))
        if value is None or value == "":
            raise ValueError("must not be empty")
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError("must be a text or a number")  # noqa: TRY004 - pydantic collects only ValueError
        is_whole = cls.model_fields[str(field.field_name)].annotation in {int, int | None}
        if is_whole and isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else value
        return value


class Query(Subject):
    """The parameters of every question."""

    pod_template_hash: str | None = Field(
        default=None,
        pattern=_LABEL_VALUE,
        max_length=63,
        description="The hash the caller means by green (podTemplateHashValue: Latest). "
        "If it is not the current green, the answer is Inconclusive/Superseded. Left out: whichever is green now.",
    )
    service: str | None = Field(
        default=None,
        pattern=_DNS_LABEL,
        max_length=63,
        description="One of the Rollout's own strategy Services, instead of the one chosen by strategy and stage.",
    )
    stage: Literal["beforeSwitch", "afterSwitch"] | None = Field(
        default=None,
        description="Answer only about this stage: about the other one the answer is Inconclusive (NotSwitched, "
        "AlreadySwitched). Default: whichever stage it is.",
    )

    @property
    def asked_stage(self) -> Stage | None:
        """The stage that was asked for."""
        return Stage(self.stage[:1].upper() + self.stage[1:]) if self.stage else None


class Evidence(Protocol):
    """What a check gathers, and when."""

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The readers, what questions share, and the time of every question: all that an answer needs.

    What waits for reads of its own, beside a query's own thread, runs on `gathering`.
    """

    cluster: Cluster
    load_balancers: LoadBalancers
    cloudwatch: CloudWatch
    shared: Shared
    gathering: ThreadPoolExecutor
    budget_seconds: float
    seen_healthy: SeenHealthy = field(default_factory=SeenHealthy)

    @property
    def clock(self) -> Callable[[], datetime]:
        """The one clock by which evidence is read and judged: it is never set."""
        return self.shared.clock

    @property
    def clocks(self) -> OtherClocks:
        """The clocks of Kubernetes and AWS, with whose times evidence is compared."""
        return self.shared.clocks

    def by_kubernetes(self) -> datetime:
        """Return the time by Kubernetes' clock: the earliest that it may show."""
        return self.clocks.kubernetes().earliest(self.clock())


@dataclass(frozen=True, slots=True)
class Check:
    """One question.

    `about` is its documentation; `charts` names the number it gives Argo to chart; `asks_aws` tells whether its answer
    needs AWS, whose calls are counted. `act` does what the verdict asks for and returns the answer: a question that
    acts is never answered from what was read before it. Without `by_default` a gate makes the check only if named.
    """

    name: str
    about: str
    charts: str
    asks_aws: Callable[[Any], bool]
    query: type[Query]
    gather: Callable[[Any, Topology, Green, Sources, Deadline], Evidence]
    judge: Callable[[Any, Any, datetime], Verdict]
    act: Callable[[Any, Any, Verdict, Deadline], Verdict] | None = None
    by_default: bool = True


def parse(check: Check, fields: Iterable[tuple[str, object]]) -> Query:
    """Make a check's query of wire names and values. Raises BadQuery naming every parameter at fault."""
    return parse_as(check.query, check.name, fields)


_Parsed = TypeVar("_Parsed", bound=Subject)


def parse_as(model: type[_Parsed], endpoint: str, fields: Iterable[tuple[str, object]]) -> _Parsed:
    """Make the parameters of an endpoint of wire names and values. Raises BadQuery naming every one at fault."""
    pairs = list(fields)
    names = [name for name, _ in pairs]
    problems = [
        Problem(name[:100], "is given more than once") for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    try:
        query = model.model_validate(dict(pairs))
    except ValidationError as error:
        raise BadQuery((*problems, *(_problem(model, endpoint, one) for one in error.errors()))) from error
    if problems:
        raise BadQuery(tuple(problems))
    return query


def _problem(model: type[Subject], endpoint: str, error: Any) -> Problem:
    """Put pydantic's error into a sentence that begins with the parameter's name."""
    # An error without a place is about the names themselves: one of them is not valid Unicode.
    name = str((*error["loc"], "body")[0])[:100]
    limits, given = error.get("ctx", {}), str(error["input"])
    got = f" (got {given})" if len(given) < _TOKENS_HAVE else ""
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(sorted(str(field.alias) for field in model.model_fields.values()))
            return Problem(name, f"is not a parameter of {endpoint}. Its parameters: {known}")
        case "missing":
            return Problem(name, "is required")
        case "value_error":
            return Problem(name, str(limits["error"]))
        case "string_pattern_mismatch":
            return Problem(name, f"must be {_FORMS[limits['pattern']]}{got}")
        case kind if kind in _SENTENCES:
            return Problem(name, _SENTENCES[kind].format(**limits).replace("'", "") + got)
        case _:
            return Problem(name, f"is malformed: {error['msg']}")


_SENTENCES = {
    "greater_than_equal": "must be at least {ge:.12g}",
    "less_than_equal": "must be at most {le:.12g}",
    "greater_than": "must be more than {gt:.12g}",
    "multiple_of": "must be a multiple of {multiple_of:.12g}",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "literal_error": "must be {expected}",
    "string_type": "must be a text",
    "string_too_long": "must have at most {max_length} characters",
}
_FORMS = {
    _DNS_LABEL: "a name of lower-case letters, digits and '-', with a letter or digit at both ends",
    _DNS_SUBDOMAIN: "a name of lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    _LABEL_VALUE: "of letters, digits, '-', '_' and '.', with a letter or digit at both ends",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What an answer was made of, for whoever remembers it: `evidence` is None if some could not be read."""

    check: str
    query: Query
    topology: Topology
    evidence: Evidence | None
    verdict: Verdict
    at: datetime

    @property
    def by_check(self) -> Mapping[str, Evidence]:
        """The evidence of each check: the one that was asked for, or those that a query consists of (`by_check`)."""
        if self.evidence is None:
            return {}
        parts: Mapping[str, Evidence] = getattr(self.evidence, "by_check", {self.check: self.evidence})
        return parts


Saw = Callable[[Look], None]
"""Is told of every look."""


def nobody(_: Look) -> None:
    """Remember nothing."""


def answer(check: Check, query: Query, sources: Sources, saw: Saw = nobody) -> Verdict:
    """Answer a query before its deadline, from shared evidence where that is fresh.

    Raises RolloutNotFound; everything else that prevents a read is an Inconclusive verdict.
    """
    about = f"{query.namespace}/{query.rollout}"
    deadline = Deadline(sources.budget_seconds, rollout=about, began_at=sources.clock())
    verdict, read_at = _look_and_judge(check, query, sources, deadline, saw)
    limits = {kind: sources.shared.freshness.limit(kind, sources.budget_seconds) for kind in read_at}
    verdict = refuse_stale(verdict, read_at, sources.clock(), limits)
    skew = sources.clocks.apart()
    return replace(verdict, observed={**verdict.observed, "clockSkewSeconds": skew}) if skew else verdict


def with_action(verdict: Verdict) -> Verdict:
    """Say in the answer whether time alone can make it pass (`wait`), or a person must act (`fix`)."""
    return replace(verdict, observed={**verdict.observed, "action": MEANINGS[verdict.reason].action.value})


def _look_and_judge(
    check: Check, query: Query, sources: Sources, deadline: Deadline, saw: Saw
) -> tuple[Verdict, Mapping[Kind, datetime]]:
    """Return the verdict, and when the oldest part of each kind of its evidence was read."""
    known: dict[str, Any] = {}
    read_at: Mapping[Kind, datetime] = {}
    topology: Topology | None = None
    try:
        topology = _topology(check, query, sources, deadline)
        read_at = {Kind.TOPOLOGY: topology.read_at}
        rollout_state.require_valid(topology.rollout)
        known = find_green(topology, query.pod_template_hash).observed()
        require_stage(topology, query.asked_stage)
        evidence, verdict = _gather_and_judge(check, query, topology, sources, deadline)
        if _needs_pods_listed(verdict, topology):
            topology = sources.cluster.listed_again(topology, deadline)
            evidence, verdict = _gather_and_judge(check, query, topology, sources, deadline)
        if check.act:
            verdict = check.act(query, evidence, verdict, deadline)
    except CannotTell as error:
        verdict = cannot_tell(error, known)
        if topology is not None:
            verdict = rollout_state.in_context(verdict, topology, sources.by_kubernetes())
        verdict = with_action(verdict)
        if topology is not None:
            saw(Look(check.name, query, topology, None, verdict, sources.clock()))
        return verdict, read_at
    verdict = with_action(verdict)
    saw(Look(check.name, query, topology, evidence, verdict, sources.clock()))
    return verdict, evidence.read_at


def _gather_and_judge(
    check: Check, query: Query, topology: Topology, sources: Sources, deadline: Deadline
) -> tuple[Evidence, Verdict]:
    green = find_green(topology, query.pod_template_hash)
    evidence = check.gather(query, topology, green, sources, deadline)
    verdict = check.judge(query, evidence, sources.clock())
    return evidence, rollout_state.in_context(verdict, topology, sources.by_kubernetes())


def _needs_pods_listed(verdict: Verdict, topology: Topology) -> bool:
    """Tell whether a verdict decides, by pods that were listed before the rest was read (`cluster/known_pods.py`).

    Before the switch a pass lets Argo switch, and a failure aborts at any time. Waiting, and a pass after the switch,
    change nothing that a look a moment later would not see.
    """
    if topology.pods_read_at >= topology.read_at or verdict.phase is Phase.INCONCLUSIVE:
        return False
    return verdict.phase is Phase.FAILED or stage_of(topology) is Stage.BEFORE_SWITCH


def _topology(check: Check, query: Query, sources: Sources, deadline: Deadline) -> Topology:
    """Read the cluster; a query that needs AWS first checks its position in the queue."""
    if check.asks_aws(query):
        sources.load_balancers.require_turn(deadline)
    read = partial(sources.cluster.topology, query.namespace, query.rollout, deadline)
    look = read(anew=check.act is not None)
    now = _switch(query, look, sources, deadline)
    return look if now is None else look.with_switch(now) or read(anew=True)


def _switch(query: Query, look: Topology, sources: Sources, deadline: Deadline) -> Switch | None:
    """Read again what tells the stage, if the look is older than the query and the stage may have changed since.

    A look is shared for seconds, and Argo asks in the very second of the switch. Without a stage asked for, a Rollout
    whose green is stable needs no second read: a new version would have another hash.
    """
    assert deadline.began_at is not None  # noqa: S101 - answer() sets it
    if look.read_at >= deadline.began_at or not (query.stage or look.rollout.is_rolling):
        return None
    return sources.cluster.switch(look.rollout, deadline)


def cannot_tell(error: CannotTell, known: Mapping[str, Any]) -> Verdict:
    """Make the Inconclusive verdict of a CannotTell, with what is known all the same."""
    return Verdict(Phase.INCONCLUSIVE, error.reason, str(error), observed={**known, **error.observed})


def refuse_stale(
    verdict: Verdict, read_at: Mapping[Kind, datetime], now: datetime, limits: Mapping[Kind, float]
) -> Verdict:
    """Add the age of the evidence to a verdict, and let neither a pass nor a failure rest on old or future evidence.

    `limits` are in seconds.
    """
    ages = {kind: (now - at).total_seconds() for kind, at in read_at.items()}
    observed = {
        **verdict.observed,
        body.AGES: {kind: round(age, 1) for kind, age in ages.items()},
        body.JUDGED_AT: now.isoformat(timespec="seconds"),
    }
    stale = [kind for kind, age in ages.items() if not 0 <= age <= limits[kind]]
    if verdict.phase is Phase.INCONCLUSIVE or not stale:
        return Verdict(verdict.phase, verdict.reason, verdict.message, verdict.number, observed)
    kind = stale[0]
    sentence = (
        f"The evidence ({kind}) is {ages[kind]:.1f} s old, more than the {limits[kind]:g} s allowed, so it decides "
        f"nothing ({verdict.phase} otherwise: {verdict.message})"
    )
    return with_action(Verdict(Phase.INCONCLUSIVE, Reason.STALE_EVIDENCE, sentence, verdict.number, observed))
