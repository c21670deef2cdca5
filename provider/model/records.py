"""Frozen records: what Kubernetes and AWS said (evidence), and what the provider answers (verdict).

Readers return them, checks judge them. A record that can go stale has `read_at`, the time just before its request was
sent, so that its age is never understated.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from provider.model.answer import Observed
from provider.model.reasons import Phase, Reason

HASH_LABEL = "rollouts-pod-template-hash"
"""The label that Argo puts on ReplicaSets and pods, and in the selectors of the strategy's Services."""


class Kind(StrEnum):
    """The kinds of evidence, each with its own cache lifetime."""

    TOPOLOGY = "topology"
    PODS = "pods"
    TARGET_HEALTH = "targetHealth"
    TARGET_GROUPS = "targetGroups"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Freshness:
    """The cache lifetime in seconds of each kind of evidence, and of failures."""

    topology: float = 5
    pods: float = 300
    target_health: float = 2
    target_groups: float = 300
    metrics: float = 60
    failures: float = 1

    def seconds(self, kind: Kind) -> float:
        """Return the cache lifetime of this kind of evidence."""
        match kind:
            case Kind.TOPOLOGY:
                return self.topology
            case Kind.PODS:
                return self.pods
            case Kind.TARGET_HEALTH:
                return self.target_health
            case Kind.TARGET_GROUPS:
                return self.target_groups
            case Kind.METRICS:
                return self.metrics

    def limit(self, kind: Kind, budget_seconds: float) -> float:
        """Return the maximum age of evidence that may decide.

        Evidence that was fresh when a query began may grow older while the query waits for other reads.
        """
        return self.seconds(kind) + budget_seconds


class Stage(StrEnum):
    """Whether green takes production traffic by its own Service yet."""

    BEFORE_SWITCH = "BeforeSwitch"
    AFTER_SWITCH = "AfterSwitch"


@dataclass(frozen=True, slots=True)
class BlueGreen:
    """`spec.strategy.blueGreen`: the names of its Services, and green's pods before the switch if these are not all."""

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
    """A `setCanaryScale`: a number of pods, or a percentage of them; `matches_weight` lets the weight decide again."""

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
        """The Service whose selector carries production traffic; None for ping-pong, where the status decides."""
        return None if self.is_ping_pong else self.stable_service


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What a Rollout's status says of one of its AnalysisRuns; `use` is what it is for (prePromotion, step, ...)."""

    use: str
    name: str
    phase: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """The counters of one metric in an AnalysisRun (`status.metricResults`), and its last measurement's value."""

    name: str
    phase: str
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    value: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """What Argo says it is doing with a Rollout: `status.phase`, `.message`, `.abort`, `.pauseConditions` and the like.

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
    def is_rolling(self) -> bool:
        """Whether green is not the stable version yet."""
        return not self.stable_hash or self.current_hash != self.stable_hash


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet with the uid of its controller owner.

    `replicas` is what it wants (`spec.replicas`), `counted` how many pods it owns (`status.replicas`).
    """

    name: str
    uid: str
    owner_uid: str
    replicas: int
    available: int
    generation: int
    observed_generation: int
    created_at: datetime
    counted: int = 0
    scale_down_at: datetime | None = None
    """When Argo is going to scale it down (annotation `scale-down-deadline`)."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service; `name` is empty for an unnamed one, `node_port` 0 where there is none.

    `target_port` is the number or name of the pod's own port, 0 if it is not known.
    """

    name: str
    port: int
    node_port: int
    target_port: int | str = 0


@dataclass(frozen=True, slots=True)
class Service:
    """A Service as it is now; its selector is the truth about where traffic goes.

    `selector_written_at` is when the selector was last written (`managedFields`), None if the API does not say.
    """

    name: str
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    external_traffic_policy: str
    selector_written_at: datetime | None = None


class Many(msgspec.Struct, frozen=True, gc=False):
    """A record that exists by the thousand: ten times as fast to make as a dataclass, and not garbage-collected."""


class Pod(Many, frozen=True, gc=False):
    """A pod's metadata."""

    name: str
    uid: str
    owner_uid: str
    created_at: datetime
    terminating: bool


@dataclass(frozen=True, slots=True)
class PodAddress:
    """The addresses of a pod that has not ended, its ReplicaSet (uid) and its pod template hash."""

    name: str
    owner_uid: str
    pod_hash: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PodState:
    """What a whole pod says of itself: its labels, and the state of the first container that is not ready.

    `state` is in Kubernetes' words (CrashLoopBackOff, Unschedulable), and empty once every container is ready.
    """

    name: str
    labels: Mapping[str, str]
    state: str
    container: str = ""
    restarts: int = 0
    gates: tuple[tuple[str, bool], ...] = ()
    """Its readiness gates (condition types), each with whether that condition is True."""
    created_at: datetime | None = None


class Endpoint(Many, frozen=True, gc=False):
    """One address of one pod behind a Service. `ports` maps ServicePort names to the pod's own port numbers."""

    service: str
    family: str
    address: str
    pod_uid: str
    ready: bool
    node_name: str
    ports: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """A part of what is behind a Service, and who manages it.

    `endpoints` has one of each pod in it, with its first address: the controller registers no other. `addresses` has
    every address, whosever it is.
    """

    service: str
    manager: str
    endpoints: tuple[Endpoint, ...]
    addresses: tuple[str, ...]
    has_terminating: bool

    def __len__(self) -> int:
        """Return the number of its endpoints."""
        return len(self.endpoints)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call to AWS goes, and as which role: without one, as the provider's own role.

    `external_id` is for the trust policy of the role.
    """

    region: str
    role_arn: str = ""
    external_id: str = ""

    @property
    def account_id(self) -> str:
        """The account that the role is in (arn:aws:iam::<account>:role/...); empty for the provider's own."""
        return self.role_arn.split(":")[4] if self.role_arn else ""

    @property
    def scope(self) -> tuple[str, str]:
        """The account and region: they have a call budget and threads of their own."""
        return (self.account_id, self.region)


