"""A list of pods holds while everything else accounts for each of them, and no longer."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from provider.model.records import HASH_LABEL, Freshness
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.known_pods import SLICE_CONTROLLER, KnownPods, PodList, are_accounted_for
from tests import LONG, ROOT
from tests.records import GREEN, NOW, pod, replica_set, rollout, service
from tests.scene import Scene
from tests.world.cluster import objects

HEALTH = "/v1/target-health?namespace=shop&rollout=web&unhealthyGraceSeconds=0"
PODS = tuple(pod(number) for number in range(3))
KNOWN = PodList("rollout-uid", GREEN, PODS, ("preview",), NOW)


def slice_of(*numbers, name="preview", manager=SLICE_CONTROLLER, terminating=()):
    """The EndpointSlice of a Service with these pods, as decoded."""
    labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": manager}
    endpoints = [
        {
            "addresses": [f"10.0.0.{number}"],
            "conditions": {"ready": True, "terminating": number in terminating},
            "targetRef": {"kind": "Pod", "uid": f"pod-{number}"},
        }
        for number in numbers
    ]
    raw = {"metadata": {"name": "s", "labels": labels}, "addressType": "IPv4", "endpoints": endpoints}
    return msgspec.convert(raw, shapes.EndpointSlice).record()


def accounted(known=KNOWN, sets=None, slices=None):
    sets = (replica_set(counted=3),) if sets is None else sets
    return are_accounted_for(known, rollout(), sets, (slice_of(0, 1, 2),) if slices is None else slices)


def with_pods(*pods):
    return PodList("rollout-uid", GREEN, pods, ("preview",), NOW)


@pytest.mark.parametrize(
    ("evidence", "holds"),
    [
        ({}, True),
        ({"slices": (slice_of(0, 1), slice_of(2))}, True),
        ({"slices": (slice_of(0, 1, 2), slice_of(0, 1, 2, 9, name="other"))}, True),
        ({"known": with_pods(*PODS, pod(3, owner_uid="another")), "slices": (slice_of(0, 1, 2, 3),)}, True),
        ({"slices": (slice_of(0, 1),)}, False),
        ({"slices": (slice_of(0, 1, 2, 3),)}, False),
        ({"slices": (slice_of(0, 1, 2, terminating=(2,)),)}, False),
        ({"slices": (slice_of(0, 1), slice_of(2, manager="somebody"))}, False),
        ({"slices": ()}, False),
        ({"sets": (replica_set(counted=2),)}, False),
        ({"sets": (replica_set(counted=4),)}, False),
        ({"sets": (replica_set(counted=3, replicas=4),)}, False),
        ({"sets": (replica_set(counted=3, generation=3),)}, False),
        ({"sets": (replica_set(counted=3, owner_uid="another"),)}, False),
        ({"sets": (replica_set(counted=3), replica_set(counted=3, uid="second"))}, False),
        ({"sets": (replica_set(counted=3, uid="other"),)}, False),
        ({"known": with_pods(*PODS[:2], pod(2, terminating=True))}, False),
        ({"known": with_pods(*PODS, pod(3, owner_uid="another", terminating=True))}, False),
    ],
)
def test_when_the_known_pods_are_still_greens(evidence, holds):
    """Each pod must be counted, wanted, and behind every Service that selects green, not ending, and no other uid."""
    assert accounted(**evidence) == holds


def test_every_service_that_selects_green_must_have_them():
    """After a switch two Services may select green; a pod that one of them lacks is not accounted for."""
    known = PodList("rollout-uid", GREEN, PODS, ("active", "preview"), NOW)

    assert not accounted(known, slices=(slice_of(0, 1, 2), slice_of(0, 1, name="active")))
    assert accounted(known, slices=(slice_of(0, 1, 2), slice_of(0, 1, 2, name="active")))


@pytest.mark.parametrize(
    ("asked", "seconds", "is_known"),
    [
        (rollout(), 59, True),
        (rollout(), 61, False),
        (rollout(), -1, False),
        (rollout(current_hash="newer"), 1, False),
        (rollout(uid="made again"), 1, False),
        (rollout(name="other"), 1, False),
    ],
)
def test_a_list_is_of_one_version_and_has_an_age(asked, seconds, is_known):
    """It holds for the very Rollout and hash it was made for, and for so many seconds."""
    pods = KnownPods()
    pods.note(rollout(), PODS, {"preview": service("preview")}, NOW)

    assert (pods.of(asked, NOW + timedelta(seconds=seconds), 60) is not None) == is_known


def test_lists_that_are_too_old_are_dropped():
    """A fleet that has deployed leaves no lists behind: with the next one those older than five minutes go."""
    pods, kept = KnownPods(), replace(rollout(), name="kept")
    for number, one in enumerate((rollout(), kept, replace(rollout(), name="newest"))):
        pods.note(one, PODS, {"preview": service("preview")}, NOW + timedelta(minutes=3 * number))
    later = NOW + timedelta(minutes=6)

    assert [pods.of(asked, later, 3600) is not None for asked in (rollout(), kept)] == [False, True]


def test_a_green_that_no_service_selects_is_always_listed():
    """Without a Service that selects green no EndpointSlice accounts for its pods."""
    pods = KnownPods()
    pods.note(rollout(), PODS, {"preview": service("preview", "another")}, NOW)

    assert pods.of(rollout(), NOW, 60) is None


@pytest.fixture
def freshness():
    """Only the pods outlast a look."""
    return Freshness(topology=0, target_health=0, target_groups=0, metrics=0, failures=0)


@pytest.fixture
def ask(client, world, wall_clock):
    """Ask ten seconds later, and tell the answer and the lists that it took."""

    def ask():
        wall_clock.advance(10)
        world.kubernetes_faults.forget_calls()
        found = client.get(HEALTH).json
        return found, [call.name for call in world.kubernetes_faults.calls]

    return ask


def lists(calls):
    return sum("/pods?" in call for call in calls)


@pytest.fixture
def waiting(scene: Scene) -> Scene:
    """One target is not healthy yet."""
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    return scene


@pytest.mark.usefixtures("waiting")
def test_a_look_after_a_look_lists_no_pods(ask):
    """While green waits the pods are listed once, their age is told, and the slices of green's Service are enough."""
    first, listed = ask()
    second, not_listed = ask()

    assert (lists(listed), lists(not_listed)) == (1, 0)
    assert (first["reason"], second["reason"]) == ("TargetsInitial", "TargetsInitial")
    assert "pods" not in first["observed"]["evidenceAgeSeconds"]
    assert second["observed"]["evidenceAgeSeconds"]["pods"] == pytest.approx(10, abs=2)
    [slices] = [call for call in not_listed if "endpointslices" in call]
    assert "web-active" not in slices


