"""Whether Argo is going to give green pods: by the rules of its utils/replicaset/canary.go."""

from typing import Any

import pytest

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Activity, BlueGreen, Canary, CanaryScale, CanaryStep
from provider.rules.green import find_green
from tests.records import GREEN, replica_set, rollout, service, topology

ANALYSIS = FOREVER = CanaryStep(waits=True)
OTHER = A_MINUTE = CanaryStep()


def weight(percent: int) -> CanaryStep:
    return CanaryStep(weight=percent)


def scale(**changes: Any) -> CanaryStep:
    return CanaryStep(scale=CanaryScale(**changes))


def no_pods_desired(strategy: Canary | BlueGreen, step: int | None = None, **changes: Any) -> str:
    """Return the sentence of NoPodsDesired; empty if the answer is NoPods, which waits."""
    activity = Activity(step=step, **changes.pop("activity", {}))
    services = changes.pop("services", topology().services)
    of = topology(
        rollout(strategy, activity=activity, **changes), replica_sets=(replica_set(replicas=0),), services=services
    )
    with pytest.raises(CannotTell) as raised:
        find_green(of, GREEN)
    sentence = str(raised.value)
    assert sentence.startswith("Green ReplicaSet web-6d9f7c is scaled to 0")
    assert raised.value.reason in (Reason.NO_PODS, Reason.NO_PODS_DESIRED)
    return sentence if raised.value.reason is Reason.NO_PODS_DESIRED else ""


@pytest.mark.parametrize(
    ("steps", "step", "names"),
    [
        ([weight(0), ANALYSIS, weight(100)], 1, "setCanaryScale: {weight: 100}"),
        ([ANALYSIS, weight(100)], 0, "setCanaryScale: {weight: 100}"),
        ([ANALYSIS, weight(100)], None, "setCanaryScale: {weight: 100}"),
        ([OTHER, weight(0), ANALYSIS], 0, "setCanaryScale: {weight: 100}"),
        ([weight(0), A_MINUTE, ANALYSIS], 1, "setCanaryScale: {weight: 100}"),
        ([weight(0), FOREVER, weight(100)], 1, "setCanaryScale: {weight: 100}"),
        ([weight(50), weight(0), ANALYSIS], 2, "setCanaryScale: {weight: 100}"),
        ([weight(0), scale(replicas=3), scale(matches_weight=True), ANALYSIS], 3, "setCanaryScale: {weight: 100}"),
        ([weight(50), scale(weight=0), ANALYSIS], 2, "setCanaryScale asks for 0 pods"),
        ([weight(50), scale(replicas=0), ANALYSIS], 2, "setCanaryScale asks for 0 pods"),
        ([weight(20), ANALYSIS], 1, ""),
        ([weight(20), ANALYSIS], 0, ""),
        ([weight(0), A_MINUTE, weight(20), ANALYSIS], 0, ""),
        ([weight(0), A_MINUTE, weight(20), ANALYSIS], 1, ""),
        ([scale(weight=100), weight(0), ANALYSIS], 2, ""),
        ([weight(0), scale(replicas=1), ANALYSIS], 2, ""),
        ([weight(20), scale(replicas=0), scale(matches_weight=True), ANALYSIS], 3, ""),
        ([scale(), weight(1), ANALYSIS], 2, ""),
        ([weight(0), ANALYSIS], 2, ""),
        ([], None, ""),
    ],
)
def test_a_routed_canary_has_the_pods_that_its_step_asks_for(steps, step, names):
    """Only a step that waits for an analysis or a person, at no weight and no scale, never brings pods."""
    sentence = no_pods_desired(Canary("canary", "stable", steps=tuple(steps), is_routed=True), step)

    assert bool(sentence) == bool(names)
    assert names in sentence


@pytest.mark.parametrize(
    ("steps", "replicas", "surges", "names"),
    [
        ([weight(0), ANALYSIS], 3, True, "setWeight above 0"),
        ([scale(weight=100), weight(0), ANALYSIS], 3, True, "setCanaryScale would need trafficRouting"),
        ([weight(1), ANALYSIS], 1, True, ""),
        ([weight(1), ANALYSIS], 2, False, ""),
        ([weight(49), ANALYSIS], 1, False, "weight 49 of 1 replica is 0 pods"),
        ([weight(50), ANALYSIS], 1, False, ""),
    ],
)
def test_without_a_router_the_weight_is_a_share_of_the_replicas(steps, replicas, surges, names):
    """Without trafficRouting setCanaryScale is nothing, and one replica is green's from half of the weight on."""
    canary = Canary("canary", "stable", steps=tuple(steps), surges=surges)

    sentence = no_pods_desired(canary, len(steps) - 1, replicas=replicas)

    assert bool(sentence) == bool(names)
    assert names in sentence


STUCK = Canary("canary", "stable", steps=(ANALYSIS,), is_routed=True)
SWITCHED = {"preview": service("preview"), "active": service("active")}


@pytest.mark.parametrize(
    ("strategy", "changes", "names"),
    [
        (STUCK, {"activity": {"is_aborted": True}}, ""),
        (STUCK, {"activity": {"is_promoted_full": True}}, ""),
        (STUCK, {"stable_hash": ""}, ""),
        (STUCK, {"stable_hash": GREEN}, ""),
        (STUCK, {"replicas": 0}, "Rollout web itself is scaled to 0 (spec.replicas)"),
        (STUCK, {"replicas": 0, "stable_hash": GREEN, "activity": {"is_aborted": True}}, "Rollout web itself"),
        (Canary("canary", "stable", steps=(scale(replicas=2), ANALYSIS), is_routed=True), {"replicas": 0}, ""),
        (BlueGreen("active", "preview"), {}, ""),
        (BlueGreen("active", "preview"), {"replicas": 0}, "Rollout web itself is scaled to 0 (spec.replicas)"),
        (BlueGreen("active", "preview", 0), {}, "previewReplicaCount is 0"),
        (BlueGreen("active", "preview", 1), {}, ""),
        (BlueGreen("active", "preview", 0), {"activity": {"is_promoted_full": True}}, ""),
        (BlueGreen("active", "preview", 0), {"activity": {"is_preview_over": True}}, ""),
        (BlueGreen("active", "preview", 0), {"stable_hash": ""}, ""),
        (BlueGreen("active", "preview", 0), {"services": SWITCHED}, ""),
    ],
)
def test_what_else_decides_greens_size(strategy, changes, names):
    """An abort, a full promotion and a first deploy are waited for; a scale to zero is said to be one."""
    step = len(strategy.steps) - 1 if isinstance(strategy, Canary) else None

    sentence = no_pods_desired(strategy, step, **changes)

    assert bool(sentence) == bool(names)
    assert names in sentence
