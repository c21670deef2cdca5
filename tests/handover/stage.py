"""A Rollout that is handed over on a clock of its own: models of all controllers, and the real provider in between."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from provider.checks.question import Sources
from provider.handover import Handovers
from provider.sources.aws.registrations import Registrations
from provider.sources.bulkheads import Bulkheads
from provider.sources.seen_healthy import SeenHealthy
from provider.telemetry import Metrics
from tests.app import create_app
from tests.conftest import Clock
from tests.contract import is_declared
from tests.world.aws import moto_elbv2
from tests.world.aws.network import LOAD_BALANCER
from tests.world.cluster.pods import Pod
from tests.world.story.cast import Member
from tests.world.story.examples import NAMESPACE
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
        self.handovers: Handovers = Handovers(
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


class Revision:
    """A ReplicaSet of the Rollout, and its pods."""

    def __init__(self, story: Story, pod_hash: str) -> None:
        self._story, self.pod_hash = story, pod_hash
        self._key = (NAMESPACE, f"web-{pod_hash}")

    @property
    def _pods(self) -> list[Pod]:
        return self._story.pods.pods.get(self._key, [])

    @property
    def pods_count(self) -> int:
        return sum(pod.is_active and pod.stage != "planned" for pod in self._pods)

    @property
    def ready_count(self) -> int:
        return sum(pod.stage == "ready" for pod in self._pods)

    def addresses(self) -> set[str]:
        return self._story.pods.addresses(self._key)

    def make_sick(self) -> None:
        """Let every pod answer the load balancer's health checks with 500 for ever."""
        self._story.pods.sick_addresses.update(pod.address for pod in self._pods)

    def make_first_pod_sick(self) -> None:
        self._story.pods.sick_addresses.add(next(pod for pod in self._pods if pod.is_active).address)

    def replace_first_pod(self, _: float) -> None:
        self._story.pods.replace_first(self._key)

    def end_first_pod(self, _: float) -> None:
        self._story.pods.replace_first(self._key, evicts=True)

    def scale_down(self, *, now: float) -> None:  # noqa: ARG002 - the story knows the time
        replica_set = self._story.pods._kubernetes.get("ReplicaSet", *self._key)
        replica_set["spec"]["replicas"] = 0
        self._story.pods._kubernetes.put(replica_set)


