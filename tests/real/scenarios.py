"""What Argo must do, and what it must be told, in each situation. A scenario's docstring is its rule."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from provider.advice.conversion.documents import dump, load
from provider.advice.conversion.ping_pong import convert
from tests import ROOT, contract
from tests.examples import EXAMPLES
from tests.real import model
from tests.real.api import Manifest
from tests.real.cast import with_components
from tests.real.stage import REPLICAS, Stage
from tests.server import Server
from tests.world.aws.moto_elbv2 import settings

Scenario = Callable[[Stage], None]
SCENARIOS: dict[str, Scenario] = {}
ALONE: dict[str, Scenario] = {}
"""Those that touch what all share, one after another."""

NEVER_SECONDS = 8.0


def scenario(function: Scenario) -> Scenario:
    """Run it together with all others."""
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def alone(function: Scenario) -> Scenario:
    """Run it when the others are over."""
    ALONE[function.__name__.replace("_", "-")] = function
    return function


# AnalysisRuns


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


# Blue-green


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


# Handover


@scenario
def handed_over(stage: Stage) -> None:
    """After a handover Argo switches, and at no moment fewer targets are healthy than pods are wanted; three times."""
    with handing_over(stage):
        stage.set_up("blue-green-without-gap")
        until_blue_is_healthy(stage)
        for tag in "234":
            with stage.counting() as counts:
                stage.deploy(tag)
                stage.until_switched()
                stage.until("what was seen of it", lambda: bool(last_switch(stage, stage.green)))
            assert "Successful/HandoverReady" in stage.told(stage.green), stage.story()
            assert min(counts) >= REPLICAS, stage.story()
            assert last_switch(stage, stage.green)["resetCount"] == 0
    stage.note("blue-green: the switch after a handover", "leaves no moment without a healthy target")


@scenario
def not_handed_over(stage: Stage) -> None:
    """The same switch without a handover has moments without a healthy target."""
    stage.set_up("blue-green")
    until_blue_is_healthy(stage)
    with stage.counting() as counts:
        stage.deploy("2")
        stage.until_switched()
        time.sleep(NEVER_SECONDS)
    assert min(counts) == 0, stage.story()
    stage.note("blue-green: the switch without a handover", "leaves moments without a healthy target")


@scenario
def converted_to_ping_pong(stage: Stage) -> None:
    """A running blue-green Rollout converted in the printed order never has fewer healthy targets than pods wanted."""
    first, by_kind = converted(stage)
    with counting_users(stage) as counts:
        stage.apply(by_kind["Service"][-1:])
        stage.apply(by_kind["Ingress"])
        stage.until("the target group of the number", lambda: has_healthy_group_of_number(stage))
        [ingress] = by_kind["Ingress"]
        annotations = ingress["metadata"]["annotations"]
        name = next(key for key in annotations if key.startswith("alb.ingress.kubernetes.io/actions."))
        action = json.loads(annotations[name])
        groups = action["ForwardConfig"]["TargetGroups"]
        numbered = [one | {"Weight": 100 * (one["ServiceName"] == "web-active")} for one in groups[:2]]
        annotations[name] = json.dumps(action | {"ForwardConfig": {"TargetGroups": numbered}})
        stage.apply([ingress])
        stage.until("the weights of the pair", lambda: len(groups_of(stage)) == 2)
        take_over(stage, first, by_kind)
    assert min(counts) >= REPLICAS, stage.story()
    assert weights_of(stage) == {"web-preview": 100}
    stage.note("blue-green converted to ping-pong in the printed order", "leaves no moment without a healthy target")


@scenario
def converted_at_once(stage: Stage) -> None:
    """The same objects applied at once lose every target for a moment: Argo's number is another target group."""
    first, by_kind = converted(stage)
    with counting_users(stage) as counts:
        stage.apply([*by_kind["Service"][-1:], *by_kind["Ingress"]])
        take_over(stage, first, by_kind)
    assert min(counts) == 0, stage.story()
    stage.note("blue-green converted to ping-pong at once", "leaves moments without a healthy target")


