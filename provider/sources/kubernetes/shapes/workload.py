"""What runs green: its ReplicaSet (apps/v1) and its pods (v1)."""

from datetime import datetime
from sys import intern
from typing import Annotated

import msgspec
from msgspec import Meta, field

from provider.model import records
from provider.sources.kubernetes.shapes.fields import (
    MAX_ENTRIES,
    MAX_SHOWN,
    NO_TEXT,
    Condition,
    Label,
    LabeledMetadata,
    LabelKey,
    Metadata,
    Moment,
    Name,
    Replicas,
    Shape,
    Text,
)

ENDED = ("Failed", "Succeeded")
"""The phases of a pod that has ended: it never runs again, but Kubernetes keeps the object for days.

Its ReplicaSet does not count it and no EndpointSlice has it. So every list leaves it out (`PODS.field_selector`), and
`Pod` makes no record of it.
"""


class _ReplicaSetSpec(Shape):
    replicas: Replicas | None = None


class _ReplicaSetStatus(Shape):
    replicas: Replicas = 0
    available_replicas: Replicas = 0
    observed_generation: int = 0


class ReplicaSetAnnotations(Shape):
    """When Argo scales a ReplicaSet down."""

    scale_down_deadline: str = field(default="", name="scale-down-deadline")

    @property
    def scale_down_at(self) -> datetime | None:
        """The time that it holds; None without one, or if it is not a time (anyone can write annotations)."""
        try:
            return msgspec.convert(self.scale_down_deadline or None, Moment | None, strict=False)
        except msgspec.ValidationError:
            return None


class _ReplicaSetMetadata(Metadata):
    annotations: ReplicaSetAnnotations | None = None


class ReplicaSet(Shape):
    """apps/v1 ReplicaSet."""

    metadata: _ReplicaSetMetadata
    spec: _ReplicaSetSpec
    status: _ReplicaSetStatus | None = None

    def record(self) -> records.ReplicaSet:
        """Return what we judge of it."""
        status = self.status or _ReplicaSetStatus()
        return records.ReplicaSet(
            name=self.metadata.name,
            uid=self.metadata.required_uid,
            owner_uid=self.metadata.owner_uid,
            replicas=1 if self.spec.replicas is None else self.spec.replicas,  # the API's default
            available=status.available_replicas,
            counted=status.replicas,
            generation=self.metadata.generation,
            observed_generation=status.observed_generation,
            created_at=self.metadata.required_creation,
            scale_down_at=self.metadata.annotations.scale_down_at if self.metadata.annotations else None,
        )


class PodMetadata(Shape):
    """A pod as PartialObjectMetadata: everything but its spec and status."""

    metadata: Metadata

    def record(self) -> records.Pod:
        """Return what we judge of it."""
        metadata = self.metadata
        # Interned: EndpointSlices have a pod's uid too, and a thousand pods the uid of their owner.
        return records.Pod(
            metadata.name,
            intern(metadata.required_uid),
            intern(metadata.owner_uid),
            metadata.required_creation,
            metadata.deletion_timestamp is not None,
        )


class _StateReason(Shape):
    reason: Text = NO_TEXT


class _ContainerState(Shape):
    waiting: _StateReason | None = None
    terminated: _StateReason | None = None


class _ContainerStatus(Shape):
    name: Label
    ready: bool = False
    restart_count: int = 0
    state: _ContainerState | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether Kubernetes cannot start it, or waits before it starts it again."""
        return self.state is not None and self.state.waiting is not None

    @property
    def reason(self) -> str:
        """Why it is not ready, in Kubernetes' words."""
        state = self.state or _ContainerState()
        cause = state.waiting or state.terminated
        return cause.reason if cause and cause.reason else "running but not ready"


class _ReadinessGate(Shape):
    condition_type: LabelKey


class _PodSpec(Shape):
    readiness_gates: list[_ReadinessGate] | None = None


class _PodAddress(Shape):
    ip: Name = ""


class _PodStatus(Shape):
    phase: str = ""
    conditions: list[Condition] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    pod_ips: Annotated[list[_PodAddress], Meta(max_length=MAX_ENTRIES)] | None = field(default=None, name="podIPs")

    def condition(self, name: str) -> Condition | None:
        """Return a condition by its type."""
        return next((condition for condition in self.conditions or () if condition.type == name), None)


class Pod(Shape):
    """v1 Pod, whole: its addresses, its labels, and why it is not ready."""

    metadata: LabeledMetadata
    status: _PodStatus
    spec: _PodSpec = field(default_factory=_PodSpec)

    def record(self) -> records.PodState | None:
        """Return its state, None if it has ended."""
        metadata, status = self.metadata, self.status
        if status.phase in ENDED:
            return None
        state, container, restarts = self._state()
        ready = status.condition("ContainersReady")
        return records.PodState(
            name=metadata.name,
            labels=metadata.labels or {},
            state=state,
            container=container,
            restarts=restarts,
            gates=self._gates(),
            created_at=metadata.creation_timestamp,
            uid=metadata.required_uid,
            owner_uid=metadata.owner_uid,
            addresses=tuple(address.ip for address in status.pod_ips or () if address.ip),
            ready_since=ready.last_transition_time if ready and ready.is_true else None,
        )

    def _state(self) -> tuple[str, str, int]:
        """Return why it is not ready, the container, and how often that container restarted."""
        status = self.status
        containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
        not_ready = [container for container in containers if not container.ready]
        if not_ready:
            worst = min(not_ready, key=lambda container: not container.is_waiting)
            return worst.reason, worst.name, worst.restart_count
        if containers or status.phase != "Pending":
            return "", "", 0
        scheduled = status.condition("PodScheduled")
        return scheduled.reason if scheduled and scheduled.status == "False" else status.phase, "", 0

    def _gates(self) -> tuple[tuple[str, bool], ...]:
        is_true = {condition.type for condition in self.status.conditions or () if condition.is_true}
        gates = self.spec.readiness_gates or []
        return tuple((gate.condition_type, gate.condition_type in is_true) for gate in gates[:MAX_SHOWN])
