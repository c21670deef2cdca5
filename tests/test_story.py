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

from provider.demo.story import Story
from provider.reasons import MEANINGS, Reason
from provider.records import Phase
from tests.server import Server, bare_environment, free_port

SPEED = 4.0
LOOP_SECONDS = 60 / SPEED
WATCHED_SECONDS = LOOP_SECONDS + 1.5
FRESHNESS = {"PROVIDER_TOPOLOGY_FRESH_SECONDS": "0.2", "PROVIDER_TARGET_HEALTH_FRESH_SECONDS": "0.1"}
"""So short that no moment of a story four times faster than life goes by unseen."""

GRACE_SECONDS = 8
"""Of `broken`, whose sick pod is unhealthy from about the 4th real second on and gone after the 15th."""

WATCHED = {
    "web": {},
    "broken": {"unhealthyGraceSeconds": str(GRACE_SECONDS)},
    "unattached": {},
    "nopreview": {},
    "pingpong": {},
    "big": {},
}


@dataclass
class Told:
    """One answer about one Rollout, and when it came: real seconds since the story began."""

    at: float
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


@pytest.fixture(scope="module")
def told(shared_world, tmp_path_factory):
    """Every answer about every Rollout of the story in a little more than one loop."""
    directory = tmp_path_factory.mktemp("story")
    answers: dict[str, list[Told]] = {name: [] for name in WATCHED}
    shared_world.reset()
    shared_world.speed = SPEED
    try:
        with Server(bare_environment(shared_world.environment(directory)), directory, **FRESHNESS) as server:
            story = Story(shared_world)

            def watch(name, parameters):
                while story.seconds < WATCHED_SECONDS * SPEED:
                    response = server.ask("target-health", namespace="shop", rollout=name, **parameters)
                    answers[name].append(Told(story.seconds / SPEED, response.status_code, response.json()))
                    time.sleep(0.1)

            with story:
                watchers = [threading.Thread(target=watch, args=one) for one in WATCHED.items()]
                for watcher in watchers:
                    watcher.start()
                for watcher in watchers:
                    watcher.join()
    finally:
        shared_world.speed = 1.0
        shared_world.reset()
    return answers


NEW_GREEN = r"(RolloutNotObserved )?(ReplicaSetNotFound )?(ServiceNotSwitched )?(NoPods )?"
"""Moments at the beginning that a look every tenth of a second may miss."""


@pytest.mark.parametrize(
    ("name", "in_turn"),
    [
        pytest.param(
            "web",
            NEW_GREEN
            + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsHealthy@BeforeSwitch "
            + r"(Targets(Missing|Initial)@AfterSwitch )+TargetsHealthy@AfterSwitch ",
            id="web",
        ),
        pytest.param(
            "big",
            NEW_GREEN
            + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsHealthy@BeforeSwitch "
            + r"(Targets(Missing|Initial)@AfterSwitch )+TargetsHealthy@AfterSwitch ",
            id="big",
        ),
        pytest.param(
            "pingpong",
            NEW_GREEN
            + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsHealthy@BeforeSwitch TargetsHealthy@AfterSwitch ",
            id="pingpong, without a gap",
        ),
        pytest.param(
            "broken",
            NEW_GREEN
            + r"(Targets(Missing|Initial)@BeforeSwitch )+TargetsUnhealthyInGrace@BeforeSwitch "
            + r"TargetsUnhealthy@BeforeSwitch ((Targets(Missing|Draining)@BeforeSwitch )*NoPods )?$",
            id="broken, never switched",
        ),
        pytest.param("unattached", r"TargetGroupNotInUse@BeforeSwitch $", id="unattached"),
        pytest.param("nopreview", r"NoPreviewService $", id="nopreview"),
    ],
)
def test_what_is_told_of_a_rollout_in_turn(told, name, in_turn):
    """Each Rollout of the story gets the answers of its fate, in their order, and no others in between."""
    assert re.match(in_turn, told_in_turn(told[name]))


def test_every_answer_is_consistent(told):
    """In every answer the counts add up to the desired replicas, and sentence, number and phase agree with them."""
    answers = [one for name in WATCHED for one in told[name]]

    assert {one.status for one in answers} == {200}
    for answer in (one.answer for one in answers):
        number, phase, message = answer["measurement"]
        observed = answer["observed"]
        assert (phase, message) == (answer["phase"], answer["message"])
        assert phase == MEANINGS[Reason(answer["reason"])].phase
        assert all(age < 10 for kind, age in observed.get("evidenceAgeSeconds", {}).items() if kind != "targetGroups")
        if "targetGroups" not in observed:
            assert (number, phase) == (0.0, "Inconclusive")
            continue
        [group] = observed["targetGroups"]
        desired, healthy = observed["desiredCount"], group.get("healthyCount", 0)
        assert sum(count for key, count in group.items() if key.endswith("Count")) == desired
        assert number == group["healthyPercent"] == healthy * 1000 // desired / 10
        assert (phase == "Successful") == (healthy == desired)
        if answer["reason"] != "TargetGroupNotInUse":
            assert message.startswith(f"{healthy} of {desired} green targets healthy in {group['name']}")


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
        assert (
            f"1 unhealthy (Target.ResponseCodeMismatch) for longer than the {GRACE_SECONDS} s" in one.answer["message"]
        )
        assert example["name"] in one.answer["message"]


def test_big_reaches_250_of_250(told):
    """All 250 pods are healthy before the switch and after it."""
    passed = [one.answer for one in told["big"] if one.answer["phase"] == "Successful"]

    assert {one["observed"]["stage"] for one in passed} == {"BeforeSwitch", "AfterSwitch"}
    assert {one["message"].partition(" in ")[0] for one in passed} == {"250 of 250 green targets healthy"}


def test_the_blocked_ones_say_what_to_do(told):
    """A Rollout that nobody can check is told what to add: a listener rule, or a preview Service."""
    assert "forward a rule to it" in told["unattached"][-1].answer["message"]
    assert "add a previewService" in told["nopreview"][-1].answer["message"]


def test_make_run(tmp_path):
    """The demo prints three questions, becomes ready, answers each of them, and stops with exit code 0."""
    port, log = free_port(), tmp_path / "demo.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_")}
    with log.open("wb") as output, requests.Session() as session:
        session.trust_env = False
        demo = subprocess.Popen(
            [sys.executable, "-m", "provider.demo", "--port", str(port)], env=kept, stdout=output, stderr=output
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
