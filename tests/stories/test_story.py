"""The six Rollouts of `make run`, on a clock of their own: what the real provider answers, and what becomes of them.

Argo asks the provider over HTTP, by the templates as shipped.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests

from provider.checks.question import Sources
from provider.model.reasons import Phase, Reason
from provider.model.records import Freshness, Kind
from provider.sources.aws.service import Account
from tests import contract
from tests.handover.stage import Replica, StageClock
from tests.server import PATIENCE, free_port
from tests.stories.truth import BUDGET_SECONDS
from tests.world.cluster.store import KubernetesStore
from tests.world.server.http_server import HttpServer
from tests.world.story.cast import CAST, COLD_MEASUREMENTS, Member
from tests.world.story.examples import NAMESPACE
from tests.world.story.story import Story
from tests.world.world import World

LONG_SECONDS = 560
"""After which `web` is promoted, `noisy` is aborted, and `cold` waits for a person."""
SHORT_SECONDS = 90
STEP_SECONDS = 0.5
NEVER = float("inf")
STOPPED = ("RolloutAborted", "RolloutPaused")


@dataclass
class Record:
    """What was seen of the Rollouts: answers of `target-health`, and Argo's status, each change once."""

    seconds: float = 0.0
    answers: dict[str, list[tuple[float, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The AnalysisRuns as they were last, by name."""

    def said(self, name: str) -> str:
        """Return reasons and stages in turn, each change once and followed by a space."""
        said = [
            f"{answer['reason']}@{answer['observed']['stage']}" if "stage" in answer["observed"] else answer["reason"]
            for _, answer in self.answers[name]
        ]
        return "".join(
            f"{sentence} " for number, sentence in enumerate(said) if number == 0 or sentence != said[number - 1]
        )

    def last(self, name: str) -> dict[str, Any]:
        """Return the status at the end."""
        return self.statuses[name][-1]


@pytest.fixture
def wall_clock(shared_clock):
    shared_clock.frozen, shared_clock.seconds = True, 0.0
    yield StageClock(shared_clock)
    shared_clock.frozen = False


@pytest.fixture
def account(account, wall_clock):
    """Calls are counted by the story's time and the real one, in which a query waits for its turn."""
    return replace(account, seconds=lambda: wall_clock.seconds + time.monotonic())


@pytest.fixture
def tell(world: World, sources: Sources, account: Account, wall_clock: StageClock) -> Callable[..., Record]:
    """Play a cast for so long, while the provider is asked about each every second."""

    def told(
        cast: Sequence[Member],
        seconds: float,
        *,
        asks: Callable[[float], bool] = lambda second: second < 60 or not second % 10,
        between: Callable[[Story], None] = lambda _story: None,
    ) -> Record:
        record = Record()
        replica = Replica(sources, account)
        with HttpServer(replica.app, now=wall_clock) as server:
            story = Story(world, server.url, cast=cast, now=wall_clock)
            story.set_up()
            while story.seconds < seconds:
                story.tick()
                between(story)
                look(world.kubernetes, story, record)
                if story.seconds % 1 == 0:
                    replica.look()
                if story.seconds % 1 == 0 and asks(story.seconds):
                    for member in cast:
                        query = {"namespace": NAMESPACE, "rollout": member.name}
                        answer = replica.app.test_client().get("/v1/target-health", query_string=query)
                        assert answer.status_code == 200
                        record.answers[member.name].append((story.seconds, answer.get_json()))
                wall_clock.pass_(STEP_SECONDS)
        return record

    return told


def look(cluster: KubernetesStore, story: Story, record: Record) -> None:
    for name in story.members:
        status = cluster.get("Rollout", NAMESPACE, name)["status"]
        if record.statuses[name][-1:] != [status]:
            record.statuses[name].append(status)
    record.runs |= {stored.name: stored.shared for stored in cluster.stored("AnalysisRun")}
    record.seconds = story.seconds


def member(name: str) -> Member:
    return next(member for member in CAST if member.name == name)


NEW_GREEN = r"(TargetsHealthy@AfterSwitch )?(RolloutNotObserved |ReplicaSetNotFound |ServiceNotSwitched |NoPods )*"
WAITS = r"(Targets(Missing|Initial)@{} )+"
FATES = {
    "web": NEW_GREEN
    + WAITS.format("BeforeSwitch")
    + "TargetsHealthy@BeforeSwitch "
    + WAITS.format("AfterSwitch")
    + "TargetsHealthy@AfterSwitch ",
    "noisy": NEW_GREEN + WAITS.format("BeforeSwitch") + "TargetsHealthy@BeforeSwitch RolloutAborted",
    "handover": NEW_GREEN + WAITS.format("BeforeSwitch") + "TargetsHealthy@BeforeSwitch TargetsHealthy@AfterSwitch $",
    "broken": NEW_GREEN
    + WAITS.format("BeforeSwitch")
    + "TargetsUnhealthyInGrace@BeforeSwitch TargetsUnhealthy@BeforeSwitch $",
}
"""What is said of each Rollout in turn, as a regular expression."""


def ended(run: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A run's phase, and that of its metrics."""
    status = run["status"]
    return status["phase"], {result["name"]: result["phase"] for result in status["metricResults"]}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_five_small_rollouts(tell):
    """One is promoted, two are aborted with the measurement that did it, one waits for a person, one has no gap."""
    told = tell([replace(member, rest_seconds=NEVER) for member in CAST if member.name != "big"], LONG_SECONDS)

    for name, fate in FATES.items():
        assert re.match(fate, told.said(name)), (name, told.said(name))
    assert contract.is_kept("healthy", [answer for _, answer in told.answers["web"]])
    for answers in told.answers.values():
        for _, answer in answers:
            assert_consistent(answer)
    promoted = [status["stableRS"] for status in told.statuses["web"]]
    assert len(dict.fromkeys(promoted)) >= 2

    broken = next(status for status in told.statuses["broken"] if status.get("abort"))
    assert broken["phase"] == "Degraded"
    assert broken["message"].endswith(
        'Blue/green pre-promotion analysis phase error/failed: Metric "alb-gate" assessed Failed due to failed (1) > '
        "failureLimit (0)"
    )
    run = told.runs[broken["blueGreen"]["prePromotionAnalysisRunStatus"]["name"]]
    number, phase, sentence = yaml_value(run["status"]["metricResults"][0]["measurements"][-1])
    assert (number, phase) == (75, "Failed")
    assert re.search(r"1 unhealthy \(Target\.ResponseCodeMismatch\), with containers ready for", sentence)

    noisy = next(status for status in told.statuses["noisy"] if status.get("abort"))
    before = told.statuses["noisy"][told.statuses["noisy"].index(noisy) - 1]
    assert (before["canary"]["weights"]["canary"]["weight"], told.last("noisy")["currentStepIndex"]) == (100, 0)
    assert told.last("noisy")["canary"]["weights"]["canary"]["weight"] == 0
    run = told.runs[before["canary"]["currentStepAnalysisRunStatus"]["name"]]
    assert ended(run) == ("Failed", {"alb-watch-targets": "Successful", "alb-watch-errors": "Failed"})

    assert told.last("cold")["pauseConditions"][0]["reason"] == "InconclusiveAnalysisRun"
    run = told.runs[told.last("cold")["blueGreen"]["prePromotionAnalysisRunStatus"]["name"]]
    assert (run["status"]["phase"], run["status"].get("message")) == ("Inconclusive", None)
    assert run["status"]["metricResults"][0]["inconclusive"] == COLD_MEASUREMENTS

    switch = [answer["observed"].get("lastSwitch") for _, answer in told.answers["handover"]][-1]
    assert (switch["secondsUntilHealthy"], switch["leastHealthyCount"]) == (0.0, 6)
    assert switch["resetCount"] == 0


def yaml_value(measurement: dict[str, Any]) -> Any:
    """The number, the phase and the sentence in a measurement's value."""
    return json.loads(measurement["value"])


def test_big_reaches_250_of_250(tell):
    """All 250 pods are healthy before the switch and after it."""
    told = tell([member("big")], SHORT_SECONDS, asks=lambda second: not second % 3)

    passed = [answer for _, answer in told.answers["big"] if answer["phase"] == "Successful"]
    pod_hash = told.last("big")["currentPodHash"]
    green = [answer for answer in passed if answer["observed"].get("podTemplateHash") == pod_hash]
    assert {answer["observed"]["stage"] for answer in green} == {"BeforeSwitch", "AfterSwitch"}
    assert {answer["message"].partition(" in ")[0] for answer in green} == {"250 of 250 green targets healthy"}


def test_readiness_gates_keep_argo_from_asking(tell):
    """A sick green whose pods never become Ready is Failed to nobody, and aborted at its progress deadline."""

    def short(manifest):
        if manifest["kind"] == "Rollout":
            manifest["spec"]["progressDeadlineSeconds"] = 70

    def hold(story):
        rollout = story.members["gated"].commands.rollout()
        story.pods.held.add(f"gated-{rollout['status']['currentPodHash']}")

    gated = Member("gated", "blue-green", behaviour="sick", begins_at=0.5, rest_seconds=NEVER, change=short)
    told = tell([gated], 110, between=lambda story: hold(story) if story.seconds > 1 else None)

    answers = [answer for _, answer in told.answers["gated"][1:]]
    assert contract.is_kept("gated", answers), contract.in_turn(answers)
    assert told.runs == {}
    assert told.last("gated")["message"].endswith("has timed out progressing.")


def assert_consistent(answer: dict[str, Any]) -> None:
    """The counts add up to the desired replicas, and sentence, number and phase agree with them."""
    number, phase, message = answer["measurement"]
    observed = answer["observed"]
    assert (phase, message) == (answer["phase"], answer["message"])
    assert phase == Reason(answer["reason"]).phase
    for kind, age in observed.get("evidenceAgeSeconds", {}).items():
        assert age <= Freshness().limit(Kind(kind), BUDGET_SECONDS), kind
    if "targetGroups" not in observed:
        assert (number, phase) == (0.0, "Inconclusive")
        return
    [group] = observed["targetGroups"]
    desired, healthy = observed["desiredCount"], group.get("healthyCount", 0)
    assert sum(count for key, count in group.items() if key.endswith("Count")) == desired
    assert number == group["healthyPercent"] == healthy * 1000 // desired / 10
    assert (phase == "Successful") == (healthy == desired and answer["reason"] not in STOPPED)
    counted = f"{healthy} of {desired} green targets healthy"
    assert message.startswith(counted) or f"Otherwise: {counted}" in message


def test_make_run(tmp_path):
    """It becomes ready, prints at most three next steps, answers them, and stops with exit code 0."""
    port, log = free_port(), tmp_path / "demo.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_")}
    with log.open("wb") as output, requests.Session() as session:
        session.trust_env = False
        demo = subprocess.Popen(
            [sys.executable, "-m", "tests.world", "--port", str(port)], env=kept, stdout=output, stderr=output
        )
        try:
            give_up_at = time.monotonic() + PATIENCE
            while "explain" not in log.read_text() and demo.poll() is None and time.monotonic() < give_up_at:
                time.sleep(0.1)
            steps = log.read_text().partition("Next:\n")[2].splitlines()
            [query] = re.findall(r"curl '([^']+)'", log.read_text())
            [command] = re.findall(r"alb-provider (explain .*)", log.read_text())
            answer = session.get(f"http://{query}", timeout=15)
            page = session.get(f"http://localhost:{port}/", timeout=15)
            explain = [sys.executable, "-m", "provider.cli.main", *command.split()]
            told = subprocess.run(explain, capture_output=True, text=True, check=False)
        finally:
            demo.send_signal(signal.SIGTERM)
            code = demo.wait(30)

    assert len(steps) == 3
    assert (answer.status_code, answer.json().get("phase") in set(Phase)) == (200, True)
    assert (page.status_code, "shop/broken" in told.stdout) == (200, True)
    assert (code, "Traceback" in log.read_text()) == (0, False)
