"""The few fields of Kubernetes objects that we judge, decoded straight from JSON into records.

Decoding only these costs 1/50 of the CPU of the client library's models (250 pods: 6 ms instead of 370), and an answer
of another shape fails loudly (msgspec.ValidationError) instead of reading as absent. Field names are those of the
APIs; a field that the API may leave out or send as null has a default here and nowhere else. One flat list, as long as
the APIs make it.

Whatever a record keeps has a length: `Name`, `Reference` or `Text`, and a plain `str` only where it is compared and
dropped. So nobody's object can fill the memory, or the log, of everybody.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from sys import intern
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import field

from provider.model import lengths, records

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a zone; one without is refused, since it could be any of a day's hours."""

Replicas = Annotated[int, msgspec.Meta(ge=0, le=150_000)]
"""More pods than a cluster may hold (kubernetes.io, Considerations for large clusters) would only use up our time."""

Label = Annotated[str, msgspec.Meta(max_length=lengths.LABEL)]
LabelKey = Annotated[str, msgspec.Meta(max_length=lengths.LABEL_KEY)]
Name = Annotated[str, msgspec.Meta(max_length=lengths.NAME)]
"""What the API server checks: a longer one is refused."""

_MOST_ENTRIES = 500
"""Of a list or map that decides and for which the API has no limit: more than anybody needs are refused, never cut."""

_MOST_SHOWN = 100
"""Of a list that is only shown."""

Labels = Annotated[dict[LabelKey, Label], msgspec.Meta(max_length=_MOST_ENTRIES)]


class Text(str):
    """What somebody says; it is only shown, or compared with a word, so a longer one is cut."""

    __slots__ = ()

    @classmethod
    def bounded(cls, text: str) -> "Text":
        """Return the text in its length."""
        return cls(lengths.cut(text))


class Reference(Text):
    """A name in a custom resource, or in a status, whose length no API checks."""

    __slots__ = ()

    @classmethod
    def bounded(cls, text: str) -> "Reference":
        """Return the name; one that no object can have stays one that no object has."""
        return cls(lengths.reference(text, lengths.NAME))


class Arn(Reference):
    """The same of AWS."""

    __slots__ = ()

    @classmethod
    def bounded(cls, text: str) -> "Arn":
        """Return the ARN."""
        return cls(lengths.reference(text, lengths.ARN))


_NOTHING, _NO_ARN = Reference(), Arn()


_FIRST_YEAR, _LAST_YEAR = 1970, 9998
"""Before and after it adding minutes to a time, or a zone, leaves the calendar of Python."""


def _in_calendar(moment: datetime | None, whose: str) -> datetime:
    """Return a time that decides something; refuse one that is absent or out of any calculation."""
    if moment is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise msgspec.ValidationError(f"{whose} has no usable time: {moment}")
    return moment


class _Shape(msgspec.Struct, rename="camel"):
    """A part of an API object: camelCase on the wire, unknown fields skipped."""


class Owner(_Shape):
    uid: Name
    controller: bool | None = None


class _Identity(_Shape):
    """What tells one object from another, and no more: it is decoded a thousand times for a thousand pods."""

    name: Name
    namespace: Name = ""
    uid: Name = ""
    owner_references: list[Owner] | None = None
    creation_timestamp: Moment | None = None
    deletion_timestamp: Moment | None = None

    @property
    def required_creation(self) -> datetime:
        """When the object was created; one that does not say is refused where its age decides."""
        return _in_calendar(self.creation_timestamp, self.name)

    @property
    def required_uid(self) -> str:
        """The object's uid; without one nothing could be told to be its own."""
        if not self.uid:
            raise msgspec.ValidationError(f"{self.name} has no uid")
        return self.uid

    @property
    def owner_uid(self) -> str:
        """The uid of the controller owner, empty without one."""
        for owner in self.owner_references or ():
            if owner.controller:
                return owner.uid
        return ""


class Metadata(_Identity):
    generation: int = 0


class _PingPong(_Shape):
    ping_service: Reference = _NOTHING
    pong_service: Reference = _NOTHING


class _BlueGreen(_Shape):
    active_service: Reference = _NOTHING
    preview_service: Reference = _NOTHING
    preview_replica_count: int | None = None


class _Present(_Shape):
    """An object that is set, whatever is in it."""


