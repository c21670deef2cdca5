"""Blue-green switches: what Argo must do, and what it must be told. A scenario's docstring is its rule."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from tests import contract
from tests.real import model
from tests.real.api import Manifest
from tests.real.scenarios import (
    NEVER_SECONDS,
    after_blue,
    ask,
    asks_at_retry,
    deadline,
    heal,
    hold,
    impatient,
    keep_green,
    passed_after_the_switch,
    refer_to_deployment,
    release,
    reports_ungated,
    scenario,
    sicken,
    without_gates,
)
from tests.real.stage import REPLICAS, Stage


@scenario
def the_embedded_argo_does_the_same(stage: Stage) -> None:
    """For the same answers the embedded Argo's AnalysisRuns say what the real one's do: phases, counters, sentences."""
    stage.api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}}])
    script = model.Script()
    with script.server, ThreadPoolExecutor(1) as thread:
        ours = thread.submit(model.embedded, f"{script.server.url}/embedded", stage.namespace)
        for name in model.RUNS:
            run = model.run_of(name, f"{script.server.url}/real", stage.namespace)
            stage.api.create("AnalysisRun", stage.namespace, run)

        def found() -> dict[str, Manifest]:
            return {one["metadata"]["name"]: one for one in stage.api.list("AnalysisRun", stage.namespace)}

        theirs = model.until_all_end(found)
    different = {name: (run, theirs[name]) for name, run in ours.result().items() if run != theirs[name]}
    assert not different, json.dumps(different, indent=1)


@scenario
def healthy(stage: Stage) -> None:
    """A first deploy is not asked about; a healthy green is switched to after three passes, and watched after it."""
    stage.set_up("blue-green")
    assert stage.answers() == []
    stage.note("first deploy", "runs no analysis")
    stage.deploy("2")
    green = stage.green
    stage.until_switched()
    assert stage.assert_law() == 1
    assert stage.told(green, "beforeSwitch")[-1] == "Successful/AllChecksPassed", stage.story()
    stage.until("the watch", lambda: "Successful/TargetsHealthy" in stage.told(green, "afterSwitch"))
    first = stage.answers(green, "afterSwitch")[0]
    assert "preview" not in first.body["message"], stage.story()


@scenario
def healthy_without_gates(stage: Stage) -> None:
    """Without readiness gates green is asked about while its targets are initial, and waits for them."""
    stage.set_up("blue-green", without_gates)
    with stage.listening() as answers:
        stage.deploy("2")
        stage.until_switched()
        stage.until("a pass after it", lambda: passed_after_the_switch(answers[-1]))
    assert "Inconclusive/TargetsInitial" in stage.told(stage.green), stage.story()
    assert stage.assert_law() == 1
    assert contract.is_kept("healthy", after_blue(answers)), contract.in_turn(answers)


@scenario
def sick(stage: Stage) -> None:
    """Without readiness gates a sick green is Failed at the end of its grace, and aborted."""
    stage.set_up("blue-green", without_gates)
    blue = stage.production
    stage.deploy("sick")
    stage.until("the abort", lambda: stage.is_aborted)
    assert stage.told(stage.green)[-1] == "Failed/TargetsUnhealthy", stage.story()
    assert stage.production == blue
    stage.until("an answer about the abort", lambda: "abortedAt" in ask(stage)["observed"]["rollout"])
    assert stage.assert_law() == 0


@scenario
def sick_behind_gates(stage: Stage) -> None:
    """Readiness gates keep a sick green from the analysis; progressDeadlineAbort ends it."""
    stage.set_up("blue-green", lambda one: deadline(one, 60))
    blue = stage.production
    with stage.listening() as answers:
        stage.deploy("sick")
        green = stage.green
        stage.until("the abort", lambda: stage.is_aborted)
        time.sleep(2)
    assert stage.answers(green) == [], stage.story()
    assert stage.production == blue
    assert contract.is_kept("gated", after_blue(answers)), contract.in_turn(answers)
    stage.note("blue-green, sick green behind readiness gates", "never asks; `progressDeadlineAbort` aborts")


@scenario
def one_sick(stage: Stage) -> None:
    """One sick pod among healthy ones is enough to abort."""
    stage.set_up("blue-green", without_gates)
    blue = stage.production
    stage.deploy("one-sick")
    stage.until("the abort", lambda: stage.is_aborted)
    assert stage.told(stage.green)[-1] == "Failed/TargetsUnhealthy", stage.story()
    assert stage.production == blue


@scenario
def stuck_in_initial(stage: Stage) -> None:
    """Targets that stay initial are waited for; when they are healthy, Argo switches."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.until("an answer", lambda: "Inconclusive/TargetsInitial" in stage.told(stage.green))
    stage.never("a switch", lambda: stage.production == stage.green, NEVER_SECONDS)
    release(stage)
    stage.until_switched()
    assert stage.assert_law() == 1


