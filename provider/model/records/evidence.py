"""What a check judges: a Rollout's topology, green in it, and how old each kind of evidence may be; and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from provider.model.answer import Observed
from provider.model.reasons import Phase, Reason
from provider.model.records.cluster import Binding, Endpoint, Pod, ReplicaSet, Service
from provider.model.records.rollout import Rollout


class Kind(StrEnum):
    """The kinds of evidence, each with its own cache lifetime."""

    TOPOLOGY = "topology"
    PODS = "pods"
    TARGET_HEALTH = "targetHealth"
    TARGET_GROUPS = "targetGroups"
    METRICS = "metrics"
    ROLLOUTS = "rollouts"


@dataclass(frozen=True, slots=True)
class Freshness:
    """The cache lifetime in seconds of each kind of evidence, and of failures; `rollouts` is a list of them."""

    topology: float = 2
    pods: float = 300
    target_health: float = 2
    target_groups: float = 300
    metrics: float = 60
    rollouts: float = 30
    failures: float = 1

    def seconds(self, kind: Kind) -> float:
        """Return the cache lifetime of this kind of evidence."""
        return float(getattr(self, kind.name.lower()))

    def limit(self, kind: Kind, budget_seconds: float) -> float:
        """Return the maximum age of evidence that may decide.

        Evidence that was fresh when a query began may grow older while the query waits for other reads.
        """
        return self.seconds(kind) + budget_seconds


@dataclass(frozen=True, slots=True)
class Topology:
    """A Rollout as read, with green's ReplicaSets, pods and endpoints, and the bindings of the strategy's Services."""

    rollout: Rollout
    replica_sets: tuple[ReplicaSet, ...]
    services: Mapping[str, Service]
    pods: tuple[Pod, ...]
    endpoints: tuple[Endpoint, ...]
    bindings: tuple[Binding, ...]
    read_at: datetime
    pods_read_at: datetime
    """When the pods were listed: earlier than the rest, if the rest accounts for each of them."""
    foreign_bindings: tuple[Binding, ...] = ()
    """Bindings of other Services in the namespace to the same target groups."""
    unserved_apis: tuple[str, ...] = ()
    """Binding APIs that the cluster did not serve; they are read again before a verdict decides."""

    def __len__(self) -> int:
        """Return the number of its records."""
        of_services = sum(len(service.ports) + len(service.selector) for service in self.services.values())
        return len(self.pods) + len(self.endpoints) + len(self.bindings) + of_services

    def with_switch(self, now: "Switch") -> "Topology | None":
        """Return this topology with a newer Rollout; None if a change makes the rest outdated."""
        before = self.services.get(now.service_name or "")
        if self.rollout != now.rollout or (before and before.selector) != (now.service and now.service.selector):
            return None
        return replace(self, rollout=now.rollout)


@dataclass(frozen=True, slots=True)
class Switch:
    """What decides which Service is judged: the Rollout, and the Service whose selector carries production traffic."""

    rollout: Rollout
    service: Service | None

    @property
    def service_name(self) -> str | None:
        """The name of that Service; None for ping-pong."""
        return self.rollout.strategy.production_service


class Stage(StrEnum):
    """Whether green takes production traffic by its own Service yet."""

    BEFORE_SWITCH = "BeforeSwitch"
    AFTER_SWITCH = "AfterSwitch"


@dataclass(frozen=True, slots=True)
class Green:
    """Green: its Rollout, its ReplicaSet and its pods that are not terminating."""

    rollout: Rollout
    replica_set: ReplicaSet
    pods: tuple[Pod, ...]
    read_at: datetime
    pods_read_at: datetime

    @property
    def times(self) -> Mapping[Kind, datetime]:
        """When each kind was read; `PODS` only if the pods were listed before the rest."""
        earlier = {Kind.PODS: self.pods_read_at} if self.pods_read_at < self.read_at else {}
        return {Kind.TOPOLOGY: self.read_at, **earlier}

    @property
    def desired(self) -> int:
        """The desired replicas of green's ReplicaSet."""
        return self.replica_set.replicas

    @property
    def coverage(self) -> str:
        """A clause for the sentence if green is smaller than the Rollout, else empty."""
        if self.desired >= self.rollout.replicas:
            return ""
        return f"; this covers only {self.desired} of the Rollout's {self.rollout.replicas} replicas"

    def observed(self) -> Observed:
        """Return what every answer about this green shows."""
        return {
            "podTemplateHash": self.rollout.current_hash,
            "replicaSet": self.replica_set.name,
            "desiredCount": self.desired,
        }


@dataclass(frozen=True, slots=True)
class GreenService:
    """The Service whose target groups are judged, its stage, its endpoints and its bindings."""

    service: Service
    stage: Stage
    endpoints: tuple[Endpoint, ...]
    bindings: tuple[Binding, ...]

    def observed(self) -> Observed:
        """Return what every answer about it shows."""
        return {"service": self.service.name, "stage": self.stage.value}


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: Argo's phase, the reason, one sentence, the number to chart, and what decided."""

    phase: Phase
    reason: Reason
    message: str
    number: float = 0.0
    observed: Observed = field(default_factory=Observed)
