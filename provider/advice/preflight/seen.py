"""What a preflight sees in a running cluster and in AWS, beyond the objects themselves; nothing of it is in files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provider.model.records import GroupHealth, PodState, TargetGroup


@dataclass(frozen=True, slots=True)
class Rate:
    """What production carried in the last `minutes` minutes: requests per second, of all users and of one target.

    `busiest_per_target` is that of the busiest minute, divided by the healthy targets there are now.
    """

    minutes: int
    requests_per_second: float
    busiest_per_target: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; empty for files."""

    health: Mapping[str, tuple[GroupHealth, ...]] = field(default_factory=dict)
    """The target groups of each Service with their targets."""
    attributes: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    """The attributes of the target groups of each Service, in AWS's words; empty if they may not be read."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """TargetGroupBindings whose target group does not exist, each with a sentence."""
    denied: tuple[str, ...] = ()
    """What the provider may not do: a verb and a resource of Kubernetes, or an IAM action, each in a sentence."""
    pods: tuple[PodState, ...] = ()
    """Green's pods."""
    rate: Rate | None = None
    """None if CloudWatch could not be read, or counted nothing."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The hosts by which requests reach each Service; empty if listener rules may not be read."""

    @property
    def groups(self) -> Mapping[str, tuple[TargetGroup, ...]]:
        """The target groups of each Service as AWS describes them."""
        return {service: tuple(one.group for one in some) for service, some in self.health.items()}