def converted(stage: Stage) -> tuple[str, dict[str, list[Manifest]]]:
    """Set blue-green up; return its version, and what `convert` makes of its files, by kind."""
    stage.set_up("blue-green", without_gates)
    until_blue_is_healthy(stage)
    texts = [path.read_text() for path in sorted((EXAMPLES / "blue-green").glob("*.yaml"))]
    by_kind: dict[str, list[Manifest]] = {}
    for one in yaml.safe_load_all(dump(convert(load("\n---\n".join(texts))).documents)):
        by_kind.setdefault(one["kind"], []).append(one)
    return stage.green, by_kind


def take_over(stage: Stage, first: str, by_kind: dict[str, list[Manifest]]) -> None:
    """Let Argo take the weights over without a new version, and then deploy one."""
    stage.apply(by_kind["AnalysisTemplate"])
    [rollout] = by_kind["Rollout"]
    stage.replace_strategy(rollout["spec"]["strategy"])
    stage.until("Argo's look at it", lambda: stage.is_observed and stage.phase == "Healthy")
    assert (stage.stable, stage.green) == (first, first)
    stage.deploy("2")
    stage.until_switched()
    time.sleep(NEVER_SECONDS)


def groups_of(stage: Stage) -> list[tuple[str, int, int]]:
    """Return Service, weight and healthy targets of every target group."""
    ingresses = stage.cast.controller.ingresses
    weights = ingresses.weights(stage.namespace)
    return [
        (service, weights.get(arn, 0), states_of(stage, arn).count("healthy"))
        for service, arn in ingresses.groups(stage.namespace)
    ]


def has_healthy_group_of_number(stage: Stage) -> bool:
    """Whether the active Service has a second target group, at weight 0, whose targets are all healthy."""
    return ("web-active", 0, REPLICAS) in groups_of(stage)


def weights_of(stage: Stage) -> dict[str, int]:
    """The Services whose target groups get requests, with their weights."""
    return {service: weight for service, weight, _ in groups_of(stage) if weight}


@contextmanager
def counting_users(stage: Stage) -> Iterator[list[int]]:
    """Count ten times a second the healthy targets of the group with fewest that gets requests in production's rule."""
    counts: list[int] = []
    over, preview_rule = threading.Event(), ("web-preview", 1)

    def count() -> None:
        while not over.wait(0.1):
            found = groups_of(stage)
            served = [healthy for service, weight, healthy in found if weight and (service, weight) != preview_rule]
            counts.append(min(served, default=0))

    thread = threading.Thread(target=count, name=f"counting users in {stage.namespace}")
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


@scenario
def handed_over_and_aborted(stage: Stage) -> None:
    """What was registered for a green that a person aborts is out of production within seconds, and blue stays."""
    with handing_over(stage):
        stage.set_up("blue-green-without-gap", without_gates)
        blue = stage.production
        stage.deploy("2")
        green = stage.green
        stage.until("the registration", lambda: "Inconclusive/HandoverWaiting" in stage.told(green))
        stage.command("abort", "web")
        stage.until("the way back", lambda: stage.cast.healthy_for_users(stage.namespace)[0] == REPLICAS, seconds=30)
        assert stage.production == blue


@scenario
def handed_over_and_killed(stage: Stage) -> None:
    """A provider that is killed between its pass and the switch leaves no gap, and the next one goes on."""
    with new_handing_over(stage) as first, new_handing_over(stage) as second:
        stage.cast.recorder.lead_to(stage.namespace, first.url)
        stage.set_up("blue-green-without-gap")
        until_blue_is_healthy(stage)
        with stage.counting() as counts:
            stage.deploy("2")
            green = stage.green
            stage.until("the pass", lambda: "Successful/HandoverReady" in stage.told(green))
            first.process.kill()
            stage.cast.recorder.lead_to(stage.namespace, second.url)
            stage.until_switched()
            time.sleep(NEVER_SECONDS)
        assert min(counts) >= REPLICAS, stage.story()
        assert stage.cast.healthy_for_users(stage.namespace)[0] == REPLICAS, stage.story()
    stage.note("blue-green: the provider is killed at the switch", "leaves no moment without a healthy target")