class _Pause(_Shape):
    duration: int | str | None = None


class _SetCanaryScale(_Shape):
    replicas: int | None = None
    weight: int | None = None
    match_traffic_weight: bool = False

    def record(self) -> records.CanaryScale:
        """Return how it sizes green."""
        return records.CanaryScale(self.replicas, self.weight, self.match_traffic_weight)


class _CanaryStep(_Shape):
    set_weight: int | None = None
    set_canary_scale: _SetCanaryScale | None = None
    pause: _Pause | None = None
    analysis: _Present | None = None

    def record(self) -> records.CanaryStep:
        """Return what decides green's size, and whether the step ends by itself."""
        return records.CanaryStep(
            weight=self.set_weight,
            scale=self.set_canary_scale.record() if self.set_canary_scale else None,
            waits=self.analysis is not None or (self.pause is not None and self.pause.duration is None),
        )


class _Canary(_Shape):
    canary_service: Reference = _NOTHING
    stable_service: Reference = _NOTHING
    ping_pong: _PingPong | None = None
    steps: Annotated[list[_CanaryStep], msgspec.Meta(max_length=_MOST_ENTRIES)] | None = None
    traffic_routing: _Present | None = None
    max_surge: int | str | None = None


class _Strategy(_Shape):
    blue_green: _BlueGreen | None = None
    canary: _Canary | None = None


class _RolloutSpec(_Shape):
    strategy: _Strategy | None = None
    replicas: Replicas | None = None
    paused: bool = False


class _RunStatus(_Shape):
    name: Reference = _NOTHING
    status: Text = _NOTHING
    message: Text = _NOTHING


class _BlueGreenStatus(_Shape):
    scale_up_preview_check_point: bool = False
    pre_promotion_analysis_run_status: _RunStatus | None = None
    post_promotion_analysis_run_status: _RunStatus | None = None


class _CanaryStatus(_Shape):
    stable_ping_pong: Reference = _NOTHING
    current_step_analysis_run_status: _RunStatus | None = None
    current_background_analysis_run_status: _RunStatus | None = None


class _PauseCondition(_Shape):
    reason: Text = _NOTHING


class _RolloutCondition(_Shape):
    type: str
    status: str
    message: Text = _NOTHING


class _RolloutStatus(_Shape):
    phase: Text = _NOTHING
    message: Text = _NOTHING
    abort: bool = False
    aborted_at: Moment | None = None
    pause_conditions: Annotated[list[_PauseCondition], msgspec.Meta(max_length=_MOST_ENTRIES)] | None = None
    promote_full: bool = False
    current_step_index: int | None = None
    conditions: list[_RolloutCondition] | None = None
    current_hash: Reference = field(default=_NOTHING, name="currentPodHash")
    stable_hash: Reference = field(default=_NOTHING, name="stableRS")
    observed_generation: Reference = _NOTHING
    workload_observed_generation: Reference = _NOTHING
    canary: _CanaryStatus | None = None
    blue_green: _BlueGreenStatus | None = None


class _RolloutAnnotations(_Shape):
    workload_generation: Reference = field(default=_NOTHING, name="rollout.argoproj.io/workload-generation")


class _RolloutMetadata(Metadata):
    annotations: _RolloutAnnotations | None = None


class Rollout(_Shape):
    """argoproj.io/v1alpha1 Rollout."""

    metadata: _RolloutMetadata
    spec: _RolloutSpec
    status: _RolloutStatus | None = None

    def record(self) -> records.Rollout:
        """Return what we judge of it."""
        status = self.status or _RolloutStatus()
        annotations = self.metadata.annotations or _RolloutAnnotations()
        return records.Rollout(
            namespace=self.metadata.namespace,
            name=self.metadata.name,
            uid=self.metadata.required_uid,
            replicas=1 if self.spec.replicas is None else self.spec.replicas,  # the CRD's default
            strategy=_strategy(self.spec.strategy or _Strategy()),
            generation=self.metadata.generation,
            observed_generation=status.observed_generation,
            workload_generation=annotations.workload_generation,
            workload_observed_generation=status.workload_observed_generation,
            current_hash=status.current_hash,
            stable_hash=status.stable_hash,
            stable_ping_pong=status.canary.stable_ping_pong if status.canary else "",
            activity=_activity(status, self.spec),
        )