@scenario
def superseded(stage: Stage) -> None:
    """A sick green that a healthy one supersedes is never in production."""
    stage.set_up("blue-green", without_gates)
    stage.deploy("sick")
    sick_hash = stage.green
    stage.until("an answer", lambda: bool(stage.answers(sick_hash)))
    stage.deploy("3")
    stage.until_switched()
    assert sick_hash not in [event.value for event in stage.cast.watcher.events(stage.namespace, "production")]
    assert stage.assert_law() == 1


@scenario
def scaled(stage: Stage) -> None:
    """A green that is scaled in the middle is switched to when all of the new pods are healthy targets."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.until("an answer", lambda: bool(stage.answers(stage.green)))
    stage.edit(replicas=7)
    stage.until("seven pods", lambda: stage.status.get("availableReplicas", 0) >= 7)
    release(stage)
    stage.until_switched()
    passes = [one for one in stage.answers(stage.green) if one.phase == "Successful"]
    assert "7 of 7" in passes[-1].body["message"], stage.story()
    assert stage.assert_law() == 1


@scenario
def woken_from_zero(stage: Stage) -> None:
    """A version that is deployed at zero pods waits, and is switched to once the pods that wake it are healthy."""
    stage.set_up("blue-green", without_gates)
    stage.edit(replicas=0)
    stage.until("no pods", lambda: not stage.status.get("replicas"))
    stage.deploy("2")
    stage.until("an answer", lambda: "Inconclusive/NoPodsDesired" in stage.told(stage.green))
    stage.edit(replicas=REPLICAS)
    stage.until_switched()
    assert stage.assert_law() == 1


@scenario
def undone(stage: Stage) -> None:
    """A deploy that is undone in the middle ends with the first version, without an abort."""
    stage.set_up("blue-green", without_gates)
    blue = stage.production
    stage.deploy("sick")
    stage.until("an answer", lambda: bool(stage.answers(stage.green)))
    stage.command("undo", "web")
    stage.until("the first version", lambda: stage.green == blue and stage.phase == "Healthy")
    assert not stage.is_aborted
    assert [event.value for event in stage.cast.watcher.events(stage.namespace, "production") if event.value] == [blue]


@scenario
def aborted_and_retried(stage: Stage) -> None:
    """With abortScaleDownDelaySeconds: 0, as shipped, a retry asks again, and a healed green is switched to."""
    stage.set_up("blue-green", without_gates)
    stage.deploy("sick")
    green = stage.green
    stage.until("the abort", lambda: stage.is_aborted)
    asked = len(stage.answers(green, "beforeSwitch"))
    stage.command("retry", "rollout", "web")
    stage.until("another analysis", lambda: len(stage.answers(green, "beforeSwitch")) > asked)
    stage.until("another abort", lambda: stage.is_aborted)
    assert stage.production != green
    stage.note("blue-green: `retry` of an aborted green with `abortScaleDownDelaySeconds: 0`", "asks again")
    heal(stage)
    stage.until("a healthy green", lambda: stage.cast.is_healthy(stage.namespace, green))
    stage.command("retry", "rollout", "web")
    stage.until_switched(green)
    assert stage.assert_law() == 1


@scenario
def retried_before_the_scale_down(stage: Stage) -> None:
    """With a scale-down deadline a retry asks again on 1.10 only; before, Argo switches at once and we report it."""
    stage.set_up("blue-green", without_gates, keep_green)
    with stage.listening() as answers:
        stage.deploy("sick")
        green = stage.green
        stage.until("the abort", lambda: stage.is_aborted)
        time.sleep(2)
        asked = len(stage.answers(green, "beforeSwitch"))
        stage.command("retry", "rollout", "web")
        situation = "blue-green: `retry` of an aborted green that still runs and has a scale-down deadline"
        if asks_at_retry(stage):
            stage.until("another analysis", lambda: len(stage.answers(green, "beforeSwitch")) > asked)
            assert stage.production != green
            stage.note(situation, "asks again")
            return
        stage.until_switched(green)
        time.sleep(2)
    assert len(stage.answers(green, "beforeSwitch")) == asked, stage.story()
    stage.until("the report", lambda: reports_ungated(stage))
    assert contract.is_kept("retried", after_blue(answers)), contract.in_turn(answers)
    stage.note(situation, "switches at once without any analysis")


@scenario
def paused_and_resumed(stage: Stage) -> None:
    """An inconclusive analysis pauses; `promote` then starts a new one, and does nothing while one runs."""
    stage.set_up("blue-green", without_gates, impatient)
    hold(stage)
    stage.deploy("2")
    green = stage.green
    stage.until("an answer", lambda: bool(stage.answers(green)))
    assert "promoted" in stage.command("promote", "web")
    stage.until("the pause", lambda: "InconclusiveAnalysisRun" in stage.pauses)
    assert stage.production != green
    stage.until("an answer about the pause", lambda: ask(stage)["reason"] == "RolloutPaused")
    asked = len(stage.answers(green))
    release(stage)
    time.sleep(6)
    stage.command("promote", "web")
    stage.until_switched(green)
    assert len(stage.answers(green, "beforeSwitch")) >= asked + 3
    stage.note("blue-green: `promote` after an inconclusive analysis", "starts a new analysis")
    assert stage.assert_law() == 1


@scenario
def promoted_full(stage: Stage) -> None:
    """`promote --full` switches without an answer, and the provider reports it."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.until("an answer", lambda: bool(stage.answers(stage.green)))
    assert "promoted" in stage.command("promote", "web")
    stage.never("a switch", lambda: stage.production == stage.green, NEVER_SECONDS)
    stage.note("blue-green: `promote` while the analysis runs", 'prints "promoted", changes nothing')
    stage.command("promote", "web", "--full")
    stage.until_switched()
    stage.note("blue-green: `promote --full`", "switches without an answer")
    assert not any(one.phase == "Successful" for one in stage.answers(stage.green, "beforeSwitch"))
    stage.until("the report", lambda: reports_ungated(stage))


