"""Random stories, each told in a process of its own since moto keeps its state per process; and what judges them."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests import LONG, ROOT
from tests.stories import truth
from tests.stories.random_story import Complaint, read

SEEDS = 4 if LONG else 1
STEPS = 40
PATIENCE_SECONDS = 400

ASKED_AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ASKED = truth.Asked(checks=("target-health",))
ARN, BALANCER = "arn:of-the-group", "arn:of-the-balancer"
LONG_AGO = ASKED_AT - timedelta(hours=1)


def told(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the story tells, by its command line."""
    return subprocess.run(
        [sys.executable, "-m", "tests.stories.random_story", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.timeout(PATIENCE_SECONDS + 10)
def test_no_random_story_is_answered_untruly(tried):
    """Whatever happens and fails, every answer is true of some moment within the limits of its evidence."""
    done = told("--seeds", str(SEEDS), "--steps", str(STEPS))

    assert done.returncode == 0, done.stdout + done.stderr
    assert all(re.search(rf"\b{phase}: [1-9]", done.stdout) for phase in ("Successful", "Inconclusive", "Failed"))
    assert "False passes: 0." in done.stdout
    questions = re.search(r"(\d+) questions", done.stdout)
    assert questions
    tried("questions of random stories", int(questions[1]))


@pytest.mark.long
@pytest.mark.timeout(PATIENCE_SECONDS + 10)
def test_an_untrue_answer_ends_the_story_with_a_replay_line():
    """A provider that always passes is caught, and the last line tells how to see it again."""
    done = told("--seed", "7", "--steps", "40", "--lie", "Successful")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "Successful is not true" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"replay: python -m tests\.stories\.random_story --seed 7 --steps \d+", last)


GREENS, OPEN_TO_ALL = truth.Service("green", {"http": 80}, LONG_AGO), truth.Service("", {"http": 80}, LONG_AGO)


def facts(*states, **changes):
    """Green before its switch, with one pod per state; `changes` are laid over the facts."""
    pods = range(len(states))
    return {
        "rollout": truth.Rollout("uid", 1, 1, "green", "blue", {"active": "web-active", "preview": "web-preview"}),
        "replica_sets": (truth.ReplicaSet("rs", "uid", "green", len(states), len(states), 1, 1, LONG_AGO),),
        "services": {
            "web-active": truth.Service("blue", {"http": 80}, LONG_AGO),
            "web-preview": GREENS,
        },
        "pods": tuple(truth.Pod(f"pod-{n}", "rs", terminating=False) for n in pods),
        "endpoints": {f"pod-{n}": truth.Endpoint(f"10.0.0.{n}", {"http": 8080}) for n in pods},
        "readiness": {f"pod-{n}": LONG_AGO for n in pods},
        "bindings": (truth.Binding("web-preview", 80, ARN),),
        "targets": {ARN: tuple(truth.Target(f"10.0.0.{n}", 8080, state) for n, state in enumerate(states))},
        "groups": {ARN: truth.Group(BALANCER, 15, 2, shared=False)},
        "metrics": {},
    } | changes


def possible(*past, asked=ASKED, took=timedelta(0), clocks=truth.Clocks(), seen=None):  # noqa: B008 - never changed
    """Every answer that may be given now to a question about facts, each given with the seconds since when it is so.

    `seen` is how many seconds ago the only target was last healthy, and whether the provider looked then.
    """
    history = truth.History(clocks)
    if seen is not None:
        seconds, looked = seen
        target = (ARN, "pod-0", "10.0.0.0", 8080)
        history.sightings.note({target}, LONG_AGO)
        history.sightings.looked({target} if looked else set())
        history.sightings.note(set(), ASKED_AT - timedelta(seconds=seconds))
    for seconds, fact in sorted(past, key=lambda one: -one[0]):
        history.record(fact, ASKED_AT - timedelta(seconds=seconds))
    return set(history.possible(asked, ASKED_AT - took, ASKED_AT))


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (facts("healthy", "healthy"), truth.SUCCESSFUL),
        (facts("healthy", "draining"), truth.INCONCLUSIVE),
        (facts("healthy", "initial"), truth.INCONCLUSIVE),
        (facts("healthy", "nonsense"), truth.INCONCLUSIVE),
        (facts("healthy", "unhealthy"), truth.FAILED),
        (facts("unhealthy", readiness={"pod-0": ASKED_AT - timedelta(seconds=60)}), truth.INCONCLUSIVE),
        (facts("unhealthy", readiness={"pod-0": ASKED_AT - timedelta(seconds=61)}), truth.FAILED),
        (
            facts("unhealthy", targets={ARN: (truth.Target("10.0.0.0", 8080, "unhealthy", "Elb.X"),)}),
            truth.INCONCLUSIVE,
        ),
        (facts("healthy", groups={ARN: truth.Group("", 15, 2, shared=False)}), truth.INCONCLUSIVE),
        (facts("healthy", pods=()), truth.INCONCLUSIVE),
        (facts("healthy", services={"web-preview": GREENS}), truth.INCONCLUSIVE),
        (facts("healthy", services={"web-preview": GREENS, "web-active": OPEN_TO_ALL}), truth.INCONCLUSIVE),
        (facts("unhealthy", services={"web-preview": GREENS, "web-active": OPEN_TO_ALL}), truth.FAILED),
        (facts("healthy", rollout=None), truth.NOT_FOUND),
    ],
)
def test_the_truth_of_one_moment(fact, expected):
    """For evidence of one moment, the model gives the contract's answer."""
    assert possible((3600, fact)) == {expected}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, {truth.FAILED}),
        ((59, True), {truth.INCONCLUSIVE}),
        ((61, True), {truth.INCONCLUSIVE, truth.FAILED}),
        ((59, False), {truth.INCONCLUSIVE, truth.FAILED}),
    ],
)
def test_a_target_that_was_healthy_may_not_fail_at_once(seen, expected):
    """What the provider saw healthy is in its grace; what was healthy unseen may be; what never was is not."""
    assert possible((3600, facts("unhealthy")), seen=seen) == expected
    assert possible((3600, facts("unhealthy")), seen=seen, clocks=truth.Clocks(kubernetes=45)) == {truth.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("written", "aws", "expected"),
    [
        (timedelta(minutes=3, seconds=1), 0, {truth.SUCCESSFUL}),
        (timedelta(minutes=3), 0, {truth.INCONCLUSIVE}),
        (timedelta(minutes=3, seconds=22), 20, {truth.INCONCLUSIVE, truth.SUCCESSFUL}),
        (timedelta(minutes=3, seconds=1), 45, {truth.INCONCLUSIVE}),
    ],
)
def test_the_minute_in_which_green_began_to_serve_is_not_judged(written, aws, expected):
    """A minute counts only if it began after the second in which the selector was written, by AWS's clock."""
    service = truth.Service("green", {"http": 80}, ASKED_AT - written)
    minutes = [ASKED_AT - timedelta(minutes=number) for number in range(10)]
    metrics = {("RequestCount", BALANCER, minute): 100.0 for minute in minutes}
    now = facts("healthy", metrics=metrics, services=facts()["services"] | {"web-preview": service})

    assert possible((3600, now), asked=truth.Asked(checks=("errors",)), clocks=truth.Clocks(aws=aws)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (9.9, {truth.SUCCESSFUL, truth.INCONCLUSIVE}),
        (10.1, {truth.INCONCLUSIVE}),
    ],
)
def test_a_pass_is_true_for_as_long_as_target_health_may_be_old(seconds, expected):
    """What was healthy within 2 s + the budget may still pass; what was healthy before that may not."""
    assert possible((3600, facts("healthy")), (seconds, facts("draining"))) == expected


