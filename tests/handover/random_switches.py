"""Tells random stories of handovers and compares every write and every answer with the truth of that moment.

A seed draws the same events. Time is the story's own, and stands still while somebody reads or writes.
`python -m tests.handover.random_switches --help`
"""

import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import boto3
import click

from provider.checks.question import Sources
from provider.handover.watch import PAUSE_SECONDS
from provider.model.handovers import RecordedGroup
from provider.model.records import Freshness, Place
from provider.rules.handover_plan import WATCH_SECONDS
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.registrations import (
    BURST,
    CALLS_PER_SECOND,
    DEREGISTER,
    READ_BURST,
    READS_PER_SECOND,
    REGISTER,
    Registrations,
)
from provider.sources.aws.roles import Roles
from provider.sources.aws.service import Account
from provider.sources.budget import CallBudget
from provider.sources.bulkheads import Bulkheads
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.connection import connect
from provider.sources.kubernetes.reader import Cluster
from provider.sources.shared import Shared
from provider.telemetry import Metrics
from tests.conftest import Clock
from tests.handover.stage import Replica, Revision, Stage, StageClock
from tests.world.aws.api import REGION
from tests.world.server.deliveries import Wire
from tests.world.server.faults import Fault, Faults
from tests.world.world import World

EXAMPLES = ("blue-green-without-gap", "canary-without-gap")

REUSE_SECONDS = 30
"""Amazon's CNI gives an address to no other pod for so long (amazon-vpc-cni-k8s: ipamd, IP_COOLDOWN_PERIOD)."""

LONGEST_SECONDS = 15
"""Production is exactly right so long after the last disturbance."""

STEPS = 24

Address = tuple[str, int]


class Complaint(Exception):
    """A write or an answer that the truth does not allow."""


class Crash(BaseException):
    """The process ends here: before or after a write."""


class StoryBudget(CallBudget):
    """A budget by the story's time, in which nobody waits: the loop comes again in a second."""

    def take(self, rollout: str, max_wait_seconds: float) -> None:
        del max_wait_seconds
        super().take(rollout, 0)


class Watched(Registrations):
    """Writes like any other, but the story sees each write before it is sent, and may end the process around it."""

    def __init__(self, story: "Story", account: Any, threads: Any, metrics: Any) -> None:
        super().__init__(account, threads, metrics)
        self._story = story
        self.crash = ""
        seconds, scope = story.stage.clock.world, Place(REGION).scope
        self._reads._budgets[scope] = StoryBudget(READS_PER_SECOND, READ_BURST, seconds, takes_turns=False)
        self._writes._budgets[scope] = StoryBudget(CALLS_PER_SECOND, BURST, seconds, takes_turns=False)

    def write(self, operation: str, group: RecordedGroup, targets: Any, why: str, deadline: Deadline) -> None:
        if not targets:
            return
        self._story.judge_write(operation, frozenset(targets), why)
        if self.crash == "before":
            raise Crash
        super().write(operation, group, targets, why, deadline)
        self._story.happened[operation] += 1
        if self.crash == "after":
            raise Crash


