"""The canary of the story, whose two Services swap roles at each promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.world.aws.api import REGION, forward
from tests.world.story.rollouts import DemoRollout, Steps

if TYPE_CHECKING:
    from tests.world.aws.api import AwsApi
    from tests.world.story.revisions import Cluster

WEIGHTS = (20, 50, 100)
"""Percentages of the requests that green gets, one after the other."""


class PingPong(DemoRollout):
    """A canary whose two Services swap roles: promotion changes weights and no selector."""

    def __init__(self, cluster: Cluster, aws: AwsApi, name: str, replicas: int) -> None:
        super().__init__(cluster, aws, name, replicas)
        self.stable_ping_pong = "ping"
        self.pause_reason = "CanaryPauseStep"
        self._weight = 0
        self._rule_arn = ""

    def steps(self) -> Steps:
        """Return a canary that is checked at weight 0 and then takes over."""
        return (
            (0.0, self.change_template),
            (1.0, self.observe),
            (1.5, self.scale_up),
            (8.0, self.pause),
            (25.0, lambda _: self.set_weight(20)),
            (28.0, lambda _: self.set_weight(50)),
            (31.0, lambda _: self.set_weight(100)),
            (35.0, self.promote),
            (45.0, self.scale_down),
        )

    def strategy(self) -> dict[str, Any]:
        """Return `spec.strategy`: full size first, then weights."""
        services = {f"{role}Service": self.service_of(role) for role in ("ping", "pong")}
        alb = {"ingress": self.name, "servicePort": 80, "rootService": f"{self.name}-root"}
        steps: list[dict[str, Any]] = [{"setCanaryScale": {"weight": 100}}, {"pause": {"duration": "17s"}}]
        for weight in WEIGHTS:
            steps += [{"setWeight": weight}, {"pause": {"duration": "3s"}}]
        return {"canary": {"pingPong": services, "trafficRouting": {"alb": alb}, "steps": steps}}

    def strategy_status(self) -> dict[str, Any]:
        """Return which Service is stable, and the weights."""
        shares = {"canary": (self.green, self._weight), "stable": (self.blue, 100 - self._weight)}
        weights = {
            role: {"podTemplateHash": revision.pod_hash, "serviceName": "", "weight": weight}
            for role, (revision, weight) in shares.items()
        }
        done_steps = 1 if self.paused_since is not None else 0
        if self._weight:
            done_steps = 3 + 2 * WEIGHTS.index(self._weight)
        elif self.green is self.blue:
            done_steps = 2 + 2 * len(WEIGHTS)
        canary = {"stablePingPong": self.stable_ping_pong, "weights": weights}
        return {"canary": canary, "currentStepIndex": done_steps}

    def set_up(self) -> None:
        """Put the first revision behind both Services, with all the weight on ping."""
        self.blue.stand(self.replicas)
        for role in ("ping", "pong"):
            self.put_service(self.service_of(role), self.blue, by_argo=False)
            self.arns[self.service_of(role)] = self.bind(self.service_of(role), attached=False)
        self._rule_arn = self.aws.rule(self._rule_weights())
        self.put_service(f"{self.name}-root", self.blue, by_argo=False)
        self.publish()

    def service_of(self, role: str) -> str:
        """Return the Service that is called ping or pong."""
        return f"{self.name}-{role}"

    def percent(self, service: str) -> int:
        """Return the weight of a Service."""
        return self._rule_weights()[self.arns[service]]

    def observe(self, second: float) -> None:
        """See the template and point the idle Service at green before green has a pod."""
        super().observe(second)
        self.put_service(self.service_of(self._idle()), self.green)

    def set_weight(self, weight: int) -> None:
        """Send this percentage of the requests to green."""
        self._weight = weight
        actions = [forward(self._rule_weights())]
        self.aws.client(region=REGION).modify_rule(RuleArn=self._rule_arn, Actions=actions)

    def promote(self, second: float) -> None:
        """Make green stable and swap the roles of ping and pong; the listener rule does not change."""
        super().promote(second)
        self.stable_ping_pong = self._idle()
        self._weight = 0

    def _idle(self) -> str:
        return "pong" if self.stable_ping_pong == "ping" else "ping"

    def _rule_weights(self) -> dict[str, int]:
        idle, stable = (self.arns[self.service_of(role)] for role in (self._idle(), self.stable_ping_pong))
        return {stable: 100 - self._weight, idle: self._weight}