@alone
def handed_over_and_killed_between_writes(stage: Stage) -> None:
    """A provider killed between the two writes of a switch, blue's removal and green's registration, leaves no gap."""
    with new_handing_over(stage) as first, new_handing_over(stage) as second:
        stage.cast.recorder.lead_to(stage.namespace, first.url)
        stage.set_up("blue-green-without-gap")
        until_blue_is_healthy(stage)
        active = stage.cast.controller.arns(stage.namespace)["web-active"]
        with stage.counting() as counts:
            stage.deploy("2")
            stage.until("the pass", lambda: "Successful/HandoverReady" in stage.told(stage.green))
            registering = stage.cast.world.aws.faults.add("RegisterTargets", about=active, delay_seconds=5)
            stage.until("blue's removal", lambda: "draining" in states_of(stage, active))
            first.process.kill()
            registering.end()
            stage.cast.recorder.lead_to(stage.namespace, second.url)
            stage.until_switched()
            time.sleep(NEVER_SECONDS)
        assert min(counts) >= REPLICAS, stage.story()
        assert states_of(stage, active).count("healthy") == REPLICAS, stage.story()
    stage.note("blue-green: the provider is killed within the switch", "leaves no moment without a healthy target")


def states_of(stage: Stage, arn: str) -> list[str]:
    """Return the states of a group's targets."""
    return [health.state for _, _, health in stage.cast.world.aws.load_balancers.health(settings(arn))]


@scenario
def canary_handed_over(stage: Stage) -> None:
    """The last flip of a plain canary after a handover leaves no moment without a healthy target."""
    with handing_over(stage):
        stage.set_up("canary-without-gap", watch_briefly)
        until_blue_is_healthy(stage)
        for tag in "23":
            with stage.counting() as counts:
                stage.deploy(tag)
                stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
                time.sleep(NEVER_SECONDS)
            assert "Successful/HandoverReady" in stage.told(stage.green), stage.story()
            assert min(counts) >= REPLICAS, stage.story()
    stage.note("canary: the last flip after a handover", "leaves no moment without a healthy target")


# Canary


@scenario
def ping_pong_thrice(stage: Stage) -> None:
    """The ping-pong canary switches by weights, three times, each time after three passes."""
    stage.set_up("ping-pong", watch_briefly)
    for number, tag in enumerate("234", 1):
        stage.deploy(tag)
        stage.until_switched()
        stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
        assert stage.assert_law() == number


@scenario
def ping_pong_sick(stage: Stage) -> None:
    """A sick green of a ping-pong canary never gets traffic; a retry asks again."""
    stage.set_up("ping-pong", without_gates, watch_briefly)
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
    stage.deploy("sick")
    green = stage.green
    stage.until("the abort", lambda: stage.is_aborted)
    asked = len(stage.answers(green))
    stage.command("retry", "rollout", "web")
    stage.until("another analysis", lambda: len(stage.answers(green)) > asked)
    assert stage.production != green
    stage.note("canary: `retry` of an aborted green", "asks again")
    assert stage.assert_law() == 1


@scenario
def promoted_in_a_step(stage: Stage) -> None:
    """In a canary `promote` skips the analysis that runs: a switch without a pass."""
    stage.set_up("ping-pong", without_gates, watch_briefly)
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
    stage.deploy("sick")
    stage.until("the gate", lambda: any(one.question == "gate" for one in stage.answers(stage.green)))
    stage.command("promote", "web")
    stage.until_switched()
    stage.note("canary: `promote` while an analysis step runs", "skips the analysis")
    assert not any(one.phase == "Successful" and one.question == "gate" for one in stage.answers(stage.green))


@scenario
def background_from_the_start(stage: Stage) -> None:
    """A background analysis asks while readiness gates keep a sick green from its step, and aborts after the grace."""
    stage.set_up("ping-pong", watch_briefly)
    blue = stage.production
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green)
    blue = stage.production
    stage.deploy("sick")
    green = stage.green
    stage.until("the abort", lambda: stage.is_aborted)
    assert [one for one in stage.answers(green) if one.question == "gate"] == [], stage.story()
    stage.note("canary, sick green behind readiness gates", "never asks the step; a background analysis aborts")
    assert stage.told(green)[-1] == "Failed/TargetsUnhealthy", stage.story()
    assert stage.production == blue
    assert stage.assert_law() == 1


@scenario
def batches(stage: Stage) -> None:
    """A canary in batches asks before each step, and each batch is healthy before it gets traffic."""
    stage.set_up("batches", in_a_hurry)
    stage.deploy("2")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green, seconds=240)
    stage.deploy("3")
    stage.until("the promotion", lambda: stage.phase == "Healthy" and stage.stable == stage.green, seconds=240)
    assert stage.assert_law() >= 2


# The provider and what it reads from


