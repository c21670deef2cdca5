"""Runs combinations of a call and a fault, each call on its own lane, and keeps the answers.

The lanes run at the same time, since most faults are waited for; the combinations of one lane run one after another, so
that the answer after a fault is also the good one before the next. All lanes share one provider, as all Rollouts of a
cluster do: no restart, no new client between them.
"""

import json
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol

import pytest
from flask import Flask, got_request_exception

from provider.model.reasons import Reason
from tests.faults.calls import Call
from tests.scene import GREEN
from tests.world.server.faults import Faults
from tests.world.world import World

LANES_AT_ONCE = 5
"""More would only wait for the processor, and a healthy read must not become a slow one."""


class As(Enum):
    """Outcomes other than Inconclusive with a reason."""

    WITHOUT = "as without the fault: the evidence is complete and good all the same"
    NOT_FOUND = "404: Kubernetes itself says that there is no such Rollout"


_TOO_LATE = {Reason.AWS_TIMEOUT.value, Reason.KUBERNETES_TIMEOUT.value, Reason.DEADLINE_EXCEEDED.value}

LeadsTo = Reason | As | tuple[Reason, ...]
"""An Inconclusive with this reason, or with one of these where it is a race which timeout ends first."""


class Running(Protocol):
    """A fault that has begun."""

    def end(self) -> None:
        """End the fault."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong: how to begin it for the calls that match, and what it must lead to."""

    name: str
    begin: Callable[[Faults, str, str], Running]
    leads_to: LeadsTo
    lasts: bool = False
    """Whether only the question's own deadline ends it."""


@dataclass(frozen=True)
class Combination:
    """One call, one fault, and what the question must then be answered."""

    call: Call
    fault: Fault
    leads_to: LeadsTo
    cache: str

    def __str__(self) -> str:
        return f"{self.call}: {self.fault.name} ({self.cache})"


@dataclass(frozen=True)
class Answer:
    """What the provider answered, and after how many seconds."""

    status: int
    text: str
    seconds: float

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object."""
        body: dict[str, Any] = json.loads(self.text)
        return body

    @property
    def outcome(self) -> tuple[str, str]:
        """Phase and reason."""
        return self.body["phase"], self.body["reason"]

    @property
    def timed_out(self) -> bool:
        """Whether it says that something took too long."""
        return self.status == HTTPStatus.OK and self.body["reason"] in _TOO_LATE


@dataclass(frozen=True)
class Outcome:
    """A combination's two answers: during the fault, and within one freshness period after it."""

    lane: str
    during: Answer
    after: Answer


@dataclass(frozen=True)
class Cache:
    """What is cached when a fault begins: nothing (cold), or the evidence of a good answer just before (warm).

    That answer is the one after the end of the fault before.
    """

    freshness_seconds: float

    def expire(self) -> None:
        """Wait until cached evidence is too old to be used."""
        time.sleep(self.freshness_seconds * 1.1)


CACHES = {"cold": Cache(0.0), "warm": Cache(0.2)}


@dataclass(frozen=True)
class Apps:
    """The provider, and the same with a short budget, for faults that would use up any."""

    patient: Flask
    hurried: Flask
    defects: list[str] = field(default_factory=list)
    """Tracebacks behind every 500, oldest first: what a failing test must show."""

    def __post_init__(self) -> None:
        """Keep every exception that leaves a view."""
        for app in (self.patient, self.hurried):
            got_request_exception.connect(self._keep, app)

    def _keep(self, _: Flask, exception: BaseException) -> None:
        self.defects.append("".join(traceback.format_exception(exception)))