def _activity(status: _RolloutStatus, spec: _RolloutSpec) -> records.Activity:
    invalid = [one.message for one in status.conditions or () if (one.type, one.status) == ("InvalidSpec", "True")]
    return records.Activity(
        phase=status.phase,
        message=status.message,
        is_aborted=status.abort,
        aborted_at=status.aborted_at,
        pauses=tuple(one.reason for one in status.pause_conditions or ()) + (("Paused",) if spec.paused else ()),
        is_promoted_full=status.promote_full,
        is_preview_over=status.blue_green is not None and status.blue_green.scale_up_preview_check_point,
        step=status.current_step_index,
        invalid_spec=(invalid[0] or status.message or "no message") if invalid else "",
        runs=_runs(status),
    )


def _runs(status: _RolloutStatus) -> tuple[records.RunStatus, ...]:
    blue_green, canary = status.blue_green or _BlueGreenStatus(), status.canary or _CanaryStatus()
    of_use = {
        "prePromotionAnalysis": blue_green.pre_promotion_analysis_run_status,
        "postPromotionAnalysis": blue_green.post_promotion_analysis_run_status,
        "step": canary.current_step_analysis_run_status,
        "background": canary.current_background_analysis_run_status,
    }
    return tuple(
        records.RunStatus(use, run.name, run.status, run.message) for use, run in of_use.items() if run and run.name
    )


def _strategy(strategy: _Strategy) -> records.BlueGreen | records.Canary:
    if strategy.blue_green:
        blue_green = strategy.blue_green
        return records.BlueGreen(
            blue_green.active_service, blue_green.preview_service or None, blue_green.preview_replica_count
        )
    canary = strategy.canary or _Canary()
    pair = canary.ping_pong or _PingPong()
    return records.Canary(
        canary_service=canary.canary_service or None,
        stable_service=canary.stable_service or None,
        ping_service=pair.ping_service or None,
        pong_service=pair.pong_service or None,
        steps=tuple(step.record() for step in canary.steps or ()),
        is_routed=canary.traffic_routing is not None,
        surges=canary.max_surge not in {0, "0", "0%"},
    )


class _ReplicaSetSpec(_Shape):
    replicas: Replicas | None = None


class _ReplicaSetStatus(_Shape):
    replicas: Replicas = 0
    available_replicas: Replicas = 0
    observed_generation: int = 0


class _ReplicaSetAnnotations(_Shape):
    scale_down_deadline: str = field(default="", name="scale-down-deadline")

    @property
    def scale_down_at(self) -> datetime | None:
        """The time that it holds; None without one, or if it is not a time (anybody may write annotations)."""
        try:
            return msgspec.convert(self.scale_down_deadline or None, Moment | None, strict=False)
        except msgspec.ValidationError:
            return None


class _ReplicaSetMetadata(Metadata):
    annotations: _ReplicaSetAnnotations | None = None


class ReplicaSet(_Shape):
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


class _ServicePort(_Shape):
    port: int
    name: Label = ""
    node_port: int = 0
    target_port: int | Label = 0


class _ServiceSpec(_Shape):
    selector: Labels | None = None
    ports: Annotated[list[_ServicePort], msgspec.Meta(max_length=_MOST_ENTRIES)] | None = None
    external_traffic_policy: Label = "Cluster"


class _OwnedFields(_Shape):
    spec: dict[str, msgspec.Raw] | None = field(default=None, name="f:spec")


class _ManagedFields(_Shape):
    """Who last wrote which fields, and when; the fields are a tree of their names."""

    time: Moment | None = None
    fields: _OwnedFields | None = field(default=None, name="fieldsV1")

    @property
    def owns_selector(self) -> bool:
        """Whether this writer set `spec.selector`, which is one field: its parts have no owners of their own."""
        return self.fields is not None and "f:selector" in (self.fields.spec or {})


class _ServiceMetadata(_Shape):
    name: Name
    namespace: Name = ""
    managed_fields: list[_ManagedFields] | None = None