@scenario
def provider_killed(stage: Stage) -> None:
    """While the provider is down Argo counts errors and waits; afterwards it needs three passes."""
    with stage.cast.new_provider(provider_token(stage)) as first:
        stage.cast.recorder.lead_to(stage.namespace, first.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        first.process.kill()
        release(stage)
        stage.until("errors", lambda: stage.told(stage.green)[-1] == "0")
        stage.never("a switch", lambda: stage.production == stage.green, NEVER_SECONDS)
    with stage.cast.new_provider(provider_token(stage)) as second:
        stage.cast.recorder.lead_to(stage.namespace, second.url)
        stage.until_switched()
        assert stage.assert_law() == 1


@scenario
def aws_hanging(stage: Stage) -> None:
    """While AWS does not answer nothing passes; afterwards it goes on by itself."""
    with stage.cast.new_provider(provider_token(stage)) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        group = stage.cast.controller.arns(stage.namespace)["web-preview"].rpartition("/")[0]
        fault = stage.cast.world.aws.faults.add("DescribeTargetHealth", about=group, delay_seconds=60)
        release(stage)
        stage.until("the time limit", lambda: stage.told(stage.green)[-1] == "Inconclusive/AwsTimeout")
        assert stage.production != stage.green
        fault.end()
        stage.until_switched()
        assert stage.assert_law() == 1


@scenario
def installed_with_components(stage: Stage) -> None:
    """An overlay with events and preflight has enough rights for answers, Events, pages, preflight and doctor."""
    suffix = f"-{stage.namespace}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"provider{suffix}"}}
    overlay = with_components(suffix, f"provider{suffix}", "events", "preflight", "token", "network-policy")
    stage.api.apply([namespace, *overlay])
    token = stage.cast.plane.token(f"provider{suffix}", f"alb-provider{suffix}")
    with stage.cast.new_provider(token, PROVIDER_EVENTS="enabled") as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        assert "alb-gate Running" in page_of(own.url, stage.namespace)
        found = preflight_of(own.url, stage.namespace)
        assert found["notChecked"] == []
        assert "PermissionMissing" not in {one["code"] for one in found["findings"]}
        assert found["forecast"]["withoutHealthyTargetSeconds"]["expected"] > 0
        examined = own.run("doctor", "-o", "json")
        not_ok = [one for one in json.loads(examined.stdout)["findings"] if one["outcome"] != "ok"]
        assert (examined.returncode, not_ok) == (0, [])
        stage.until_switched()
        assert stage.assert_law() == 1
    rollout = stage.api.get("Rollout", stage.namespace, "web")["metadata"]["uid"]
    ours = [one for one in stage.api.list("Event", stage.namespace) if one["source"].get("component") == "alb-provider"]
    assert {one["involvedObject"]["uid"] for one in ours} == {rollout}
    assert {"TargetsInitial", "AllChecksPassed"} <= {one["reason"] for one in ours}


def preflight_of(url: str, namespace: str) -> dict[str, Any]:
    """What preflight finds of the Rollout."""
    with requests.Session() as session:
        session.trust_env = False
        about = {"namespace": namespace, "rollout": "web"}
        found: dict[str, Any] = session.get(f"{url}/v1/preflight", params=about, timeout=15).json()
    return found


def page_of(url: str, namespace: str) -> str:
    """The text of a Rollout's status page."""
    with requests.Session() as session:
        session.trust_env = False
        text = session.get(f"{url}/rollouts/{namespace}/web", headers={"Accept": "text/html"}, timeout=15).text
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@scenario
def rights_taken_away(stage: Stage) -> None:
    """Without its ClusterRoleBinding the provider says so; with it, it goes on by itself."""
    binding = own_account(stage)
    with stage.cast.new_provider(stage.cast.plane.token(stage.namespace, "own")) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: bool(stage.answers(stage.green)))
        stage.api.delete("ClusterRoleBinding", "", binding["metadata"]["name"])
        stage.until("the refusal", lambda: stage.told(stage.green)[-1] == "Inconclusive/KubernetesForbidden")
        assert stage.answers(stage.green)[-1].body["observed"]["action"] == "fix"
        assert "fix   Kubernetes: may list pods in every namespace: Grant it" in own.run("doctor").stdout
        release(stage)
        stage.never("a switch", lambda: stage.production == stage.green, NEVER_SECONDS)
        stage.api.apply([binding])
        stage.until_switched()
        assert stage.assert_law() == 1


