"""Plays the Rollouts in the namespace `shop`: the controllers, the users, and who deploys new versions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from tests.world.argo.analysis_runs import AnalysisRunController, Inline
from tests.world.argo.rollouts import RolloutController
from tests.world.argo.web import Web
from tests.world.aws.meter import Meter, Users
from tests.world.cluster.controllers import EndpointSliceController, LoadBalancerController
from tests.world.cluster.ingresses import IngressController
from tests.world.cluster.naming import HASH_LABEL
from tests.world.cluster.pods import PodController, image_tag
from tests.world.story.cast import CAST, Deployer, Member
from tests.world.story.cold import CountedRequests
from tests.world.story.examples import NAMESPACE
from tests.world.story.traffic import Traffic
from tests.world.world import World

TICK_SECONDS = 0.25
"""How often the story moves on."""
BEFORE = timedelta(minutes=10)
"""How old everything is when the story begins."""
PROVIDERS = ("alb-provider.alb-provider.svc:8080", "alb-provider-handover.alb-provider.svc:8080")
"""The addresses of the provider in the examples."""


class Story:
    """Rollouts, and all that acts on them. `provider` is the base URL of the provider that Argo asks.

    As a context manager it runs in a thread. A test with its own clock calls `set_up` once and then `tick`: it is asked
    inline then.
    """

    def __init__(
        self,
        world: World,
        provider: str = "",
        *,
        cast: Sequence[Member] = CAST,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        measure: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        executor: Executor | None = None,
    ) -> None:
        kubernetes = self._kubernetes = world.kubernetes
        self._world, self._clock, self._ago = world, now, timedelta(0)
        self.traffic = Traffic(world.aws, now)
        self.pods = PodController(kubernetes, self._now, world.seconds)
        unbind = partial(kubernetes.delete, "TargetGroupBinding")
        self.ingresses = IngressController(kubernetes, world.aws, kubernetes.put, unbind)
        self.members = {member.name: Deployer(kubernetes, member) for member in cast}
        self.counted: dict[str, CountedRequests] = {}
        """What counts the requests to Services that get only real ones."""
        self._rollouts = RolloutController(kubernetes, self._now)
        ask = measure or Web(dict.fromkeys(PROVIDERS, provider)).measure
        self._runs = AnalysisRunController(kubernetes, ask, self._now, executor or Inline())
        self._slices = EndpointSliceController(kubernetes)
        self._load_balancers = LoadBalancerController(kubernetes, world.aws, world.seconds)
        self._meters: dict[str, Meter] = {}
        self._began = 0.0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.failure: Exception | None = None
        """What ended the thread before its time."""

    def _now(self) -> datetime:
        return self._clock() - self._ago

    @property
    def seconds(self) -> float:
        """Seconds since `set_up`."""
        return self._world.seconds() - self._began

    def set_up(self) -> None:
        """Apply everything, with a first version that has stood healthy for ten minutes, whose metrics are there."""
        self._world.now = self._clock
        self._world.aws.load_balancers.passes = lambda id_, _: id_ not in self.pods.sick_addresses
        self._ago = BEFORE
        self.pods.put_namespace_and_nodes(NAMESPACE)
        for deployer in self.members.values():
            for manifest in deployer.member.manifests():
                self._kubernetes.put(manifest)
        while not all(self._phase(name) == "Healthy" for name in self.members):
            self._rollouts.reconcile()
            self.pods.reconcile(at_once=True)
        self._ago = timedelta(0)
        self.ingresses.reconcile()
        self._slices.reconcile()
        self._load_balancers.reconcile(at_once=True)
        self._world.aws.load_balancers.settle()
        for (_, service), arn in self.ingresses.arns.items():
            self.traffic.add(self._meter(service, arn))
        self.traffic.begin()
        self._began = self._world.seconds()

    def _phase(self, name: str) -> str:
        return str(self._kubernetes.get("Rollout", NAMESPACE, name).get("status", {}).get("phase", ""))

    def _meter(self, service: str, arn: str) -> Meter:
        name = service.rpartition("-")[0]
        load_balancer, percent = self.ingresses.load_balancers[arn], partial(self.ingresses.weight, arn)
        member, version = self.members[name].member, partial(self.tag, service)
        if service.endswith("-preview") and not member.preview_requests:
            self.counted[name] = CountedRequests(load_balancer, arn, Users(), percent, version=version)
            return self.counted[name]
        self._meters[service] = Meter(load_balancer, arn, member.users(service, version()), percent)
        return self._meters[service]

    def tag(self, service: str) -> str:
        """Return the tag of the image that a Service's pods run; empty while its selector has no hash."""
        pod_hash = self._kubernetes.get("Service", NAMESPACE, service)["spec"]["selector"].get(HASH_LABEL, "")
        name = service.rpartition("-")[0]
        return pod_hash and image_tag(self._kubernetes.get("ReplicaSet", NAMESPACE, f"{name}-{pod_hash}"))

    def tick(self) -> None:
        """Do what is due now: people, Argo Rollouts, kubelets, the controllers that follow them, users."""
        for deployer in self.members.values():
            deployer.tick(self.seconds)
        self._runs.reconcile()
        self._rollouts.reconcile()
        self.pods.reconcile()
        self.ingresses.reconcile()
        self._slices.reconcile()
        self._load_balancers.reconcile()
        for service, meter in self._meters.items():
            meter.users = self.members[service.rpartition("-")[0]].member.users(service, self.tag(service))
        self.traffic.tick()

    def start(self) -> Self:
        """Run in a daemon thread; `set_up` comes first."""
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
            while not self._stopping.wait(TICK_SECONDS):
                self.tick()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to; stop() and main() look here
            self.failure = error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