@dataclass
class Story:
    """One Rollout, two replicas of the provider, and everything that may go wrong around a handover."""

    stage: Stage
    replicas: list[Replica]
    random: Random
    asked: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    least: float = 100.0
    """The least percentage that the question under way asks for."""
    _ever: set[str] = field(default_factory=set)
    _foreign: set[Address] = field(default_factory=set)
    """Targets of other applications in the production group."""
    elsewhere: str = ""
    """A target group of another application."""
    _elsewhere: set[Address] = field(default_factory=set)
    """Those in a group of their own."""
    _disturbed_at: float = 0.0
    _dead_since: dict[str, float] = field(default_factory=dict)
    """Since when addresses of pods that are gone or terminate are targets in production."""
    _last_seen: dict[str, float] = field(default_factory=dict)
    """When each address was last a pod's."""
    _is_paused: bool = False
    _look_at: float = 0.0
    _fault: Fault | None = None
    _faulty: Faults | None = None
    """Whose fault it is."""
    _at_write: Callable[[], None] | None = None
    _complaint_of_a_write: Complaint | None = None
    """Kept here, since the provider would take it for a defect of its own."""

    @property
    def questions(self) -> int:
        return self.asked.total()

    def tell(self) -> None:
        """Tell the story; raises Complaint."""
        web = self.stage.web
        self.elsewhere = self.stage.world.aws.target_group("another-application")
        web._ask = lambda _name, _hash: None
        self.play(12)
        web._ask_at = None  # the story asks
        for _ in range(STEPS):
            event = self.random.choice(EVENTS)
            if self._is_over and self.random.random() < 0.6:
                event = self.random.choice((Story.supersede, Story.supersede, Story.resume))
            if self._is_open and self.random.random() < 0.4:
                event = self.random.choice(CRITICAL)
            event(self)
            self.happened[event.__name__] += 1
            self.play(self.random.choice((0.5, 1, 3, 6)))
            for _ in range(self.random.choice((3, 4, 5, 6))):
                for _ in range(self.random.choice((1, 2, 3))):  # Argo, another caller, a person
                    self.ask()
                self.play(self.random.choice((0.5, 0.5, 1, 2)))
        self.calm_down()

    @property
    def _is_over(self) -> bool:
        """Whether nothing more can come of this version."""
        web = self.stage.web
        return web.green is web.blue or web.aborted_at is not None or self._is_paused

    @property
    def _is_open(self) -> bool:
        """Whether green is registered in production, and not production's own yet."""
        behind = self.behind_production()
        return any(key[0] in self._ever and key[0] not in behind for key in self.stage.states())

    # Time, and what is true.

    def play(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass for everyone who lives."""
        self.stage.play(seconds, step=step, between=self.look)
        self._note_pods()

    def look(self) -> None:
        """Let each replica's background look, once a second as it does."""
        self._note_pods()
        if self.stage.clock.seconds < self._look_at:
            return
        self._look_at = self.stage.clock.seconds + PAUSE_SECONDS
        self.judge_dead()
        for replica in self.replicas:
            with self.faulty(), suppress(Crash):
                replica.look()
            self._restart_if_crashed(replica)

    def _note_pods(self) -> None:
        for revision in self.stage.web.revisions:
            self._ever |= revision.addresses()
            for pod in revision._pods:
                self._last_seen[pod.address] = self.stage.clock.seconds

    def unused_address(self) -> str | None:
        """Return an address of a pod that is gone for so long that another pod may get it."""
        until = self.stage.clock.seconds - REUSE_SECONDS
        foreign = {ip for ip, _ in self._foreign | self._elsewhere}
        free = sorted((at, ip) for ip, at in self._last_seen.items() if at < until and ip not in foreign)
        return self.random.choice(free[-4:])[1] if free else None

    def behind_production(self) -> set[str]:
        """The addresses that production serves: those of the version that the Service selects, and of its slices."""
        web = self.stage.web
        service = self.stage.world.kubernetes.get("Service", "shop", web.active_service)
        pod_hash = service["spec"]["selector"].get("rollouts-pod-template-hash")
        found = {ip for one in web.revisions if one.pod_hash == pod_hash for ip in one.addresses()}
        for stored in self.stage.world.kubernetes.stored(
            "EndpointSlice", "shop", **{"kubernetes.io/service-name": web.active_service}
        ):
            for endpoint in stored.shared["endpoints"] or ():
                found |= set(endpoint["addresses"])
        return found

    def healthy(self, arn: str, revision: Revision) -> int:
        """How many pods of a version that are not terminating are healthy targets of a group."""
        states, living = self.stage.states(arn), self.living(revision)
        return sum(states.get((ip, 8080)) == "healthy" for ip in living)

    def living(self, *of: Revision) -> set[str]:
        """The addresses of pods that are not terminating: of some versions, or of all."""
        revisions = of or self.stage.web.revisions
        return {pod.address for one in revisions for pod in one._pods if pod.stage in ("addressed", "ready")}

    def is_whole(self, arn: str) -> bool:
        """Whether enough of green's wanted pods are healthy targets of a group."""
        web = self.stage.web
        return self.healthy(arn, web.green) * 100 >= self.least * web.replicas

    # The law.

    def judge_write(self, operation: str, targets: frozenset[Address], why: str) -> None:
        """Compare a write with the truth, before it is sent."""
        web, behind = self.stage.web, self.behind_production()
        ips = {ip for ip, _ in targets}
        if not ips <= self._ever:
            raise self._complaint(f"{operation} of {ips - self._ever}, which are no pods of the Rollout")
        if targets & self._foreign:
            raise self._complaint(f"{operation} of {targets & self._foreign}, which are of another application ({why})")
        healthy = {key for key, state in self.stage.states().items() if state == "healthy"}
        if operation == DEREGISTER and healthy and healthy <= targets and {ip for ip, _ in healthy} & self.living():
            raise self._complaint(f"deregister of {targets}, after which production is empty ({why})")
        if operation == DEREGISTER and ips & behind:
            raise self._complaint(f"deregister of {ips & behind}, which are behind the production Service ({why})")
        if operation == REGISTER and not ips <= behind:
            if self.serving == web.green.pod_hash or web.aborted_at is not None or self._is_paused:
                raise self._complaint(f"register although Argo will not switch ({why})")
            living = self.living(web.green)
            if not ips - behind <= living:
                raise self._complaint(
                    f"register of {ips - behind - living}, which are not living pods of green ({why})"
                )
        if self._at_write is not None and operation == DEREGISTER:
            self._at_write()

    def ask(self) -> None:
        """Ask one of the replicas about green, and compare the answer with the truth."""
        web, replica = self.stage.web, self.random.choice(self.replicas)
        self.least = self.random.choice((100.0, 100.0, 75.0))
        seconds, percent = self.random.choice(((10, 100), (60, 100), (3600, 100), (3600, 40)))
        parameters = {"minHealthyPercent": self.least, "maxHandoverSeconds": seconds, "batchPercent": percent}
        with self.faulty():
            answer = replica.ask(web.name, web.green.pod_hash, crashes=True, **parameters)
        self._restart_if_crashed(replica)
        reason, phase = str(answer.get("reason", "Crashed")), str(answer.get("phase", ""))
        self.asked[reason] += 1
        if phase != "Successful":
            return
        self.least = self._limits(web.green.pod_hash).get("minHealthyPercent", 100.0)
        if not self.is_whole(self.stage.production):
            raise self._complaint(f"Successful although green is not healthy in production: {answer['message']}")
        if self.random.random() < 0.7:
            self.switch()

    def _complaint(self, text: str) -> Complaint:
        self._complaint_of_a_write = Complaint(f"at {self.stage.clock.seconds:.1f} s: {text}\n{dict(self.happened)}")
        return self._complaint_of_a_write

    def _limits(self, pod_hash: str) -> dict[str, Any]:
        """The parameters of a version's handover: those of the query that began it."""
        for stored in self.stage.world.kubernetes.stored("Lease", "platform"):
            text = stored.shared["metadata"].get("annotations", {}).get("alb-provider/handover")
            record = json.loads(text) if text else {}
            if record.get("podHash") == pod_hash:
                return dict(record["parameters"])
        return {}

    def calm_down(self) -> None:
        """Argo decides, and nothing fails and nothing is queried any more: soon production is exactly right."""
        self._fault = self._at_write = None
        self._is_paused = False
        self.random.choice((self.supersede, self.abort, self.switch))()
        self.play(LONGEST_SECONDS)
        self.judge_end()
        if self.random.random() < 0.1 and not self._is_open_by_right():
            self.play(WATCH_SECONDS + 60, step=2)
            self.judge_end()
            self.happened["watched to the end"] += 1
            if self.stage.world.kubernetes.stored("Lease", "platform", **{"alb-provider/handover": "record"}):
                raise self._complaint("a record has not ended")

    def judge_dead(self) -> None:
        """Complain of targets of pods that are gone or terminate, once nothing was disturbed for long enough."""
        now, present = self.stage.clock.seconds, self.stage.states().items()
        targets = {key for key, state in present if state not in ("draining", "unused")} - self._foreign
        dead = {ip for ip, _ in targets} & (self._ever - self.living())
        dead -= self.behind_production() if dead else set()
        self._dead_since = {ip: self._dead_since.get(ip, now) for ip in dead}
        for ip, since in self._dead_since.items():
            if now - max(since, self._disturbed_at) > LONGEST_SECONDS:
                raise self._complaint(f"still a target: {ip}, whose pod is gone or terminates")

    def judge_end(self) -> None:
        """Compare production with the truth, once nothing disturbs it any more."""
        behind = self.behind_production()
        present = {key for key, state in self.stage.states().items() if state not in ("draining", "unused")}
        dead = {key for key in present if key[0] in self._ever - behind - self.living()} - self._foreign
        if dead:
            raise self._complaint(f"of pods that are gone or terminate: {dead}")
        left = {key for key in present if key[0] not in behind} - self._foreign
        if left and not self._is_open_by_right():
            raise self._complaint(f"left behind: {left}")
        if not self._foreign <= present:
            raise self._complaint(f"of another application, and gone: {self._foreign - present}")
        if not self._elsewhere <= self.stage.states(self.elsewhere).keys():
            raise self._complaint("a target of another group is gone")
        missing = self.healthy_addresses(self.serving) - {ip for ip, _ in present}
        if missing:
            raise self._complaint(f"not in production: {missing}")

    def _is_open_by_right(self) -> bool:
        """Whether green may be in production still, since nobody said that it will not be switched to."""
        web = self.stage.web
        return self.serving != web.green.pod_hash and web.aborted_at is None and not self._is_paused

    @property
    def serving(self) -> str:
        """The hash that the production Service selects."""
        service = self.stage.world.kubernetes.get("Service", "shop", self.stage.web.active_service)
        return str(service["spec"]["selector"].get("rollouts-pod-template-hash"))

    def healthy_addresses(self, pod_hash: str) -> set[str]:
        """The addresses of a version's ready pods."""
        revisions = [one for one in self.stage.web.revisions if one.pod_hash == pod_hash]
        return {pod.address for one in revisions for pod in one._pods if pod.stage == "ready"}

    # What may happen.

    @contextmanager
    def faulty(self) -> Iterator[None]:
        """Let the fault of the hour hit the provider, and nobody else."""
        fault, faults = self._fault, self._faulty
        if fault is not None:
            self._disturbed_at = self.stage.clock.seconds
        if fault is not None and faults is not None:
            faults._append(fault)
        try:
            yield
        finally:
            if fault is not None:
                self._fault = None
                fault.end()

    def _restart_if_crashed(self, replica: Replica) -> None:
        if self._complaint_of_a_write is not None:
            raise self._complaint_of_a_write
        if isinstance(replica.registrations, Watched) and replica.registrations.crash:
            self._disturbed_at = self.stage.clock.seconds
            replica.start()

    def nothing(self) -> None:
        """An uneventful moment."""

    def supersede(self, *, keeps: bool = False) -> None:
        """A new version, whose pods start at once; the version before `keeps` its pods for a while, or does not."""
        web, now = self.stage.web, self.stage.clock.seconds
        if web.green is not web.blue and not keeps:
            web.green.scale_down(now=now)
        self._is_paused = False
        web.paused_since = None
        web.change_template(now)
        web.observe(now)
        web.scale_up(now)
        web.publish()

    def abort(self) -> None:
        web = self.stage.web
        if web.green is not web.blue:
            web.aborted_at, web.phase = self.stage.clock(), "Degraded"
            web.publish()

    def pause(self) -> None:
        web = self.stage.web
        web.pause_reason = "InconclusiveAnalysisRun"
        web.pause(0)
        web.publish()
        self._is_paused = True

    def resume(self) -> None:
        self.stage.web.paused_since = None
        self.stage.web.publish()
        self._is_paused = False

    def switch(self) -> None:
        """Argo switches, or a person does with `promote --full`."""
        web = self.stage.web
        if web.green is web.blue or web.aborted_at is not None:
            return
        web.switch(self.stage.clock.seconds)
        for _ in range(3):
            web.publish()
        self.happened["switched"] += 1

    def switch_and_supersede(self) -> None:
        """Before anybody looks, the handed over version serves, and there is a newer one."""
        self.switch()
        self.supersede()
        self.stage.play(2)
        self._note_pods()
        self.ask()

    def sicken(self) -> None:
        green = self.stage.web.green
        if green is not self.stage.web.blue and green.pods_count:
            green.make_first_pod_sick()

    def heal(self) -> None:
        self.stage.story.pods.sick_addresses.clear()

    def replace_pod(self) -> None:
        revision = self.random.choice((self.stage.web.green, self.stage.web.blue))
        if revision.pods_count:
            self.random.choice((revision.replace_first_pod, revision.end_first_pod))(self.stage.clock.seconds)
            for pod in revision._pods:
                if pod.stage == "terminating" and pod.gone_at is not None:
                    pod.gone_at += self.random.choice((0, 0, 30))  # it serves its last requests

    def reconcile_green_away(self) -> None:
        """The controller's cache of targets has expired: it takes out what the Service does not select."""
        behind = self.behind_production()
        ours = {key for key in self.stage.states() if key[0] in self._ever} - self._foreign
        strange = [key for key in ours if key[0] not in behind]
        self.stage.world.aws.deregister(self.stage.production, strange)

    def intrude(self) -> None:
        """Somebody registers a target that is no pod of the Rollout, or that was one and is another application's."""
        address = self.random.choice((self.unused_address(), f"10.200.0.{self.random.randrange(1, 200)}"))
        foreign = (address or "10.200.0.200", 8080)
        if self.stage.states().get(foreign, "unused") in ("draining", "unused"):
            self.stage.world.aws.register(self.stage.production, [foreign])
            self._foreign.add(foreign)

    def reuse_elsewhere(self) -> None:
        """Another application gets an address that was a pod's, in a group of its own."""
        if address := self.unused_address():
            self.stage.world.aws.register(self.elsewhere, [(address, 8080)])
            self._elsewhere.add((address, 8080))

    def reuse(self) -> None:
        """The next pod, whatever its version, gets an address that was a pod's."""
        if address := self.unused_address():
            self.stage.story.pods.reusable = [address]

    def crash_before_a_write(self) -> None:
        self._arm("before")

    def crash_after_a_write(self) -> None:
        self._arm("after")

    def _arm(self, when: str) -> None:
        registrations = self.random.choice(self.replicas).registrations
        assert isinstance(registrations, Watched)
        registrations.crash = when

    def restart(self) -> None:
        """One process begins again, or all of them do."""
        self._disturbed_at = self.stage.clock.seconds
        for replica in self.random.choice((self.replicas, self.replicas[:1])):
            replica.start()

    def fail(self) -> None:
        """The next write of the provider is refused, throttled, lost after it was carried out, or not understood."""
        operation = self.random.choice(("RegisterTargets", "DeregisterTargets"))
        aws, kubernetes = self.stage.world.aws.faults, self.stage.world.kubernetes_faults
        record = "leases/alb-provider-handover-"
        self._faulty, fault = self.random.choice(
            (
                (aws, lambda: aws.aws_error(operation, "AccessDenied", "no", 403)),
                (aws, lambda: aws.aws_error(operation, "TooManyTargets", "quota", 400)),
                (aws, lambda: aws.aws_error(operation, "Throttling", "slower", 400, times=3)),
                (aws, lambda: aws.add(operation, rewrite=lambda _: b"<html>")),
                (aws, lambda: aws.add(operation, wire=Wire.DROPPED, times=3)),
                (aws, lambda: aws.add("DescribeTargetHealth", rewrite=lambda body: body[: len(body) // 2])),
                (kubernetes, lambda: kubernetes.add("endpointslices", status=500, body=b"", times=1)),
                (kubernetes, lambda: kubernetes.add(record, about=WRITTEN, status=500, body=b"", times=1)),
                (kubernetes, lambda: kubernetes.add(record, about=WRITTEN, wire=Wire.DROPPED, times=1)),
            )
        )
        self._fault = fault()
        self._faulty._faults.remove(self._fault)

    def switch_at_a_write(self) -> None:
        """Argo switches in the very moment in which an undoing writes."""

        def at_write() -> None:
            self._at_write = None
            self.switch()

        self._at_write = at_write


WRITTEN = "holderIdentity"
"""In the body of each write of a Lease."""

EVENTS: tuple[Callable[[Story], None], ...] = (
    *(Story.nothing,) * 8,
    *(Story.supersede,) * 5,
    *(Story.replace_pod,) * 3,
    *(Story.heal,) * 2,
    *(Story.fail,) * 3,
    *(Story.resume,) * 2,
    Story.abort,
    Story.pause,
    Story.switch,
    Story.sicken,
    Story.reconcile_green_away,
    *(Story.intrude,) * 2,
    *(Story.reuse,) * 2,
    Story.reuse_elsewhere,
    Story.crash_before_a_write,
    Story.crash_after_a_write,
    Story.restart,
    Story.switch_at_a_write,
    *(Story.switch_and_supersede,) * 2,
)

CRITICAL: tuple[Callable[[Story], None], ...] = (
    Story.abort,
    Story.supersede,
    Story.switch,
    Story.switch_and_supersede,
    Story.switch_at_a_write,
    Story.restart,
    Story.crash_before_a_write,
    Story.crash_after_a_write,
    Story.reconcile_green_away,
    Story.fail,
    Story.replace_pod,
)
"""What is worth most while green is in production beside blue."""


def tell(world: World, clock: StageClock, sources: Sources, account: Account, seed: int) -> Story:
    """Tell the story of a seed; raises Complaint."""
    world.reset()
    stage = Stage(world, clock, 4, lambda _name, _hash: None, EXAMPLES[seed % len(EXAMPLES)])
    story = Story(stage, [], Random(seed))
    story.replicas += [Replica(sources, account, writer=partial(Watched, story)) for _ in range(2)]
    story.tell()
    return story


@contextmanager
def scene() -> Iterator[tuple[World, StageClock, Sources, Account]]:
    """Start a world whose time stands still, and a provider's readers of it."""
    clock = Clock(frozen=True)
    with World(clock=clock) as world, ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        os.environ |= world.environment(directory) | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        wall_clock, metrics, threads = StageClock(clock), Metrics(), Bulkheads(16)
        stack.callback(threads.close)
        timeouts = {"connect_timeout_seconds": 20.0, "read_timeout_seconds": 20.0}
        client, session = connect(pool_size=16), boto3.Session(region_name=REGION)
        account = Account(session, pool_size=16, roles=Roles(), seconds=lambda: clock() + time.monotonic(), **timeouts)
        fresh = Freshness(topology=0, pods=0, target_health=0, target_groups=0, metrics=0, rollouts=0, failures=0)
        shared = Shared(threads, fresh, metrics, flight_seconds=20, clock=wall_clock)
        yield (
            world,
            wall_clock,
            Sources(
                cluster=Cluster(ApiServer(lambda: client, shared.other_clocks, **timeouts, metrics=metrics), shared),
                load_balancers=LoadBalancers(account, shared, metrics, calls_per_second=1000),
                cloudwatch=CloudWatch(account, shared, metrics),
                shared=shared,
                gathering=stack.enter_context(ThreadPoolExecutor(16)),
                budget_seconds=20,
            ),
            account,
        )


@click.command()
@click.option("--first", default=1, show_default=True, help="The first story's seed; even ones are blue-green.")
@click.option("--queries", default=600, show_default=True, help="How many queries to ask at least.")
def main(first: int, queries: int) -> None:
    """Tell stories until so many queries were asked; exit with 1 at the first that breaks the law."""
    logging.disable(logging.CRITICAL)
    asked, happened, seed, began = Counter[str](), Counter[str](), first, time.monotonic()
    with scene() as parts:
        while asked.total() < queries:
            try:
                story = tell(*parts, seed)
            except Complaint as complaint:
                click.echo(f"Story {seed}: {complaint}")
                sys.exit(1)
            asked, happened, seed = asked + story.asked, happened + story.happened, seed + 1
            if seed % 20 == 0:
                click.echo(f"{seed - first} stories, {asked.total()} queries", err=True)
    click.echo(f"{asked.total()} queries in {seed - first} stories, 0 violations: {dict(asked)}")
    click.echo(f"{dict(happened)}. It took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
