"""Switches and conversions that must leave no moment without a healthy target, and those that do."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from provider.advice.conversion.documents import dump, load
from provider.advice.conversion.ping_pong import convert
from tests.examples import EXAMPLES
from tests.real.api import Manifest
from tests.real.scenarios import (
    NEVER_SECONDS,
    alone,
    handing_over,
    last_switch,
    new_handing_over,
    scenario,
    states_of,
    until_blue_is_healthy,
    watch_briefly,
    without_gates,
)
from tests.real.stage import REPLICAS, Stage


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
