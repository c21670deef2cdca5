"""Every state in which a Rollout waits has its sentence and its command."""

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from provider.model.analysis import BACKGROUND
from provider.model.argo import (
    AnalysisRun,
    Condition,
    Measurement,
    MetricResult,
    Pause,
    RolloutState,
    Step,
    Version,
)
from provider.model.reasons import Action
from provider.model.records import PAUSED_BY_PERSON, Activity, BlueGreen, Canary, RunStatus
from provider.rules.analysis import analysis_of_run
from provider.rules.progress import deciding, number_of, progress_of, sentence_of
from provider.rules.waiting import Facts, situation_of
from tests.records import NOW

SOON = NOW + timedelta(minutes=5)
RUN = "web-new-2-pre"
METRIC = {
    "name": "alb-gate",
    "interval": "10s",
    "count": 50,
    "consecutiveSuccessLimit": 3,
    "inconclusiveLimit": 50,
    "consecutiveErrorLimit": 30,
    "provider": {"web": {"url": "http://x/v1/gate?namespace=shop&rollout=web"}},
}
PAUSED = "spec.paused"


def state(*, is_observed: bool = True, is_blue_green: bool = True, **more: Any) -> RolloutState:
    """A Rollout with three replicas; `more` are fields of its state and of its activity."""
    activity = {part.name: more.pop(part.name) for part in fields(Activity) if part.name in more}
    pauses = activity.pop("pauses", ())
    usual: dict[str, Any] = {
        "namespace": "shop",
        "name": "web",
        "uid": "u",
        "replicas": 3,
        "strategy": BlueGreen("web-active", "web-preview") if is_blue_green else Canary(),
        "generation": 2,
        "observed_generation": "2" if is_observed else "1",
        "workload_generation": "",
        "workload_observed_generation": "",
        "current_hash": "new",
        "stable_hash": "old",
        "stable_ping_pong": "",
        "activity": Activity(**activity, pauses=tuple(getattr(pause, "reason", pause) for pause in pauses)),
        "pauses": tuple(pause for pause in pauses if isinstance(pause, Pause)),
        "has_gate": True,
    }
    return RolloutState(**(usual | more))


def measured(phase, said="", number=0.0, at=NOW):
    return Measurement(phase, json.dumps([number, phase, said]), finished_at=at)


def run(phase="Running", *measurements, name=RUN, pod_hash="new", **more):
    counts = {
        one: sum(each.phase.lower() == one for each in measurements) for one in ("failed", "inconclusive", "error")
    }
    result = MetricResult("alb-gate", phase, count=len(measurements), measurements=measurements, **counts, **more)
    spec = {"metadata": {"name": name}, "spec": {"metrics": [METRIC]}}
    return AnalysisRun(name, "u", pod_hash, 2, phase, started_at=NOW, completed_at=NOW, results=(result,), object=spec)


def version(pod_hash="new", revision=2, replicas=3, available=3, **more):
    return Version(pod_hash, f"web-{pod_hash}", revision, ("app:1",), replicas, available, NOW, **more)


BOTH = (version(), version("old", 1))


def facts(state, *runs, versions=BOTH, **more):
    analyses = {one.name: analysis_of_run(one.object, {"gate"}) for one in runs}
    return Facts(state, NOW, runs, analyses, versions, **more)


def current(phase, place="prePromotionAnalysis", message=""):
    return (RunStatus(place, RUN, phase, message),)


CANARY: dict[str, Any] = {
    "is_blue_green": False,
    "steps": (Step("setCanaryScale"), Step("analysis"), Step("pause"), Step("pause", 60)),
    "step": 1,
}
FAILED = run("Failed", measured("Failed", "0 of 3 healthy: web-new-1 unhealthy (Target.Timeout)"))

