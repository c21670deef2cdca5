"""What explains a Rollout to a person: its state, its versions, AnalysisRuns and templates (argoproj.io/v1alpha1)."""

import re
from dataclasses import fields
from typing import Any

from msgspec import field

from provider.model import argo, records
from provider.model.lengths import cut
from provider.model.records import HASH_LABEL
from provider.sources.kubernetes.shapes import rollout
from provider.sources.kubernetes.shapes.fields import (
    MAX_SHOWN,
    Label,
    Metadata,
    Moment,
    Name,
    Replicas,
    Shape,
    Text,
)
from provider.sources.kubernetes.shapes.workload import ReplicaSetAnnotations

_NOTHING = Text()
_MOST_METRICS, _MOST_PAUSES = 40, 10
"""Of an AnalysisRun, and of a Rollout at one time."""

_PAUSE = re.compile(r"(\d+)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class _Annotations(ReplicaSetAnnotations):
    revision: Text = field(default=_NOTHING, name="rollout.argoproj.io/revision")

    @property
    def number(self) -> int:
        """The revision; 0 if it has none (anybody may write annotations)."""
        text = self.revision
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _step(step: rollout.CanaryStep) -> argo.Step:
    """Return what kind of step it is."""
    if step.pause is not None:
        return argo.Step("pause", _seconds(step.pause.duration))
    kinds = {
        "setWeight": step.set_weight,
        "setCanaryScale": step.set_canary_scale,
        "analysis": step.analysis,
        "experiment": step.experiment,
    }
    kind = next((kind for kind, is_set in kinds.items() if is_set is not None), "other")
    return argo.Step(kind, weight=step.set_weight)


def _seconds(duration: int | str | None) -> float | None:
    """Return how long a pause lasts; None until a person acts. A number without a unit is seconds."""
    if duration is None:
        return None
    parts = _PAUSE.fullmatch(str(duration))
    return float(int(parts[1]) * _SECONDS[parts[2] or "s"]) if parts else 0.0


def _has_gate(strategy: rollout.Strategy) -> bool:
    """Tell whether an analysis can keep a Rollout from switching."""
    if strategy.blue_green is not None:
        return strategy.blue_green.pre_promotion_analysis is not None
    canary = strategy.canary or rollout.Canary()
    return canary.analysis is not None or any(step.analysis is not None for step in canary.steps or ())


class RolloutState(rollout.Rollout):
    """argoproj.io/v1alpha1 Rollout, with what explains it to a person."""

    def record(self) -> argo.RolloutState:
        """Return it as the gate reads it, and what explains it."""
        judged = super().record()
        spec, status = self.spec, self.status or rollout.RolloutStatus()
        strategy = spec.strategy or rollout.Strategy()
        blue_green, canary = strategy.blue_green or rollout.BlueGreen(), strategy.canary or rollout.Canary()
        weights = status.canary.weights if status.canary else None
        pauses = (status.pause_conditions or ())[:_MOST_PAUSES]
        return argo.RolloutState(
            **{name: getattr(judged, name) for name in _JUDGED},
            revision=self.metadata.annotations.revision if self.metadata.annotations else _NOTHING,
            images=spec.template.images if spec.template else (),
            pauses=tuple(argo.Pause(pause.reason, pause.start_time) for pause in pauses),
            steps=tuple(_step(step) for step in canary.steps or ()),
            weight=weights.canary.weight if weights and weights.canary else None,
            auto_promotion_seconds=blue_green.auto_promotion_seconds or None,
            progress_deadline_seconds=spec.progress_deadline_seconds or argo.PROGRESS_DEADLINE_SECONDS,
            aborts_at_deadline=spec.progress_deadline_abort,
            conditions={
                cut(condition.type): argo.Condition(
                    condition.is_true, condition.reason, condition.message, condition.last_transition_time
                )
                for condition in (status.conditions or ())[:MAX_SHOWN]
            },
            has_gate=_has_gate(strategy),
            available=status.available_replicas,
        )


_JUDGED = tuple(part.name for part in fields(records.Rollout))


class _VersionSpec(Shape):
    replicas: Replicas | None = None
    template: rollout.Template | None = None


class _VersionStatus(Shape):
    available_replicas: Replicas = 0


class _VersionLabels(Shape):
    pod_hash: Label = field(default="", name=HASH_LABEL)


class _VersionMetadata(Metadata):
    annotations: _Annotations | None = None
    labels: _VersionLabels | None = None


class Version(Shape):
    """apps/v1 ReplicaSet, for its revision and images."""

    metadata: _VersionMetadata
    spec: _VersionSpec
    status: _VersionStatus | None = None

    def record(self) -> tuple[str, argo.Version]:
        """Return its owner's uid and what is shown of it."""
        own, annotations = self.metadata, self.metadata.annotations or _Annotations()
        return own.owner_uid, argo.Version(
            pod_hash=own.labels.pod_hash if own.labels else "",
            name=own.name,
            revision=annotations.number,
            images=self.spec.template.images if self.spec.template else (),
            replicas=1 if self.spec.replicas is None else self.spec.replicas,
            available=self.status.available_replicas if self.status else 0,
            created_at=own.creation_timestamp,
            scale_down_at=annotations.scale_down_at,
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
    annotations: _Annotations | None = None
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
            revision=(own.annotations or _Annotations()).number,
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
