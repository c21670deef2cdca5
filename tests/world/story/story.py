"""Plays the story: the Rollouts in the namespace `shop`, in real time, in a loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from tests.world.aws.api import AwsApi
from tests.world.cluster.controllers import EndpointSliceController, LoadBalancerController
from tests.world.story.blue_green import BlueGreen, Broken, Shared, Waiting
from tests.world.story.cold import Cold
from tests.world.story.handed_over import Ask, HandedOver
from tests.world.story.past_the_gate import past_the_gate
from tests.world.story.ping_pong import PingPong
from tests.world.story.requests import Traffic
from tests.world.story.revisions import Cluster
from tests.world.story.rollouts import NAMESPACE, DemoRollout

if TYPE_CHECKING:
    from types import TracebackType

    from tests.world.world import World

Cast = Callable[[Cluster, AwsApi], tuple[DemoRollout, ...]]
"""Makes the Rollouts of a story."""

TICK_SECONDS = 0.25
"""How often the story moves on, in its own seconds."""


def everyone(ask: Ask = lambda _rollout, _hash: None) -> Cast:
    """Return the Rollouts of `make run`; `ask` is how `handover` reaches the provider."""

    def cast(cluster: Cluster, aws: AwsApi) -> tuple[DemoRollout, ...]:
        return (
            BlueGreen(cluster, aws, "web", 6),
            Broken(cluster, aws, "broken", 4),
            Waiting(cluster, aws, "unattached", 3, attached=False),
            Waiting(cluster, aws, "nopreview", 3, has_preview=False),
            PingPong(cluster, aws, "pingpong", 5),
            BlueGreen(cluster, aws, "big", 250, ramp_seconds=4.0),
            Waiting(cluster, aws, "noisy", 4),
            Waiting(cluster, aws, "idle", 3),
            Cold(cluster, aws, "cold", 3),
            Shared(cluster, aws, "shared", 3),
            *past_the_gate(cluster, aws),
            HandedOver(cluster, aws, "handover", 6, ask),
        )

    return cast


class Story:
    """Rollouts in the situations that the provider must tell apart, and the users of their load balancers.

    As a context manager it runs in a thread, at the world's speed. A test with its own clock calls `set_up` once and
    then `tick`. The metrics, and the `Date` of every answer, follow the wall clock `now` whatever the
    speed; metrics come `publish_delay_seconds` after the end of their minute.
    """

    def __init__(
        self,
        world: World,
        *,
        publish_delay_seconds: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        cast: Cast | None = None,
    ) -> None:
        self._world, self._now = world, now
        self.traffic = Traffic(world.aws, now, publish_delay_seconds)
        self._cluster = Cluster(world.kubernetes, now)
        self._slices = EndpointSliceController(world.kubernetes)
        self._load_balancers = LoadBalancerController(world.kubernetes, world.aws, world.seconds)
        self._started_at = 0.0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.failure: Exception | None = None
        """What ended the thread before its time."""
        self.rollouts: tuple[DemoRollout, ...] = (cast or everyone())(self._cluster, world.aws)

    @property
    def seconds(self) -> float:
        """Story seconds since `set_up`."""
        return self._world.seconds() - self._started_at

    def set_up(self) -> None:
        """Create the state before the first loop: every stable pod is a healthy target.

        Ten minutes of metrics are published already.
        """
        self._world.now = self._now
        self._world.aws.load_balancers.passes = lambda id_, _: id_ not in self._cluster.sick_addresses
        self._cluster.put_namespace_and_nodes(NAMESPACE)
        for rollout in self.rollouts:
            rollout.set_up()
        self._slices.reconcile()
        self._load_balancers.reconcile(at_once=True)
        self._world.aws.load_balancers.settle()
        for rollout in self.rollouts:
            for meter in rollout.meters():
                self.traffic.add(meter)
        self.traffic.begin()
        self._started_at = self._world.seconds()

    def tick(self) -> None:
        """Do what is due now, in order: Argo Rollouts and kubelets, the controllers that follow them, users."""
        now = self.seconds
        for rollout in self.rollouts:
            rollout.tick(now)
        self._slices.reconcile()
        self._load_balancers.reconcile()
        self.traffic.tick()

    def start(self) -> Self:
        """Set up and run in a daemon thread."""
        self.set_up()
        self.tick()
        self._thread = threading.Thread(target=self._run, name="story", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread; raises what ended it before, if anything did."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(TICK_SECONDS / self._world.speed):
                self.tick()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to; stop() and main() look here
            self.failure = error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