@dataclass(frozen=True, slots=True)
class Binding:
    """A TargetGroupBinding: which target group holds a Service's endpoints. One of `arn` and `group_name` is set.

    `role_arn` is the role to assume if the target group is in another account. `stack` is what the load balancer
    controller made it for (an Ingress or a group of them, a Gateway, a Service), each with a load balancer of its own;
    empty if somebody else made it. It only tells load balancers apart, so it is no part of the binding's identity.
    """

    name: str
    service: str
    port: int | str
    arn: str
    group_name: str
    family: str
    role_arn: str
    external_id: str = ""
    stack: str = field(default="", compare=False)

    @property
    def target_group(self) -> str:
        """The name of the target group; the binding's own if its ARN has none."""
        _, _, name = self.arn.partition(":targetgroup/")
        return self.group_name or name.partition("/")[0] or self.name


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
    """When the pods were listed: earlier than the rest, while that accounts for every one of them."""
    foreign_bindings: tuple[Binding, ...] = ()
    """Bindings of other Services in the namespace to the same target groups."""
    unserved_apis: tuple[str, ...] = ()
    """Binding APIs that the cluster seemed not to serve; before a verdict decides, they are asked again."""

    def __len__(self) -> int:
        """Return the number of its records."""
        of_services = sum(len(one.ports) + len(one.selector) for one in self.services.values())
        return len(self.pods) + len(self.endpoints) + len(self.bindings) + of_services

    def with_switch(self, now: "Switch") -> "Topology | None":
        """Return this topology with a newer Rollout and Service; None if a change makes the rest outdated."""
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


@dataclass(frozen=True, slots=True)
class Green:
    """Green as found: its Rollout, its ReplicaSet and its pods that are not terminating."""

    rollout: Rollout
    replica_set: ReplicaSet
    pods: tuple[Pod, ...]
    read_at: datetime
    pods_read_at: datetime

    @property
    def times(self) -> Mapping[Kind, datetime]:
        """When it was read; the pods are named if they were listed before the rest."""
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


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a load balancer checks a target, in AWS's words; `port` is a number or `traffic-port`."""

    protocol: str = ""
    port: str = ""
    path: str = ""
    codes: str = ""
    timeout_seconds: int = 0
    healthy_threshold: int = 0


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group's settings, and the load balancers whose listener rules forward to it.

    `place` is where it was found, and where everything else about it is read. The health check is shown only, so it is
    no part of its identity.
    """

    arn: str
    name: str
    target_type: str
    load_balancer_arns: tuple[str, ...]
    health_check_interval_seconds: int
    unhealthy_threshold: int
    place: Place
    health_check: HealthCheck = field(default=HealthCheck(), compare=False)

    @property
    def in_use(self) -> bool:
        """Whether a listener rule forwards to it: only then does a load balancer health-check its targets."""
        return bool(self.load_balancer_arns)


class Target(Many, frozen=True, gc=False):
    """One entry of DescribeTargetHealth: `id` is an IP address or an instance id; reason and description are AWS's.

    `is_anomalous`: the load balancer finds that it fails more often than its peers. `override` is AWS's word for what
    keeps traffic away from a healthy target, empty if nothing does (`zonal_shift_active`).
    """

    id: str
    port: int
    state: str
    reason: str = ""
    description: str = ""
    is_anomalous: bool = False
    override: str = ""

    @property
    def is_plainly_healthy(self) -> bool:
        """Whether it is healthy and AWS says nothing else of it."""
        return self.state == "healthy" and not self.override and not self.is_anomalous


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """A target group and the health of its targets; its settings were read at `described_at`."""

    group: TargetGroup
    binding: Binding
    targets: tuple[Target, ...]
    read_at: datetime
    described_at: datetime


PodTarget = tuple[str, str, str, int]
"""A target that a pod is behind: the target group's ARN, the pod's uid, and the target's id and port."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whole minutes of metrics, UTC: from `start` up to, not including, `end`."""

    start: datetime
    end: datetime

    @property
    def minutes(self) -> tuple[datetime, ...]:
        """The start of every minute."""
        count = (self.end - self.start) // timedelta(minutes=1)
        return tuple(self.start + timedelta(minutes=number) for number in range(count))


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a load balancer, or of a target group on it; the two names are CloudWatch dimension values."""

    name: str
    load_balancer: str
    target_group: str = ""
    statistic: str = "Sum"


Points = Mapping[Metric, Mapping[datetime, float]]
"""CloudWatch's value of each metric by the start of the minute."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: Argo's phase, the reason, one sentence, the number to chart, and what decided."""

    phase: Phase
    reason: Reason
    message: str
    number: float = 0.0
    observed: Observed = field(default_factory=Observed)


def same_address(text: str) -> str:
    """Return the canonical form of an IPv6 address; return anything else unchanged."""
    if ":" not in text:
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
