"""Tells random stories of Rollouts and faults, asks questions all the while, and holds every answer against the truth.

    python -m tests.stories.random_story --seeds 200            many stories
    python -m tests.stories.random_story --seed 123 --steps 40  one story again, up to a step

A seed always tells the same story: nothing in it depends on an answer. Time is the story's own.
"""

import json
import logging
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import boto3
import click
from flask import Flask

from provider.checks.question import Sources
from provider.model.reasons import Reason
from provider.model.records import Freshness
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.roles import Roles
from provider.sources.aws.service import Account
from provider.sources.clock import SteadyClock
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.connection import connect
from provider.sources.kubernetes.reader import Cluster
from provider.sources.seen_healthy import SeenHealthy
from provider.sources.shared import Shared
from provider.telemetry import Metrics
from tests.app import create_app
from tests.contract import is_declared
from tests.stories import random_faults, truth
from tests.stories.random_rollout import AUTO_MODE, CONTROLLER, NAMESPACE, ROLES, STATES, RandomRollout, StoryClock
from tests.stories.random_world import TargetTables, Writer, healthy_targets
from tests.stories.truth import EVIDENCE, FAILURES_SHARED_SECONDS, INCONCLUSIVE, NOT_FOUND, Asked
from tests.world.world import World

STEPS = 50
MAX_BODY_BYTES = 2047
BUDGET_SECONDS, IMPATIENT_BUDGET_SECONDS = 8.0, 0.4
TIMEOUTS = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 3.0}
ENOUGH = 1000.0
"""Calls of AWS a second: who waits for them is another test's business."""

SLACK_SECONDS = 20.0
"""What a busy machine may add to a budget, which is real time."""

FIRST_DAY = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

CHECKS = ("replicas", "target-health", "errors")

TRAP_SECONDS = 14.0
"""Longer than the evidence of a trap may be old, shorter than anything takes to be right again by itself."""

AHEAD = (0, 0, 0, 0, -3, 7, -20, 20, -29, 29, 33, -45, 60)
"""Seconds by which Kubernetes' or AWS's clock may be ahead."""

EXCUSED = frozenset({"AwsBudget"})
"""Reasons to wait that are the provider's own, whatever the truth: it spares AWS. At the end of a story none counts."""


class Complaint(Exception):
    """An answer that the truth does not allow; the text says how to tell this story again."""


@contextmanager
def connected(world: World, clock: Callable[[], datetime]) -> Iterator[Sources]:
    """Make readers that speak HTTP to the world with the real client libraries, and live by this clock."""
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(random_faults.Threads(32)) as threads,
        ThreadPoolExecutor(8) as gathering,
    ):
        os.environ |= world.environment(directory) | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "KUBERNETES_SERVICE_HOST"):
            os.environ.pop(name, None)
        metrics, client = Metrics(), connect(pool_size=32)
        session = boto3.Session(region_name=os.environ["AWS_REGION"])
        account = Account(session, **TIMEOUTS, pool_size=32, roles=Roles(), seconds=partial(_seconds, clock))
        shared = Shared(threads, Freshness(), metrics, flight_seconds=BUDGET_SECONDS, clock=clock)
        yield Sources(
            cluster=Cluster(ApiServer(lambda: client, shared.other_clocks, **TIMEOUTS, metrics=metrics), shared),
            load_balancers=LoadBalancers(account, shared, metrics, calls_per_second=ENOUGH),
            cloudwatch=CloudWatch(account, shared, metrics),
            shared=shared,
            gathering=gathering,
            budget_seconds=BUDGET_SECONDS,
        )
        client.rest_client.pool_manager.clear()


def _seconds(clock: Callable[[], datetime]) -> float:
    """Return the time by which calls are counted: the story's and the real one, in which a question waits its turn."""
    return clock().timestamp() + time.monotonic()


