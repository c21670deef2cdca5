"""One switch under load: a stage with its data plane and its users, and the result."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import requests

from tests.real.api import Manifest
from tests.real.cast import Cast
from tests.real.control_plane import Argo
from tests.real.facts import Facts
from tests.real.kubelet import NODES
from tests.real.scenarios import new_handing_over
from tests.real.stage import Pace, Stage
from tests.server import Server
from tests.traffic.data_plane import DataPlane
from tests.traffic.load import Answers, Users
from tests.traffic.measures import api_requests, aws_calls, cpu_seconds, difference
from tests.world.cluster.ingresses import load_balancer_name

LEAD_SECONDS, TAIL_SECONDS = 3.0, 15.0
"""Requests before the new image, and after the switch or the abort."""

LIMIT_SECONDS = 1200
"""The longest trial: the load stops by itself."""

ADDRESSES_EACH = 4
"""Addresses of a load balancer: the generator has 64,000 ports for each."""


@dataclass(frozen=True)
class Size:
    """How many pods a version has, requests per second, and the pace."""

    pods: int
    rate: int
    pace: Pace


@dataclass
class Result:
    """What became of one trial."""

    title: str
    green: str
    argo: str
    pods: int
    rate: int
    interval_seconds: int
    promises: bool
    answers: Answers
    seconds: float
    """From the new image to the switch or the abort."""
    outcome: str
    switched_at: float
    """Unix time of the switch or the abort; 0 without one."""
    measured_on: str
    load_average: float
    """Of the machine, over five minutes; 0 where it was not recorded."""
    forecast: dict[str, float] = field(default_factory=dict)
    """Seconds without a healthy target: best, expected, worst."""
    cpu: dict[str, float] = field(default_factory=dict)
    aws_calls: dict[str, int] = field(default_factory=dict)
    api_requests: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One row: an example, what is changed in it, and what happens to it.

    `promises` that no request fails. `green` says what the new version is like.
    """

    title: str
    folder: str
    act: "Callable[[Trial], None]"
    green: str = "healthy"
    changes: tuple[Callable[[Manifest], None], ...] = ()
    hands_over: bool = False
    promises: bool = False
    versions: tuple[str, ...] = ("1.10.1",)
    flags: tuple[str, ...] = ()
    """Of Argo's controller."""

    @property
    def name(self) -> str:
        """A name for namespaces and files."""
        return "".join(letter if letter.isalnum() else "-" for letter in f"{self.title}-{self.green}".lower())