@scenario
def token_rotated(stage: Stage) -> None:
    """A token that is no longer valid is a credentials reason; the new one in its file is used without a restart."""
    own_account(stage)
    token_file = Path(stage.cast.directory) / f"token-{stage.namespace}"
    token_file.write_text(stage.cast.plane.token(stage.namespace, "own") + "\n", encoding="utf-8")
    with stage.cast.new_provider("", token_file) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        stage.set_up("blue-green", without_gates)
        hold(stage)
        stage.deploy("2")
        stage.until("an answer", lambda: "Inconclusive/TargetsInitial" in stage.told(stage.green))
        stage.api.delete("ServiceAccount", stage.namespace, "own")
        stage.until("the refusal", lambda: "Inconclusive/KubernetesUnauthorized" in stage.told(stage.green))
        own_account(stage)
        token_file.write_text(stage.cast.plane.token(stage.namespace, "own") + "\n", encoding="utf-8")
        release(stage)
        stage.until_switched()
        assert stage.assert_law() == 1


@alone
def api_server_restarted(stage: Stage) -> None:
    """While the API server restarts nothing passes; afterwards everybody goes on."""
    stage.set_up("blue-green", without_gates)
    hold(stage)
    stage.deploy("2")
    stage.until("an answer", lambda: bool(stage.answers(stage.green)))
    stage.cast.plane.restart_api_server()
    release(stage)
    stage.until_switched()
    assert stage.assert_law() == 1


# What a scenario changes in an example


def without_gates(manifest: Manifest) -> None:
    """Leave out the label that injects readiness gates, so that a sick green gets as far as the analysis."""
    if manifest["kind"] == "Namespace":
        manifest["metadata"].pop("labels", None)


def deadline(manifest: Manifest, seconds: int) -> None:
    """Shorten the time after which Argo gives up."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["progressDeadlineSeconds"] = seconds


def keep_green(manifest: Manifest) -> None:
    """Give an aborted green a scale-down deadline, as Argo's default does."""
    if manifest["kind"] == "Rollout":
        manifest["spec"]["strategy"]["blueGreen"]["abortScaleDownDelaySeconds"] = 600


def impatient(manifest: Manifest) -> None:
    """Let the gate end after four inconclusive measurements, with the same shape."""
    if manifest["kind"] == "AnalysisTemplate" and manifest["metadata"]["name"] == "alb-gate":
        manifest["spec"]["metrics"][0] |= {"count": 4, "inconclusiveLimit": 4}


def watch_briefly(manifest: Manifest) -> None:
    """Watch targets three times, and no errors: CloudWatch's minutes would take a quarter of an hour."""
    if manifest["kind"] == "AnalysisTemplate" and manifest["metadata"]["name"] == "alb-watch":
        manifest["spec"]["metrics"] = [
            metric | {"count": 3, "inconclusiveLimit": 1}
            for metric in manifest["spec"]["metrics"]
            if metric["name"] == "alb-watch-targets"
        ]
        # Argo aborts with "Analysis spec invalid" where a retention matches no metric.
        retention = manifest["spec"]["measurementRetention"]
        manifest["spec"]["measurementRetention"] = [one for one in retention if "errors" not in one["metricName"]]


def in_a_hurry(manifest: Manifest) -> None:
    """Pause for seconds instead of minutes, and judge no errors: they need CloudWatch's minutes."""
    if manifest["kind"] == "Rollout":
        canary = manifest["spec"]["strategy"]["canary"]
        canary.pop("analysis", None)
        for step in canary["steps"]:
            if "pause" in step:
                step["pause"] = {"duration": "3s"}
            for argument in step.get("analysis", {}).get("args", ()):
                if argument["name"] == "checks":
                    argument["value"] = "replicas,target-health"


# What happens to a version


def hold(stage: Stage) -> None:
    """Keep every target of this namespace that is registered from now on in its first health checks."""
    stage.cast.conditions.held.add(stage.namespace)


def release(stage: Stage) -> None:
    """Let health checks be answered again."""
    stage.cast.conditions.held.discard(stage.namespace)


def sicken(stage: Stage, pod_hash: str) -> None:
    """Let a version answer its health checks with 500 from now on."""
    stage.cast.conditions.sick.add((stage.namespace, pod_hash))