def test_each_kind_of_evidence_has_a_moment_of_its_own():
    """Old pods and new targets may meet in an answer, as they do when they are read one after the other."""
    moved = facts("healthy", endpoints={"pod-0": truth.Endpoint("10.0.0.9", {"http": 8080})}, targets={ARN: ()})

    assert possible((3600, facts("healthy")), (5, moved)) == {truth.SUCCESSFUL, truth.INCONCLUSIVE}
    assert possible((3600, facts("healthy")), (60, moved)) == {truth.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({}, truth.INCONCLUSIVE),
        ({("RequestCount", BALANCER): 100.0}, truth.SUCCESSFUL),
        ({("HealthyHostCount", ARN): 0.0}, truth.SUCCESSFUL),
        ({("RequestCount", ARN): 100.0}, truth.INCONCLUSIVE),
        ({("RequestCount", BALANCER): 1.0, ("HTTPCode_Target_5XX_Count", ARN): 1.0}, truth.FAILED),
        ({("RequestCount", BALANCER): 1.0, ("HTTPCode_ELB_5XX_Count", BALANCER): 1.0}, truth.SUCCESSFUL),
    ],
)
def test_the_truth_about_errors_needs_every_minute_confirmed(points, expected):
    """A missing minute is zero only beside a point of the load balancer, or of the group's hosts."""
    minutes = [ASKED_AT - timedelta(minutes=number) for number in (3, 4, 5)]
    metrics = {(*key, minute): value for key, value in points.items() for minute in minutes}

    assert possible((3600, facts("healthy", metrics=metrics)), asked=truth.Asked(checks=("errors",))) == {expected}


GOOD = {
    "measurement": [100.0, "Successful", "all is well"],
    "message": "all is well",
    "observed": {"desiredCount": 1},
    "phase": "Successful",
    "reason": "TargetsHealthy",
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, GOOD),
        (200, GOOD | {"more": 1}),
        (200, GOOD | {"message": "another sentence"}),
        (200, GOOD | {"measurement": [float("nan"), "Successful", "all is well"]}),
        (200, GOOD | {"reason": "NoSuchReason"}),
        (200, GOOD | {"reason": "TargetsInitial"}),
        (200, GOOD | {"observed": {"deep": [{"down": None}]}}),
        (200, GOOD | {"observed": {"long": "x" * 2048}}),
        (404, {"status": 200}),
    ],
)
def test_an_answer_of_another_shape_is_no_answer(status, body):
    """The story complains about every answer that is not the contract's."""
    assert read(200, json.dumps(GOOD).encode()) == ("Successful", "TargetsHealthy")

    with pytest.raises(Complaint):
        read(status, json.dumps(body).encode())