class Service(_Shape):
    """v1 Service."""

    metadata: _ServiceMetadata
    spec: _ServiceSpec

    def record(self) -> records.Service:
        """Return what we judge of it."""
        return records.Service(
            name=self.metadata.name,
            selector=self.spec.selector or {},
            ports=tuple(
                records.ServicePort(one.name, one.port, one.node_port, one.target_port) for one in self.spec.ports or ()
            ),
            external_traffic_policy=self.spec.external_traffic_policy,
            selector_written_at=max(
                (
                    _in_calendar(one.time, self.metadata.name)
                    for one in self.metadata.managed_fields or ()
                    if one.owns_selector and one.time
                ),
                default=None,
            ),
        )


ENDED = ("Failed", "Succeeded")
"""The phases of a pod that has ended: it never runs again, but Kubernetes keeps the object for days.

Its ReplicaSet does not count it and no EndpointSlice has it. So every list leaves it out (`PODS.field_selector`), and a
shape that has the phase makes no record of it.
"""


class PodMetadata(_Shape):
    """A pod as PartialObjectMetadata: everything but its spec and status."""

    metadata: _Identity

    def record(self) -> records.Pod:
        """Return what we judge of it."""
        own = self.metadata
        # Its uid is in EndpointSlices too, its owner's uid in a thousand pods: one text of each is kept in memory.
        uid, owner = intern(own.required_uid), intern(own.owner_uid)
        return records.Pod(own.name, uid, owner, own.required_creation, own.deletion_timestamp is not None)


class _Condition(_Shape):
    type: str
    status: str
    last_transition_time: Moment | None = None


class _PodPhase(_Shape):
    phase: str = ""

    @property
    def has_ended(self) -> bool:
        return self.phase in ENDED


class _PodStatus(_PodPhase):
    conditions: list[_Condition] | None = None


class Pod(_Shape):
    """v1 Pod, for the one condition that tells how long its containers have been ready."""

    metadata: Metadata
    status: _PodStatus

    def record(self) -> tuple[str, datetime | None] | None:
        """Return its uid and since when all its containers are ready (None while they are not)."""
        if self.status.has_ended:
            return None
        for condition in self.status.conditions or ():
            if condition.type == "ContainersReady" and condition.status == "True":
                return self.metadata.required_uid, condition.last_transition_time
        return self.metadata.required_uid, None


class _Cause(_Shape):
    reason: Text = _NOTHING


class _ContainerState(_Shape):
    waiting: _Cause | None = None
    terminated: _Cause | None = None


class _ContainerStatus(_Shape):
    name: Label
    ready: bool = False
    restart_count: int = 0
    state: _ContainerState | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether Kubernetes cannot start it, or waits before it starts it again."""
        return self.state is not None and self.state.waiting is not None

    @property
    def word(self) -> str:
        """What keeps it from being ready, in Kubernetes' words."""
        state = self.state or _ContainerState()
        cause = state.waiting or state.terminated
        return cause.reason if cause and cause.reason else "running but not ready"


class _PodPhaseCondition(_Shape):
    type: str
    status: str
    reason: Text = _NOTHING


class _ReadinessGate(_Shape):
    condition_type: LabelKey


class _WholePodSpec(_Shape):
    readiness_gates: list[_ReadinessGate] | None = None


class _WholePodStatus(_PodPhase):
    conditions: list[_PodPhaseCondition] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _LabeledMetadata(Metadata):
    labels: Labels | None = None


class WholePod(_Shape):
    """v1 Pod, for its labels and what keeps it from being ready."""

    metadata: _LabeledMetadata
    status: _WholePodStatus
    spec: _WholePodSpec = field(default_factory=_WholePodSpec)

    def record(self) -> records.PodState | None:
        """Return its state: that of a container that is not ready, else why it has none yet."""
        status = self.status
        if status.has_ended:
            return None
        containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
        not_ready = sorted((one for one in containers if not one.ready), key=lambda one: not one.is_waiting)
        state, container, restarts = "", "", 0
        if not_ready:
            state, container, restarts = not_ready[0].word, not_ready[0].name, not_ready[0].restart_count
        elif not containers and status.phase == "Pending":
            unscheduled = [
                one.reason for one in status.conditions or () if (one.type, one.status) == ("PodScheduled", "False")
            ]
            state = unscheduled[0] if unscheduled else status.phase
        return records.PodState(
            name=self.metadata.name,
            labels=self.metadata.labels or {},
            state=state,
            container=container,
            restarts=restarts,
            gates=self._gates(),
            created_at=self.metadata.creation_timestamp,
        )

    def _gates(self) -> tuple[tuple[str, bool], ...]:
        is_true = {one.type for one in self.status.conditions or () if one.status == "True"}
        gates = self.spec.readiness_gates or []
        return tuple((gate.condition_type, gate.condition_type in is_true) for gate in gates[:_MOST_SHOWN])


