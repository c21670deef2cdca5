"""A Rollout that is handed over on a clock of its own: models of all controllers, and the real provider in between."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from provider.checks.question import Sources
from provider.handover import Handovers, enable
from provider.http.app import create_app
from provider.sources.aws.registrations import Registrations
from provider.sources.bulkheads import Bulkheads
from provider.sources.seen_healthy import SeenHealthy
from provider.telemetry import Metrics
from tests.conftest import Clock
from tests.contract import is_declared
from tests.world.aws import moto_elbv2
from tests.world.story.handed_over import HandedOver
from tests.world.story.rollouts import NAMESPACE
from tests.world.story.story import Story
from tests.world.world import World

UNDO_SECONDS = 60.0


@dataclass
class StageClock:
    """The world's clock as a time of day; it stands still but for `pass_`."""

    world: Clock
    began: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def seconds(self) -> float:
        return self.world.seconds

    def pass_(self, seconds: float) -> None:
        self.world.seconds += seconds

    def __call__(self) -> datetime:
        return self.began + timedelta(seconds=self.world.seconds)


@dataclass
class Replica:
    """One process of the provider with handover on, and what it can do."""

    sources: Sources
    account: Any
    metrics: Metrics = field(default_factory=Metrics)
    writer: Callable[[Any, Bulkheads, Metrics], Registrations] = Registrations

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin with nothing remembered, as after a restart."""
        self.registrations = self.writer(self.account, self.sources.shared.threads, self.metrics)
        self.sources = replace(self.sources, seen_healthy=SeenHealthy())
        self.handovers: Handovers = enable(
            self.sources, self.registrations, self.metrics, "platform", idle_seconds=UNDO_SECONDS
        )
        self.app: Flask = create_app(self.sources, self.metrics, handovers=self.handovers)

    def look(self) -> None:
        """Let the loop look once, and wait for what it began."""
        for pending in self.handovers.loop.look():
            pending.result()

    def ask(self, rollout: str, pod_hash: str, *, crashes: bool = False, **parameters: Any) -> dict[str, Any]:
        """Ask for a handover, and return the answer; without one of a process that `crashes` nothing."""
        body = {"namespace": NAMESPACE, "rollout": rollout, "podTemplateHash": pod_hash, **parameters}
        response = self.app.test_client().post("/v1/handover", json=body)
        if crashes and response.status_code == 500:
            return {}
        assert response.status_code == 200, response.text
        answer = dict(response.get_json())
        assert is_declared(answer)
        return answer


class Stage:
    """One blue-green Rollout `web` in a world whose time only `play` lets pass."""

    def __init__(self, world: World, clock: StageClock, replicas: int, ask: Callable[[str, str], str | None]) -> None:
        self.clock = clock
        self.world = world
        self.rollouts: list[HandedOver] = []

        def cast(cluster: Any, aws: Any) -> Any:
            self.rollouts.append(HandedOver(cluster, aws, "web", replicas, ask))
            self.web.period_seconds = float("inf")  # one version, and no other after it
            return tuple(self.rollouts)

        self.story = Story(world, now=clock, cast=cast)
        self.story.set_up()
        self.healthy: list[tuple[float, int]] = []
        """(second, healthy targets of the production group) at every tick."""

    @property
    def web(self) -> HandedOver:
        return self.rollouts[0]

    @property
    def production(self) -> str:
        return self.web.arns[self.web.active_service]

    def states(self, arn: str = "") -> dict[tuple[str, int], str]:
        """The states of a group's targets, of production's if none is named."""
        group = moto_elbv2.settings(arn or self.production)
        return {(id_, port): one.state for id_, port, one in self.world.aws.load_balancers.health(group)}

    def addresses(self, revision: Any) -> set[tuple[str, int]]:
        """The targets that the pods of a revision would be."""
        return {(pod.address, 8080) for pod in revision._pods}

    def play(self, seconds: float, *, step: float = 0.5, between: Callable[[], None] = lambda: None) -> None:
        """Let time pass, tick by tick; `between` is called after each."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.clock.pass_(step)
            self.story.tick()
            self.healthy.append((self.clock.seconds, sum(state == "healthy" for state in self.states().values())))
            between()
