"""Attacks one rule: pods need not be listed while everything else accounts for them (known_pods.py).

    python -m tests.stories.random_pods --questions 50000          many questions
    python -m tests.stories.random_pods --first 17 --questions 1   one story again

Two providers look at one cluster: one lists the pods at each look, the other only when it must. Whatever happens to the
pods, both must say the same. Only while a controller of Kubernetes lags behind, so that the EndpointSlices or the
ReplicaSet's status are not true, may the second say less or be late, and then it never lets Argo switch or abort alone.
"""

import copy
import logging
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import boto3
import click

from provider.checks import QUESTIONS
from provider.checks.question import Sources, answer, parse
from provider.model.reasons import Phase
from provider.model.records import Freshness, Verdict
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.roles import Roles
from provider.sources.aws.service import Account
from provider.sources.bulkheads import Bulkheads
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.connection import connect
from provider.sources.kubernetes.reader import Cluster
from provider.sources.shared import Shared
from provider.telemetry import Metrics
from tests.scene import BLUE, GREEN, Scene
from tests.world.cluster import objects
from tests.world.cluster.endpoints import ENDED
from tests.world.world import World

STEPS = 60
MOST_ENDED = 3
"""Pods that have ended and are still there."""

MOST_SECONDS = 20
"""Between two looks."""

Manifest = dict[str, Any]


class Complaint(Exception):
    """The two providers disagree; the text says how to see it again."""


@dataclass
class Counts:
    """What was asked and answered."""

    questions: int = 0
    lists_spared: int = 0
    late: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)