@scenario
def terminated(stage: Stage) -> None:
    """An analysis that a person terminates counts as passed: Argo switches."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.until("an answer", lambda: bool(stage.answers(stage.green)))
    runs = [run["metadata"]["name"] for run in stage.api.list("AnalysisRun", stage.namespace)]
    stage.command("terminate", "analysisrun", runs[0])
    stage.until_switched()
    stage.note("`terminate analysisrun` of the gate", "counts as passed: switches")
    assert not any(one.phase == "Successful" for one in stage.answers(stage.green, "beforeSwitch"))


@scenario
def sick_after_the_switch(stage: Stage) -> None:
    """A green that turns sick after the switch is aborted by the watch, and blue gets its traffic back."""
    stage.set_up("blue-green")
    blue = stage.production
    stage.deploy("2")
    green = stage.green
    stage.until_switched()
    stage.until("a pass of the watch", lambda: "Successful/TargetsHealthy" in stage.told(green, "afterSwitch"))
    sicken(stage, green)
    stage.until("the abort", lambda: stage.is_aborted)
    stage.until_switched(blue)
    stage.note("blue-green: the watch after the switch fails", "moves the active Service back")
    assert "Failed/TargetsUnhealthy" in stage.told(green, "afterSwitch"), stage.story()
    assert stage.assert_law(ungated=[blue]) == 1


@scenario
def crashing(stage: Stage) -> None:
    """A green that does not start is never switched to, and whoever asks is told the container's state."""
    stage.set_up("blue-green", lambda one: deadline(one, 40))
    blue = stage.production
    stage.deploy("crash")
    stage.until("crashing pods", lambda: "CrashLoopBackOff" in ask(stage)["message"], seconds=60)
    stage.until("the abort", lambda: stage.is_aborted)
    assert stage.production == blue


@scenario
def by_workload_ref(stage: Stage) -> None:
    """A Rollout that refers to a Deployment's template is judged like any other."""
    stage.set_up("blue-green", without_gates)
    refer_to_deployment(stage)
    stage.until_switched()
    assert stage.assert_law() == 1


@scenario
def to_nodes(stage: Stage) -> None:
    """With targets of type instance the nodes are judged."""
    stage.set_up("instance-mode")
    stage.deploy("2")
    stage.until_switched()
    assert stage.assert_law() == 1
