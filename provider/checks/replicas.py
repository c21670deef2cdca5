"""Is the green ReplicaSet fully available?

Successful once it has as many available replicas as it wants, and wants at least one. Inconclusive otherwise: pods that
are not available yet are no proof that green is bad.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from provider.budget import Budget
from provider.question import Check, Query, Sources
from provider.reasons import Reason
from provider.records import Green, Kind, Phase, Topology, Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """The green ReplicaSet."""

    green: Green

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When it was read."""
        return {Kind.TOPOLOGY: self.green.read_at}


def gather(query: Query, topology: Topology, green: Green, sources: Sources, budget: Budget) -> Evidence:  # noqa: ARG001 - the signature of every check
    """Need nothing but green itself."""
    return Evidence(green)


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:  # noqa: ARG001 - the signature of every check
    """Compare available with desired replicas."""
    green = evidence.green
    available, desired = green.replica_set.available, green.desired
    says = f"{min(available, desired)} of {desired} replicas of {green.replica_set.name} available{green.coverage}"
    number = min(100.0, (available * 1000 // desired) / 10) if desired else 0.0
    observed = {**green.observed(), "availableCount": available}
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