class Clock:
    """The providers' clock, which only the story moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Story:
    """A Rollout of a few pods, to which things happen."""

    def __init__(self, world: World, clock: Clock, providers: tuple[Sources, Sources], seed: int) -> None:
        world.reset()
        world.now = clock
        self._world, self._clock, self._seed, self._random = world, clock, seed, Random(seed)
        self._lazy, self._strict = providers
        clock.now += timedelta(hours=1)  # nothing of another story is fresh
        self.counts = Counts()
        self.scene = Scene(world, replicas=self._random.randint(1, 5)).build()
        self.scene.bind_active()
        self._pods: list[Manifest] = list(self.scene.pods)
        self._numbers = len(self._pods)
        self._slices_lag = self._status_lags = self._foreign_slice = self._is_switched = False
        self._page = False
        self._publish()

    def tell(self, steps: int) -> Counts:
        """Let things happen and ask; raises Complaint."""
        for step in range(steps):
            if self._random.random() < 0.3:  # so that the next thing is the only one that is wrong
                self._let_happen(Story.heal)
                self._ask(step)
                if self._random.random() < 0.5:
                    self._let_happen(Story.lag)
                self._let_happen(self._random.choice(TO_PODS))
            elif self._random.random() < 0.5:
                self._let_happen(self._random.choice((*TO_PODS, *REST)))
            for _ in range(self._random.choice((1, 1, 2))):
                self._ask(step)
        return self.counts

    def _let_happen(self, event: "Callable[[Story], None]") -> None:
        event(self)
        self.counts.events[event.__name__] += 1
        self._publish()

    def replace(self) -> None:
        """A pod is gone and another is there, with an address or not yet."""
        if self._green:
            self._pods.remove(self._random.choice(self._green))
        self._add()

    def terminate(self) -> None:
        """A pod is told to end; its replacement comes at once, or later."""
        if self._green:
            self._random.choice(self._green)["metadata"] |= {"deletionTimestamp": "2026-11-28T12:00:00Z"}
        if self._random.random() < 0.5:
            self._add()

    def end_for_good(self) -> None:
        """A pod is evicted, shut down with its node, or completes: it stays; another one comes at once, or later."""
        if self._green:
            pod = self._random.choice(self._green)
            phase, reason = self._random.choice((("Failed", "Evicted"), ("Failed", "NodeShutdown"), ("Succeeded", "")))
            had = {name: part for name, part in pod["status"].items() if name in ("podIP", "podIPs", "conditions")}
            pod["status"] = objects.end(pod, phase=phase, reason=reason)["status"]
            pod["status"] |= self._random.choice(({}, had))
        if self._random.random() < 0.5:
            self._add()

    def end(self) -> None:
        """Every pod that is ending is gone."""
        self._pods = [pod for pod in self._pods if "deletionTimestamp" not in pod["metadata"]]

    def relabel(self) -> None:
        """Somebody takes the hash from a pod."""
        if self._green:
            self._random.choice(self._green)["metadata"]["labels"].pop(objects.HASH_LABEL)

    def orphan(self) -> None:
        """Somebody takes a pod from its ReplicaSet."""
        if self._green:
            self._random.choice(self._green)["metadata"]["ownerReferences"] = []

    def recreate(self) -> None:
        """A pod of the same name is another one."""
        if self._green:
            self._numbers += 1
            self._random.choice(self._green)["metadata"]["uid"] = f"uid-{self._numbers}"

    def intrude(self) -> None:
        """A pod of another Rollout has green's hash, and the Service's labels or not."""
        pod = self._new(f"other-{self._numbers}")
        pod["metadata"]["ownerReferences"][0]["uid"] = "replica-set-of-another-rollout"
        if self._random.random() < 0.5:
            pod["metadata"]["labels"]["app"] = "other"
        self._pods.append(pod)

    def readdress(self) -> None:
        """A pod has another address."""
        if self._green:
            self._numbers += 1
            address = f"10.9.{self._numbers // 250}.{self._numbers % 250 + 1}"
            self._random.choice(self._green)["status"] |= {"podIP": address, "podIPs": [{"ip": address}]}

    def scale(self) -> None:
        """The Rollout has another size, and perhaps already the pods for it."""
        self.scene.replicas = self._random.randint(1, 5)
        self.scene.rollout["spec"]["replicas"] = self.scene.replicas
        if self._random.random() < 0.7:
            while len(self._green) > self.scene.replicas:
                self._pods.remove(self._random.choice(self._green))
            while len(self._green) < self.scene.replicas:
                self._add()

    def sicken(self) -> None:
        """A target has any state."""
        if self._green:
            state = self._random.choice(("unhealthy", "unhealthy", "initial", "draining", "healthy"))
            self._pin(self._random.choice(self._green), state)

    def heal(self) -> None:
        """Everything is as it should be, also if pods that have ended lie about."""
        self.end()
        self._slices_lag = self._status_lags = self._foreign_slice = self._page = False
        ended = [pod for pod in self._pods if pod["status"]["phase"] in ENDED][-MOST_ENDED:]
        self._pods = [*self._green[: self.scene.replicas], *ended]
        while len(self._green) < self.scene.replicas:
            self._add(ready=True)
        for pod in self._pods:
            self._pin(pod, "healthy")

    def lag(self) -> None:
        """The EndpointSlices, or the ReplicaSet's status, stay as they are for a while."""
        self._slices_lag, self._status_lags = self._random.choice(((True, True), (True, False), (False, True)))

    def catch_up(self) -> None:
        """They are true again."""
        self._slices_lag = self._status_lags = False

    def forge_slice(self) -> None:
        """Somebody else's EndpointSlice says for ever that the pods of now are behind the Services."""
        self._foreign_slice = not self._foreign_slice

    def switch(self) -> None:
        """Argo moves the selector of the active Service to green, or back."""
        self._is_switched = not self._is_switched

    def paginate(self) -> None:
        """The API server answers lists in pages of one."""
        self._page = not self._page

    @property
    def _green(self) -> list[Manifest]:
        return [pod for pod in self._pods if _is_own(pod, self.scene.replica_set)]

    def _add(self, *, ready: bool | None = None) -> None:
        self._pods.append(self._new(f"web-{GREEN}-n{self._numbers}", ready=ready))

    def _new(self, name: str, *, ready: bool | None = None) -> Manifest:
        self._numbers += 1
        has_address = self._random.random() < 0.8 if ready is None else ready
        since = self._clock.now - timedelta(minutes=5)
        address = f"10.8.{self._numbers // 250}.{self._numbers % 250 + 1}" if has_address else None
        pod = objects.pod(
            self.scene.replica_set,
            name,
            ip=address,
            created_at=since,
            containers_ready_since=since if address else None,
        )
        pod["metadata"]["uid"] = f"uid-{self._numbers}"
        self._pin(pod, self._random.choice(("healthy", "healthy", "initial")))
        return pod

    def _pin(self, pod: Manifest, state: str) -> None:
        address, reason = pod["status"].get("podIP"), "Target.Timeout" if state == "unhealthy" else None
        for arn in (self.scene.arn, self.scene.active_arn) if address else ():
            self._world.aws.load_balancers.pin(arn, address, 8080, state, reason)

    def _publish(self) -> None:
        """Write what is true, but for what lags; the targets of pods that are gone stay, to tempt."""
        kubernetes, scene = self._world.kubernetes, self.scene
        now = {pod["metadata"]["name"]: pod for pod in self._pods}
        for old in kubernetes.all("Pod", "shop"):
            if old["metadata"]["name"] not in now:
                kubernetes.delete("Pod", "shop", old["metadata"]["name"])
        selector = {"app": "web", objects.HASH_LABEL: GREEN if self._is_switched else BLUE}
        active = objects.service("web-active", namespace="shop", selector=selector)
        scene.replica_set["spec"]["replicas"] = scene.replicas
        if not self._status_lags:
            scene.replica_set["status"] |= {"replicas": len(self._green), "availableReplicas": len(self._green)}
        for one in (scene.rollout, scene.replica_set, scene.service, active, *self._pods):
            kubernetes.put(copy.deepcopy(one))
        if not self._slices_lag:
            for old in kubernetes.all("EndpointSlice", "shop"):
                kubernetes.delete("EndpointSlice", "shop", old["metadata"]["name"])
            made = [one for service in (scene.service, active) for one in objects.endpoint_slices(service, self._pods)]
            for one in made:
                kubernetes.put(one)
            if self._foreign_slice:
                for number, one in enumerate(copy.deepcopy(made)):
                    one["metadata"]["name"] = f"forged-{number}"
                    one["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "somebody"
                    kubernetes.put(one)

    def _ask(self, step: int) -> None:
        self._clock.now += timedelta(seconds=self._random.random() * MOST_SECONDS)
        name, parameters = self._random.choice(
            (
                ("target-health", {"unhealthyGraceSeconds": "0"}),
                ("target-health", {"minHealthyPercent": "50", "unhealthyGraceSeconds": "0"}),
                ("gate", {"checks": "replicas,target-health", "unhealthyGraceSeconds": "0"}),
                ("gate", {"checks": "replicas,target-health", "minHealthyPercent": "50"}),
            )
        )
        fields = {"namespace": "shop", "rollout": "web"} | parameters
        with self._pages():
            strict = answer(QUESTIONS[name], parse(QUESTIONS[name], fields.items()), self._strict)
            self._world.kubernetes_faults.forget_calls()
            lazy = answer(QUESTIONS[name], parse(QUESTIONS[name], fields.items()), self._lazy)
        listed = any("/pods?" in call.name for call in self._world.kubernetes_faults.calls)
        self.counts.questions += 1
        self.counts.lists_spared += not listed
        self.counts.phases[lazy.phase.value] += 1
        if (lazy.phase, lazy.reason, lazy.message) == (strict.phase, strict.reason, strict.message):
            return
        if self._slices_lag or self._status_lags:
            self.counts.late += 1
            if not _decides_alone(lazy, strict, is_switched=self._is_switched):
                return
        raise Complaint(
            f"{lazy.phase}/{lazy.reason}: {lazy.message}\n  but with the pods listed\n"
            f"{strict.phase}/{strict.reason}: {strict.message}\n  at step {step} of --first {self._seed}"
        )

    @contextmanager
    def _pages(self) -> Iterator[None]:
        """Let lists come in pages of one, if it is so."""
        before, self._world.kubernetes.largest_page = self._world.kubernetes.largest_page, 1 if self._page else None
        try:
            yield
        finally:
            self._world.kubernetes.largest_page = before


def _is_own(pod: Manifest, replica_set: Manifest) -> bool:
    """Tell whether the ReplicaSet counts a pod."""
    metadata = pod["metadata"]
    owners = [one["uid"] for one in metadata["ownerReferences"]]
    return (
        owners == [replica_set["metadata"]["uid"]]
        and objects.is_active(pod)
        and metadata["labels"].get(objects.HASH_LABEL) == GREEN
    )


def _decides_alone(lazy: Verdict, strict: Verdict, *, is_switched: bool) -> bool:
    """Tell whether the first verdict lets Argo switch or abort and the second would not."""
    if lazy.phase is strict.phase or lazy.phase is Phase.INCONCLUSIVE:
        return False
    return lazy.phase is Phase.FAILED or not is_switched


TO_PODS: tuple[Callable[[Story], None], ...] = (
    *(Story.replace, Story.terminate, Story.end_for_good, Story.relabel, Story.orphan, Story.recreate, Story.intrude),
    *(Story.readdress, Story.scale, Story.sicken),
)
REST = (Story.end, Story.lag, Story.catch_up, Story.forge_slice, Story.switch, Story.switch, Story.paginate)


@contextmanager
def stage() -> Iterator[tuple[World, Clock, tuple[Sources, Sources]]]:
    """Start a world with two providers of it: one that remembers pods, and one that lists them at each look."""
    clock = Clock()
    with World() as world, ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        os.environ |= world.environment(directory) | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        yield world, clock, (_provider(stack, clock, 300), _provider(stack, clock, 0))


def _provider(stack: ExitStack, clock: Clock, pods_fresh_seconds: float) -> Sources:
    gathering = stack.enter_context(ThreadPoolExecutor(8))
    threads = Bulkheads(8)
    stack.callback(threads.close)
    metrics, client = Metrics(), connect(pool_size=8)
    session = boto3.Session(region_name=os.environ["AWS_REGION"])
    account = Account(session, connect_timeout_seconds=2, read_timeout_seconds=5, pool_size=8, roles=Roles())
    freshness = Freshness(topology=0, pods=pods_fresh_seconds, target_health=0, target_groups=0, metrics=0, failures=0)
    shared = Shared(threads, freshness, metrics, flight_seconds=8, clock=clock)
    clocks, timeouts = shared.other_clocks, {"connect_timeout_seconds": 2, "read_timeout_seconds": 5}
    server = ApiServer(lambda: client, clocks, **timeouts, metrics=metrics)
    return Sources(
        cluster=Cluster(server, shared),
        load_balancers=LoadBalancers(account, shared, metrics, calls_per_second=100_000),
        cloudwatch=CloudWatch(account, shared, metrics),
        shared=shared,
        gathering=gathering,
        budget_seconds=8,
    )


@click.command()
@click.option("--first", default=1, show_default=True, help="The first story's seed.")
@click.option("--questions", default=600, show_default=True, help="How many questions to ask of each provider.")
def main(first: int, questions: int) -> None:
    """Tell stories until so many questions were asked; exit with 1 at the first that is answered untruly."""
    logging.disable(logging.CRITICAL)
    total, seed = Counts(), first
    with stage() as (world, clock, providers):
        while total.questions < questions:
            try:
                told = Story(world, clock, providers, seed).tell(STEPS)
            except Complaint as complaint:
                click.echo(f"Story {seed}: {complaint}")
                sys.exit(1)
            for name in ("questions", "lists_spared", "late"):
                setattr(total, name, getattr(total, name) + getattr(told, name))
            total.phases.update(told.phases)
            total.events.update(told.events)
            seed += 1
    click.echo(f"{total.questions} questions in {seed - first} stories: {dict(total.phases)}")
    click.echo(f"The pods were not listed for {total.lists_spared} of them. Decided alone: 0.")
    click.echo(f"{total.late} answers differed while a controller lagged. Events: {dict(total.events)}")


if __name__ == "__main__":
    main()
