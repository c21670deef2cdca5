"""What all checks share: the type of a check, and the way from a query to an answer.

A check is a file in `provider/checks/`: `gather` reads its evidence, `judge` is a pure function of the query, the
evidence and the time. This module does the rest for all of them: find green, keep the deadline, turn a failed read into
a verdict, and refuse stale evidence.
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
    """What a check has read, and when."""

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything a check needs at run time: readers, shared evidence, clock, thread pools.

    The checks of a gate wait for their reads on the threads of `gathering`.
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
        """The clock by which evidence is dated and judged; setting the system's time does not move it."""
        return self.shared.clock

    @property
    def other_clocks(self) -> OtherClocks:
        """The clocks of Kubernetes and AWS, whose times are in the evidence."""
        return self.shared.other_clocks

    def by_kubernetes(self) -> datetime:
        """Return the earliest time that Kubernetes' clock may show."""
        return self.other_clocks.kubernetes().earliest(self.clock())


Q = TypeVar("Q", bound=Query)
E = TypeVar("E", bound=Evidence)


@dataclass(frozen=True, slots=True)
class Check(Generic[Q, E]):
    """One check: its query Q, and the evidence E that it gathers and judges.

    `about` is its documentation; `charts` names the number it gives Argo to chart; `asks_aws` tells whether a query
    needs AWS, whose calls are limited. `arrive` is told of a query before anything is read,
    and returns the query to answer. `act` carries a verdict out and returns the answer; a check that acts never uses
    a topology that was read before the query. Without `by_default` a gate makes the check only if it is named.
    """

    name: str
    about: str
    charts: str
    asks_aws: Callable[[Q], bool]
    query: type[Q]
    gather: Callable[[Q, Topology, Green, Sources, Deadline], E]
    judge: Callable[[Q, E, datetime], Verdict]
    arrive: Callable[[Q, Deadline], Q] | None = None
    act: Callable[[Q, E, Verdict, Deadline], Verdict] | None = None
    by_default: bool = True


AnyCheck = Check[Any, Any]
"""A check in a list, whatever its query and evidence are."""


def parse(check: Check[Q, E], fields: Iterable[tuple[str, object]]) -> Q:
    """Parse wire names and values into a check's query. Raises BadQuery naming each parameter at fault."""
    return parse_as(check.query, check.name, fields)


@dataclass(frozen=True, slots=True)
class Look:
    """What an answer rests on, for the history; `evidence` is None if it could not be read."""

    check: str
    query: Query
    topology: Topology
    evidence: Evidence | None
    verdict: Verdict
    at: datetime

    @property
    def by_check(self) -> Mapping[str, Evidence]:
        """The evidence by check: of the query's check, or of those that it consists of (`by_check`)."""
        if self.evidence is None:
            return {}
        parts: Mapping[str, Evidence] = getattr(self.evidence, "by_check", {self.check: self.evidence})
        return parts


Observer = Callable[[Look], None]
"""Called with what each answer rests on."""


def ignore(_: Look) -> None:
    """Do nothing."""


def answer(check: Check[Q, E], query: Q, sources: Sources, observe: Observer = ignore) -> Verdict:
    """Answer a query before its deadline, from shared evidence where that is fresh.

    Raises RolloutNotFound; everything else that prevents a read is an Inconclusive verdict.
    """
    rollout = f"{query.namespace}/{query.rollout}"
    deadline = Deadline(sources.budget_seconds, rollout=rollout, began_at=sources.clock())
    verdict, read_at = _read_and_judge(check, query, sources, deadline, observe)
    limits = {kind: sources.shared.freshness.limit(kind, sources.budget_seconds) for kind in read_at}
    verdict = refuse_stale(verdict, read_at, sources.clock(), limits)
    skew = sources.other_clocks.apart()
    return replace(verdict, observed={**verdict.observed, "clockSkewSeconds": skew}) if skew else verdict