class Web(Executor):
    """The Rollout `web`, what a person does to it at once, and how its AnalysisRun asks."""

    name = "web"
    phase = ""
    """For whoever sets it: Argo writes it."""

    def __init__(self, world: World, replicas: int, ask: Callable[[str, str], str | None]) -> None:
        self.replicas = replicas
        self._kubernetes = world.kubernetes
        self._ask = ask
        """What a measurement asks; None is no answer yet."""
        self._ask_at: float | None = 13.0
        """From which second on: a test may act before it. None while nothing is measured."""
        self._waiting: list[tuple[Future[Any], Any]] = []
        self._revisions: dict[str, Revision] = {}
        self._seen: dict[str, Any] = {}
        self.pause_reason = "BlueGreenPause"
        self.switched_at: float | None = None
        self.story: Story

    @property
    def is_canary(self) -> bool:
        return "canary" in self._rollout["spec"]["strategy"]

    @property
    def active_service(self) -> str:
        return "web-stable" if self.is_canary else "web-active"

    # The measurements: none ends before there is an answer.

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args)))
        self.settle()
        return future

    def settle(self) -> None:
        """Ask for what waits."""
        waiting, self._waiting = self._waiting, []
        for future, ask in waiting:
            answer = ask() if self._ask_at is not None and self.story.seconds >= self._ask_at else None
            if answer is None:
                self._waiting.append((future, ask))
            else:
                future.set_result(answer)

    def measure(self, _: Any) -> Any:
        phase = self._ask(self.name, self.green.pod_hash)
        return phase and {"phase": phase, "value": f'[100,"{phase}",""]'}

    # What there is.

    @property
    def _rollout(self) -> dict[str, Any]:
        with suppress(KeyError):  # of one that was deleted, as it was last
            self._seen = self._kubernetes.get("Rollout", NAMESPACE, self.name)
        return self._seen

    @property
    def arns(self) -> dict[str, str]:
        return {service: arn for (_, service), arn in self.story.ingresses.arns.items()}

    def _revision(self, pod_hash: str) -> Revision:
        return self._revisions.setdefault(pod_hash, Revision(self.story, pod_hash))

    @property
    def green(self) -> Revision:
        return self._revision(self._rollout["status"]["currentPodHash"])

    @property
    def blue(self) -> Revision:
        return self._revision(self._rollout["status"]["stableRS"])

    @property
    def revisions(self) -> list[Revision]:
        sets = self._kubernetes.stored("ReplicaSet", NAMESPACE)
        return [self._revision(stored.labels["rollouts-pod-template-hash"]) for stored in sets]

    @property
    def generation(self) -> int:
        return int(self._rollout["metadata"]["generation"])

    @property
    def observed_generation(self) -> int:
        return int(self._rollout["status"]["observedGeneration"])

    # What a person does, and Argo sees at once.

    @property
    def aborted_at(self) -> Any:
        return self._rollout["status"].get("abortedAt")

    @aborted_at.setter
    def aborted_at(self, _: Any) -> None:
        self.story.members[self.name].commands.abort()
        self.publish()

    def pause(self, _: float) -> None:
        rollout = self._rollout
        rollout["status"]["pauseConditions"] = [
            {"reason": self.pause_reason, "startTime": f"{self.story._now():%Y-%m-%dT%H:%M:%SZ}"}
        ]
        self._kubernetes.put(rollout)
        self.publish()

    def _resume(self, _: Any) -> None:
        rollout = self._rollout
        rollout["status"].pop("pauseConditions", None)
        self._kubernetes.put(rollout)

    paused_since = property(fset=_resume)

    def change_template(self, _: float) -> None:
        self.story.members[self.name].commands.set_image(f"{self.generation + 1}.0.0")

    def switch(self, _: float) -> None:
        """Switch at once and for good, as Argo does after `promote --full`, also after an abort."""
        rollout = self._rollout
        rollout["status"] |= {"abort": False, "promoteFull": True}
        self._kubernetes.put(rollout)
        if self.is_canary:
            return
        service = self._kubernetes.get("Service", NAMESPACE, self.active_service)
        service["spec"]["selector"]["rollouts-pod-template-hash"] = self.green.pod_hash
        self._kubernetes.put(service)

    def publish(self) -> None:
        """Let Argo see what was changed, in its next reconciles."""
        for _ in range(2):
            self.story._rollouts.reconcile()

    def observe(self, _: float) -> None:
        self.publish()

    def scale_up(self, _: float) -> None:
        self.publish()

    def promote(self, _: float) -> None:
        self.publish()


def _prepare(manifest: dict[str, Any]) -> None:
    """Let the handover alone decide, and check targets every 5 s."""
    if manifest["kind"] == "Rollout":
        strategy = manifest["spec"]["strategy"]
        strategy.get("blueGreen", {}).pop("postPromotionAnalysis", None)
        if steps := strategy.get("canary", {}).get("steps"):
            steps[:] = [one for one in steps if "alb-handover" in str(one) or "analysis" not in one]
    if manifest["kind"] == "Ingress":
        annotations = {"healthcheck-interval-seconds": "5", "group.name": LOAD_BALANCER}
        for name, value in annotations.items():
            manifest["metadata"]["annotations"][f"alb.ingress.kubernetes.io/{name}"] = value


class Stage:
    """One Rollout `web` in a world whose time only `play` lets pass."""

    def __init__(
        self,
        world: World,
        clock: StageClock,
        replicas: int,
        ask: Callable[[str, str], str | None],
        example: str = "blue-green-without-gap",
    ) -> None:
        self.clock = clock
        self.world = world
        self.web = Web(world, replicas, ask)
        never = float("inf")
        member = Member("web", example, replicas, rest_seconds=never, change=_prepare)
        self.story = Story(world, cast=[member], now=clock, measure=self.web.measure, executor=self.web)
        self.web.story = self.story
        self.story.set_up()
        self.healthy: list[tuple[float, int]] = []
        """(second, healthy targets of the production group) at every tick."""

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
            self.web.settle()
            before = self.story.tag(self.web.active_service)
            self.story.tick()
            if before != self.story.tag(self.web.active_service):
                self.web.switched_at = self.story.seconds
            self.healthy.append((self.clock.seconds, sum(state == "healthy" for state in self.states().values())))
            between()