@dataclass(frozen=True)
class Lane:
    """One namespace with one Rollout, asked by one client."""

    name: str
    call: Call
    faults: Faults
    apps: Apps

    def ask(self, *, in_a_hurry: bool = False) -> Answer:
        """Ask the question that makes the call."""
        parameters = {"namespace": self.name, "rollout": self.name, "podTemplateHash": GREEN}
        started = time.monotonic()
        app = self.apps.hurried if in_a_hurry else self.apps.patient
        response = app.test_client().get(
            f"/v1/{self.call.question}", query_string=parameters | dict(self.call.parameters)
        )
        seconds, text = time.monotonic() - started, response.get_data(as_text=True)
        if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            text += "\n".join(["", *self.apps.defects[-1:]])
        return Answer(response.status_code, text, seconds)

    def warm_up(self) -> None:
        """Ask until the answer is the good one: on a busy machine the first queries may take too long.

        Clients read their variables, and connect, with the first query.
        """
        while (answer := self.ask()).outcome != self.call.answers:
            assert answer.timed_out, answer.text

    def meet(self, fault: Fault, leads_to: LeadsTo, cache: Cache) -> Outcome:
        """Ask while the fault lasts, and again once it is over and what was known of it has expired.

        On a busy machine the server may be too late to tell its fault. A timeout that the fault does not cause gets a
        second try: if the provider is to blame, it comes again.
        """
        outcome = self._meet(fault, cache)
        expected = leads_to if isinstance(leads_to, tuple) else (leads_to,)
        if outcome.during.timed_out and outcome.during.body["reason"] not in {reason.value for reason in expected}:
            return self._meet(fault, cache)
        return outcome

    def _meet(self, fault: Fault, cache: Cache) -> Outcome:
        match, about = (text.replace("{lane}", self.name) for text in (self.call.match, self.call.about))
        running = fault.begin(self.faults, match, about)
        try:
            during = self.ask(in_a_hurry=fault.lasts)
        finally:
            running.end()
        cache.expire()
        after = self.ask()
        if after.status != HTTPStatus.OK or after.outcome != self.call.answers:
            # It may have joined a read that was in flight while the fault lasted; the next one cannot.
            cache.expire()
            after = self.ask()
        cache.expire()
        return Outcome(self.name, during, after)


def spread(combinations: Sequence[Combination]) -> list[Any]:
    """Return all combinations as parameters; not long are those by which each call and each fault is tried once."""
    tried: set[str] = set()
    found = []
    for combination in combinations:
        new = {f"call {combination.call.name}", f"fault {combination.fault.name}", combination.cache} - tried
        found.append(pytest.param(combination, id=str(combination), marks=[] if new else [pytest.mark.long]))
        tried |= new
    return found


class Run:
    """The outcomes of many combinations."""

    def __init__(self, world: World, lanes: Iterable[tuple[Lane, list[Combination]]]) -> None:
        """Drive every lane through its combinations, and return when all have been.

        Meanwhile pytest does not begin another test: it would change os.environ (PYTEST_CURRENT_TEST) under urllib and
        botocore, which go through it for every request and raise KeyError.
        """
        self._outcomes: dict[str, Outcome | Exception] = {}
        with ThreadPoolExecutor(LANES_AT_ONCE, thread_name_prefix="lane") as threads:
            for lane, combinations in lanes:
                threads.submit(self._drive, lane, world, combinations)

    def outcome(self, combination: Combination) -> Outcome:
        """Return what came of a combination, or raise what kept its lane from trying it."""
        outcome = self._outcomes[str(combination)]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _drive(self, lane: Lane, world: World, combinations: list[Combination]) -> None:
        done = 0
        try:
            lane.call.build(world, lane.name)
            lane.warm_up()
            CACHES[combinations[0].cache].expire()
            for combination in combinations:
                self._outcomes[str(combination)] = lane.meet(
                    combination.fault, combination.leads_to, CACHES[combination.cache]
                )
                done += 1
        except Exception as error:  # noqa: BLE001 - the tests that ask for it raise it
            self._outcomes |= {str(combination): error for combination in combinations[done:]}


def lane_per_call(
    world: World, start: Callable[[str], Apps], combinations: Iterable[Combination]
) -> list[tuple[Lane, list[Combination]]]:
    """Give every call a lane of each cache, and combination more where AWS throttles it.

    The lanes of a cache share a provider, but those that AWS throttles: calls are then rare for a minute, whoever asks.
    """
    by_lane: dict[tuple[str, str, bool], list[Combination]] = {}
    for combination in combinations:
        by_lane.setdefault(
            (combination.call.name, combination.cache, combination.leads_to is Reason.AWS_THROTTLED), []
        ).append(combination)
    shared: dict[str, Apps] = {}
    lanes = []
    for number, ((_, cache, throttled), lane_combinations) in enumerate(by_lane.items()):
        call = lane_combinations[0].call
        faults = world.kubernetes_faults if call.match.startswith("/") else world.aws.faults
        if throttled:
            apps = start(cache)
        else:
            apps = shared[cache] = shared.get(cache) or start(cache)
        lanes.append((Lane(f"lane{number:02}", call, faults, apps), lane_combinations))
    return lanes
