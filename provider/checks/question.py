"""What every question shares: its parameters, what a check is, and the one way from a question to an answer.

A check is a file in `provider/checks/`: `gather` asks the readers for its evidence, `judge` is a pure function of the
query, the evidence and the time. This module does the rest once for all of them: find green, keep the time limit,
turn "could not look" into a verdict, and refuse stale evidence.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from provider.checks.parameters import Query, parse_as
from provider.model.answer import Observed
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import Green, Kind, Stage, Switch, Topology, Verdict
from provider.rules import rollout_state
from provider.rules.green import find_green, require_stage, stage_of
from provider.rules.unchecked import with_unchecked
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.clock import OtherClocks
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.reader import Cluster
from provider.sources.seen_healthy import SeenHealthy
from provider.sources.shared import Shared


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
    def other_clocks(self) -> OtherClocks:
        """The clocks of Kubernetes and AWS, with whose times evidence is compared."""
        return self.shared.other_clocks

    def by_kubernetes(self) -> datetime:
        """Return the time by Kubernetes' clock: the earliest that it may show."""
        return self.other_clocks.kubernetes().earliest(self.clock())


Q = TypeVar("Q", bound=Query)
E = TypeVar("E", bound=Evidence)


@dataclass(frozen=True, slots=True)
class Check(Generic[Q, E]):
    """One check: its query Q, and the evidence E that it gathers and judges.

    `about` is its documentation; `charts` names the number it gives Argo to chart; `asks_aws` tells whether its answer
    needs AWS, whose calls are counted. `act` does what the verdict asks for and returns the answer: a question that
    acts is never answered from what was read before it. Without `by_default` a gate makes the check only if named.
    """

    name: str
    about: str
    charts: str
    asks_aws: Callable[[Q], bool]
    query: type[Q]
    gather: Callable[[Q, Topology, Green, Sources, Deadline], E]
    judge: Callable[[Q, E, datetime], Verdict]
    act: Callable[[Q, E, Verdict, Deadline], Verdict] | None = None
    by_default: bool = True


AnyCheck = Check[Any, Any]
"""A check in a list, whatever its query and evidence are."""


def parse(check: Check[Q, E], fields: Iterable[tuple[str, object]]) -> Q:
    """Make a check's query of wire names and values. Raises BadQuery naming every parameter at fault."""
    return parse_as(check.query, check.name, fields)


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


def answer(check: Check[Q, E], query: Q, sources: Sources, saw: Saw = nobody) -> Verdict:
    """Answer a query before its deadline, from shared evidence where that is fresh.

    Raises RolloutNotFound; everything else that prevents a read is an Inconclusive verdict.
    """
    about = f"{query.namespace}/{query.rollout}"
    deadline = Deadline(sources.budget_seconds, rollout=about, began_at=sources.clock())
    verdict, read_at = _look_and_judge(check, query, sources, deadline, saw)
    limits = {kind: sources.shared.freshness.limit(kind, sources.budget_seconds) for kind in read_at}
    verdict = refuse_stale(verdict, read_at, sources.clock(), limits)
    skew = sources.other_clocks.apart()
    return replace(verdict, observed={**verdict.observed, "clockSkewSeconds": skew}) if skew else verdict


def with_action(verdict: Verdict) -> Verdict:
    """Say in the answer whether time alone can make it pass (`wait`), or a person must act (`fix`)."""
    return replace(verdict, observed={**verdict.observed, "action": verdict.reason.action.value})


def _look_and_judge(
    check: Check[Q, E], query: Q, sources: Sources, deadline: Deadline, saw: Saw
) -> tuple[Verdict, Mapping[Kind, datetime]]:
    """Return the verdict, and when the oldest part of each kind of its evidence was read."""
    known: Observed = {}
    read_at: Mapping[Kind, datetime] = {}
    topology: Topology | None = None
    try:
        topology = _topology(check, query, sources, deadline)
        read_at = {Kind.TOPOLOGY: topology.read_at}
        rollout_state.require_valid(topology.rollout)
        known = find_green(topology, query.pod_template_hash).observed()
        evidence, verdict = _gather_and_judge(check, query, topology, sources, deadline)
        if _decides(verdict, topology):
            look, topology = topology, sources.cluster.confirmed(topology, deadline)
            if topology is not look:
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
    check: Check[Q, E], query: Q, topology: Topology, sources: Sources, deadline: Deadline
) -> tuple[E, Verdict]:
    green = find_green(topology, query.pod_template_hash)
    require_stage(topology, query.asked_stage)
    evidence = check.gather(query, topology, green, sources, deadline)
    verdict = with_unchecked(check.judge(query, evidence, sources.clock()), topology)
    return evidence, rollout_state.in_context(verdict, topology, sources.by_kubernetes())


def _decides(verdict: Verdict, topology: Topology) -> bool:
    """Tell whether Argo acts on a verdict, so that what it rests on must be confirmed first (`Cluster.confirmed`).

    Before the switch a pass lets Argo switch, and a failure aborts at any time. Waiting, and a pass after the switch,
    change nothing that a look a moment later would not see.
    """
    if verdict.phase is Phase.SUCCESSFUL:
        return stage_of(topology) is Stage.BEFORE_SWITCH
    return verdict.phase is Phase.FAILED


def _topology(check: Check[Q, E], query: Q, sources: Sources, deadline: Deadline) -> Topology:
    """Read the cluster; a query that needs AWS first checks its position in the queue."""
    if check.asks_aws(query):
        sources.load_balancers.require_turn(deadline)
    read = partial(sources.cluster.topology, query.namespace, query.rollout, deadline)
    look = read(bypass_cache=check.act is not None)
    now = _switch(query, look, sources, deadline)
    return look if now is None else look.with_switch(now) or read(bypass_cache=True)


def _switch(query: Query, look: Topology, sources: Sources, deadline: Deadline) -> Switch | None:
    """Read again what tells the stage, if the look is older than the query and the stage may have changed since.

    A look is shared for seconds, and Argo asks in the very second of the switch. Without a stage asked for, a Rollout
    whose green is stable needs no second read: a new version would have another hash.
    """
    assert deadline.began_at is not None  # noqa: S101 - answer() sets it
    if look.read_at >= deadline.began_at or not (query.stage or look.rollout.is_rolling):
        return None
    return sources.cluster.switch(look.rollout, deadline)


def cannot_tell(error: CannotTell, known: Observed) -> Verdict:
    """Make the Inconclusive verdict of a CannotTell, with what is known all the same."""
    return Verdict(Phase.INCONCLUSIVE, error.reason, str(error), observed={**known, **error.observed})


def refuse_stale(
    verdict: Verdict, read_at: Mapping[Kind, datetime], now: datetime, limits: Mapping[Kind, float]
) -> Verdict:
    """Add the age of the evidence to a verdict, and let neither a pass nor a failure rest on old or future evidence.

    `limits` are in seconds.
    """
    ages = {kind: (now - at).total_seconds() for kind, at in read_at.items()}
    observed: Observed = {
        **verdict.observed,
        "evidenceAgeSeconds": {kind: round(age, 1) for kind, age in ages.items()},
        "evidenceJudgedAt": now.isoformat(timespec="seconds"),
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