def heal(stage: Stage) -> None:
    """Let every version of this namespace answer its health checks well, whatever its tag."""
    stage.cast.conditions.healed.add(stage.namespace)


def refer_to_deployment(stage: Stage) -> None:
    """Move the pods' template, with image tag 2, into a Deployment to which the Rollout then refers."""
    rollout = stage.rollout
    template = rollout["spec"]["template"]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": stage.namespace},
        "spec": {"replicas": 0, "selector": rollout["spec"]["selector"], "template": template},
    }
    template["spec"]["containers"][0]["image"] = "registry.example/web:2"
    before = stage.green
    stage.api.apply([deployment])
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    stage.edit(template=None, selector=None, workloadRef=reference)
    stage.until("Argo's new version", lambda: stage.green != before)


@contextmanager
def handing_over(stage: Stage) -> Iterator[None]:
    """Let a provider with handover on answer for this namespace."""
    with new_handing_over(stage) as own:
        stage.cast.recorder.lead_to(stage.namespace, own.url)
        yield


def new_handing_over(stage: Stage) -> Server:
    """Return a provider with handover on, to be started; its records are where its kubeconfig leads."""
    records = yaml.safe_load_all((ROOT / "deploy/components/handover/records.yaml").read_text("utf-8"))
    manifests = [{**one, "metadata": {**one["metadata"], "namespace": "default"}} for one in records]
    for subject in manifests[1]["subjects"]:
        subject["namespace"] = "alb-provider"
    stage.cast.api.apply(manifests)
    token = provider_token(stage)
    return stage.cast.new_provider(token, PROVIDER_HANDOVER="enabled", PROVIDER_HANDOVER_WITHOUT_TOKENS="true")


# What a person looks at


def until_blue_is_healthy(stage: Stage) -> None:
    """Wait until the first version has its users."""
    stage.until(
        "a healthy blue", lambda: min(stage.cast.healthy_for_users(stage.namespace), default=0) >= REPLICAS, seconds=60
    )


def last_switch(stage: Stage, pod_hash: str) -> dict[str, Any]:
    """Return what the answers say of the switch to a version, empty before they do."""
    shown = [one.body.get("observed", {}).get("lastSwitch", {}) for one in stage.answers(pod_hash, "afterSwitch")]
    found: list[dict[str, Any]] = [one for one in shown if one.get("podTemplateHash") == pod_hash]
    return found[-1] if found and "leastHealthyCount" in found[-1] else {}


def ask(stage: Stage) -> dict[str, Any]:
    """Ask the gate about green as a person does."""
    parameters = {"namespace": stage.namespace, "rollout": "web", "checks": "replicas,target-health"}
    found: dict[str, Any] = stage.cast.provider.ask("gate", **parameters).json()
    return found


def reports_ungated(stage: Stage) -> bool:
    """Whether the provider counts a switch of this Rollout that no pass preceded."""
    response = stage.cast.provider.session.get(f"{stage.cast.provider.url}/metrics", timeout=10)
    counted = f'alb_provider_ungated_switches_total{{rollout="web",rollout_namespace="{stage.namespace}"}}'
    return counted in response.text


def after_blue(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what was said before Argo or we saw the new version."""
    first = next(n for n, one in enumerate(answers) if one["reason"] != "TargetsHealthy")
    return answers[first:]


def passed_after_the_switch(answer: dict[str, Any]) -> bool:
    """Whether an answer is that green is healthy in production."""
    return (answer["reason"], answer["observed"].get("stage")) == ("TargetsHealthy", "AfterSwitch")


def asks_at_retry(stage: Stage) -> bool:
    """Whether Argo asks again when a green with a scale-down deadline is retried: since 1.10."""
    return tuple(int(part) for part in stage.argo.version.split(".")) >= (1, 10, 0)


def provider_token(stage: Stage) -> str:
    """Return a new token of the ServiceAccount that `deploy/` makes."""
    return stage.cast.plane.token("alb-provider", "alb-provider")


def own_account(stage: Stage) -> Manifest:
    """Make a ServiceAccount `own` with the provider's rights, and return its ClusterRoleBinding."""
    name = f"own-{stage.namespace}"
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "alb-provider"},
        "subjects": [{"kind": "ServiceAccount", "name": "own", "namespace": stage.namespace}],
    }
    stage.api.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "own", "namespace": stage.namespace}},
            binding,
        ]
    )
    return binding