def test_a_pass_before_the_switch_lists_the_pods(ask, scene):
    """What lets Argo switch always rests on a list of that look; what is waited for and watched need not."""
    assert [lists(calls) for _, calls in (ask(), ask())] == [1, 1]
    scene.switch()
    scene.bind_active()
    for address in scene.addresses:
        scene.world.aws.load_balancers.pin(scene.active_arn, address, 8080, "healthy")
    answers = [ask(), ask(), ask()]

    assert {answer["phase"] for answer, _ in answers} == {"Successful"}
    assert [lists(calls) for _, calls in answers] == [1, 0, 0]


def test_a_failure_lists_the_pods(ask, scene):
    """What aborts rests on a list of that look."""
    for address in scene.addresses:
        scene.pin(address, "unhealthy", "Target.Timeout")
    answers = [ask(), ask()]

    assert [answer["phase"] for answer, _ in answers] == ["Failed", "Failed"]
    assert [lists(calls) for _, calls in answers] == [1, 1]


def test_a_pod_that_only_the_list_shows_as_ending(ask, scene):
    """A pass is taken back by the list, although neither slices nor status say yet that a pod is ending."""
    ask()
    scene.pods[0]["metadata"]["deletionTimestamp"] = objects.timestamp()
    scene.world.kubernetes.put(scene.pods[0])
    answer, _ = ask()

    assert (answer["phase"], answer["reason"]) == ("Inconclusive", "TargetsMissing")


