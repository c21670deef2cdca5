"""Is the green ReplicaSet fully available?

Successful once it has as many available replicas as desired, and at least one is desired. Inconclusive otherwise: pods
that are not available yet do not prove that green is bad.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from provider.checks.explain import read_states
from provider.checks.question import Check, Query, Sources
from provider.model.reasons import Reason
from provider.model.records import Green, Kind, Phase, PodState, Topology, Verdict
from provider.rules import pods
from provider.sources.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Evidence:
    """The green ReplicaSet, and the states of a few pods that should be ready and are not."""

    green: Green
    states: tuple[PodState, ...] = ()

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When it was read."""
        return self.green.times


def gather(query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline) -> Evidence:  # noqa: ARG001 - the signature of every check
    """Return green, and if replicas are missing what its pods say about that."""
    if green.replica_set.available >= green.desired:
        return Evidence(green)
    return Evidence(green, read_states(green, topology.endpoints, sources, deadline))


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:  # noqa: ARG001 - the signature of every check
    """Compare the available replicas with the desired ones."""
    green = evidence.green
    available, desired = green.replica_set.available, green.desired
    why = pods.explanation(evidence.states)
    says = f"{min(available, desired)} of {desired} replicas of {green.replica_set.name} available{why}{green.coverage}"
    number = min(100.0, (available * 1000 // desired) / 10) if desired else 0.0
    observed = {**green.observed(), "availableCount": available, **pods.observed(evidence.states)}
    if 0 < desired <= available:
        return Verdict(Phase.SUCCESSFUL, Reason.REPLICAS_AVAILABLE, says, number, observed)
    return Verdict(Phase.INCONCLUSIVE, Reason.REPLICAS_UNAVAILABLE, says, number, observed)


CHECK = Check(
    name="replicas",
    about=str(__doc__),
    charts="availablePercent",
    asks_aws=lambda _query: False,
    query=Query,
    gather=gather,
    judge=judge,
)
