"""The blue-green Rollouts of the story: some succeed, one is broken, some wait for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.world.story.rollouts import CHECK_INTERVAL_SECONDS, DemoRollout, Steps

if TYPE_CHECKING:
    from tests.world.aws.api import AwsApi
    from tests.world.story.revisions import Cluster

WAITED = timedelta(minutes=20)
"""How long the green of the waiting ones has been there, and selected, when the story begins."""
NEIGHBOUR = "neighbour"


class BlueGreen(DemoRollout):
    """A blue-green Rollout that switches and promotes; its green of one loop is the blue of the next."""

    def __init__(self, cluster: Cluster, aws: AwsApi, name: str, replicas: int, *, ramp_seconds: float = 0.5) -> None:
        super().__init__(cluster, aws, name, replicas)
        self.ramp_seconds = ramp_seconds
        self.active_service = f"{name}-active"
        self.preview_service: str | None = f"{name}-preview"
        self.active_hash = self.preview_hash = self.green.pod_hash

    def steps(self) -> Steps:
        """Return the steps of a successful rollout, which takes a minute."""
        return (
            (0.0, self.change_template),
            (1.0, self.observe),
            (1.5, self.scale_up),
            (16.0, self.pause),
            (27.0, self.switch),
            (40.0, self.promote),
            (48.0, self.scale_down),
        )

    def strategy(self) -> dict[str, Any]:
        """Return `spec.strategy` with the pause before the switch that a person or a pipeline ends."""
        services = {"activeService": self.active_service}
        if self.preview_service is not None:
            services["previewService"] = self.preview_service
        return {"blueGreen": services | {"autoPromotionEnabled": False, "scaleDownDelaySeconds": 8}}

    def strategy_status(self) -> dict[str, Any]:
        """Return the selectors Argo Rollouts last wrote."""
        selectors = {"activeSelector": self.active_hash}
        if self.preview_service is not None:
            selectors["previewSelector"] = self.preview_hash
        return {"blueGreen": selectors}

    def set_up(self) -> None:
        """Put blue behind both Services."""
        self.blue.stand(self.replicas)
        for service in filter(None, (self.active_service, self.preview_service)):
            self.put_service(service, self.blue, by_argo=False)
            self.bind(service)
        self.publish()

    def observe(self, second: float) -> None:
        """See the template and point the preview Service at green before green has a pod."""
        super().observe(second)
        if self.preview_service is not None:
            self.preview_hash = self.green.pod_hash
            self.put_service(self.preview_service, self.green)

    def switch(self, _: float) -> None:
        """Point the active Service at green."""
        self.paused_since = None
        self.phase, self.message = "Progressing", "waiting for analysis to complete"
        self.active_hash = self.green.pod_hash
        self.put_service(self.active_service, self.green)


class Broken(BlueGreen):
    """A blue-green Rollout with one green pod that fails its health check: aborted, and tried again."""

    period_seconds = 75.0

    def steps(self) -> Steps:
        """Return a rollout that ends with an abort, 15 s after the default grace of the service is over."""
        return (
            (0.0, self.change_template),
            (1.0, self.observe),
            (1.5, self.scale_up),
            (16.0, self.pause),
            (62.0, self.abort),
            (64.0, self.scale_down),
        )

    def scale_up(self, second: float) -> None:
        """Scale green up, with one pod that is sick from the start."""
        super().scale_up(second)
        self.green.make_first_pod_sick()

    def abort(self, _: float) -> None:
        """Abort green; the active Service still selects blue."""
        self.paused_since = None
        self.aborted_at = self.cluster.now()
        self.phase = "Degraded"
        self.message = f"RolloutAborted: Rollout aborted update to revision {self.generation}"

    def scale_down(self, second: float) -> None:
        """Scale the aborted green down."""
        self.green.scale_down(now=second)


class Waiting(BlueGreen):
    """A blue-green Rollout that stays before its switch for ever, since WAITED before the story began.

    Unless told otherwise, green is healthy in the preview group. Nobody can check it when its preview target
    group is not `attached` to a listener rule, or when there is no preview Service at all.
    """

    def __init__(
        self,
        cluster: Cluster,
        aws: AwsApi,
        name: str,
        replicas: int,
        *,
        has_preview: bool = True,
        attached: bool = True,
    ) -> None:
        super().__init__(cluster, aws, name, replicas)
        self._attached = attached
        if not has_preview:
            self.preview_service = None

    def steps(self) -> Steps:
        """Return no steps: it waits."""
        return ()

    def set_up(self) -> None:
        """Put blue behind the active Service and green behind the preview Service, with all containers ready."""
        self.blue.stand(self.replicas, since=2 * WAITED)
        self.put_service(self.active_service, self.blue, by_argo=False)
        self.bind(self.active_service)
        self.change_template(0.0)
        self.observe(0.0)
        if self.preview_service is not None:
            self.bind(self.preview_service, attached=self._attached)
            self.put_service(self.preview_service, self.green, ago=WAITED)
        self.green.stand(self.replicas, since=WAITED)
        self.pause(0.0)
        self.paused_since = self.cluster.now() - WAITED
        self.publish()


class Shared(Waiting):
    """A waiting Rollout on a load balancer of its own, with a neighbour there that answers badly.

    The neighbour is a target group that belongs to no Rollout and has no TargetGroupBinding.
    """

    def __init__(self, cluster: Cluster, aws: AwsApi, name: str, replicas: int) -> None:
        super().__init__(cluster, aws, name, replicas)
        self.load_balancer = name

    def set_up(self) -> None:
        """Add the neighbour to the load balancer of blue and green."""
        super().set_up()
        arn = self.aws.target_group(NEIGHBOUR, load_balancer=self.load_balancer, interval=CHECK_INTERVAL_SECONDS)
        # No pod of the story ever gets an address from 10.0.160.0 on.
        self.aws.register(arn, [(f"10.0.{part}.4", 8080) for part in (160, 161)])
        self.arns[NEIGHBOUR] = arn
