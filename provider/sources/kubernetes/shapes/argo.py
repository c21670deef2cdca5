"""What explains a Rollout to a person: its state, its versions, AnalysisRuns and templates (argoproj.io/v1alpha1)."""

import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import field

from provider.model import argo
from provider.model.analysis import BACKGROUND, POST_PROMOTION, PRE_PROMOTION
from provider.model.lengths import cut
from provider.model.records import HASH_LABEL
from provider.sources.kubernetes.shapes.fields import (
    MAX_SHOWN,
    Condition,
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

_PROGRESS_DEADLINE_SECONDS = 600
"""Argo's default."""


class _Revision(Shape):
    revision: Text = field(default=_NOTHING, name="rollout.argoproj.io/revision")
    scale_down_deadline: Text = field(default=_NOTHING, name="scale-down-deadline")
    workload_generation: Reference = field(default=_NO_NAME, name="rollout.argoproj.io/workload-generation")

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


class _Metadata(Metadata):
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


class _Present(Shape):
    """An object that is set, whatever is in it."""


class _BlueGreen(Shape):
    active_service: Reference = _NO_NAME
    preview_service: Reference = _NO_NAME
    auto_promotion_enabled: bool | None = None
    auto_promotion_seconds: int | None = None
    pre_promotion_analysis: _Present | None = None


class _PingPong(Shape):
    ping_service: Reference = _NO_NAME
    pong_service: Reference = _NO_NAME


class _Pause(Shape):
    duration: int | str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None until a person acts. A number without a unit is seconds."""
        if self.duration is None:
            return None
        parts = _PAUSE.fullmatch(str(self.duration))
        return float(int(parts[1]) * _SECONDS[parts[2] or "s"]) if parts else 0.0


class _Step(Shape):
    set_weight: int | None = None
    set_canary_scale: _Present | None = None
    pause: _Pause | None = None
    analysis: _Present | None = None
    experiment: _Present | None = None

    def record(self) -> argo.Step:
        """Return what kind of step it is."""
        if self.pause is not None:
            return argo.Step("pause", self.pause.seconds)
        kinds = {
            "setWeight": self.set_weight,
            "setCanaryScale": self.set_canary_scale,
            "analysis": self.analysis,
            "experiment": self.experiment,
        }
        return argo.Step(
            next((kind for kind, is_set in kinds.items() if is_set is not None), "other"), weight=self.set_weight
        )


class _Canary(Shape):
    canary_service: Reference = _NO_NAME
    stable_service: Reference = _NO_NAME
    ping_pong: _PingPong | None = None
    steps: Annotated[list[_Step], msgspec.Meta(max_length=500)] | None = None
    analysis: _Present | None = None


class _Strategy(Shape):
    blue_green: _BlueGreen | None = None
    canary: _Canary | None = None


class _Spec(Shape):
    strategy: _Strategy | None = None
    replicas: Replicas | None = None
    paused: bool = False
    template: _Template | None = None
    progress_deadline_seconds: int | None = None
    progress_deadline_abort: bool = False


class _PauseCondition(Shape):
    reason: Text = _NOTHING
    start_time: Moment | None = None


class _RunOfStatus(Shape):
    name: Reference = _NO_NAME
    status: Text = _NOTHING
    message: Text = _NOTHING


class _BlueGreenStatus(Shape):
    pre_promotion_analysis_run_status: _RunOfStatus | None = None
    post_promotion_analysis_run_status: _RunOfStatus | None = None


class _Weight(Shape):
    weight: int | None = None


class _Weights(Shape):
    canary: _Weight | None = None


class _CanaryStatus(Shape):
    weights: _Weights | None = None
    current_step_analysis_run_status: _RunOfStatus | None = None
    current_background_analysis_run_status: _RunOfStatus | None = None


class _Status(Shape):
    phase: Text = _NOTHING
    message: Text = _NOTHING
    abort: bool = False
    aborted_at: Moment | None = None
    promote_full: bool = False
    pause_conditions: list[_PauseCondition] | None = None
    conditions: list[Condition] | None = None
    current_step_index: int | None = None
    current_hash: Reference = field(default=_NO_NAME, name="currentPodHash")
    stable_hash: Reference = field(default=_NO_NAME, name="stableRS")
    observed_generation: Reference = _NO_NAME
    workload_observed_generation: Reference = _NO_NAME
    updated_replicas: int = 0
    available_replicas: int = 0
    canary: _CanaryStatus | None = None
    blue_green: _BlueGreenStatus | None = None


class RolloutState(Shape):
    """argoproj.io/v1alpha1 Rollout, for what Argo says of it."""

    metadata: _Metadata
    spec: _Spec
    status: _Status | None = None

    def record(self) -> argo.RolloutState:
        """Return its state."""
        own, spec, status = self.metadata, self.spec, self.status or _Status()
        strategy = spec.strategy or _Strategy()
        blue_green, canary = strategy.blue_green or _BlueGreen(), strategy.canary or _Canary()
        pair = canary.ping_pong or _PingPong()
        of_canary = status.canary or _CanaryStatus()
        weight = of_canary.weights.canary.weight if of_canary.weights and of_canary.weights.canary else None
        services = (
            *(blue_green.active_service, blue_green.preview_service, canary.stable_service, canary.canary_service),
            *(pair.ping_service, pair.pong_service),
        )
        is_observed = status.observed_generation == str(own.generation)
        if is_observed and own.revision.workload_generation:
            is_observed = status.workload_observed_generation == own.revision.workload_generation
        return argo.RolloutState(
            namespace=own.namespace,
            name=own.name,
            uid=own.required_uid,
            replicas=1 if spec.replicas is None else spec.replicas,
            is_observed=is_observed,
            is_blue_green=strategy.blue_green is not None,
            is_ping_pong=bool(pair.ping_service and pair.pong_service),
            current_hash=status.current_hash,
            stable_hash=status.stable_hash,
            phase=status.phase,
            message=status.message,
            revision=own.revision.revision,
            images=spec.template.images if spec.template else (),
            is_paused_by_person=spec.paused,
            pauses=tuple(
                argo.Pause(one.reason, one.start_time) for one in (status.pause_conditions or ())[:_MOST_PAUSES]
            ),
            is_aborted=status.abort,
            aborted_at=status.aborted_at,
            is_promoted_full=status.promote_full,
            steps=tuple(step.record() for step in canary.steps or ()),
            step=status.current_step_index,
            weight=weight,
            is_auto_promoted=blue_green.auto_promotion_enabled is not False,
            auto_promotion_seconds=blue_green.auto_promotion_seconds or None,
            progress_deadline_seconds=spec.progress_deadline_seconds or _PROGRESS_DEADLINE_SECONDS,
            aborts_at_deadline=spec.progress_deadline_abort,
            conditions={
                cut(one.type): argo.Condition(one.is_true, one.reason, one.message, one.last_transition_time)
                for one in (status.conditions or ())[:MAX_SHOWN]
            },
            runs=_runs(status),
            has_gate=blue_green.pre_promotion_analysis is not None
            or canary.analysis is not None
            or any(step.analysis is not None for step in canary.steps or ()),
            services=tuple(name for name in services if name),
            updated=status.updated_replicas,
            available=status.available_replicas,
            created_at=own.creation_timestamp,
        )


def _runs(status: _Status) -> tuple[argo.CurrentRun, ...]:
    blue_green, canary = status.blue_green or _BlueGreenStatus(), status.canary or _CanaryStatus()
    places = {
        PRE_PROMOTION: blue_green.pre_promotion_analysis_run_status,
        POST_PROMOTION: blue_green.post_promotion_analysis_run_status,
        f"steps[{status.current_step_index}]": canary.current_step_analysis_run_status,
        BACKGROUND: canary.current_background_analysis_run_status,
    }
    return tuple(
        argo.CurrentRun(place, run.name, run.status, run.message) for place, run in places.items() if run and run.name
    )


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
                argo.Measurement(one.phase, one.value, one.message, one.started_at, one.finished_at)
                for one in measurements
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
            results=tuple(one.record() for one in (status.metric_results or ())[:_MOST_METRICS]),
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
