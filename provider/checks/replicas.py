"""Are enough replicas of the green ReplicaSet available?

Successful once `minHealthyPercent` of its desired replicas are available (default: all of them), and at least one is
desired. Inconclusive otherwise: pods that are not available yet do not prove that green is bad.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from provider.checks.green_pods import Query, read_states
from provider.checks.question import Check, Sources
from provider.model.answer import Observed
from provider.model.reasons import Phase, Reason
from provider.model.records import Green, Kind, PodState, Topology, Verdict
from provider.rules import pods
from provider.rules.expected_targets import percent
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
    """Return green and, if replicas are missing, why its pods are not ready."""
    if green.replica_set.available >= green.desired:
        return Evidence(green)
    return Evidence(green, read_states(green, topology.endpoints, sources, deadline))


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:  # noqa: ARG001 - the signature of every check
    """Compare the available replicas with the desired ones."""
    green, desired = evidence.green, evidence.green.desired
    available = min(green.replica_set.available, desired)
    sentence = (
        f"{available} of {desired} replicas of {green.replica_set.name} available{pods.explanation(evidence.states)}"
    )
    observed: Observed = {
        **green.observed(),
        "availableCount": green.replica_set.available,
        **pods.observed(evidence.states),
    }
    if desired and query.is_met(available, desired):
        phase, reason = Phase.SUCCESSFUL, Reason.REPLICAS_AVAILABLE
        sentence += query.met if available < desired else ""
    else:
        phase, reason = Phase.INCONCLUSIVE, Reason.REPLICAS_UNAVAILABLE
    return Verdict(phase, reason, f"{sentence}{green.coverage}", percent(available, desired), observed)


CHECK = Check(
    name="replicas",
    about=str(__doc__),
    charts="availablePercent",
    asks_aws=lambda _query: False,
    query=Query,
    gather=gather,
    judge=judge,
)