def test_a_replaced_pod_is_listed(ask, waiting):
    """An unknown uid in the slices is reason enough to list the pods again, once."""
    ask()
    waiting.world.kubernetes.delete("Pod", "shop", waiting.pods[1]["metadata"]["name"])
    waiting.pods[1]["metadata"] |= {"uid": "another", "name": "web-another"}
    waiting.put()
    _, replaced = ask()
    _, after = ask()

    assert (lists(replaced), lists(after)) == (1, 0)


@pytest.mark.parametrize(("phase", "reason"), [("Failed", "Evicted"), ("Succeeded", "")])
def test_a_pod_that_has_ended_is_not_remembered(ask, waiting, phase, reason):
    """It neither makes every look list the pods, nor does it count for a replica that is missing."""
    waiting.add_ended_pod(reason, phase)
    looks = [ask(), ask()]

    assert [lists(calls) for _, calls in looks] == [1, 0]
    assert {found["measurement"][2] for found, _ in looks} == {
        "2 of 3 green targets healthy in k8s-shop-web-preview; 1 initial (Elb.InitialHealthChecking)"
    }


def test_a_known_pod_that_ends_is_listed_no_more(ask, waiting):
    """The ReplicaSet and the slices drop it, so the pods are listed again, and one is missing."""
    ask()
    waiting.pods[1] = objects.end(waiting.pods[1])
    waiting.replica_set["status"] |= {"replicas": 2, "availableReplicas": 2}
    waiting.put()
    found, calls = ask()

    assert (lists(calls), found["reason"]) == (1, "TargetsMissing")
    assert "1 missing (pod not created yet)" in found["message"]


def test_a_list_is_made_again_after_five_minutes(ask, wall_clock, waiting):  # noqa: ARG001 - it makes the wait
    """However well everything accounts for them, the pods are listed again after PROVIDER_PODS_FRESH_SECONDS."""
    ask()
    wall_clock.advance(295)

    assert lists(ask()[1]) == 1


def test_another_service_selects_green(ask, waiting):
    """At a switch everything is read anew: the slices of the other Service were not read before."""
    ask()
    waiting.switch(promoted=False)
    waiting.bind_active()
    answer, calls = ask()

    assert answer["observed"]["service"] == "web-active"
    assert lists(calls) == 1
    assert waiting.service["spec"]["selector"][HASH_LABEL]


def test_an_api_that_is_not_served_is_not_asked_each_time(ask, world, wall_clock, waiting):  # noqa: ARG001 - it makes the wait
    """Which of the two binding APIs a cluster serves is asked once a minute, and an API that comes is found."""

    def asked(calls):
        return sum("eks.amazonaws.com" in call for call in calls)

    first, second = ask()[1], ask()[1]
    world.kubernetes.serve("eks.amazonaws.com")
    wall_clock.advance(60)

    assert (asked(first), asked(second), asked(ask()[1])) == (1, 0, 1)
    world.kubernetes.unserve("eks.amazonaws.com")
    assert [asked(ask()[1]), asked(ask()[1])] == [1, 1]


QUESTIONS = 600 if LONG else 120


@pytest.mark.timeout(300)
def test_whatever_happens_to_pods_both_providers_agree(tried):
    """Random changes of pods, lagging controllers and forged slices: what was listed earlier never decides alone."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.stories.random_pods", "--questions", str(QUESTIONS)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    spared = re.search(r"not listed for (\d+) of them. Decided alone: 0", done.stdout)
    assert spared
    assert int(spared[1]) > QUESTIONS / 40
    tried("questions about remembered pods", QUESTIONS)