def with_action(verdict: Verdict) -> Verdict:
    """Say in the answer whether time alone can make it pass (`wait`), or a person must act (`fix`)."""
    return replace(verdict, observed={**verdict.observed, "action": verdict.reason.action.value})


def _read_and_judge(
    check: Check[Q, E], query: Q, sources: Sources, deadline: Deadline, observe: Observer
) -> tuple[Verdict, Mapping[Kind, datetime]]:
    """Return the verdict, and when the oldest part of each kind of its evidence was read."""
    observed: Observed = {}
    read_at: Mapping[Kind, datetime] = {}
    topology: Topology | None = None
    try:
        query = check.arrive(query, deadline) if check.arrive else query
        topology = _topology(check, query, sources, deadline)
        read_at = {Kind.TOPOLOGY: topology.read_at}
        rollout_state.require_valid(topology.rollout)
        observed = find_green(topology, query.pod_template_hash).observed()
        evidence, verdict = _gather_and_judge(check, query, topology, sources, deadline)
        if _decides(verdict, topology):
            first, topology = topology, sources.cluster.topologies.confirmed(topology, deadline)
            if topology is not first:
                evidence, verdict = _gather_and_judge(check, query, topology, sources, deadline)
        if check.act:
            verdict = check.act(query, evidence, verdict, deadline)
    except CannotTell as error:
        verdict = cannot_tell(error, observed)
        if topology is not None:
            verdict = rollout_state.in_context(verdict, topology, sources.by_kubernetes())
        verdict = with_action(verdict)
        if topology is not None:
            observe(Look(check.name, query, topology, None, verdict, sources.clock()))
        return verdict, read_at
    verdict = with_action(verdict)
    observe(Look(check.name, query, topology, evidence, verdict, sources.clock()))
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
    """Tell whether Argo acts on a verdict, so that its evidence must be confirmed first (`TopologyReader.confirmed`).

    A pass before the switch lets Argo switch, and a failure aborts at any time. Any other verdict is asked for again.
    """
    if verdict.phase is Phase.SUCCESSFUL:
        return stage_of(topology) is Stage.BEFORE_SWITCH
    return verdict.phase is Phase.FAILED


def _topology(check: Check[Q, E], query: Q, sources: Sources, deadline: Deadline) -> Topology:
    """Read the cluster; a query that needs AWS first checks its position in the queue."""
    if check.asks_aws(query):
        sources.load_balancers.elbv2.require_turn(deadline)
    read = partial(sources.cluster.topology, query.namespace, query.rollout, deadline)
    topology = read(bypass_cache=check.act is not None)
    switch = _switch(query, topology, sources, deadline)
    return topology if switch is None else topology.with_switch(switch) or read(bypass_cache=True)


def _switch(query: Query, topology: Topology, sources: Sources, deadline: Deadline) -> Switch | None:
    """Read again what tells the stage, if the topology is older than the query and the stage may have changed since.

    A topology is cached for seconds, and Argo asks in the very second of the switch. A query without a stage about a
    Rollout whose green is stable needs no second read: a new version would have another hash.
    """
    assert deadline.began_at is not None  # noqa: S101 - answer() sets it
    if topology.read_at >= deadline.began_at or not (query.stage or topology.rollout.is_rolling):
        return None
    return sources.cluster.switch(topology.rollout, deadline)


def cannot_tell(error: CannotTell, observed: Observed) -> Verdict:
    """Return the Inconclusive verdict of a failed read, with what was observed before it."""
    return Verdict(Phase.INCONCLUSIVE, error.reason, str(error), observed={**observed, **error.observed})


def refuse_stale(
    verdict: Verdict, read_at: Mapping[Kind, datetime], now: datetime, limits: Mapping[Kind, float]
) -> Verdict:
    """Add the age of the evidence to a verdict; old or future evidence makes a pass or a failure Inconclusive.

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
