"""The demo's whole story, told four times faster than life, and what the real server says about it meanwhile."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from provider.model.reasons import Phase, Reason
from provider.model.records import Freshness, Kind
from tests import contract
from tests.server import Server, bare_environment, free_port
from tests.stories.truth import BUDGET_SECONDS
from tests.world.story.story import Story

pytestmark = pytest.mark.timeout(300)

SPEEDS = (4.0, 2.0, 1.0)
"""On a busy machine moments go by unseen; then the story is told again, and slower. A fault shows at any speed."""

WATCHED_SECONDS = 74.5
"""Of the story: until `gated` is aborted (71), and before `broken` begins again (75)."""

SETTINGS = {
    "PROVIDER_TOPOLOGY_FRESH_SECONDS": "0.2",
    "PROVIDER_TARGET_HEALTH_FRESH_SECONDS": "0.1",
    "PROVIDER_ELBV2_CALLS_PER_SECOND": "1000",
}
"""Times so short, and calls so many, that no moment of a story four times faster than life goes by unseen."""

GRACE_SECONDS = 32
"""Of the story: `broken`'s sick pod is unhealthy from about the 16th second on, and gone after the 62nd."""

WATCHED = {"web": False, "broken": True, "unattached": False, "nopreview": False, "pingpong": False, "big": False}
WATCHED |= {"retried": True, "gated": True}
"""The Rollouts, and whether their sick pods are given GRACE_SECONDS."""


@dataclass
class Told:
    """One answer about one Rollout: when it came, in seconds of the story, and the grace in real ones."""

    at: float
    grace_seconds: int
    status: int
    answer: dict[str, Any]

    @property
    def says(self) -> str:
        """The reason, and the stage where there is one."""
        stage = self.answer["observed"].get("stage")
        return f"{self.answer['reason']}@{stage}" if stage else str(self.answer["reason"])


def told_in_turn(answers):
    """What was said, one after the other, without saying the same again and again: each followed by a space."""
    said = [one.says for one in answers]
    return "".join(f"{one} " for number, one in enumerate(said) if number == 0 or one != said[number - 1])


NEW_GREEN = r"(RolloutNotObserved )?(ReplicaSetNotFound )?(ServiceNotSwitched )?(NoPods )?"
"""Moments at the beginning that a look every tenth of a second may miss."""


FATES = {
    "web": (
        NEW_GREEN
        + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsHealthy@BeforeSwitch "
        + r"(Targets(Missing|Initial)@AfterSwitch )+TargetsHealthy@AfterSwitch "
    ),
    "big": (
        NEW_GREEN
        + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsHealthy@BeforeSwitch "
        + r"(Targets(Missing|Initial)@AfterSwitch )+TargetsHealthy@AfterSwitch "
    ),
    "pingpong": (
        NEW_GREEN + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsHealthy@BeforeSwitch TargetsHealthy@AfterSwitch "
    ),
    "broken": (
        NEW_GREEN
        + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsUnhealthyInGrace@BeforeSwitch "
        + r"TargetsUnhealthy@BeforeSwitch (RolloutAborted@BeforeSwitch )?(RolloutAborted )?$"
    ),
    "retried": (
        NEW_GREEN
        + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsUnhealthyInGrace@BeforeSwitch "
        + r"TargetsUnhealthy@BeforeSwitch (Targets(Missing|Initial)@AfterSwitch )+"
    ),
    "gated": (
        NEW_GREEN
        + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsUnhealthyInGrace@BeforeSwitch "
        + r"TargetsUnhealthy@BeforeSwitch "
    ),
    "unattached": r"TargetGroupNotInUse@BeforeSwitch $",
    "nopreview": r"NoPreviewService $",
}
"""What is said of each Rollout in turn, as a regular expression."""

LIKE_REAL_ARGO = {"web": "healthy", "retried": "retried", "gated": "gated"}
"""Rollouts of the story, and the situation of the contract with real Argo Rollouts that they are in."""


@pytest.fixture(scope="module")
def told(shared_world, tmp_path_factory):
    """Every answer about every Rollout of the story in a little more than one loop."""
    for speed in SPEEDS:
        answers = tell(shared_world, tmp_path_factory.mktemp("story"), speed)
        if is_whole(answers):
            break
    return answers


def tell(world, directory, speed):
    """Tell the story at a speed while the real server is asked about each Rollout ten times a second."""
    answers: dict[str, list[Told]] = {name: [] for name in WATCHED}
    world.reset()
    world.speed = speed
    try:
        with Server(bare_environment(world.environment(directory)), directory, **SETTINGS) as server:
            story = Story(world)

            def watch(name, grace):
                parameters = {"unhealthyGraceSeconds": str(round(GRACE_SECONDS / speed))} if grace else {}
                while story.seconds < WATCHED_SECONDS:
                    response = server.ask("target-health", namespace="shop", rollout=name, **parameters)
                    one = Told(story.seconds, round(GRACE_SECONDS / speed), response.status_code, response.json())
                    if one.at < WATCHED_SECONDS:
                        answers[name].append(one)
                    time.sleep(0.1)

            with story:
                watchers = [threading.Thread(target=watch, args=one) for one in WATCHED.items()]
                for watcher in watchers:
                    watcher.start()
                for watcher in watchers:
                    watcher.join()
    finally:
        world.speed = 1.0
        world.reset()
    return answers


def is_whole(answers):
    """Whether every moment that has to be seen was."""
    in_turn = all(re.match(fate, told_in_turn(answers[name])) for name, fate in FATES.items())
    return in_turn and all(
        contract.is_kept(situation, [one.answer for one in answers[name]]) for name, situation in LIKE_REAL_ARGO.items()
    )


