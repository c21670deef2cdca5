"""An answer about the moment it was asked for: the stage, and what Argo is doing with the Rollout."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from provider.model.records import Freshness
from tests.scene import BLUE, GREEN
from tests.world.cluster import objects

HEALTH = "/v1/target-health?namespace=shop&rollout=web"
GATE = "/v1/gate?namespace=shop&rollout=web&checks=replicas"
ABORTED = {
    "abort": True,
    "abortedAt": "2026-11-27T02:41:00Z",
    "phase": "Degraded",
    "message": "RolloutAborted: Rollout aborted update to revision 2",
}


@pytest.fixture
def freshness() -> Freshness:
    """Evidence is shared as in production."""
    return Freshness()


@pytest.mark.parametrize("stage", ["", "&stage=afterSwitch"])
def test_the_first_answer_after_the_switch_is_about_after_it(scene, client, wall_clock, stage):
    """In the second of the switch the active group is judged, however recent the cached evidence is."""
    wall_clock.stop()
    scene.bind_active()
    before = client.get(HEALTH).json
    scene.switch(promoted=False)
    wall_clock.advance(0.5)
    after = client.get(HEALTH + stage).json

    assert (before["phase"], before["observed"]["stage"]) == ("Successful", "BeforeSwitch")
    assert (after["reason"], after["observed"]["stage"]) == ("TargetsInitial", "AfterSwitch")
    assert "k8s-shop-web-active" in after["message"]


@pytest.mark.parametrize("moments", [pytest.param(100), pytest.param(1000, marks=pytest.mark.long)])
def test_no_random_moment_of_a_switch_passes_on_the_preview_group(scene, client, wall_clock, moments):
    """However old the cached evidence and whatever was asked before, no answer after the switch is about before it."""
    random, wrong = Random(2026), []
    wall_clock.stop()
    scene.bind_active()
    queries = [HEALTH, f"{HEALTH}&minHealthyPercent=50", f"{GATE},target-health"]
    stages = ["", "&stage=beforeSwitch", "&stage=afterSwitch"]
    passes = 0

    for moment in range(moments):
        for _ in range(random.randrange(3)):
            warm = client.get(random.choice(queries) + random.choice(stages)).json
            passes += warm["phase"] == "Successful"
            wall_clock.advance(random.choice([0.0, 0.1, 1.0, 4.9, 6.0]))
        promoted = random.random() < 0.5
        scene.switch(promoted=promoted)
        wall_clock.advance(random.choice([0.001, 0.01, 0.1, 0.5, 1.0]))
        answer = client.get(random.choice(queries) + random.choice(stages)).json
        if answer["phase"] == "Successful" or answer["observed"].get("stage") != "AfterSwitch":
            wrong.append((moment, answer))
        scene.rollout["status"] |= {"stableRS": BLUE, "phase": "Progressing"}
        scene.switch(promoted=False, back=True)
        wall_clock.advance(6.0)

    assert wrong == []
    assert passes > moments / 4


@pytest.mark.parametrize("question", [HEALTH, GATE])
@pytest.mark.parametrize(
    ("switched", "stage", "reason"),
    [
        (False, "afterSwitch", "NotSwitched"),
        (True, "beforeSwitch", "AlreadySwitched"),
    ],
)
def test_the_other_stage_never_passes(scene, client, question, switched, stage, reason):
    """A query about one stage is Inconclusive in the other one, also where its check needs no Service."""
    if switched:
        scene.bind_active()
        scene.switch()

    answer = client.get(f"{question}&stage={stage}").json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", reason)
    assert answer["observed"]["podTemplateHash"] == GREEN


@pytest.mark.parametrize(("switched", "stage"), [(False, "beforeSwitch"), (True, "afterSwitch")])
def test_the_stage_asked_for_is_answered(scene, client, switched, stage):
    """A query about the current stage gets the same answer as one without a stage."""
    if switched:
        scene.switch()

    assert client.get(f"{GATE}&stage={stage}").json["phase"] == "Successful"


@pytest.mark.usefixtures("scene")
def test_an_unknown_stage_is_refused(client):
    """A stage that does not exist is 400 and names those that do."""
    response = client.get(f"{HEALTH}&stage=AfterSwitch")

    assert response.status_code == 400
    assert "beforeSwitch" in response.json["detail"]


def test_shared_evidence_does_not_hide_a_deleted_service(scene, client):
    """A query that is answered from what another one read a moment ago sees that production's Service is gone."""
    before = client.get(HEALTH).json
    scene.world.kubernetes.delete("Service", "shop", "web-active")
    after = client.get(f"{HEALTH}&stage=beforeSwitch").json

    assert (before["phase"], after["reason"]) == ("Successful", "ServiceNotFound")


def test_an_aborted_rollout_never_passes(scene, client):
    """Healthy targets of a Rollout that Argo aborted are Inconclusive, with the time, Argo's message and what to do."""
    scene.rollout["status"] |= ABORTED
    scene.put()

    answer = client.get(HEALTH).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "RolloutAborted")
    assert "02:41:00 UTC" in answer["message"]
    assert "Deploy another version, or retry" in answer["message"]
    assert "3 of 3 green targets healthy" in answer["message"]
    assert answer["observed"]["rollout"] == {
        "abortedAt": "2026-11-27T02:41:00+00:00",
        "message": ABORTED["message"],
        "phase": "Degraded",
    }


