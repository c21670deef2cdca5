"""Two Rollouts that show how a sick version gets past a gate, or never reaches it.

Both were seen with a real control plane: Argo Rollouts 1.9.1, AWS Load Balancer Controller 3.5.0, Kubernetes 1.34.
"""

from __future__ import annotations

from datetime import timedelta

from tests.world.aws.api import AwsApi
from tests.world.story.blue_green import BlueGreen
from tests.world.story.revisions import Cluster
from tests.world.story.rollouts import Steps

ABORT_SCALE_DOWN_DELAY_SECONDS = 30.0
"""Argo's default of abortScaleDownDelaySeconds."""


class _Sick(BlueGreen):
    """A blue-green Rollout whose green fails every health check of the load balancer."""

    def scale_up(self, second: float) -> None:
        """Scale green up, with every pod sick from the start."""
        super().scale_up(second)
        self.green.make_sick()

    def end_with(self, why: str) -> None:
        """Abort green, and let it run until its scale-down deadline."""
        self.aborted_at = self.cluster.now()
        self.green.scale_down_at = self.aborted_at + timedelta(seconds=ABORT_SCALE_DOWN_DELAY_SECONDS)
        self.phase = "Degraded"
        self.message = f"RolloutAborted: Rollout aborted update to revision {self.generation}: {why}"


class Retried(_Sick):
    """A blue-green Rollout whose sick green is aborted, and then switched to by a retry.

    Argo Rollouts before 1.10 takes a retry within abortScaleDownDelaySeconds (default 30) for a rollback to a version
    that still runs, and switches in the same second without any analysis.
    """

    period_seconds = 100.0

    def steps(self) -> Steps:
        """Return a rollout that fails its gate and is switched all the same, until somebody rolls it back."""
        return (
            (0.0, self.change_template),
            (1.0, self.observe),
            (1.5, self.scale_up),
            (16.0, self.analyse),
            (56.0, self.abort),
            (62.0, self.retry),
            (80.0, self.roll_back),
            (84.0, self.scale_down),
        )

    def analyse(self, _: float) -> None:
        """Run the analysis before the switch, now that every pod is ready."""
        self.phase, self.message = "Progressing", "active service cutover pending"

    def abort(self, _: float) -> None:
        """Abort green after its analysis failed."""
        self.end_with('Metric "alb-gate" assessed Failed due to failed (1) > failureLimit (0)')

    def retry(self, second: float) -> None:
        """Run `kubectl argo rollouts retry rollout` within that delay: switch at once, and call it a success.

        `status.abort` is true again in the same second, and stays so although the Rollout is Healthy.
        """
        self.green.scale_down_at = None
        self.switch(second)
        self.promote(second)

    def roll_back(self, second: float) -> None:
        """Go back to the former version, whose pods still run: Argo switches at once here too."""
        sick, self.green = self.green, self._retired
        self.aborted_at = None
        self.generation = self.observed_generation = self.generation + 1
        self.preview_hash = self.green.pod_hash
        self.put_service(f"{self.name}-preview", self.green)
        self.switch(second)
        self.promote(second)
        self._retired = sick


class Gated(_Sick):
    """A blue-green Rollout whose sick green never reaches its analysis, since readiness gates hold its pods back.

    A pod with a readiness gate is Ready only once it has been a healthy target. Argo begins the analysis once every pod
    is available, so it never queries: `progressDeadlineAbort` is what ends it.
    """

    period_seconds = 115.0
    progress_deadline_seconds = 70.0

    def steps(self) -> Steps:
        """Return a rollout that hangs until its progress deadline."""
        return (
            (0.0, self.change_template),
            (1.0, self.observe),
            (1.5, self.scale_up),
            (1.0 + self.progress_deadline_seconds, self.abort),
            (1.0 + self.progress_deadline_seconds + ABORT_SCALE_DOWN_DELAY_SECONDS, self.scale_down),
        )

    def scale_up(self, second: float) -> None:
        """Scale green up; its containers become ready, its targets and so its readiness gates never do."""
        super().scale_up(second)
        self.green.hold_by_readiness_gate()

    def abort(self, _: float) -> None:
        """Abort green at the deadline (progressDeadlineAbort)."""
        self.end_with(f'ReplicaSet "{self.name}-{self.green.pod_hash}" has timed out progressing.')

    def scale_down(self, second: float) -> None:
        """Scale the aborted green down."""
        self.green.scale_down_at = None
        self.green.scale_down(now=second)


def past_the_gate(cluster: Cluster, aws: AwsApi) -> tuple[Retried, Gated]:
    """Return both Rollouts."""
    return Retried(cluster, aws, "retried", 4), Gated(cluster, aws, "gated", 4)
