"""For how long a target has been unhealthy: only longer than its grace period does that prove that its pod is bad.

Pure. The grace period begins when the pod's containers are ready, since a pod that starts is unhealthy for a while; and
again at the first look at which a target is not healthy that this process has seen healthy. Of any other target it is
only known for how long its pod has been ready.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from provider.model.clocks import Skew
from provider.model.records import PodTarget
from provider.rules.expected_targets import Seen


@dataclass(frozen=True, slots=True)
class Grace:
    """The grace period of one target group (its ARN), and what is known of its targets `now`, by our clock.

    `ready_since` is by pod uid and by Kubernetes' clock, `unwell_since` by ours, of targets that were healthy before.
    """

    group: str
    period: timedelta
    now: datetime
    kubernetes: Skew
    ready_since: Mapping[str, datetime]
    unwell_since: Mapping[PodTarget, datetime]

    @property
    def by_kubernetes(self) -> datetime:
        """The time now by Kubernetes' clock: the earliest that it may show."""
        return self.kubernetes.earliest(self.now)

    def ready_for(self, target: Seen) -> timedelta | None:
        """Return how long the containers of a pod behind this target have been ready; None if that was not read."""
        since = [self.ready_since[pod.uid] for pod in target.pods if pod.uid in self.ready_since]
        return self.by_kubernetes - min(since) if since else None

    def unwell_for(self, target: Seen) -> timedelta | None:
        """Return how long a target has not been healthy that was so before; None if it was never seen healthy."""
        keys = [(self.group, pod.uid, target.address, target.port) for pod in target.pods]
        since = [self.unwell_since[key] for key in keys if key in self.unwell_since]
        return self.now - max(since) if since else None

    def was_healthy_lately(self, target: Seen) -> bool:
        """Tell whether a target is in the grace period that began when it stopped being healthy."""
        unwell = self.unwell_for(target) if self.period else None  # without a grace period it fails at the first look
        return unwell is not None and unwell <= self.period

    def is_over(self, target: Seen) -> bool:
        """Tell whether the grace period of an unhealthy target is over."""
        ready = self.ready_for(target)
        return ready is not None and ready > self.period and not self.was_healthy_lately(target)

    def is_old_enough(self, target: Seen) -> bool:
        """Tell whether the grace period may be over, by what is known without reading when the pod became ready."""
        oldest = self.by_kubernetes - self.period
        return any(pod.created_at <= oldest for pod in target.pods) and not self.was_healthy_lately(target)