@dataclass
class Counts:
    """What was asked, answered and broken."""

    stories: int = 0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    troubled: int = 0
    exact: int = 0

    def add(self, other: "Counts") -> None:
        """Add another story's counts."""
        for name in ("answers", "happened", "faults"):
            getattr(self, name).update(getattr(other, name))
        for name in ("stories", "troubled", "exact"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def lines(self) -> Iterator[str]:
        """Yield the report, line by line."""
        questions = sum(self.answers.values())
        yield f"{self.stories} stories, {questions} questions, {self.troubled} of them while something failed"
        yield f"{sum(self.happened.values())} things happened, {sum(self.faults.values())} faults injected"
        yield f"{self.exact} answers were true of that very moment"
        for phase, number in Counter(phase for phase, _ in self.answers.elements()).most_common():
            reasons = Counter({reason: count for (other, reason), count in self.answers.items() if other == phase})
            yield f"  {phase}: {number}"
            yield from (f"    {reason}: {count}" for reason, count in reasons.most_common())
        yield "Faults: " + ", ".join(f"{name} {number}" for name, number in self.faults.most_common())
        yield "Events: " + ", ".join(f"{name} {number}" for name, number in self.happened.most_common())


EVENTS: tuple[tuple[int, Callable[[RandomRollout], None]], ...] = (
    (5, RandomRollout.supersede),
    (1, RandomRollout.roll_back),
    (4, RandomRollout.touch),
    (10, RandomRollout.switch),
    (3, RandomRollout.abort),
    (6, RandomRollout.retry),
    (5, RandomRollout.scale),
    (1, RandomRollout.delete),
    (5, RandomRollout.crash),
    (5, RandomRollout.drain),
    (5, RandomRollout.end_pod),
    (4, RandomRollout.change_address),
    (3, RandomRollout.intrude),
    (4, RandomRollout.sicken),
    (14, RandomRollout.break_group),
    (14, RandomRollout.heal),
    (30, RandomRollout.blip),
    (8, RandomRollout.flap),
    (5, RandomRollout.add_stranger),
    (3, RandomRollout.detach),
    (3, RandomRollout.change_checks),
    (1, RandomRollout.share_balancer),
    (5, RandomRollout.change_binding),
    (4, RandomRollout.change_service),
    (6, RandomRollout.change_traffic),
)


@dataclass(frozen=True)
class Trap:
    """What is the only thing wrong, which bindings cannot be listed meanwhile, and whether it is so from midway on."""

    event: Callable[[RandomRollout], None]
    hides: str = ""
    midway: bool = False


TRAPS = (
    *(Trap(partial(RandomRollout.show, state=state)) for state in STATES),
    *(Trap(partial(RandomRollout.show, state=("draining", "Target.DeregistrationInProgress"))),) * 2,
    Trap(partial(RandomRollout.show, state=("unhealthy", "Target.Timeout"), twice=True)),
    *(Trap(partial(RandomRollout.break_group, api=api), hides=api) for api in (CONTROLLER, AUTO_MODE) * 2),
    *(Trap(RandomRollout.touch), Trap(RandomRollout.touch, midway=True)) * 2,
    Trap(RandomRollout.break_group),
    Trap(RandomRollout.delete),
    Trap(RandomRollout.intrude),
    Trap(RandomRollout.drain),
    *(Trap(RandomRollout.end_pod),) * 2,
    Trap(RandomRollout.add_stranger),
    Trap(RandomRollout.detach),
    Trap(RandomRollout.change_binding),
    Trap(RandomRollout.change_service),
    Trap(RandomRollout.change_address),
)


@dataclass(frozen=True)
class _Exchange:
    """A question and its answer, with what was going on meanwhile."""

    rollout: RandomRollout
    asked: Asked
    question: str
    started: datetime
    answered: datetime
    took_seconds: float
    budget_seconds: float
    fault: str
    delay_seconds: float
    troubled: bool
    status: int
    body: bytes

    def told(self) -> str:
        """Everything about it that helps to understand the answer."""
        return (
            f"  question: {self.question}\n"
            f"  asked at {self.started.isoformat()}, answered at {self.answered.isoformat()}\n"
            f"  fault: {self.fault or 'none'}; delay: {self.delay_seconds:g} s\n"
            f"  answer: {self.status} {self.body.decode(errors='replace')}"
        )


def compare(exchange: _Exchange, phase: str, *, excused: bool) -> bool:
    """Let an answer stand if facts within their limits give it, or if it only waits and is `excused`.

    Returns whether it is what the newest facts give. Raises Complaint.
    """
    if excused and phase == INCONCLUSIVE:
        return False
    allowed: list[str] = []
    # That there is no Rollout is said as soon as it is known: a delay beyond any budget does not make it older.
    judged = exchange.started if phase == NOT_FOUND else exchange.answered
    for one in exchange.rollout.history.possible(exchange.asked, exchange.started, judged):
        if one == phase:
            return not allowed
        allowed.append(one)
    raise Complaint(f"{phase} is not true: {' or '.join(allowed)} is")


class Story:
    """One world with a Rollout of each strategy, from a seed."""

    def __init__(
        self, world: World, clock: StoryClock, tables: TargetTables, sources: Sources, seed: int, lie: str | None = None
    ) -> None:
        self._world, self._clock, self._seed, self._lie = world, clock, seed, lie
        self.random = Random(seed)
        self.step = 0
        self._tables = tables
        sources = replace(sources, seen_healthy=SeenHealthy())
        sources.other_clocks._clocks.clear()
        self.counts = Counts(stories=1)
        self._midway = random_faults.Midway(clock.passing)
        assert isinstance(sources.shared.threads, random_faults.Threads)
        self._threads = sources.shared.threads
        self._apps = {hangs: self._app(sources, hangs=hangs) for hangs in (False, True)}
        self._fault: random_faults.Fault | None = None
        self._questions_left = 0
        clock.now = FIRST_DAY + timedelta(days=seed)  # the same alone as after others, and nothing of theirs is fresh
        clock.others = truth.Clocks(*(self.random.choice(AHEAD) for _ in range(2)))
        clock.machine_ahead = timedelta(0)
        self._healed_at = clock.now - timedelta(hours=1)
        world.reset()
        world.now = lambda: clock.now  # without its lock: the world answers also while time passes
        world.kubernetes_date_offset, world.aws_date_offset = clock.kubernetes_ahead, clock.aws_ahead
        world.kubernetes.serve(AUTO_MODE)
        tables.tables.clear()
        self.rollouts = [RandomRollout(clock, self.random, strategy) for strategy in ROLES]
        self._watched = self.rollouts[0]
        self._traps: list[Trap] = []
        self._writers = {rollout: Writer(world, tables, rollout) for rollout in self.rollouts}
        for rollout in self.rollouts:
            rollout.settle()
            self._writers[rollout].note(clock.now)

    def _app(self, sources: Sources, *, hangs: bool) -> Flask:
        """While something hangs a smaller budget is enough to see that it is kept."""
        deadline = IMPATIENT_BUDGET_SECONDS if hangs else BUDGET_SECONDS
        return create_app(replace(sources, budget_seconds=deadline), Metrics())

    def tell(self, steps: int) -> Counts:
        """Tell the story; raises Complaint."""
        self._midway.install(self._world)
        try:
            for self.step in range(steps):
                if self.random.random() < 0.5:
                    self._set_trap()
                self._advance(self.random.choice((0, 1, 3, 8, 20, 45, 200, 400)) * self.random.random())
                for _ in range(self.random.choice((0, 1, 1, 2))):
                    self._watched = self.random.choice(self.rollouts)
                    self._let_happen_to(self._watched)
                for _ in range(self.random.choice((1, 2, 3))):
                    self._advance(self.random.choice((0, 0, 0.7, 2)))
                    self._ask()
            self._calm_down()
        finally:
            self._clear()
            self._midway.remove(self._world)
        return self.counts

    def _set_trap(self) -> None:
        """Let one thing be wrong with a Rollout and nothing else, for longer than evidence may be old, and ask."""
        self._traps = self._traps or self.random.sample(TRAPS, len(TRAPS))  # every trap once before any comes again
        trap, rollout = self._traps.pop(), self.random.choice(self.rollouts)
        self._watched = rollout
        rollout.restore()
        self._writers[rollout].note(self._clock.now)
        self._advance(self.random.uniform(20, 60))
        if not trap.midway:
            self._spring(trap, rollout)
        if trap.hides and self._fault is None:
            self._begin(random_faults.hide_bindings(trap.hides), questions=2)
        for name, checks in (("target-health", ("target-health",)), ("gate", ("replicas", "target-health"))):
            parameters = {"namespace": NAMESPACE, "rollout": rollout.name}
            if name == "gate":
                parameters["checks"] = ",".join(checks)
            self._publish()
            delay = 0.0
            if trap.midway:
                self._midway.arm(lambda: self._spring(trap, rollout), before_aws=self.random.random() < 0.3)
                delay = TRAP_SECONDS
            self._judge(self._exchange(rollout, Asked(checks), name, parameters, delay_seconds=delay))
            self._midway.fire()
            self._mend()

    def _spring(self, trap: Trap, rollout: RandomRollout) -> None:
        """Let the one thing happen, and time pass until nothing that was true before may decide any more."""
        trap.event(rollout)
        self.counts.happened["trap"] += 1
        self._writers[rollout].note(self._clock.now)
        self._advance(TRAP_SECONDS)
        self._publish()

    def _advance(self, seconds: float) -> None:
        """Let time pass, and everything happen in its order that is due meanwhile."""
        end = self._clock.now + timedelta(seconds=seconds)
        while (first := min(self.rollouts, key=lambda one: one.next_due)).next_due <= end:
            self._clock.now = max(self._clock.now, first.next_due)
            first.happen()
            self._writers[first].note(self._clock.now)
        self._clock.now = end
        self._world.aws.cloudwatch.forget_before(end - timedelta(minutes=30))

    def _break(self) -> None:
        """Begin or end a fault, for some questions; and somebody sets the machine's clock now and then."""
        if self.random.random() < 0.1:
            self._clock.machine_ahead = timedelta(seconds=self.random.choice((-3600, -60, -10, 0, 10, 3600)))
        if self._fault is None and self.random.random() < 0.06:
            fault = random_faults.draw(self.random)
            self._begin(fault, questions=1 if fault.hangs else self.random.choice((2, 3, 6)))

    def _begin(self, fault: random_faults.Fault, *, questions: int) -> None:
        self._fault, self._questions_left = fault, questions
        fault.put(self._world)
        self.counts.faults[fault.name] += 1

    def _mend(self) -> None:
        """End a fault whose time is over, and wait for every read that a question left behind."""
        if self._fault is not None:
            self._questions_left -= 1
            if self._questions_left <= 0:
                self._clear()
                self._healed_at = self._clock.now
        self._threads.settle()

    def _publish(self) -> None:
        """Let the world be as it now is, also where others are concerned: Rollouts share a look at all bindings."""
        for writer in self._writers.values():
            writer.publish()

    def _clear(self) -> None:
        """End the fault, if there is one."""
        self._world.kubernetes_faults.clear()
        self._world.aws.faults.clear()
        self._fault = None

    def _ask(self) -> None:
        """Ask one question, with something happening in the middle of it now and then, and judge the answer."""
        self._break()
        rollout = self._watched if self.random.random() < 0.6 else self.random.choice(self.rollouts)
        asked, name, parameters = self._question(rollout)
        self._publish()
        self._judge(self._exchange(rollout, asked, name, parameters, delay_seconds=self._arm(rollout)))
        self._midway.fire()
        self._mend()

    def _calm_down(self) -> None:
        """Let everything end and every limit pass: then there is one truth, and no excuse."""
        self._clear()
        self._advance(max(one.limit_seconds for one in EVIDENCE) + 60)
        self._publish()
        for rollout in self.rollouts:
            for name, checks in (("target-health", ("target-health",)), ("errors", ("errors",)), ("gate", CHECKS)):
                parameters = {"namespace": NAMESPACE, "rollout": rollout.name}
                self._judge(self._exchange(rollout, Asked(checks), name, parameters), calm=True)

    def _exchange(
        self, rollout: RandomRollout, asked: Asked, name: str, parameters: dict[str, str], delay_seconds: float = 0
    ) -> "_Exchange":
        """Ask over HTTP."""
        hangs = self._fault is not None and self._fault.hangs
        client = self._apps[hangs].test_client()
        self._tables.looks.clear()
        started, began = self._clock.now, time.monotonic()
        if self.random.random() < 0.2:
            response = client.post(f"/v1/{name}", json=parameters)
        else:
            response = client.get(f"/v1/{name}", query_string=parameters)
        since_healed = (started - self._healed_at).total_seconds()
        return _Exchange(
            rollout=rollout,
            asked=asked,
            question=f"{name} {parameters}",
            started=started,
            answered=self._clock.now,
            took_seconds=time.monotonic() - began,
            budget_seconds=IMPATIENT_BUDGET_SECONDS if hangs else BUDGET_SECONDS,
            fault=self._fault.name if self._fault else "",
            delay_seconds=delay_seconds,
            troubled=self._fault is not None or delay_seconds > 0 or since_healed <= FAILURES_SHARED_SECONDS,
            status=response.status_code,
            body=response.get_data(),
        )

    def _judge(self, exchange: "_Exchange", *, calm: bool = False) -> None:
        """Count a true answer; raise Complaint with everything about any other."""
        try:
            in_time = exchange.took_seconds <= exchange.budget_seconds + SLACK_SECONDS
            require(in_time, f"It took {exchange.took_seconds:.1f} s, more than {exchange.budget_seconds} s")
            phase, reason = read(exchange.status, exchange.body)
            excused = not calm and (exchange.troubled or reason in EXCUSED)
            exact = compare(exchange, self._lie or phase, excused=excused)
        except Complaint as complaint:
            replay = f"replay: python -m tests.stories.random_story --seed {self._seed} --steps {self.step + 1}"
            raise Complaint(f"{complaint}\n  step: {self.step}\n{exchange.told()}\n{replay}") from None
        if not exchange.troubled and b'"targetGroups"' in exchange.body:
            self._note_looks(exchange.rollout)
        self.counts.answers[phase, reason] += 1
        self.counts.troubled += exchange.troubled
        self.counts.exact += exact

    def _note_looks(self, rollout: RandomRollout) -> None:
        """Write down which targets the provider has certainly seen healthy, as nothing it knows of them can be old."""
        if rollout.history.is_settled(self._clock.now):
            healthy = healthy_targets(rollout, rollout.green)
            rollout.history.sightings.looked({one for one in healthy if one[0] in self._tables.looks})

    def _arm(self, rollout: RandomRollout) -> float:
        """Let time pass or something happen in the middle of the next question; return the seconds."""
        draw, before_aws = self.random.random(), self.random.random() < 0.6
        if draw < 0.05:
            delay = self.random.choice((2, 7, 12, 25, 25))
            events = self.random.choice((1, 2, 4))

            def dawdle() -> None:
                for _ in range(events):
                    self._let_happen_to(rollout)
                self._advance(delay)
                self._publish()

            self._midway.arm(dawdle, before_aws=before_aws)
            return float(delay)
        if draw < 0.12:

            def interrupt() -> None:
                self._let_happen_to(rollout)
                self._publish()

            self._midway.arm(interrupt, before_aws=before_aws)
        return 0.0

    def _let_happen_to(self, rollout: RandomRollout) -> None:
        (event,) = self.random.choices([one for _, one in EVENTS], weights=[weight for weight, _ in EVENTS])
        self.counts.happened[event.__name__] += 1
        event(rollout)
        self._writers[rollout].note(self._clock.now)

    def _question(self, rollout: RandomRollout) -> tuple[Asked, str, dict[str, str]]:
        """Return any question about a Rollout: as the truth knows it, its name, and as it goes over the wire."""
        pick, name = self.random.choice, self.random.choice(("target-health", "target-health", "errors", "gate"))
        wire: dict[str, str] = {}
        asked = Asked(checks=(name,))

        def choose(
            parameter: str, attribute: str, *values: Any, as_asked: Callable[[Any], Any] = lambda one: one
        ) -> None:
            """Leave a parameter out as often as not."""
            nonlocal asked
            if self.random.random() < 0.25:
                value = pick(values)
                wire[parameter] = str(value)
                asked = replace(asked, **{attribute: as_asked(value)})

        if name == "gate":
            asked = replace(asked, checks=CHECKS)
            choose(
                "checks",
                "checks",
                "replicas",
                "replicas,target-health",
                "target-health",
                "errors,replicas",
                as_asked=lambda text: tuple(text.split(",")),
            )
        if self.random.random() < 0.7:
            wire["podTemplateHash"] = pick((*[rollout.green.pod_hash] * 12, rollout.blue.pod_hash, "0ther"))
            asked = replace(asked, pod_hash=wire["podTemplateHash"])
        if self.random.random() < 0.15:
            wire["service"] = pick((*rollout.services, *rollout.services, "checkout"))
            asked = replace(asked, service=wire["service"])
        if name != "errors":
            choose("minHealthyPercent", "min_healthy_percent", 1, 34, 50, 75, 100)
            choose("unhealthyGraceSeconds", "unhealthy_grace_seconds", 0, 0, 5, 40, 200)
        if name != "target-health":
            choose("windowSeconds", "window_seconds", 60, 120, 300)
            choose("lagSeconds", "lag_seconds", 0, 60, 300)
            choose("maxErrorPercent", "max_error_percent", 0, 5, 40)
            choose("maxErrors", "max_errors", 0, 5, 1000)
            choose("minRequests", "min_requests", 1, 100, 5000)
            choose("onNoData", "on_no_data", "inconclusive", "pass", "pass", "fail")
            choose("compare", "compare_blue", "blue", as_asked=bool)
            choose("significance", "significance", 0.001, 0.3)
        return asked, name, {"namespace": NAMESPACE, "rollout": rollout.name} | wire


def require(condition: object, sentence: str) -> None:
    """Raise Complaint with a sentence unless the condition holds."""
    if not condition:
        raise Complaint(sentence)


def read(status: int, body: bytes) -> tuple[str, str]:
    """Return phase and reason of an answer that has the contract's shape; NotFound for a 404. Raises Complaint."""
    require(status in (200, 404), f"HTTP {status} is no answer to a well-formed question")
    require(len(body) <= MAX_BODY_BYTES, f"The body has {len(body)} bytes")
    answer = json.loads(body)
    if status == 404:
        require(answer.get("status") == 404 and answer.get("detail"), "The 404 is no problem document")
        return NOT_FOUND, "404"
    require(sorted(answer) == ["measurement", "message", "observed", "phase", "reason"], f"Keys {sorted(answer)}")
    phase, reason, message = answer["phase"], answer["reason"], answer["message"]
    number, *rest = answer["measurement"]
    require(rest == [phase, message], "The measurement repeats neither phase nor message")
    require(isinstance(number, int | float) and math.isfinite(number), f"{number!r} cannot be charted")
    require(reason in set(Reason), f"{reason} is not in the closed list")
    meant = Reason(reason).phase
    require(meant == phase or reason == Reason.NO_DATA, f"{reason} means {meant}, not {phase}")
    require(message and message.isprintable() and message.replace("×", "x").isascii(), "The message is no sentence")
    require("null" not in json.dumps(answer["observed"]), "Something observed is null")
    require(is_declared(answer), "An answer has a key that provider/model/answer.py does not declare")
    return phase, reason


@contextmanager
def stage() -> Iterator[tuple[World, StoryClock, TargetTables, Sources]]:
    """Start a world whose targets are told, with readers of it, all by one clock."""
    clock = StoryClock()
    world = World(clock=clock.seconds)
    world.aws.load_balancers = tables = TargetTables(clock.seconds)
    ours = SteadyClock(clock.machine, lambda: clock().timestamp())
    with world, connected(world, ours) as sources:
        yield world, clock, tables, sources


@click.command()
@click.option("--seed", type=int, help="Tell the one story of this seed.")
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True, help="Tell so many stories.")
@click.option("--first", type=int, default=1, show_default=True, help="The first of these seeds.")
@click.option("--steps", type=click.IntRange(min=1), default=STEPS, show_default=True, help="The length of a story.")
@click.option(
    "--lie", type=click.Choice(["Successful", "Inconclusive", "Failed"]), help="Take every answer for this one."
)
def main(seed: int | None, seeds: int, first: int, steps: int, lie: str | None) -> None:
    """Tell random stories; exit with 1 and a replay line at the first answer that is not true."""
    logging.disable(logging.CRITICAL)  # thousands of failures that are meant to be
    told = [seed] if seed is not None else list(range(first, first + seeds))
    total = Counts()
    began = time.monotonic()
    with stage() as (world, clock, tables, sources):
        for one in told:
            try:
                counts = Story(world, clock, tables, sources, one, lie).tell(steps)
            except Complaint as complaint:
                click.echo(f"Story {one}: {complaint}")
                sys.exit(1)
            total.add(counts)
            if total.stories % 20 == 0:
                click.echo(f"{total.stories} stories, {total.answers.total()} questions so far", err=True)
    for line in total.lines():
        click.echo(line)
    click.echo(f"False passes: 0. False failures: 0. It took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
