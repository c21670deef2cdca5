"""The Rollout (argoproj.io/v1alpha1)."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, field

from provider.model import records
from provider.model.analysis import BACKGROUND, POST_PROMOTION, PRE_PROMOTION
from provider.sources.kubernetes.shapes.fields import (
    MAX_ENTRIES,
    MAX_SHOWN,
    NO_TEXT,
    Condition,
    Metadata,
    Moment,
    Reference,
    Replicas,
    Shape,
    Text,
)


class Present(Shape):
    """An object that is set, whatever is in it."""


class _Container(Shape):
    image: Text = NO_TEXT


class _PodSpec(Shape):
    containers: list[_Container] | None = None


class Template(Shape):
    """A pod template, for its images."""

    spec: _PodSpec | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """The image of each container."""
        containers = (self.spec.containers if self.spec else None) or ()
        return tuple(container.image for container in containers[:MAX_SHOWN])


class PingPong(Shape):
    ping_service: Reference = NO_TEXT
    pong_service: Reference = NO_TEXT


class BlueGreen(Shape):
    active_service: Reference = NO_TEXT
    preview_service: Reference = NO_TEXT
    preview_replica_count: int | None = None
    auto_promotion_seconds: int | None = None
    pre_promotion_analysis: Present | None = None

    def record(self) -> records.BlueGreen:
        return records.BlueGreen(self.active_service, self.preview_service or None, self.preview_replica_count)


class Pause(Shape):
    duration: int | str | None = None


class _SetCanaryScale(Shape):
    replicas: int | None = None
    weight: int | None = None
    match_traffic_weight: bool = False

    def record(self) -> records.CanaryScale:
        return records.CanaryScale(self.replicas, self.weight, self.match_traffic_weight)


class CanaryStep(Shape):
    set_weight: int | None = None
    set_canary_scale: _SetCanaryScale | None = None
    pause: Pause | None = None
    analysis: Present | None = None
    experiment: Present | None = None

    def record(self) -> records.CanaryStep:
        return records.CanaryStep(
            weight=self.set_weight,
            scale=self.set_canary_scale.record() if self.set_canary_scale else None,
            waits=self.analysis is not None or (self.pause is not None and self.pause.duration is None),
        )


class Canary(Shape):
    canary_service: Reference = NO_TEXT
    stable_service: Reference = NO_TEXT
    ping_pong: PingPong | None = None
    steps: Annotated[Sequence[CanaryStep], Meta(max_length=MAX_ENTRIES)] | None = None
    traffic_routing: Present | None = None
    max_surge: int | str | None = None
    analysis: Present | None = None

    def record(self) -> records.Canary:
        services = self.ping_pong or PingPong()
        return records.Canary(
            canary_service=self.canary_service or None,
            stable_service=self.stable_service or None,
            ping_service=services.ping_service or None,
            pong_service=services.pong_service or None,
            steps=tuple(step.record() for step in self.steps or ()),
            is_routed=self.traffic_routing is not None,
            surges=self.max_surge not in {0, "0", "0%"},
        )


class Strategy(Shape):
    blue_green: BlueGreen | None = None
    canary: Canary | None = None


class RolloutSpec(Shape):
    strategy: Strategy | None = None
    replicas: Replicas | None = None
    paused: bool = False
    template: Template | None = None
    progress_deadline_seconds: int | None = None
    progress_deadline_abort: bool = False


class RunStatus(Shape):
    name: Reference = NO_TEXT
    status: Text = NO_TEXT
    message: Text = NO_TEXT


class BlueGreenStatus(Shape):
    scale_up_preview_check_point: bool = False
    pre_promotion_analysis_run_status: RunStatus | None = None
    post_promotion_analysis_run_status: RunStatus | None = None


class _Weight(Shape):
    weight: int | None = None


class _Weights(Shape):
    canary: _Weight | None = None


class CanaryStatus(Shape):
    stable_ping_pong: Reference = NO_TEXT
    weights: _Weights | None = None
    current_step_analysis_run_status: RunStatus | None = None
    current_background_analysis_run_status: RunStatus | None = None


class PauseCondition(Shape):
    reason: Text = NO_TEXT
    start_time: Moment | None = None


class RolloutStatus(Shape):
    phase: Text = NO_TEXT
    message: Text = NO_TEXT
    abort: bool = False
    aborted_at: Moment | None = None
    pause_conditions: Annotated[Sequence[PauseCondition], Meta(max_length=MAX_ENTRIES)] | None = None
    promote_full: bool = False
    current_step_index: int | None = None
    conditions: list[Condition] | None = None
    current_hash: Reference = field(default=NO_TEXT, name="currentPodHash")
    stable_hash: Reference = field(default=NO_TEXT, name="stableRS")
    observed_generation: Reference = NO_TEXT
    workload_observed_generation: Reference = NO_TEXT
    canary: CanaryStatus | None = None
    blue_green: BlueGreenStatus | None = None
    available_replicas: int = 0

    def runs(self) -> tuple[records.RunStatus, ...]:
        blue_green, canary = self.blue_green or BlueGreenStatus(), self.canary or CanaryStatus()
        places = {
            PRE_PROMOTION: blue_green.pre_promotion_analysis_run_status,
            POST_PROMOTION: blue_green.post_promotion_analysis_run_status,
            f"steps[{self.current_step_index}]": canary.current_step_analysis_run_status,
            BACKGROUND: canary.current_background_analysis_run_status,
        }
        return tuple(
            records.RunStatus(place, run.name, run.status, run.message)
            for place, run in places.items()
            if run and run.name
        )


class RolloutAnnotations(Shape):
    workload_generation: Reference = field(default=NO_TEXT, name="rollout.argoproj.io/workload-generation")
    revision: Text = field(default=NO_TEXT, name="rollout.argoproj.io/revision")


class RolloutMetadata(Metadata):
    annotations: RolloutAnnotations | None = None


class Rollout(Shape):
    """argoproj.io/v1alpha1 Rollout."""

    metadata: RolloutMetadata
    spec: RolloutSpec
    status: RolloutStatus | None = None

    def record(self) -> records.Rollout:
        """Return what we judge of it."""
        status = self.status or RolloutStatus()
        annotations = self.metadata.annotations or RolloutAnnotations()
        strategy = self.spec.strategy or Strategy()
        return records.Rollout(
            namespace=self.metadata.namespace,
            name=self.metadata.name,
            uid=self.metadata.required_uid,
            replicas=1 if self.spec.replicas is None else self.spec.replicas,  # the CRD's default
            strategy=(strategy.blue_green or strategy.canary or Canary()).record(),
            generation=self.metadata.generation,
            observed_generation=status.observed_generation,
            workload_generation=annotations.workload_generation,
            workload_observed_generation=status.workload_observed_generation,
            current_hash=status.current_hash,
            stable_hash=status.stable_hash,
            stable_ping_pong=status.canary.stable_ping_pong if status.canary else "",
            activity=_activity(status, self.spec),
        )


def _activity(status: RolloutStatus, spec: RolloutSpec) -> records.Activity:
    conditions = status.conditions or ()
    invalid = [condition.message for condition in conditions if condition.type == "InvalidSpec" and condition.is_true]
    by_person = (records.PAUSED_BY_PERSON,) if spec.paused else ()
    return records.Activity(
        phase=status.phase,
        message=status.message,
        is_aborted=status.abort,
        aborted_at=status.aborted_at,
        pauses=(*(pause.reason for pause in status.pause_conditions or ()), *by_person),
        is_promoted_full=status.promote_full,
        is_preview_over=status.blue_green is not None and status.blue_green.scale_up_preview_check_point,
        step=status.current_step_index,
        invalid_spec=(invalid[0] or status.message or "no message") if invalid else "",
        runs=status.runs(),
    )