class _PodAddress(_Shape):
    ip: Name = ""


class _AddressedPodStatus(_PodPhase):
    pod_ips: Annotated[list[_PodAddress], msgspec.Meta(max_length=_MOST_ENTRIES)] | None = field(
        default=None, name="podIPs"
    )


class _HashLabel(_Shape):
    pod_hash: Label = field(default="", name=records.HASH_LABEL)


class _HashedMetadata(Metadata):
    labels: _HashLabel | None = None


class AddressedPod(_Shape):
    """v1 Pod, for its addresses."""

    metadata: _HashedMetadata
    status: _AddressedPodStatus

    def record(self) -> records.PodAddress | None:
        """Return its addresses."""
        if self.status.has_ended:
            return None
        return records.PodAddress(
            name=self.metadata.name,
            owner_uid=self.metadata.owner_uid,
            pod_hash=self.metadata.labels.pod_hash if self.metadata.labels else "",
            addresses=tuple(one.ip for one in self.status.pod_ips or () if one.ip),
        )


class _Measurement(_Shape):
    value: Text = _NOTHING
    message: Text = _NOTHING


class _MetricResult(_Shape):
    name: Text = _NOTHING
    phase: Text = _NOTHING
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    measurements: list[_Measurement] | None = None

    def record(self) -> records.MetricResult:
        """Return its counters, with what its last measurement said."""
        last = (self.measurements or [_Measurement()])[-1]
        return records.MetricResult(
            self.name, self.phase, self.successful, self.failed, self.inconclusive, self.error, last.value, last.message
        )


class _AnalysisRunStatus(_Shape):
    metric_results: list[_MetricResult] | None = None


class AnalysisRun(_Shape):
    """argoproj.io/v1alpha1 AnalysisRun."""

    metadata: Metadata
    status: _AnalysisRunStatus | None = None

    def record(self) -> tuple[records.MetricResult, ...]:
        """Return the counters of each metric."""
        results = (self.status.metric_results if self.status else None) or []
        return tuple(one.record() for one in results[:_MOST_SHOWN])


class _TargetRef(_Shape):
    uid: Name = ""
    kind: str = ""


class _EndpointConditions(_Shape):
    ready: bool | None = None
    terminating: bool | None = None


class _Endpoint(_Shape):
    addresses: Annotated[list[Name], msgspec.Meta(max_length=100)]  # this and the next by the API's own validation
    conditions: _EndpointConditions | None = None
    target_ref: _TargetRef | None = None
    node_name: Name | None = None


class _EndpointPort(_Shape):
    name: Label | None = None
    port: int | None = None


class _SliceLabels(_Shape):
    service: Label = field(default="", name="kubernetes.io/service-name")
    manager: Label = field(default="", name="endpointslice.kubernetes.io/managed-by")


class _SliceMetadata(Metadata):
    labels: _SliceLabels | None = None


class EndpointSlice(_Shape):
    """discovery.k8s.io/v1 EndpointSlice. `endpoints` and `ports` can be null."""

    metadata: _SliceMetadata
    address_type: Label
    endpoints: Annotated[list[_Endpoint], msgspec.Meta(max_length=1000)] | None = None
    ports: Annotated[list[_EndpointPort], msgspec.Meta(max_length=_MOST_ENTRIES)] | None = None

    def record(self) -> records.EndpointSlice:
        """Return what we judge of it, whatever the state of its endpoints."""
        labels, every = self.metadata.labels or _SliceLabels(), self.endpoints or ()
        service = labels.service
        ports = tuple((port.name or "", port.port) for port in self.ports or () if port.port is not None)
        return records.EndpointSlice(
            service=service,
            manager=labels.manager,
            endpoints=tuple(
                records.Endpoint(
                    service=service,
                    family=self.address_type,
                    address=intern(one.addresses[0]),
                    pod_uid=intern(one.target_ref.uid),
                    ready=one.conditions is None or one.conditions.ready is not False,  # nil means ready
                    node_name=intern(one.node_name or ""),
                    ports=ports,
                )
                for one in every
                if one.target_ref is not None and one.target_ref.kind == "Pod" and one.addresses
            ),
            addresses=tuple(address for one in every for address in one.addresses),
            has_terminating=any(one.conditions is not None and one.conditions.terminating for one in every),
        )