@pytest.mark.parametrize("name", FATES)
def test_what_is_told_of_a_rollout_in_turn(told, name):
    """Each Rollout of the story gets the answers of its fate, in their order, and no others in between."""
    assert re.match(FATES[name], told_in_turn(told[name]))


@pytest.mark.parametrize(("name", "situation"), LIKE_REAL_ARGO.items())
def test_the_story_keeps_the_contract_with_real_argo(told, name, situation):
    """Argo's phase and our answers follow each other as they do with real Argo Rollouts (`make real`)."""
    answers = [one.answer for one in told[name]]
    assert contract.is_kept(situation, answers), contract.in_turn(answers)


def test_every_answer_is_consistent(told):
    """In every answer the counts add up to the desired replicas, and sentence, number and phase agree with them."""
    answers = [one for name in WATCHED for one in told[name]]

    assert {one.status for one in answers} == {200}
    for answer in (one.answer for one in answers):
        number, phase, message = answer["measurement"]
        observed = answer["observed"]
        assert (phase, message) == (answer["phase"], answer["message"])
        assert phase == Reason(answer["reason"]).phase
        for kind, age in observed.get("evidenceAgeSeconds", {}).items():
            assert age <= Freshness().limit(Kind(kind), BUDGET_SECONDS), kind
        if "targetGroups" not in observed:
            assert (number, phase) == (0.0, "Inconclusive")
            continue
        [group] = observed["targetGroups"]
        desired, healthy = observed["desiredCount"], group.get("healthyCount", 0)
        assert sum(count for key, count in group.items() if key.endswith("Count")) == desired
        assert number == group["healthyPercent"] == healthy * 1000 // desired / 10
        assert (phase == "Successful") == (healthy == desired)
        counted = f"{healthy} of {desired} green targets healthy in {group['name']}"
        if answer["reason"] == "RolloutAborted":  # green's pods are still there, or were a moment ago
            assert f"Otherwise: {counted}" in message
        elif answer["reason"] != "TargetGroupNotInUse":
            assert message.startswith(counted)


def test_broken_fails_only_after_its_grace(told):
    """The sick pod is waited for until its grace is over; then it is named, with AWS's reason code."""
    failed = [one for one in told["broken"] if one.answer["phase"] == "Failed"]
    others = [one for one in told["broken"] if one.answer["phase"] != "Failed"]

    assert failed[0].at >= GRACE_SECONDS
    assert max(one.at for one in others if one.says.startswith("TargetsUnhealthyInGrace")) < failed[0].at
    for one in failed:
        [example] = one.answer["observed"]["examples"]
        assert re.fullmatch(r"broken-\w+-\w+", example["name"])
        assert (example["state"], example["awsReason"]) == ("unhealthy", "Target.ResponseCodeMismatch")
        assert re.search(
            r"; 1 unhealthy \(Target\.ResponseCodeMismatch\), with containers ready for [0-9.]+ s, "
            rf"longer than the {one.grace_seconds} s grace period",
            one.answer["message"],
        )
        assert example["name"] in one.answer["message"]


def test_big_reaches_250_of_250(told):
    """All 250 pods are healthy before the switch and after it."""
    passed = [one.answer for one in told["big"] if one.answer["phase"] == "Successful"]

    assert {one["observed"]["stage"] for one in passed} == {"BeforeSwitch", "AfterSwitch"}
    assert {one["message"].partition(" in ")[0] for one in passed} == {"250 of 250 green targets healthy"}


def test_gated_is_failed_while_argo_only_waits(told):
    """The answer is Failed although Argo still reports progress: readiness gates keep it from asking."""
    failed = [one.answer for one in told["gated"] if one.answer["phase"] == Phase.FAILED]

    assert failed
    assert failed[0]["observed"]["rollout"]["phase"] == "Progressing"


def test_the_blocked_ones_say_what_to_do(told):
    """For a Rollout that cannot be checked the answer says what to add: a listener rule, or a preview Service."""
    assert "Add a rule (weight 0 is enough)." in told["unattached"][-1].answer["message"]
    assert "add a previewService" in told["nopreview"][-1].answer["message"]


def test_make_run(tmp_path):
    """The demo prints three questions, becomes ready, answers each of them, and stops with exit code 0."""
    port, log = free_port(), tmp_path / "demo.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_")}
    with log.open("wb") as output, requests.Session() as session:
        session.trust_env = False
        demo = subprocess.Popen(
            [sys.executable, "-m", "tests.world", "--port", str(port)], env=kept, stdout=output, stderr=output
        )
        try:
            give_up_at = time.monotonic() + 30
            while "ready: " not in log.read_text() and demo.poll() is None and time.monotonic() < give_up_at:
                time.sleep(0.1)
            introduction = log.read_text().partition("ready: ")[0]
            questions = re.findall(r"^ *curl '([^']+)'$", introduction, re.MULTILINE)
            answers = [session.get(f"http://{one.removeprefix('http://')}", timeout=15) for one in questions]
        finally:
            demo.send_signal(signal.SIGTERM)
            code = demo.wait(30)

    assert introduction.splitlines()[1:4] == [f"  curl '{one}'" for one in questions]
    assert all(one.startswith(f"localhost:{port}/v1/") for one in questions)
    assert [(one.status_code, one.json().get("phase") in set(Phase)) for one in answers] == [(200, True)] * 3
    assert (code, "Traceback" in log.read_text()) == (0, False)
