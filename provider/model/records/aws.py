"""What AWS has of a Rollout: target groups, the health of their targets, and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provider.model.records.cluster import Binding, CompactRecord


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call to AWS goes, and as which role; without one, as the provider's own role.

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
        """The account and region, which have their own call budget and threads."""
        return (self.account_id, self.region)


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

    `place` is where it was found, and where everything else about it is read. The health check is only shown, so groups
    that differ in it alone are equal.
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


class Target(CompactRecord, frozen=True, gc=False):
    """One entry of DescribeTargetHealth: `id` is an IP address or an instance id; reason and description are AWS's.

    `is_anomalous`: it fails more often than its peers, so the load balancer sends it less traffic. `override` is AWS's
    word for what keeps traffic away from a healthy target (`zonal_shift_active`), empty if nothing does.
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
        """Whether it is healthy, without an anomaly or an override."""
        return self.state == "healthy" and not self.override and not self.is_anomalous


PodTarget = tuple[str, str, str, int]
"""A target that a pod is behind: the target group's ARN, the pod's uid, and the target's id and port."""


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """A target group and the health of its targets; its settings were read at `described_at`."""

    group: TargetGroup
    binding: Binding
    targets: tuple[Target, ...]
    read_at: datetime
    described_at: datetime


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

    def __str__(self) -> str:
        """Return it for a sentence."""
        return f"between {self.start:%H:%M} and {self.end:%H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a load balancer, or of a target group on it; the two names are CloudWatch dimension values."""

    name: str
    load_balancer: str
    target_group: str = ""
    statistic: str = "Sum"


Points = Mapping[Metric, Mapping[datetime, float]]
"""CloudWatch's value of each metric by the start of the minute."""
