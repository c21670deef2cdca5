"""What Argo says of a Rollout: its state, its versions, and what its analyses measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from provider.model.analysis import Object
from provider.model.records import PAUSED_BY_PERSON, BlueGreen, Rollout

PROGRESS_DEADLINE_SECONDS = 600
"""Argo's default for `progressDeadlineSeconds`."""

SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE = "Successful", "Failed", "Error", "Inconclusive"
"""Argo's words for how a measurement, a metric or an AnalysisRun ended."""


@dataclass(frozen=True, slots=True)
class Pause:
    """One of `status.pauseConditions`."""

    reason: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a canary: its kind (`setWeight`, `pause`, ...); of a pause its seconds, None until a person acts."""

    kind: str
    pause_seconds: float | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One of `status.conditions`."""

    is_true: bool
    reason: str = ""
    message: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RolloutState(Rollout):
    """A Rollout with what explains it to a person. Seconds that the Rollout does not set are None.

    `steps` and `pauses` say more than `strategy.steps` and `activity.pauses`: kind and duration, and since when.
    """

    revision: str = ""
    images: tuple[str, ...] = ()
    pauses: tuple[Pause, ...] = ()
    steps: tuple[Step, ...] = ()
    weight: int | None = None
    auto_promotion_seconds: int | None = None
    progress_deadline_seconds: int = PROGRESS_DEADLINE_SECONDS
    aborts_at_deadline: bool = False
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    has_gate: bool = False
    available: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def is_blue_green(self) -> bool:
        """Whether its strategy is blueGreen."""
        return isinstance(self.strategy, BlueGreen)

    @property
    def is_paused_by_person(self) -> bool:
        """Whether a person paused it (`spec.paused`)."""
        return PAUSED_BY_PERSON in self.activity.pauses

    @property
    def current_step(self) -> Step | None:
        """The step of a canary that is current; None outside of one, and after the last."""
        step = self.activity.step
        return self.steps[step] if step is not None and step < len(self.steps) else None

    @property
    def tags(self) -> tuple[str, ...]:
        """What tells versions of an image apart: the part after the registry and path."""
        return tuple(image.rpartition("/")[2] for image in self.images)


@dataclass(frozen=True, slots=True)
class Version:
    """A ReplicaSet of a Rollout; `scale_down_at` is when Argo is going to scale it down."""

    pod_hash: str
    name: str
    revision: int
    images: tuple[str, ...]
    replicas: int
    available: int
    created_at: datetime | None
    scale_down_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of a metric: `value` is what the condition saw (JSON), `message` an error's."""

    phase: str
    value: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def at(self) -> datetime | None:
        """When it ended; when it began while it lasts."""
        return self.finished_at or self.started_at


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What an AnalysisRun knows of one metric: its counters, and its last measurements, the oldest first."""

    name: str
    phase: str
    message: str = ""
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_success: int = 0
    consecutive_error: int = 0
    measurements: tuple[Measurement, ...] = ()

    @property
    def last(self) -> Measurement | None:
        """The newest measurement."""
        return self.measurements[-1] if self.measurements else None


@dataclass(frozen=True, slots=True)
class AnalysisRun:
    """An AnalysisRun of a Rollout. `object` has its metadata and spec, which say what it asks."""

    name: str
    owner_uid: str
    pod_hash: str
    revision: int
    phase: str
    message: str = ""
    is_terminated: bool = False
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    results: tuple[MetricResult, ...] = ()
    object: Object = field(default_factory=dict)

    def result(self, metric: str) -> MetricResult | None:
        """Return what is known of a metric."""
        return next((result for result in self.results if result.name == metric), None)