CASES = {
    "NotObserved": (facts(state(is_observed=False)), Action.WAIT, "controller does not run", ["kubectl get pods -A"]),
    "InvalidSpec": (
        facts(state(conditions={"InvalidSpec": Condition(is_true=True, message="no template alb-gate")})),
        Action.FIX,
        "Argo rejects the spec, and does nothing until it is corrected: no template alb-gate.",
        ["alb-provider preflight -n shop --rollout web"],
    ),
    "Aborted": (
        facts(state(is_aborted=True, aborted_at=NOW, runs=current("Failed")), FAILED),
        Action.FIX,
        "measured Failed at 12:00:00 UTC: 0 of 3 healthy: web-new-1 unhealthy (Target.Timeout). Its 3 pods still run",
        ["kubectl argo rollouts retry rollout web -n shop", "kubectl argo rollouts undo web -n shop --to-revision=1"],
    ),
    "PausedByPerson": (
        facts(state(pauses=(PAUSED_BY_PERSON,))),
        Action.FIX,
        PAUSED,
        ['kubectl patch rollout web -n shop --type merge -p \'{"spec":{"paused":false}}\''],
    ),
    "PausedInconclusive": (
        facts(
            state(pauses=(Pause("InconclusiveAnalysisRun", NOW),), runs=current("Inconclusive")),
            run("Inconclusive", measured("Inconclusive", "2 of 3 healthy")),
        ),
        Action.FIX,
        f"AnalysisRun {RUN} ended Inconclusive. Metric alb-gate said last: 2 of 3 healthy. It waits for a person.",
        ["kubectl argo rollouts promote web -n shop", "kubectl argo rollouts abort web -n shop"],
    ),
    "PausedBeforePromotion": (
        facts(state(pauses=(Pause("BlueGreenPause", NOW),)), run("Successful")),
        Action.FIX,
        "waits for a person to promote it (autoPromotionEnabled: false). The gate passed at 12:00:00 UTC",
        ["kubectl argo rollouts promote web -n shop", "kubectl argo rollouts abort web -n shop"],
    ),
    "PausedForPerson": (
        facts(
            state(
                **CANARY
                | {"step": 2, "pauses": (Pause("CanaryPauseStep", NOW),), "runs": current("Running", BACKGROUND)}
            ),
            run("Running"),
        ),
        Action.FIX,
        "(step 2 of 4) until a person promotes it",
        ["kubectl argo rollouts promote web -n shop", "kubectl argo rollouts abort web -n shop"],
    ),
    "PausedForTime": (
        facts(state(**CANARY | {"step": 3, "pauses": (Pause("CanaryPauseStep", NOW),)})),
        Action.WAIT,
        "until 12:01:00 UTC, then goes on by itself",
        ["kubectl argo rollouts promote web -n shop"],
    ),
    "AnalysisRunning": (
        facts(
            state(runs=current("Running")),
            run("Running", *[measured("Inconclusive")] * 8, measured("Successful"), consecutive_success=1),
        ),
        Action.WAIT,
        (
            "alb-gate: 1 of 3 consecutive passes. The next failure aborts; 30 more consecutive errors do not. "
            "It measures next at 12:00:10 UTC, and without passes Argo pauses at about 12:06:50 UTC."
        ),
        ["kubectl argo rollouts abort web -n shop", "kubectl argo rollouts get rollout web -n shop"],
    ),
    "PromotedFull": (facts(state(is_promoted_full=True)), Action.WAIT, "without any analysis", []),
    "ProgressDeadlineExceeded": (
        facts(
            state(conditions={"Progressing": Condition(is_true=False, reason="ProgressDeadlineExceeded")}),
            versions=(version(available=1),),
            pods="; web-new-1: CrashLoopBackOff",
        ),
        Action.FIX,
        (
            "made no progress for 600 s. Argo does not abort by itself (progressDeadlineAbort is not set). 1 of 3 pods "
            "of the new version are available; web-new-1: CrashLoopBackOff."
        ),
        ["kubectl argo rollouts abort web -n shop", "kubectl argo rollouts get rollout web -n shop"],
    ),
    "FirstDeploy": (facts(state(stable_hash="")), Action.WAIT, "first deploy", []),
    "WaitingForReplicas": (
        facts(state(), versions=(version(available=2),), pods="; web-new-1: ImagePullBackOff"),
        Action.WAIT,
        "2 of 3 pods of the new version are available; web-new-1: ImagePullBackOff. No analysis starts before all are",
        ["kubectl argo rollouts abort web -n shop", "kubectl argo rollouts get rollout web -n shop"],
    ),
    "WaitingForReadinessGate": (
        facts(state(), versions=(version(available=0),), gate="target-health.elbv2.k8s.aws/x"),
        Action.WAIT,
        "the others wait for the readiness gate target-health.elbv2.k8s.aws/x. No analysis",
        ["kubectl argo rollouts abort web -n shop", "kubectl argo rollouts get rollout web -n shop"],
    ),
    "Progressing": (
        facts(state(message="active service cutover pending")),
        Action.WAIT,
        "active service cutover pending",
        ["kubectl argo rollouts get rollout web -n shop"],
    ),
    "StableUnavailable": (
        facts(state(stable_hash="new", phase="Degraded", available=1)),
        Action.FIX,
        "1 of 3 pods",
        ["kubectl argo rollouts get rollout web -n shop"],
    ),
    "KeepsOldVersion": (
        facts(state(stable_hash="new"), versions=(version(), version("old", 1, scale_down_at=SOON))),
        Action.NONE,
        "The 3 pods of revision 1 run until 12:05:00 UTC (scaleDownDelaySeconds).",
        ["kubectl argo rollouts undo web -n shop --to-revision=1"],
    ),
    "Stable": (facts(state(stable_hash="new")), Action.NONE, "Nothing is rolled out", []),
}