class Trial:
    """A scenario that runs."""

    def __init__(self, cast: Cast, argo: Argo, scenario: Scenario, size: Size, number: int, pods: int) -> None:
        self.cast, self.scenario, self.size = cast, scenario, size
        self.stage = Stage(cast, argo, f"t{number}", Facts(), size.pace)
        self.provider: Server | None = None
        self._addresses = [f"10.0.255.{number * ADDRESSES_EACH + n + 1}" for n in range(ADDRESSES_EACH)]
        self._folder = cast.directory / self.stage.namespace
        self._began_at = 0.0
        self._blue = ""
        self._parts = {"Argo": argo.controller.pid, "API server": cast.plane.api_server_pid, "pods": pods}
        self._parts["provider"] = cast.provider.process.pid

    def run(self) -> Result:
        """Set the stage up, send users, act, and count what they got. Raises AssertionError with the story."""
        stage, scenario = self.stage, self.scenario
        with ExitStack() as stack:
            if scenario.hands_over:
                stack.enter_context(self.handing_over())
            stage.set_up(scenario.folder, *scenario.changes)
            slots = self.size.pods * 3 + 10
            addresses = self._addresses
            name = load_balancer_name(stage.namespace, "web")
            plane = stack.enter_context(DataPlane(self.cast.world.aws, name, self._folder, addresses, slots))
            targets = len(NODES) if scenario.folder == "instance-mode" else self.size.pods
            stage.until("a healthy blue", lambda: self.healthy() >= targets, seconds=120)
            forecast = self._forecast()
            users = Users(self._folder, addresses, self.size.rate, LIMIT_SECONDS)
            users.program.start()
            stack.callback(users.program.stop)
            self._parts |= {"HAProxy": plane.program.pid, "users": users.program.pid}
            time.sleep(LEAD_SECONDS)
            self._blue = stage.production
            spent = self._cpu()
            scenario.act(self)
            time.sleep(TAIL_SECONDS)
            spent = difference(self._cpu(), spent)
            os.kill(users.program.pid, signal.SIGINT)
            stage.until("the end of the load", users.program.has_ended, seconds=30)
            assert not plane.errors, "\n".join(plane.errors)
            answers = users.answers()
        assert self.cast.plane.audit_log is not None
        seconds, switched_at = self._first_event()
        pace = self.size.pace
        stage.api.delete("Rollout", stage.namespace, stage.rollout_name)
        return Result(
            title=scenario.title,
            green=scenario.green,
            argo=stage.argo.version,
            pods=self.size.pods,
            rate=min(self.size.rate, int(round(answers.per_second, -2))),
            interval_seconds=pace.health_check_seconds,
            promises=scenario.promises,
            answers=answers,
            seconds=seconds,
            outcome=self.outcome,
            switched_at=switched_at,
            measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
            load_average=round(os.getloadavg()[1], 1),
            forecast=forecast,
            cpu=spent,
            aws_calls=dict(aws_calls(self.cast.world.aws.calls, self._names())),
            api_requests=dict(api_requests(self.cast.plane.audit_log, stage.namespace)),
        )

    # What a scenario does.

    def deploy(self, tag: str) -> None:
        """Change the image."""
        self._began_at = time.monotonic()
        self.stage.deploy(tag)

    def until_decided(self, seconds: float = LIMIT_SECONDS - 60) -> None:
        """Wait until green has all of the traffic or is aborted."""
        stage = self.stage
        stage.until("a decision", lambda: stage.production == stage.green or stage.is_aborted, seconds)

    def until_over(self, seconds: float = LIMIT_SECONDS - 60) -> None:
        """Wait until green is stable or aborted, so that whatever looks after the switch has looked."""
        stage = self.stage
        stage.until("the end", lambda: stage.stable == stage.green or stage.is_aborted or self._is_stuck(), seconds)
        self.outcome = self._outcome()

    def _is_stuck(self) -> bool:
        """Tell whether only a person can go on: an analysis was inconclusive."""
        return any("Inconclusive" in reason for reason in self.stage.pauses)

    def healthy(self) -> int:
        """Return the healthy targets of the group with fewest that gets requests."""
        return min(self.cast.healthy_for_users(self.stage.namespace), default=0)

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Let a provider with handover on answer for this namespace."""
        self.start_provider()
        try:
            yield
        finally:
            if self.provider is not None:
                self.provider.stop()

    def start_provider(self) -> None:
        """Start the provider that hands over, or another one in its place."""
        self.provider = new_handing_over(self.stage).__enter__()
        self.cast.recorder.lead_to(self.stage.namespace, self.provider.url)

    # What is seen.

    outcome = ""

    def _outcome(self) -> str:
        stage = self.stage
        if stage.is_aborted:
            return "aborted"
        return "promoted" if stage.stable == stage.green else f"paused: {' '.join(stage.pauses)}"

    def _first_event(self) -> tuple[float, float]:
        """Return the seconds from the new image to the switch or the abort, and the Unix time of it."""
        events = self.cast.watcher.events(self.stage.namespace)
        for event in events:
            is_switch = event.what == "production" and event.value not in ("", self._blue) and "=" not in event.value
            if event.second > self._began_at and (is_switch or (event.what == "aborted" and event.value)):
                return event.second - self._began_at, time.time() - time.monotonic() + event.second
        return 0.0, 0.0

    def _names(self) -> list[str]:
        """Return by what calls to AWS are known to be about this namespace."""
        arns = self.cast.controller.arns(self.stage.namespace).values()
        return [arn.rpartition(":")[2] for arn in arns] + [f"/{load_balancer_name(self.stage.namespace, 'web')}/"]

    def _cpu(self) -> dict[str, float]:
        parts = self._parts | ({"provider": self.provider.process.pid} if self.provider else {})
        return {part: cpu_seconds(pid) for part, pid in parts.items()} | {"stand-ins": time.process_time()}

    def _forecast(self) -> dict[str, float]:
        """Ask the provider how long the switch will leave users without a healthy target."""
        url = self.provider.url if self.provider else self.cast.provider.url
        with requests.Session() as session:
            session.trust_env = False
            about = {"namespace": self.stage.namespace, "rollout": self.stage.rollout_name}
            found = session.get(f"{url}/v1/preflight", params=about, timeout=15).json()
        forecast: dict[str, float] = found["forecast"]["withoutHealthyTargetSeconds"]
        return forecast
