"""What `explain` and the page say of each state in which a real Rollout waits, and what the commands do."""

import html
from typing import Any

from tests.real.api import Manifest
from tests.real.scenarios import (
    ask,
    heal,
    hold,
    impatient,
    page_of,
    refer_to_deployment,
    release,
    scenario,
    watch_briefly,
    without_gates,
)
from tests.real.stage import Stage

NEEDS_A_PERSON, WAITS, FAILED = 4, 2, 1


def explained(stage: Stage, state: str, *parts: str, code: int = NEEDS_A_PERSON) -> dict[str, Any]:
    """Wait for a state; assert that terminal and page give its sentence, with these parts, and its commands."""
    provider = stage.cast.provider
    about = {"namespace": stage.namespace, "rollout": stage.rollout_name}

    def tell() -> dict[str, Any]:
        answer: dict[str, Any] = provider.session.get(f"{provider.url}/v1/explain", params=about, timeout=30).json()
        return answer

    stage.until(f"the state {state}", lambda: tell().get("state") == state)
    told = tell()
    done = provider.run("explain", "-n", stage.namespace, "--rollout", stage.rollout_name, "--url", provider.url)
    page = html.unescape(page_of(provider.url, stage.namespace))
    assert done.returncode == code, done.stdout + done.stderr
    for text in (done.stdout, page):
        for part in (*parts, *(one["command"] for one in told["commands"])):
            assert part in " ".join(text.split()), f"{part}\n{text}\n{stage.story()}"
    return told


def promote(stage: Stage) -> str:
    """Return the command that promotes."""
    return f"kubectl argo rollouts promote web -n {stage.namespace}"


@scenario
def explained_inconclusive(stage: Stage) -> None:
    """InconclusiveAnalysisRun: which AnalysisRun and metric, its last sentence, and that `promote` only asks again."""
    stage.set_up("blue-green", without_gates, impatient)
    hold(stage)
    stage.deploy("2")
    stage.until("the pause", lambda: "InconclusiveAnalysisRun" in stage.pauses)
    run = stage.status["blueGreen"]["prePromotionAnalysisRunStatus"]["name"]
    said = f"Argo paused: AnalysisRun {run} ended Inconclusive. Metric alb-gate said last: "
    explained(stage, "PausedInconclusive", said, "4 initial", promote(stage), "it does not promote")


@scenario
def explained_before_promotion(stage: Stage) -> None:
    """BlueGreenPause with autoPromotionEnabled false after a pass: when the gate passed; `promote` switches."""
    stage.set_up("blue-green", by_hand)
    stage.deploy("2")
    stage.until("the pause", lambda: "BlueGreenPause" in stage.pauses)
    said = "Argo waits for a person to promote it (autoPromotionEnabled: false). The gate passed at "
    explained(stage, "PausedBeforePromotion", said, "nothing is asked again")
    stage.command("promote", "web")
    stage.until_switched()


@scenario
def explained_paused_by_person(stage: Stage) -> None:
    """spec.paused: a person paused it; the printed patch lets it go on, and the gate is asked."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.edit(paused=True)
    told = explained(stage, "PausedByPerson", "A person paused the Rollout (spec.paused).")
    assert told["commands"][0]["command"].endswith("""--type merge -p '{"spec":{"paused":false}}'""")
    release(stage)
    stage.edit(paused=False)
    stage.until_switched()
    assert stage.assert_law() == 1


@scenario
def explained_pause_steps(stage: Stage) -> None:
    """A canary's pause with and without a duration: until when, or that a person must; `promote` ends each."""
    stage.set_up("ping-pong", without_gates, watch_briefly, pausing)
    stage.deploy("2")
    explained(stage, "PausedForTime", "The canary pauses (step 2 of ", "then goes on by itself", code=WAITS)
    stage.command("promote", "web")
    explained(stage, "PausedForPerson", "(step 3 of ", "until a person promotes it", promote(stage))
    stage.command("promote", "web")
    stage.until_switched()


@scenario
def explained_aborted_and_retried(stage: Stage) -> None:
    """Aborted: the measurement that did it, by AnalysisRun and metric; the printed `retry` asks again."""
    stage.set_up("blue-green", without_gates)
    stage.deploy("sick")
    stage.until("the abort", lambda: stage.is_aborted)
    retry = f"kubectl argo rollouts retry rollout web -n {stage.namespace}"
    parts = ("Argo aborted this version at ", "metric alb-gate of AnalysisRun ", "measured Failed at ", retry)
    told = explained(stage, "Aborted", *parts, "the gate is asked again", code=exit_code_now(stage))
    assert "unhealthy" in told["sentence"], told["sentence"]
    heal(stage)
    stage.until("a healthy green", lambda: stage.cast.is_healthy(stage.namespace, stage.green))
    asked = len(stage.answers(stage.green))
    stage.command("retry", "rollout", "web")
    stage.until("another analysis", lambda: len(stage.answers(stage.green)) > asked)
    stage.until_switched()


@scenario
def explained_by_workload_ref(stage: Stage) -> None:
    """A Rollout with a workloadRef is told like any other: what its AnalysisRun asks, and its image."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    refer_to_deployment(stage)
    told = explained(stage, "AnalysisRunning", "AnalysisRun ", "alb-gate", "web:2", code=WAITS)
    assert [query["metric"] for query in told["queries"]] == ["alb-gate"]
    release(stage)
    stage.until_switched()


@scenario
def explained_with_a_cluster_template(stage: Stage) -> None:
    """What a ClusterAnalysisTemplate asks is shown before there is an AnalysisRun, and while it runs."""
    name = f"alb-gate-{stage.namespace}"
    stage.set_up("blue-green", without_gates, lambda one: cluster_scoped(one, name))
    hold(stage)
    about = {"namespace": stage.namespace, "rollout": "web"}
    provider = stage.cast.provider
    before = provider.session.get(f"{provider.url}/v1/explain", params=about, timeout=30).json()
    assert "alb-gate" in [query.get("metric") for query in before["queries"]], before
    stage.deploy("2")
    told = explained(stage, "AnalysisRunning", "AnalysisRun ", "alb-gate", code=WAITS)
    assert [query["metric"] for query in told["queries"]] == ["alb-gate"]
    release(stage)
    stage.until_switched()


def exit_code_now(stage: Stage) -> int:
    """Return the exit code of an aborted Rollout: 1 while the gate still says Failed."""
    return FAILED if ask(stage)["phase"] == "Failed" else NEEDS_A_PERSON


# What a scenario changes in an example


def by_hand(manifest: Manifest) -> None:
    """Let a person promote after the gate's pass."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["strategy"]["blueGreen"]["autoPromotionEnabled"] = False


def pausing(manifest: Manifest) -> None:
    """Pause for an hour and then for a person, before the switch."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["strategy"]["canary"]["steps"][2:2] = [{"pause": {"duration": "1h"}}, {"pause": {}}]


def cluster_scoped(manifest: Manifest, name: str) -> None:
    """Make the gate a ClusterAnalysisTemplate of this name."""
    if manifest["kind"] == "AnalysisTemplate" and manifest["metadata"]["name"] == "alb-gate":
        manifest["kind"] = "ClusterAnalysisTemplate"
        manifest["metadata"] = {"name": name}
    if manifest["kind"] == "Rollout":
        analysis = manifest["spec"]["strategy"]["blueGreen"]["prePromotionAnalysis"]
        analysis["templates"] = [{"templateName": name, "clusterScope": True}]
