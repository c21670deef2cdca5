"""For how long a target has been unhealthy. Beyond its grace period that counts as a failure of its pod.

Pure. The grace period begins when the pod's containers are ready, since a starting pod is unhealthy for a while. For a
target that this process has seen healthy it begins again when it is first found not healthy. For any other target only
the readiness of its pod is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from provider.model.clocks import Skew
from provider.model.records import PodTarget
from provider.rules.expected_targets import ExpectedTarget


@dataclass(frozen=True, slots=True)
class Grace:
    """The grace period of one target group (its ARN), and the times of its targets; `now` is by our clock.

    `ready_since` is by pod uid, in Kubernetes' time; `unwell_since` of targets that were healthy before, in ours.
    """

    group: str
    period: timedelta
    now: datetime
    kubernetes: Skew
    ready_since: Mapping[str, datetime]
    unwell_since: Mapping[PodTarget, datetime]

    @property
    def by_kubernetes(self) -> datetime:
        """The earliest time that Kubernetes' clock may show now."""
        return self.kubernetes.earliest(self.now)

    def ready_for(self, target: ExpectedTarget) -> timedelta | None:
        """Return how long the containers of this target's pod have been ready; None if that was not read."""
        since = [self.ready_since[pod.uid] for pod in target.pods if pod.uid in self.ready_since]
        return self.by_kubernetes - min(since) if since else None

    def unwell_for(self, target: ExpectedTarget) -> timedelta | None:
        """Return how long a target that was healthy has not been; None if it was never seen healthy."""
        keys = [(self.group, pod.uid, target.address, target.port) for pod in target.pods]
        since = [self.unwell_since[key] for key in keys if key in self.unwell_since]
        return self.now - max(since) if since else None

    def was_healthy_lately(self, target: ExpectedTarget) -> bool:
        """Tell whether a target is in the grace period that began when it stopped being healthy."""
        unwell = self.unwell_for(target) if self.period else None  # without a grace period it fails at once
        return unwell is not None and unwell <= self.period

    def is_over(self, target: ExpectedTarget) -> bool:
        """Tell whether the grace period of an unhealthy target is over."""
        ready = self.ready_for(target)
        return ready is not None and ready > self.period and not self.was_healthy_lately(target)

    def is_old_enough(self, target: ExpectedTarget) -> bool:
        """Tell whether the grace period may be over, without knowing when the pod became ready."""
        oldest = self.by_kubernetes - self.period
        return any(pod.created_at <= oldest for pod in target.pods) and not self.was_healthy_lately(target)
