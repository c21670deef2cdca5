"""What explains a Rollout to a person: its state, its versions, AnalysisRuns and templates (argoproj.io/v1alpha1)."""

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import field

from provider.model import argo, records
from provider.model.lengths import cut
from provider.model.records import HASH_LABEL
from provider.sources.kubernetes.shapes import rollout
from provider.sources.kubernetes.shapes.fields import (
    MAX_ENTRIES,
    MAX_SHOWN,
    Label,
    Metadata,
    Moment,
    Name,
    Reference,
    Replicas,
    Shape,
    Text,
)

_NOTHING, _NO_NAME = Text(), Reference()
_MOST_METRICS, _MOST_PAUSES = 40, 10
"""Of an AnalysisRun, and of a Rollout at one time."""

_PAUSE = re.compile(r"(\d+)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class _Revision(rollout.RolloutAnnotations):
    revision: Text = field(default=_NOTHING, name="rollout.argoproj.io/revision")
    scale_down_deadline: Text = field(default=_NOTHING, name="scale-down-deadline")

    @property
    def number(self) -> int:
        """The revision; 0 if it has none (anybody may write annotations)."""
        return (
            int(self.revision) if self.revision.isascii() and self.revision.isdigit() and len(self.revision) < 10 else 0
        )

    @property
    def scale_down_at(self) -> datetime | None:
        """The deadline; None without one, or if it is not a time."""
        try:
            return msgspec.convert(str(self.scale_down_deadline) or None, Moment | None, strict=False)
        except msgspec.ValidationError:
            return None


class _Labels(Shape):
    pod_hash: Label = field(default="", name=HASH_LABEL)


class _Metadata(rollout.RolloutMetadata):
    annotations: _Revision | None = None
    labels: _Labels | None = None

    @property
    def revision(self) -> _Revision:
        """Its annotations."""
        return self.annotations or _Revision()

    @property
    def pod_hash(self) -> str:
        """The pod template hash that it is labelled with."""
        return self.labels.pod_hash if self.labels else ""


class _Container(Shape):
    image: Text = _NOTHING


class _PodSpec(Shape):
    containers: list[_Container] | None = None


class _Template(Shape):
    spec: _PodSpec | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """The image of each container."""
        containers = (self.spec.containers if self.spec else None) or ()
        return tuple(container.image for container in containers[:MAX_SHOWN])


class _BlueGreen(rollout.BlueGreen):
    auto_promotion_seconds: int | None = None
    pre_promotion_analysis: rollout.Present | None = None


class _Step(rollout.CanaryStep):
    experiment: rollout.Present | None = None

    def described(self) -> argo.Step:
        """Return what kind of step it is."""
        if self.pause is not None:
            return argo.Step("pause", _seconds(self.pause.duration))
        kinds = {
            "setWeight": self.set_weight,
            "setCanaryScale": self.set_canary_scale,
            "analysis": self.analysis,
            "experiment": self.experiment,
        }
        kind = next((kind for kind, is_set in kinds.items() if is_set is not None), "other")
        return argo.Step(kind, weight=self.set_weight)


def _seconds(duration: int | str | None) -> float | None:
    """Return how long a pause lasts; None until a person acts. A number without a unit is seconds."""
    if duration is None:
        return None
    parts = _PAUSE.fullmatch(str(duration))
    return float(int(parts[1]) * _SECONDS[parts[2] or "s"]) if parts else 0.0


class _Canary(rollout.Canary):
    steps: Annotated[Sequence[_Step], msgspec.Meta(max_length=MAX_ENTRIES)] | None = None
    analysis: rollout.Present | None = None


class _Strategy(rollout.Strategy):
    blue_green: _BlueGreen | None = None
    canary: _Canary | None = None

    @property
    def has_gate(self) -> bool:
        """Whether an analysis can keep it from switching."""
        if self.blue_green is not None:
            return self.blue_green.pre_promotion_analysis is not None
        canary = self.canary or _Canary()
        return canary.analysis is not None or any(step.analysis is not None for step in canary.steps or ())


class _Spec(rollout.RolloutSpec):
    strategy: _Strategy | None = None
    template: _Template | None = None
    progress_deadline_seconds: int | None = None
    progress_deadline_abort: bool = False


class _PauseCondition(rollout.PauseCondition):
    start_time: Moment | None = None


class _Weight(Shape):
    weight: int | None = None


class _Weights(Shape):
    canary: _Weight | None = None


class _CanaryStatus(rollout.CanaryStatus):
    weights: _Weights | None = None

    @property
    def weight(self) -> int | None:
        """The canary's weight; None where Argo routes no traffic."""
        return self.weights.canary.weight if self.weights and self.weights.canary else None


class _Status(rollout.RolloutStatus):
    pause_conditions: Annotated[Sequence[_PauseCondition], msgspec.Meta(max_length=MAX_ENTRIES)] | None = None
    available_replicas: int = 0
    canary: _CanaryStatus | None = None


class RolloutState(rollout.Rollout, kw_only=True):
    """argoproj.io/v1alpha1 Rollout, with what explains it to a person."""

    metadata: _Metadata
    spec: _Spec
    status: _Status | None = None

    def record(self) -> argo.RolloutState:
        """Return it as the gate reads it, and what explains it."""
        judged = rollout.Rollout.record(self)
        spec, status, strategy = self.spec, self.status or _Status(), self.spec.strategy or _Strategy()
        blue_green, canary = strategy.blue_green or _BlueGreen(), strategy.canary or _Canary()
        pauses = (status.pause_conditions or ())[:_MOST_PAUSES]
        return argo.RolloutState(
            **{name: getattr(judged, name) for name in _JUDGED},
            revision=self.metadata.revision.revision,
            images=spec.template.images if spec.template else (),
            pauses=tuple(argo.Pause(pause.reason, pause.start_time) for pause in pauses),
            steps=tuple(step.described() for step in canary.steps or ()),
            weight=status.canary.weight if status.canary else None,
            auto_promotion_seconds=blue_green.auto_promotion_seconds or None,
            progress_deadline_seconds=spec.progress_deadline_seconds or argo.PROGRESS_DEADLINE_SECONDS,
            aborts_at_deadline=spec.progress_deadline_abort,
            conditions={
                cut(condition.type): argo.Condition(
                    condition.is_true, condition.reason, condition.message, condition.last_transition_time
                )
                for condition in (status.conditions or ())[:MAX_SHOWN]
            },
            has_gate=strategy.has_gate,
            available=status.available_replicas,
        )


_JUDGED = tuple(part.name for part in fields(records.Rollout))


class _VersionSpec(Shape):
    replicas: Replicas | None = None
    template: _Template | None = None


class _VersionStatus(Shape):
    available_replicas: Replicas = 0


class Version(Shape):
    """apps/v1 ReplicaSet, for its revision and images."""

    metadata: _Metadata
    spec: _VersionSpec
    status: _VersionStatus | None = None

    def record(self) -> tuple[str, argo.Version]:
        """Return its owner's uid and what is shown of it."""
        own = self.metadata
        return own.owner_uid, argo.Version(
            pod_hash=own.pod_hash,
            name=own.name,
            revision=own.revision.number,
            images=self.spec.template.images if self.spec.template else (),
            replicas=1 if self.spec.replicas is None else self.spec.replicas,
            available=self.status.available_replicas if self.status else 0,
            created_at=own.creation_timestamp,
            scale_down_at=own.revision.scale_down_at,
        )


class _Measurement(Shape):
    phase: Text = _NOTHING
    value: Text = _NOTHING
    message: Text = _NOTHING
    started_at: Moment | None = None
    finished_at: Moment | None = None


class _MetricResult(Shape):
    name: Text = _NOTHING
    phase: Text = _NOTHING
    message: Text = _NOTHING
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_success: int = 0
    consecutive_error: int = 0
    measurements: list[_Measurement] | None = None

    def record(self) -> argo.MetricResult:
        """Return its counters and last measurements."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "measurements"}
        measurements = (self.measurements or ())[-MAX_SHOWN:]
        return argo.MetricResult(
            **fields,
            measurements=tuple(
                argo.Measurement(
                    measurement.phase,
                    measurement.value,
                    measurement.message,
                    measurement.started_at,
                    measurement.finished_at,
                )
                for measurement in measurements
            ),
        )


class _RunStatus(Shape):
    phase: Text = _NOTHING
    message: Text = _NOTHING
    started_at: Moment | None = None
    completed_at: Moment | None = None
    metric_results: list[_MetricResult] | None = None


class _RunLabels(Shape):
    kind: Label = field(default="", name="rollout-type")
    step: Label = field(default="", name="step-index")
    pod_hash: Label = field(default="", name=HASH_LABEL)


class _RunMetadata(Metadata):
    annotations: _Revision | None = None
    labels: _RunLabels | None = None


class AnalysisRun(Shape):
    """argoproj.io/v1alpha1 AnalysisRun. What it asks is kept as it is, since any field may hold an argument."""

    metadata: _RunMetadata
    spec: dict[str, Any] = field(default_factory=dict)
    status: _RunStatus | None = None

    def record(self) -> argo.AnalysisRun:
        """Return what it measured, and what it asks."""
        own, status = self.metadata, self.status or _RunStatus()
        labels = own.labels or _RunLabels()
        kinds = {"rollout-type": labels.kind, "step-index": labels.step}
        return argo.AnalysisRun(
            name=own.name,
            owner_uid=own.owner_uid,
            pod_hash=labels.pod_hash,
            revision=(own.annotations or _Revision()).number,
            phase=status.phase,
            message=status.message,
            is_terminated=self.spec.get("terminate") is True,
            created_at=own.creation_timestamp,
            started_at=status.started_at,
            completed_at=status.completed_at,
            results=tuple(result.record() for result in (status.metric_results or ())[:_MOST_METRICS]),
            object={"metadata": {"name": own.name, "labels": kinds}, "spec": self.spec},
        )


class _NamedMetadata(Shape):
    name: Name
    namespace: Name = ""


class AnalysisTemplate(Shape):
    """argoproj.io/v1alpha1 AnalysisTemplate and ClusterAnalysisTemplate, as it is."""

    metadata: _NamedMetadata
    spec: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as the API has it, without the rest of its metadata."""
        return {"metadata": {"name": self.metadata.name}, "spec": self.spec}
