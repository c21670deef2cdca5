"""Tells random stories of Rollouts and faults, asks questions all the while, and holds every answer against the truth.

    python -m tests.random_story --seeds 200            many stories
    python -m tests.random_story --seed 123 --steps 400 one story again

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
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import boto3
import click
from flask import Flask

from provider import cluster
from provider.app import create_app
from provider.aws import Account, Service
from provider.budget import Budget
from provider.cloudwatch import CloudWatch
from provider.cluster import Cluster
from provider.demo.world import World
from provider.load_balancers import LoadBalancers
from provider.question import Sources
from provider.reasons import MEANINGS, Reason
from provider.records import Binding, GroupHealth, Topology
from provider.telemetry import Metrics
from tests import random_faults
from tests.random_rollout import AUTO_MODE, NAMESPACE, ROLES, RandomRollout, StoryClock
from tests.random_world import TargetTables, Writer
from tests.truth import FAILURES_SHARED_SECONDS, INCONCLUSIVE, NOT_FOUND, Asked

STEPS = 120
MAX_BODY_BYTES = 2047
BUDGET_SECONDS, IMPATIENT_BUDGET_SECONDS = 8.0, 0.4
TIMEOUTS = {"connect_timeout_seconds": 1.0, "read_timeout_seconds": 3.0}
SLACK_SECONDS = 5.0
"""What a busy machine may add to a budget, which is real time."""

CHECKS = ("replicas", "target-health", "errors")


class Complaint(Exception):
    """An answer that the truth does not allow; the text says how to tell this story again."""


class ClockedCluster(Cluster):
    """Stamps what it reads by the story's clock."""

    clock: Callable[[], datetime]

    def topology(self, namespace: str, name: str, budget: Budget) -> Topology:
        began = self.clock()
        return replace(super().topology(namespace, name, budget), read_at=began)


class ClockedLoadBalancers(LoadBalancers):
    """Stamps what it reads by the story's clock."""

    clock: Callable[[], datetime]

    def health(self, bindings: tuple[Binding, ...], budget: Budget) -> tuple[GroupHealth, ...]:
        began = self.clock()
        return tuple(replace(one, read_at=began) for one in super().health(bindings, budget))


@contextmanager
def connected(world: World, clock: Callable[[], datetime]) -> Iterator[Sources]:
    """Make readers that speak HTTP to the world with the real client libraries, and live by this clock."""
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(32) as threads:
        os.environ |= world.environment(directory) | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "KUBERNETES_SERVICE_HOST"):
            os.environ.pop(name, None)
        metrics, client = Metrics(), cluster.connect(pool_size=32)
        account = Account(boto3.Session(region_name=os.environ["AWS_REGION"]), **TIMEOUTS, pool_size=32)
        reader, balancers = ClockedCluster(client, **TIMEOUTS, metrics=metrics), ClockedLoadBalancers(account, metrics)
        reader.clock = balancers.clock = clock
        yield Sources(
            cluster=reader,
            load_balancers=balancers,
            cloudwatch=CloudWatch(Service(account, "cloudwatch", "cloudwatch", metrics)),
            threads=threads,
            budget_seconds=BUDGET_SECONDS,
            max_evidence_age_seconds=10,
            clock=clock,
        )
        client.rest_client.pool_manager.clear()