def test_an_abort_means_nothing_once_green_is_stable(scene, client):
    """Argo 1.9.1 leaves status.abort true after a retry that switched at once (seen); the Rollout is Healthy."""
    scene.rollout["status"] |= ABORTED | {"phase": "Healthy", "stableRS": GREEN}
    scene.put()

    answer = client.get(HEALTH).json

    assert answer["reason"] == "TargetsHealthy"
    assert answer["observed"]["rollout"]["abortedAt"] == "2026-11-27T02:41:00+00:00"


def test_an_abort_before_the_scale_down_warns_of_a_retry(scene, client):
    """While green is kept until its scale-down deadline, the sentence says that a retry may switch without analysis."""
    until = datetime.now(UTC) + timedelta(minutes=20)
    scene.rollout["status"] |= ABORTED
    scene.replica_set["metadata"]["annotations"]["scale-down-deadline"] = objects.timestamp(until)
    scene.put()

    answer = client.get(HEALTH).json

    assert answer["observed"]["rollout"]["fastRollback"] is True
    assert f"before {until:%H:%M:%S} UTC a retry on Argo Rollouts older than 1.10" in answer["message"]


def test_a_retry_of_a_canary_always_asks_again(scene, client):
    """An aborted canary with a scale-down deadline may be retried: no version of Argo skips its steps."""
    until = datetime.now(UTC) + timedelta(minutes=20)
    scene.rollout["spec"]["strategy"] = {"canary": {"canaryService": scene.preview, "stableService": "web-active"}}
    scene.rollout["status"] |= ABORTED
    scene.replica_set["metadata"]["annotations"]["scale-down-deadline"] = objects.timestamp(until)
    scene.put()

    answer = client.get(HEALTH).json

    assert "retry this one: Argo asks again." in answer["message"]
    assert not answer["observed"]["rollout"].get("fastRollback")


def test_after_an_abort_the_answer_is_not_to_wait(scene, client):
    """A green that was scaled to 0 after an abort is RolloutAborted, not NoPods."""
    scene.rollout["status"] |= ABORTED
    scene.replica_set["spec"]["replicas"] = 0
    scene.put()

    assert client.get(HEALTH).json["reason"] == "RolloutAborted"


def test_a_failure_of_an_aborted_rollout_stays_one(scene, client):
    """What Argo is doing hides no evidence against green."""
    scene.rollout["status"] |= ABORTED
    scene.put()
    for address in scene.addresses:
        scene.pin(address, "unhealthy", "Target.Timeout")

    answer = client.get(HEALTH).json

    assert (answer["phase"], answer["reason"]) == ("Failed", "TargetsUnhealthy")
    assert answer["observed"]["rollout"]["phase"] == "Degraded"


@pytest.mark.parametrize(
    ("reason", "phase"),
    [("InconclusiveAnalysisRun", "Inconclusive"), ("CanaryPauseStep", "Successful"), ("BlueGreenPause", "Successful")],
)
def test_only_an_inconclusive_pause_blocks(scene, client, reason, phase):
    """While Argo pauses in a step or before promotion it keeps measuring, and gets the load balancer's answer."""
    scene.rollout["status"] |= {"phase": "Paused", "pauseConditions": [{"reason": reason}], "message": reason}
    scene.put()

    answer = client.get(HEALTH).json

    assert answer["phase"] == phase
    assert answer["observed"]["rollout"]["pauses"] == [reason]


def test_a_resumed_rollout_is_judged_at_once(scene, client, wall_clock):
    """The answer after a resume does not repeat the pause, although the cached evidence still has it."""
    wall_clock.stop()
    scene.rollout["status"] |= {"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]}
    scene.put()
    paused = client.get(HEALTH).json["reason"]
    del scene.rollout["status"]["pauseConditions"]
    scene.put()
    wall_clock.advance(0.5)

    assert (paused, client.get(HEALTH).json["reason"]) == ("RolloutPaused", "TargetsHealthy")


def test_an_invalid_spec_quotes_argo(scene, client):
    """A Rollout that Argo rejects is InvalidSpec with Argo's own message, not a missing ReplicaSet."""
    message = 'The Rollout "web" is invalid: AnalysisTemplate "gate" not found'
    scene.rollout["status"] = {
        "observedGeneration": "1",
        "phase": "Degraded",
        "conditions": [{"type": "InvalidSpec", "status": "True", "reason": "InvalidSpec", "message": message}],
    }
    scene.put()

    answer = client.get(HEALTH).json

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "InvalidSpec")
    assert message in answer["message"]


def test_the_step_of_a_canary_is_shown(scene, client):
    """observed.rollout has the step of a canary, as Argo counts it."""
    scene.rollout["spec"]["strategy"] = {
        "canary": {"canaryService": "web-preview", "stableService": "web-active", "steps": [{"setWeight": 5}, {}]}
    }
    scene.rollout["status"] |= {"currentStepIndex": 1}
    scene.put()

    assert client.get(HEALTH).json["observed"]["rollout"] == {"phase": "Progressing", "step": "1 of 2"}


def test_an_answer_says_whether_waiting_can_help(scene, client, wall_clock):
    """observed.action tells a wait from what a person must fix, and a decided answer from both."""
    decided = client.get(HEALTH).json
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    wall_clock.advance(3)
    waits = client.get(HEALTH).json
    scene.rollout["status"] |= ABORTED
    scene.put()
    stuck = client.get(HEALTH).json

    assert [answer["observed"]["action"] for answer in (decided, waits, stuck)] == ["none", "wait", "fix"]