@pytest.mark.parametrize("name", CASES)
def test_each_state_has_its_sentence_and_command(name):
    """The state is named, its sentence has what decides, and its commands are complete."""
    given, action, sentence, commands = CASES[name]

    found = situation_of(given)

    assert (found.state, found.action) == (name, action)
    assert sentence in found.sentence
    assert [
        one.text if not one.text.startswith("kubectl get pods") else one.text[:19] for one in found.commands
    ] == commands


def test_a_metric_that_was_not_measured_yet_is_named():
    """Of an AnalysisRun that has just begun each metric says when it measures first."""
    situation = situation_of(facts(state(runs=current("Running")), replace(run("Running"), results=())))

    assert f"AnalysisRun {RUN} runs. alb-gate: 0 of 3 consecutive passes." in situation.sentence
    assert "It measures next at 12:00:00 UTC" in situation.sentence


def test_a_retry_that_may_skip_the_gate_says_so():
    """In blue-green a retry before the scale-down deadline switches without asking, on Argo before 1.10."""
    versions = (version(scale_down_at=SOON), version("old", 1))
    aborted = {"is_aborted": True, "runs": current("Failed")}

    skips = situation_of(facts(state(**aborted), FAILED, versions=versions))
    asks = situation_of(facts(state(**aborted, is_blue_green=False), FAILED, versions=versions))

    assert skips.commands[0].effect.startswith("before Argo Rollouts 1.10: SWITCHES AT ONCE WITHOUT ANY ANALYSIS")
    assert "Its 3 pods run until 12:05:00 UTC." in skips.sentence
    assert asks.commands[0].effect == "starts this version again, and the gate is asked again"


def test_what_is_left_of_an_aborted_version_is_said():
    """A version whose pods were stopped must start again, and after a failure past the promotion a retry is no way."""
    aborted = state(is_aborted=True, runs=current("Failed", "postPromotionAnalysis"))

    found = situation_of(facts(aborted, FAILED, versions=(version(replicas=0, available=0), version("old", 1))))

    assert "a retry starts them again and the gate waits for them" in found.sentence
    assert "A retry aborts at once, by the same AnalysisRun. Deploy another version." in found.sentence
    assert [one.text for one in found.commands] == ["kubectl argo rollouts undo web -n shop --to-revision=1"]


def test_an_inconclusive_step_of_a_canary_is_not_promoted():
    """`promote` would skip the gate, so the commands are abort and retry."""
    given = state(
        **CANARY, pauses=(Pause("InconclusiveAnalysisRun"),), runs=current("Inconclusive", "steps[1]", "51 > 50")
    )

    found = situation_of(facts(given))

    assert "ended Inconclusive: 51 > 50" in found.sentence
    assert [one.text for one in found.commands] == [
        "kubectl argo rollouts abort web -n shop",
        "kubectl argo rollouts retry rollout web -n shop",
    ]


def test_a_superseded_version_is_named():
    """A run that Argo terminated for a newer version proves nothing, and the sentence says so."""
    old = AnalysisRun("web-mid-2-pre", "u", "mid", 2, "Successful", is_terminated=True)

    assert (
        "Revision 2 was superseded: Argo terminated AnalysisRun web-mid-2-pre"
        in situation_of(facts(state(), old)).sentence
    )


def test_a_pause_that_ends_by_itself_says_when():
    """With autoPromotionSeconds Argo goes on at a known time, so nobody must act."""
    found = situation_of(facts(state(pauses=(Pause("BlueGreenPause", NOW),), auto_promotion_seconds=90)))

    assert (found.action, "switches by itself at 12:01:30 UTC" in found.sentence) == (Action.WAIT, True)


def test_an_error_is_measured_again_in_ten_seconds():
    """Whatever the interval is, and before the first measurement the initial delay counts."""
    (metric,) = analysis_of_run(
        {"spec": {"metrics": [METRIC | {"interval": "5m", "initialDelay": "1m"}]}}, {"gate"}
    ).metrics
    failed = run("Running", Measurement("Error", message="no answer", finished_at=NOW))
    fresh = run("Running")

    assert progress_of(metric, failed.results[0], failed).next_at == NOW + timedelta(seconds=10)
    assert progress_of(metric, fresh.results[0], fresh).next_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("measurement", "sentence", "number"),
    [
        (Measurement("Failed", '[0,"Failed","0 of 3"]'), "0 of 3", 0),
        (Measurement("Successful", '{"message":"fine"}'), "fine", None),
        (Measurement("Error", "", "received non 2xx response code: 503"), "received non 2xx response code: 503", None),
        (Measurement("Successful", "0.4"), "0.4", 0.4),
        (Measurement("Successful", "true"), "true", None),
    ],
)
def test_what_a_measurement_says(measurement, sentence, number):
    """Our sentence, another provider's value, or the error."""
    assert (sentence_of(measurement), number_of(measurement)) == (sentence, number)


def test_a_successful_run_has_no_deciding_measurement():
    """Only what ended otherwise has a measurement that did it."""
    assert deciding(run("Successful", measured("Successful"))) is None