@dataclass
class Counts:
    """What was asked, answered and broken."""

    stories: int = 0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    faulted: int = 0
    exact: int = 0

    def add(self, other: "Counts") -> None:
        """Add another story's counts."""
        for name in ("answers", "happened", "faults"):
            getattr(self, name).update(getattr(other, name))
        for name in ("stories", "faulted", "exact"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def lines(self) -> Iterator[str]:
        """Yield the report, line by line."""
        questions = sum(self.answers.values())
        yield f"{self.stories} stories, {questions} questions, {self.faulted} of them while something failed"
        yield f"{sum(self.happened.values())} things happened, {sum(self.faults.values())} faults injected"
        yield f"{self.exact} answers were true of that very moment"
        for phase, number in Counter(phase for phase, _ in self.answers.elements()).most_common():
            reasons = Counter({reason: count for (other, reason), count in self.answers.items() if other == phase})
            yield f"  {phase}: {number}"
            yield from (f"    {reason}: {count}" for reason, count in reasons.most_common())
        yield "Faults: " + ", ".join(f"{name} {number}" for name, number in self.faults.most_common())
        yield "Events: " + ", ".join(f"{name} {number}" for name, number in self.happened.most_common())


EVENTS: tuple[tuple[int, Callable[[RandomRollout], None]], ...] = (
    (6, RandomRollout.supersede),
    (1, RandomRollout.roll_back),
    (4, RandomRollout.touch),
    (10, RandomRollout.switch),
    (3, RandomRollout.abort),
    (6, RandomRollout.retry),
    (5, RandomRollout.scale),
    (1, RandomRollout.delete),
    (5, RandomRollout.crash),
    (5, RandomRollout.evict),
    (4, RandomRollout.change_address),
    (3, RandomRollout.intrude),
    (4, RandomRollout.sicken),
    (8, RandomRollout.break_group),
    (10, RandomRollout.heal),
    (26, RandomRollout.blip),
    (5, RandomRollout.add_stranger),
    (3, RandomRollout.detach),
    (3, RandomRollout.change_checks),
    (1, RandomRollout.share_balancer),
    (5, RandomRollout.change_binding),
    (4, RandomRollout.change_service),
    (6, RandomRollout.change_traffic),
)


class Story:
    """One world with a Rollout of each strategy, from a seed."""

    def __init__(
        self, world: World, clock: StoryClock, tables: TargetTables, sources: Sources, seed: int, lie: str | None = None
    ) -> None:
        self._world, self._clock, self._seed, self._lie = world, clock, seed, lie
        self.random = Random(seed)
        self.step = 0
        self.counts = Counts(stories=1)
        self._midway = random_faults.Midway()
        self._apps = {hangs: self._app(sources, hangs=hangs) for hangs in (False, True)}
        self._fault: random_faults.Fault | None = None
        self._questions_left = 0
        self._healed_at = clock.now - timedelta(hours=1)
        world.reset()
        world.kubernetes.serve(AUTO_MODE)
        tables.tables.clear()
        self.rollouts = [RandomRollout(clock, self.random, strategy) for strategy in ROLES]
        self._watched = self.rollouts[0]
        self._writers = {rollout: Writer(world, tables, rollout) for rollout in self.rollouts}
        for rollout in self.rollouts:
            rollout.settle()
            self._writers[rollout].note(clock.now)

    def _app(self, sources: Sources, *, hangs: bool) -> Flask:
        """While something hangs a smaller budget is enough to see that it is kept."""
        budget = IMPATIENT_BUDGET_SECONDS if hangs else BUDGET_SECONDS
        return create_app(replace(sources, budget_seconds=budget), Metrics())

    def tell(self, steps: int) -> Counts:
        """Tell the story; raises Complaint."""
        self._midway.install(self._world)
        try:
            for self.step in range(steps):
                self._advance(self.random.choice((0, 0, 1, 3, 8, 20, 45, 200)) * self.random.random())
                for _ in range(self.random.choice((0, 1, 1, 2))):
                    self._watched = self.random.choice(self.rollouts)
                    self._let_happen_to(self._watched)
                for _ in range(self.random.choice((2, 3, 4))):
                    self._advance(self.random.choice((0, 0, 0.7, 2)))
                    self._ask()
        finally:
            self._world.kubernetes_faults.clear()
            self._world.aws.faults.clear()
            self._midway.remove(self._world)
        return self.counts

    def _advance(self, seconds: float) -> None:
        """Let time pass, and everything happen in its order that is due meanwhile."""
        end = self._clock.now + timedelta(seconds=seconds)
        while (first := min(self.rollouts, key=lambda one: one.next_due)).next_due <= end:
            self._clock.now = max(self._clock.now, first.next_due)
            first.happen()
            self._writers[first].note(self._clock.now)
        self._clock.now = end
        self._world.aws.cloudwatch.forget_before(end - timedelta(minutes=20))

    def _break(self) -> None:
        """Begin or end a fault, for some questions."""
        if self._fault is None and self.random.random() < 0.08:
            self._fault = random_faults.draw(self.random)
            self._questions_left = 1 if self._fault.hangs else self.random.choice((1, 1, 2, 5))
            self._fault.put(self._world)
            self.counts.faults[self._fault.name] += 1

    def _mend(self) -> None:
        if self._fault is None:
            return
        self._questions_left -= 1
        if self._questions_left <= 0:
            self._world.kubernetes_faults.clear()
            self._world.aws.faults.clear()
            self._fault, self._healed_at = None, self._clock.now

    def _ask(self) -> None:
        """Ask one question, with something happening in the middle of it now and then, and judge the answer."""
        self._break()
        rollout = self._watched if self.random.random() < 0.6 else self.random.choice(self.rollouts)
        asked, name, parameters = self._question(rollout)
        delay = self._arm(rollout)
        self._writers[rollout].publish()
        started, began = self._clock.now, time.monotonic()
        fault, hangs = self._fault, self._fault is not None and self._fault.hangs
        client = self._apps[hangs].test_client()
        if self.random.random() < 0.2:
            response = client.post(f"/v1/{name}", json=parameters)
        else:
            response = client.get(f"/v1/{name}", query_string=parameters)
        took = time.monotonic() - began
        answered = self._clock.now
        troubled = (
            fault is not None or delay > 0 or (started - self._healed_at).total_seconds() <= FAILURES_SHARED_SECONDS
        )
        context = {
            "step": self.step,
            "question": f"{name} {parameters}",
            "asked at": started.isoformat(),
            "answered at": answered.isoformat(),
            "fault": fault.name if fault else "",
            "delay in seconds": delay,
        }
        try:
            budget = IMPATIENT_BUDGET_SECONDS if hangs else BUDGET_SECONDS
            require(took <= budget + SLACK_SECONDS, f"It took {took:.1f} s, more than its budget of {budget} s")
            phase, reason = read(response.status_code, response.get_data())
            self._compare(rollout, asked, self._lie or phase, started, answered, troubled=troubled)
        except Complaint as complaint:
            told = "".join(f"\n  {key}: {value}" for key, value in context.items())
            body = response.get_data(as_text=True)
            replay = f"replay: python -m tests.random_story --seed {self._seed} --steps {self.step + 1}"
            raise Complaint(f"{complaint}{told}\n  answer: {response.status_code} {body}\n{replay}") from None
        self.counts.answers[phase, reason] += 1
        self.counts.faulted += troubled
        self._midway.fire()
        self._mend()

    def _compare(
        self, rollout: RandomRollout, asked: Asked, phase: str, started: datetime, answered: datetime, *, troubled: bool
    ) -> None:
        """Let an answer stand if facts within their limits give it, or if something failed and it only waits."""
        if troubled and phase == INCONCLUSIVE:
            return
        allowed: list[str] = []
        for one in rollout.history.possible(asked, started, answered):
            if one == phase:
                self.counts.exact += not troubled and not allowed
                return
            allowed.append(one)
        raise Complaint(f"{phase} is not true: {' or '.join(allowed)} is")

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
                self._writers[rollout].publish()

            self._midway.arm(dawdle, before_aws=before_aws)
            return float(delay)
        if draw < 0.12:

            def interrupt() -> None:
                self._let_happen_to(rollout)
                self._writers[rollout].publish()

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
        if self.random.random() < 0.1:
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
    meant = MEANINGS[Reason(reason)].phase
    require(meant == phase or reason == Reason.NO_DATA, f"{reason} means {meant}, not {phase}")
    require(message and message.isprintable() and message.isascii(), "The message is no sentence")
    require("null" not in json.dumps(answer["observed"]), "Something observed is null")
    return phase, reason


@contextmanager
def stage() -> Iterator[tuple[World, StoryClock, TargetTables, Sources]]:
    """Start a world whose targets are told, with readers of it, all by one clock."""
    clock = StoryClock()
    world = World(clock=clock.seconds)
    world.aws.load_balancers = tables = TargetTables(clock.seconds)
    with world, connected(world, clock) as sources:
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
    for line in total.lines():
        click.echo(line)
    click.echo(f"False passes: 0. False failures: 0. It took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