class _ServiceReference(_Shape):
    name: Reference
    port: int | str


class _BindingSpec(_Shape):
    service_ref: _ServiceReference
    target_group_arn: Arn = field(default=_NO_ARN, name="targetGroupARN")
    target_group_name: Reference = _NOTHING
    ip_address_type: str = "ipv4"
    role_arn: Arn = field(default=_NO_ARN, name="iamRoleArnToAssume")
    external_id: Arn = field(default=_NO_ARN, name="assumeRoleExternalId")


class TargetGroupBinding(_Shape):
    """TargetGroupBinding of elbv2.k8s.aws/v1beta1 and eks.amazonaws.com/v1."""

    metadata: _LabeledMetadata
    spec: _BindingSpec

    def record(self) -> records.Binding:
        """Return what we judge of it; an unset address type is IPv4, as the controller reads it."""
        port = self.spec.service_ref.port  # msgspec has no type of our own beside another
        return records.Binding(
            name=self.metadata.name,
            service=self.spec.service_ref.name,
            port=port if isinstance(port, int) else Reference.bounded(port),
            arn=self.spec.target_group_arn,
            group_name=self.spec.target_group_name,
            family="IPv6" if self.spec.ip_address_type == "ipv6" else "IPv4",
            role_arn=self.spec.role_arn,
            external_id=self.spec.external_id,
            stack=_stack(self.metadata.labels or {}),
        )


def _stack(labels: dict[str, str]) -> str:
    """Return which stack the controller made a binding for; the prefix of these labels differs by kind and controller.

    Source: aws-load-balancer-controller pkg/deploy/tracking/provider.go.
    """
    parts = {"stack", "stack-namespace", "stack-name"}
    return "/".join(value for key, value in sorted(labels.items()) if key.partition("/")[2] in parts)


class _NodeSpec(_Shape):
    provider_id: Reference = field(default=_NOTHING, name="providerID")


class Node(_Shape):
    """v1 Node, for its EC2 instance id: the last part of `spec.providerID` (aws:///eu-west-1a/i-0abc)."""

    metadata: Metadata
    spec: _NodeSpec

    def record(self) -> tuple[str, str]:
        """Return its name and its EC2 instance id, which is empty where the cloud has not named the node yet."""
        return self.metadata.name, self.spec.provider_id.rpartition("/")[2]


class Status(_Shape):
    """v1 Status: how the API server itself says that something is wrong; a proxy's error page has another shape."""

    kind: str
    reason: str = ""
    message: str = ""


class _GroupVersion(_Shape):
    version: str


class ApiGroup(_Shape):
    """The discovery of an API group (`/apis/<group>`): the versions that the cluster has."""

    versions: list[_GroupVersion] | None = None


class _ListMetadata(_Shape):
    continue_token: str = field(default="", name="continue")


Item = TypeVar("Item")


class _AccessStatus(_Shape):
    allowed: bool


class AccessReview(_Shape):
    """A SelfSubjectAccessReview as the API server answers it."""

    status: _AccessStatus


class WholePage(_Shape):
    """One page of a list whose objects are read whole."""

    items: list[dict[str, Any]] | None
    metadata: _ListMetadata


class Page(_Shape, Generic[Item]):
    """One page of a list. Go writes an empty list as null; an answer without `items` is no list at all."""

    items: list[Item] | None
    metadata: _ListMetadata


def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape, dec_hook=_bounded)


def _page_decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return _decoder(Page[shape])


def _bounded(kind: type[Text], value: object) -> Text:
    if not isinstance(value, str):
        raise TypeError("Expected `str`")
    return kind.bounded(value)


decoder: Callable[[Any], msgspec.json.Decoder[Any]] = cache(_decoder)
page_decoder: Callable[[Any], msgspec.json.Decoder[Any]] = cache(_page_decoder)
"""Made once for each shape: msgspec looks at its types each time."""
