"""The Rollout: its strategy, which hash is green and which blue, and what Argo is doing with it."""

from dataclasses import dataclass, field
from datetime import datetime

HASH_LABEL = "rollouts-pod-template-hash"
"""The label that Argo puts on ReplicaSets and pods, and in the selectors of the strategy's Services."""


@dataclass(frozen=True, slots=True)
class BlueGreen:
    """`spec.strategy.blueGreen`: the names of its Services.

    `preview_replica_count` is how many pods green has before the switch; None for all of them.
    """

    active_service: str
    preview_service: str | None
    preview_replica_count: int | None = None

    @property
    def services(self) -> tuple[str, ...]:
        """Every Service the strategy names."""
        return tuple(name for name in (self.active_service, self.preview_service) if name)

    @property
    def production_service(self) -> str | None:
        """The Service whose selector carries production traffic."""
        return self.active_service


@dataclass(frozen=True, slots=True)
class CanaryScale:
    """A `setCanaryScale`: green's pods as a number or a percentage, or again by the traffic weight."""

    replicas: int | None = None
    weight: int | None = None
    matches_weight: bool = False


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """One of `spec.strategy.canary.steps`: `weight` is of a `setWeight`, `scale` of a `setCanaryScale`.

    `waits`: it ends only with an analysis or by a person (a pause without a duration).
    """

    weight: int | None = None
    scale: CanaryScale | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Canary:
    """`spec.strategy.canary`: the names of its Services, each optional, and what decides how many pods green gets.

    `is_routed`: it has `trafficRouting`. `surges`: `maxSurge` allows at least one pod more than `spec.replicas`.
    """

    canary_service: str | None = None
    stable_service: str | None = None
    ping_service: str | None = None
    pong_service: str | None = None
    steps: tuple[CanaryStep, ...] = ()
    is_routed: bool = False
    surges: bool = True

    @property
    def services(self) -> tuple[str, ...]:
        """Every Service the strategy names."""
        names = (self.canary_service, self.stable_service, self.ping_service, self.pong_service)
        return tuple(name for name in names if name)

    @property
    def is_ping_pong(self) -> bool:
        """Whether two Services swap roles at each promotion, so that no selector of production changes."""
        return bool(self.ping_service and self.pong_service)

    @property
    def production_service(self) -> str | None:
        """The Service that carries production traffic; None for ping-pong, where the status decides."""
        return None if self.is_ping_pong else self.stable_service


@dataclass(frozen=True, slots=True)
class RunStatus:
    """An AnalysisRun that a Rollout's status names; `place` is a path in the strategy (see model/analysis.py)."""

    place: str
    name: str
    phase: str
    message: str = ""


PAUSED_BY_PERSON = "Paused"
"""How `Activity.pauses` shows `spec.paused`."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What Argo is doing with a Rollout, by its status (`phase`, `message`, `abort`, `pauseConditions` and others).

    `step` counts from 0 and is None outside of a canary; `invalid_spec` is Argo's message, empty for a valid spec.
    `is_preview_over`: Argo gives green all replicas, no longer `previewReplicaCount` (`scaleUpPreviewCheckPoint`).
    """

    phase: str = ""
    message: str = ""
    is_aborted: bool = False
    aborted_at: datetime | None = None
    pauses: tuple[str, ...] = ()
    is_promoted_full: bool = False
    is_preview_over: bool = False
    step: int | None = None
    invalid_spec: str = ""
    runs: tuple[RunStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """What we judge of a Rollout: its identity, its strategy's Services, and which hash is green and which blue."""

    namespace: str
    name: str
    uid: str
    replicas: int
    strategy: BlueGreen | Canary
    generation: int
    observed_generation: str
    workload_generation: str
    workload_observed_generation: str
    current_hash: str
    stable_hash: str
    stable_ping_pong: str
    activity: Activity = field(default=Activity(), compare=False)

    @property
    def is_ping_pong(self) -> bool:
        """Whether two Services swap roles at each promotion, so that no selector of production changes."""
        return isinstance(self.strategy, Canary) and self.strategy.is_ping_pong

    @property
    def progress(self) -> tuple[str, str, str]:
        """What Argo has to process: its kind, the newest of it, and what Argo has observed of it."""
        newest = str(self.generation)
        if self.observed_generation == newest and self.workload_generation:
            return "workload generation", self.workload_generation, self.workload_observed_generation
        return "generation", newest, self.observed_generation

    @property
    def is_observed(self) -> bool:
        """Whether Argo has processed the newest spec, and the newest template of a workloadRef."""
        _, newest, observed = self.progress
        return observed == newest

    @property
    def is_rolling(self) -> bool:
        """Whether green is not the stable version yet."""
        return not self.stable_hash or self.current_hash != self.stable_hash
