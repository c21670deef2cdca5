"""The judge of target-health: tables for its rules and boundaries, properties for its promises."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks import target_health
from provider.checks.question import parse, refuse_stale
from provider.checks.target_health import judge
from provider.model.clocks import Skew
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import Kind, ServicePort, Target
from provider.rules.expected_targets import percent
from tests.records import (
    ARN,
    DEFAULT_GRACE,
    NOW,
    address,
    binding,
    endpoint,
    evidence,
    group,
    pod,
    rollout,
    service,
    target,
)

WAIT, GO, BAD = Phase.INCONCLUSIVE, Phase.SUCCESSFUL, Phase.FAILED
AWS_STATES = [
    ("healthy", ""),
    ("initial", "Elb.RegistrationInProgress"),
    ("initial", "Elb.InitialHealthChecking"),
    ("unhealthy", "Target.ResponseCodeMismatch"),
    ("unhealthy", "Target.Timeout"),
    ("unhealthy", "Target.FailedHealthChecks"),
    ("unhealthy", "Elb.InternalError"),
    ("unhealthy.draining", ""),
    ("unused", "Target.NotRegistered"),
    ("unused", "Target.NotInUse"),
    ("unused", "Target.InvalidState"),
    ("unused", "Target.IpUnusable"),
    ("draining", "Target.DeregistrationInProgress"),
    ("unavailable", "Target.HealthCheckDisabled"),
    ("unavailable", "Elb.InternalError"),
    ("brandnew", "Target.Whatever"),
]


def query(**parameters):
    given_names = {"namespace": "shop", "rollout": "web"} | {name: str(value) for name, value in parameters.items()}
    return parse(target_health.CHECK, given_names.items())


def verdict(*groups, now=NOW, parameters=None, **changes):
    return judge(query(**parameters or {}), evidence(*groups, **changes), now)


@pytest.mark.parametrize(
    ("state", "reason", "phase", "sentence"),
    [
        ("healthy", "", GO, Reason.TARGETS_HEALTHY),
        ("initial", "Elb.RegistrationInProgress", WAIT, Reason.TARGETS_INITIAL),
        ("initial", "Elb.InitialHealthChecking", WAIT, Reason.TARGETS_INITIAL),
        ("unhealthy", "Target.ResponseCodeMismatch", BAD, Reason.TARGETS_UNHEALTHY),
        ("unhealthy", "Target.Timeout", BAD, Reason.TARGETS_UNHEALTHY),
        ("unhealthy", "Target.FailedHealthChecks", BAD, Reason.TARGETS_UNHEALTHY),
        ("unhealthy", "Elb.InternalError", WAIT, Reason.TARGETS_UNHEALTHY_IN_GRACE),
        ("unhealthy.draining", "", BAD, Reason.TARGETS_UNHEALTHY),
        ("unused", "Target.NotRegistered", WAIT, Reason.TARGETS_MISSING),
        ("unused", "Target.NotInUse", WAIT, Reason.TARGETS_UNUSED),
        ("unused", "Target.InvalidState", WAIT, Reason.TARGETS_UNUSED),
        ("unused", "Target.IpUnusable", WAIT, Reason.TARGETS_UNUSED),
        ("draining", "Target.DeregistrationInProgress", WAIT, Reason.TARGETS_DRAINING),
        ("unavailable", "Target.HealthCheckDisabled", WAIT, Reason.HEALTH_CHECK_DISABLED),
        ("unavailable", "Elb.InternalError", WAIT, Reason.TARGETS_UNAVAILABLE),
        ("brandnew", "Target.Whatever", WAIT, Reason.TARGETS_STATE_UNKNOWN),
    ],
)
def test_every_state_and_reason_code_of_one_target(state, reason, phase, sentence):
    """One pod of three in each state that AWS has decides as documented, with AWS's reason code in the sentence."""
    outcome = verdict(group(target(0), target(1), target(2, state, reason)))

    assert (outcome.phase, outcome.reason) == (phase, sentence)
    assert outcome.reason.phase == outcome.phase
    if phase is not GO:
        assert outcome.number == 66.6
        assert outcome.message.startswith("2 of 3 green targets healthy in k8s-shop-web-1f9c; 1 ")
        assert reason in outcome.message or sentence is Reason.TARGETS_MISSING


@pytest.mark.parametrize(
    ("anomalies", "others", "phase", "sentence"),
    [
        ("report", ["healthy", "healthy"], GO, Reason.TARGETS_HEALTHY),
        ("fail", ["healthy", "healthy"], BAD, Reason.TARGETS_ANOMALOUS),
        ("fail", ["initial", "healthy"], BAD, Reason.TARGETS_ANOMALOUS),
        ("report", ["initial", "healthy"], WAIT, Reason.TARGETS_INITIAL),
    ],
)
def test_an_anomalous_pod_fails_green_on_request(anomalies, others, phase, sentence):
    """A pod that the load balancer finds anomalous is always named, and fails green with anomalies=fail."""
    rest = (target(number + 1, state) for number, state in enumerate(others))

    outcome = verdict(group(target(0, is_anomalous=True), *rest), parameters={"anomalies": anomalies})

    assert (outcome.phase, outcome.reason) == (phase, sentence)
    assert "; web-6d9f7c-0 is anomalous: failing more often than the other targets" in outcome.message
    assert outcome.observed["targetGroups"][0]["anomalousCount"] == 1
    assert next(example["anomalous"] for example in outcome.observed["examples"] if example["name"] == "web-6d9f7c-0")


def test_an_anomalous_pod_that_is_unhealthy_is_still_told_its_grace():
    """Being anomalous takes nothing from what the sentence says of an unhealthy target within its grace period."""
    sick = target(0, "unhealthy", "Target.Timeout", is_anomalous=True)

    outcome = verdict(group(sick, target(1), target(2)), ready_for=timedelta(seconds=1))

    assert outcome.reason is Reason.TARGETS_UNHEALTHY_IN_GRACE
    assert "will count as failed once the pod has been ready for" in outcome.message


@pytest.mark.parametrize(
    ("shifted", "phase", "sentence"),
    [(0, GO, Reason.TARGETS_HEALTHY), (2, GO, Reason.TARGETS_HEALTHY), (3, WAIT, Reason.TARGETS_SHIFTED_AWAY)],
)
def test_a_green_that_no_traffic_can_reach_does_not_pass(shifted, phase, sentence):
    """Healthy targets under a zonal shift are counted apart, and are no pass if there are no others."""
    outcome = verdict(
        group(*(target(number, override="zonal_shift_active" if number < shifted else "") for number in range(3)))
    )

    assert (outcome.phase, outcome.reason) == (phase, sentence)
    assert outcome.observed["targetGroups"][0].get("shiftedAwayCount", 0) == shifted
    assert ("traffic is shifted away from (zonal_shift_active)" in outcome.message) == bool(shifted)


def test_an_anomalous_node_blames_no_pod():
    """With instance targets a node serves pods of any version, so its anomaly fails nothing."""
    nodes = [target(number, id=f"i-{number}", port=30080, is_anomalous=True) for number in range(3)]

    outcome = verdict(group(*nodes, target_type="instance"), parameters={"anomalies": "fail"})

    assert outcome.reason is not Reason.TARGETS_ANOMALOUS


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"endpoints": 2}, "no address behind the Service yet"),
        ({"targets": 2}, "not registered"),
        ({"desired": 4}, "pod not created yet"),
    ],
)
def test_a_pod_counts_as_missing_whatever_it_lacks(changes, missing):
    """A pod that is not created, has no address or is not registered counts as missing against green's replicas."""
    desired = changes.get("desired", 3)
    base = evidence(group(*(target(number) for number in range(changes.get("targets", 3)))), desired=3)
    behind = replace(base.service, endpoints=base.service.endpoints[: changes.get("endpoints", 3)])
    green = replace(base.green, replica_set=replace(base.green.replica_set, replicas=desired))

    outcome = judge(query(), replace(base, service=behind, green=green), NOW)

    assert (outcome.phase, outcome.reason) == (WAIT, Reason.TARGETS_MISSING)
    assert outcome.observed["targetGroups"][0]["missingCount"] == 1
    assert f"1 missing ({missing})" in outcome.message


@pytest.mark.parametrize(
    ("healthy", "wanted", "least", "phase"),
    [
        (250, 250, 100, GO),
        (249, 250, 100, WAIT),
        (249, 250, 99.6, GO),
        (249, 250, 99.7, WAIT),
        (95, 100, 95, GO),
        (94, 100, 95, WAIT),
        (1, 3, 33.3, GO),
        (1, 3, 33.4, WAIT),
        (1, 100, 1, GO),
        (0, 100, 1, WAIT),
    ],
)
def test_min_healthy_percent_at_and_around_its_boundary(healthy, wanted, least, phase):
    """MinHealthyPercent is reached at exactly that share of the desired replicas and not one pod earlier."""
    targets = [target(number, "healthy" if number < healthy else "initial") for number in range(wanted)]

    outcome = verdict(group(*targets), desired=wanted, parameters={"minHealthyPercent": least})

    assert outcome.phase is phase


@pytest.mark.parametrize(
    ("bad", "least", "phase"),
    [(1, 100, BAD), (5, 95, WAIT), (6, 95, BAD), (99, 1, WAIT), (100, 1, BAD)],
)
def test_failed_only_when_the_percentage_is_out_of_reach(bad, least, phase):
    """Unhealthy pods fail green only once they alone keep it below minHealthyPercent; the others may recover."""
    targets = [target(number, "unhealthy" if number < bad else "initial") for number in range(100)]

    outcome = verdict(group(*targets), desired=100, parameters={"minHealthyPercent": least})

    assert outcome.phase is phase


@pytest.mark.parametrize(
    ("ready_for", "parameters", "phase"),
    [
        (DEFAULT_GRACE + timedelta(seconds=1), {}, BAD),
        (DEFAULT_GRACE, {}, WAIT),
        (DEFAULT_GRACE - timedelta(seconds=1), {}, WAIT),
        (timedelta(seconds=11), {"unhealthyGraceSeconds": 10}, BAD),
        (timedelta(seconds=10), {"unhealthyGraceSeconds": 10}, WAIT),
        (timedelta(seconds=1), {"unhealthyGraceSeconds": 0}, BAD),
        (None, {"unhealthyGraceSeconds": 0}, WAIT),
    ],
    ids=["over", "at", "under", "own-over", "own-at", "own-zero", "containers-not-ready"],
)
def test_the_grace_of_an_unhealthy_target(ready_for, parameters, phase):
    """Unhealthy fails only when the pod's containers have been ready for longer than the grace period."""
    outcome = verdict(group(target(0), target(1), target(2, "unhealthy")), ready_for=ready_for, parameters=parameters)

    assert outcome.phase is phase
    assert outcome.reason is (Reason.TARGETS_UNHEALTHY if phase is BAD else Reason.TARGETS_UNHEALTHY_IN_GRACE)


def test_the_sentence_of_a_failure_names_pod_state_code_and_grace():
    """A Failed sentence has all that a person needs: counts, AWS's code and text, the grace period, and one pod."""
    sick = target(2, "unhealthy", "Target.ResponseCodeMismatch", description="Health checks failed: [500]")

    outcome = verdict(group(target(0), target(1), sick))

    assert outcome.message == (
        "2 of 3 green targets healthy in k8s-shop-web-1f9c; 1 unhealthy (Target.ResponseCodeMismatch), with containers "
        "ready for 60 min, longer than the 60 s grace period, e.g. web-6d9f7c-2: Health checks failed: [500]"
    )


def unwell_for(number, seconds):
    """Pod `number` was healthy before, and has not been so for some seconds."""
    return {(ARN, pod(number).uid, address(number), 8080): NOW - timedelta(seconds=seconds)}


SICK = target(2, "unhealthy", "Target.Timeout")


@pytest.mark.parametrize(
    ("seconds", "ready_for", "parameters", "phase", "sentence"),
    [
        (0, 3600, {}, WAIT, "; not healthy for 0 s so far; will count as failed after 60 s"),
        (12, 3600, {}, WAIT, "; not healthy for 12 s so far; will count as failed after 60 s"),
        (60, 3600, {}, WAIT, "; not healthy for 60 s so far; will count as failed after 60 s"),
        (75, 3600, {}, BAD, "not healthy for 75 s, longer than the 60 s grace period, e.g. web-6d9f7c-2"),
        (900, 3600, {}, BAD, "not healthy for 15 min, longer than the 60 s grace period, e.g. web-6d9f7c-2"),
        (75, 3600, {"unhealthyGraceSeconds": 80}, WAIT, "75 s so far; will count as failed after 80 s"),
        (0, 3600, {"unhealthyGraceSeconds": 0}, BAD, "not healthy for 0 s, longer than the 0 s grace period"),
        (75, 10, {}, WAIT, "will count as failed once the pod has been ready for 60 s (10 s so far)"),
        (75, None, {}, WAIT, "will count as failed once the pod has been ready for 60 s (not ready now)"),
    ],
)
def test_a_target_that_was_healthy_gets_the_grace_period_again(seconds, ready_for, parameters, phase, sentence):
    """A target seen healthy fails once it has not been so for longer than the grace period; the sentence says it."""
    outcome = verdict(
        group(target(0), target(1), SICK),
        ready_for=None if ready_for is None else timedelta(seconds=ready_for),
        parameters=parameters,
        unwell_since=unwell_for(2, seconds),
    )

    assert outcome.phase is phase
    assert sentence in outcome.message


def test_each_sick_target_has_its_own_grace():
    """Of targets seen healthy and never seen healthy the sentence names the shortest time of each."""
    sick = [target(number, "unhealthy", "Target.Timeout") for number in range(3)]

    waits = verdict(
        group(*sick), unwell_since=unwell_for(0, 5) | unwell_for(1, 20), parameters={"minHealthyPercent": 50}
    )
    fails = verdict(group(*sick), unwell_since=unwell_for(0, 90) | unwell_for(1, 70))

    assert waits.phase is WAIT
    assert "not healthy for 20 s so far; will count as failed after 60 s" in waits.message
    assert fails.phase is BAD
    assert "not healthy for at least 70 s or with containers ready for at least 60 min, longer than" in fails.message


def test_what_was_seen_of_another_target_does_not_count():
    """A look at another address, another pod or another group says nothing of this target."""
    (key,) = unwell_for(2, 0)
    others = [("other-arn", *key[1:]), (key[0], "other-uid", *key[2:]), (*key[:2], "10.9.9.9", 8080)]

    outcome = verdict(group(target(0), target(1), SICK), unwell_since=dict.fromkeys(others, NOW))

    assert outcome.phase is BAD


@pytest.mark.parametrize(
    ("ahead", "ready_for", "phase", "sentence"),
    [
        (0, 61, BAD, Reason.TARGETS_UNHEALTHY),
        (20, 41, BAD, Reason.TARGETS_UNHEALTHY),
        (20, 39, WAIT, Reason.TARGETS_UNHEALTHY_IN_GRACE),
        (-20, 79, WAIT, Reason.TARGETS_UNHEALTHY_IN_GRACE),
        (-20, 82, BAD, Reason.TARGETS_UNHEALTHY),
        (-40, 3600, WAIT, Reason.CLOCK_SKEW),
        (40, 3600, WAIT, Reason.CLOCK_SKEW),
    ],
)
def test_readiness_is_compared_by_kubernetes_clock(ahead, ready_for, phase, sentence):
    """A pod is ready for as long as Kubernetes' clock says; one that is far from ours fails nobody."""
    clock = Skew("Kubernetes", ahead, ahead + 1)

    outcome = verdict(group(target(0), target(1), SICK), ready_for=timedelta(seconds=ready_for), kubernetes=clock)

    assert (outcome.phase, outcome.reason) == (phase, sentence)


def test_the_sentence_of_clocks_that_are_far_apart():
    """Where a failure would rest on clocks that are far apart, the sentence names both, their times and what to do."""
    outcome = verdict(group(target(0), target(1), SICK), kubernetes=Skew("Kubernetes", -41.2, -40.4))

    assert outcome.message == (
        "2 of 3 green targets healthy in k8s-shop-web-1f9c; 1 unhealthy (Target.Timeout), and it is unknown for how "
        "long. The clock of Kubernetes shows 11:59:18 UTC and that of the provider 12:00:00 UTC, more than 30 s apart. "
        "Synchronize both with NTP, then restart the provider."
    )


def test_clocks_that_are_far_apart_change_no_other_verdict():
    """A pass, a wait and a failure that compare no times are the same whatever time it is elsewhere."""
    for targets, parameters in (
        ([target(0), target(1), target(2)], {}),
        ([target(0), target(1), target(2, "initial")], {}),
        ([target(0), target(1), target(2, is_anomalous=True)], {"anomalies": "fail"}),
        ([target(0), target(1, is_anomalous=True), SICK], {"anomalies": "fail"}),
    ):
        far = verdict(group(*targets), parameters=parameters, kubernetes=Skew("Kubernetes", 3600, 3601))
        near = verdict(group(*targets), parameters=parameters)

        assert far.phase is near.phase
        assert far.reason is not Reason.CLOCK_SKEW


def test_the_worst_of_several_groups_decides():
    """Every group must be healthy; the answer names the worst one, its number included."""
    fine, slow = binding("k8s-fine"), binding("k8s-slow")

    outcome = verdict(
        group(target(0), target(1), target(2), of=fine), group(target(0), target(1), target(2, "initial"), of=slow)
    )

    assert (outcome.phase, outcome.reason, outcome.number) == (WAIT, Reason.TARGETS_INITIAL, 66.6)
    assert "k8s-slow" in outcome.message
    assert "the worst of 2 target groups" in outcome.message
    assert [target_group["name"] for target_group in outcome.observed["targetGroups"]] == ["k8s-slow", "k8s-fine"]


@pytest.mark.parametrize(("number", "sentence"), [(2, "both"), (3, "all 3")])
def test_groups_that_are_all_healthy_are_said_together(number, sentence):
    """Where every target of every group is healthy no group is called the worst."""
    groups = [group(target(0), target(1), target(2), of=binding(f"k8s-{one}")) for one in range(number)]

    assert verdict(*groups).message == f"3 of 3 green targets healthy in {sentence} target groups"


def test_a_group_that_needs_a_person_is_named_before_one_that_waits():
    """Of two groups that block, the one that needs a person decides, whatever their percentages."""
    new = group(*(target(number, "initial") for number in range(3)), of=binding("k8s-new"))
    unused = group(*(target(number) for number in range(3)), of=binding("k8s-unused"), load_balancer_arns=())

    outcome = verdict(new, unused)

    assert outcome.reason is Reason.TARGET_GROUP_NOT_IN_USE
    assert "k8s-unused" in outcome.message


def test_a_state_that_aws_adds_later_is_named_as_aws_does():
    """A state that the provider does not know is a wait in AWS's own word, in the sentence and in the examples."""
    outcome = verdict(group(target(0), target(1), target(2, "brandnew", "Target.Whatever")))

    assert outcome.message == ("2 of 3 green targets healthy in k8s-shop-web-1f9c; 1 brandnew (Target.Whatever)")
    assert outcome.observed["examples"][0]["state"] == "brandnew"


@pytest.mark.parametrize(
    ("ready_for", "created", "sentence"),
    [
        (timedelta(seconds=12), timedelta(hours=1), "12 s so far"),
        (None, timedelta(hours=1), "not ready now"),
        (None, timedelta(seconds=20), "created 20 s ago"),
    ],
)
def test_an_unhealthy_pod_in_its_grace_period_says_when_it_will_count(ready_for, created, sentence):
    """A wait for an unhealthy pod says for how long it must be ready, and how much of that has passed."""
    base = evidence(group(target(0), target(1), target(2, "unhealthy")), ready_for=ready_for)
    pods = tuple(pod(number, created_at=NOW - created) for number in range(3))

    outcome = judge(query(), replace(base, green=replace(base.green, pods=pods)), NOW)

    assert outcome.message.endswith(f"; will count as failed once the pod has been ready for 60 s ({sentence})")


def test_a_group_in_no_listener_rule_blocks_with_its_remedy():
    """A target group that nothing forwards to is never checked: blocked, whatever its targets say."""
    for state in ("unused", "healthy", "unhealthy"):
        outcome = verdict(group(*(target(number, state) for number in range(3)), load_balancer_arns=()))

        assert (outcome.phase, outcome.reason) == (WAIT, Reason.TARGET_GROUP_NOT_IN_USE)
        assert outcome.message.endswith("never health-checks it. Add a rule (weight 0 is enough).")


def test_targets_of_others_do_not_count():
    """Blue draining, other clusters' targets, and a green address on another port neither help nor harm."""
    others = [Target("10.9.9.9", 8080, "unhealthy"), Target("10.9.9.8", 8080, "draining")]
    wrong_port = target(0, "unhealthy", port=9090)

    assert verdict(group(target(0), target(1), target(2), wrong_port, *others)).phase is GO
    assert verdict(group(target(0, port=9090), target(1), target(2), *others)).reason is Reason.TARGETS_MISSING


def test_named_target_ports_may_differ_by_pod():
    """Each pod is expected at its own port number, as resolved in its EndpointSlice."""
    base = evidence(group(target(0), target(1, port=9090), target(2)))
    ends = (endpoint(0), endpoint(1, ports=(("http", 9090), ("metrics", 8080))), endpoint(2))

    outcome = judge(query(), replace(base, service=replace(base.service, endpoints=ends)), NOW)

    assert outcome.phase is GO


def test_an_unnamed_service_port_takes_every_port_of_the_slice():
    """With an unnamed ServicePort the controller registers every port of the slice, and those are expected."""
    base = evidence(group(target(0), target(1), target(2)))
    unnamed = service("preview", ports=(ServicePort("", 80, 0),))
    ends = tuple(endpoint(number, ports=(("", 8080),)) for number in range(3))

    outcome = judge(query(), replace(base, service=replace(base.service, service=unnamed, endpoints=ends)), NOW)

    assert outcome.phase is GO


@pytest.mark.parametrize(("family", "phase"), [("IPv6", GO), ("IPv4", WAIT)])
def test_only_addresses_of_the_bindings_family_are_expected(family, phase):
    """An IPv6 binding is judged by the pods' IPv6 addresses, however they are spelled; others are missing."""
    long = ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8:0:0::2", "2001:DB8::3"]
    short = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
    ends = tuple(endpoint(number, family="IPv6", address=short[number]) for number in range(3))
    base = evidence(group(*(Target(one, 8080, "healthy") for one in long), of=binding(family=family)))

    outcome = judge(query(), replace(base, service=replace(base.service, endpoints=ends)), NOW)

    assert outcome.phase is phase


def test_a_target_listed_twice_counts_with_its_worse_state():
    """Two entries for one address and port (one per zone) are one target, as bad as the worse of them."""
    for targets in ([target(2), target(2, "initial")], [target(2, "initial"), target(2)]):
        outcome = verdict(group(target(0), target(1), *targets))

        assert outcome.reason is Reason.TARGETS_INITIAL


def test_a_surplus_pod_must_be_healthy_too():
    """While the ReplicaSet scales down, the percentage is of all its pods that are not terminating."""
    base = evidence(group(target(0), target(1), target(2, "initial")))
    green = replace(base.green, replica_set=replace(base.green.replica_set, replicas=2))

    outcome = judge(query(), replace(base, green=green), NOW)

    assert (outcome.phase, outcome.number) == (WAIT, 66.6)


def test_a_smaller_green_says_how_much_it_covers():
    """With previewReplicaCount or setCanaryScale a pass says how many of the Rollout's replicas it covers."""
    outcome = verdict(group(target(0), target(1), target(2)), of=rollout(replicas=10))

    assert outcome.phase is GO
    assert outcome.message.endswith("; this covers only 3 of the Rollout's 10 replicas")


def nodes(*states, policy="Cluster", ready=3, **changes):
    """Evidence of instance targets: pod N runs on node nN, whose instance is i-N."""
    targets = [Target(f"i-{number}", 30080, state, reason) for number, (state, reason) in enumerate(states)]
    base = evidence(group(*targets, target_type="instance"), **changes)
    ends = tuple(endpoint(number, node_name=f"n{number}", ready=number < ready) for number in range(3))
    behind = replace(base.service, service=service("preview", external_traffic_policy=policy), endpoints=ends)
    return replace(base, service=behind, instance_ids={f"n{number}": f"i-{number}" for number in range(3)})


HEALTHY, UNWELL, NEW = ("healthy", ""), ("unhealthy", "Target.Timeout"), ("initial", "Elb.InitialHealthChecking")


@pytest.mark.parametrize(
    ("found", "parameters", "phase", "reason"),
    [
        (nodes(HEALTHY, HEALTHY, HEALTHY, policy="Local"), {}, GO, Reason.TARGETS_HEALTHY),
        (nodes(HEALTHY, HEALTHY, HEALTHY, UNWELL, policy="Local"), {}, GO, Reason.TARGETS_HEALTHY),
        (nodes(HEALTHY, HEALTHY, NEW, policy="Local"), {"minHealthyPercent": 50}, WAIT, Reason.TARGETS_INITIAL),
        (nodes(HEALTHY, HEALTHY, policy="Local"), {"minHealthyPercent": 50}, WAIT, Reason.TARGETS_MISSING),
        (nodes(HEALTHY, HEALTHY, UNWELL, policy="Local"), {"minHealthyPercent": 50}, BAD, Reason.TARGETS_UNHEALTHY),
        (nodes(HEALTHY, HEALTHY, HEALTHY, policy="Local", ready=2), {}, WAIT, Reason.PODS_NOT_READY),
        (nodes(HEALTHY, HEALTHY, HEALTHY, policy="Local", ready=0), {}, WAIT, Reason.TARGETS_MISSING),
        (nodes(HEALTHY, HEALTHY, HEALTHY, HEALTHY), {}, GO, Reason.TARGETS_HEALTHY),
        (nodes(HEALTHY, HEALTHY, HEALTHY, UNWELL), {}, WAIT, Reason.TARGETS_UNHEALTHY_IN_GRACE),
        (nodes(HEALTHY, HEALTHY, HEALTHY, UNWELL), {"minHealthyPercent": 75}, GO, Reason.TARGETS_HEALTHY),
        (nodes(HEALTHY, HEALTHY, HEALTHY, ("draining", "")), {}, GO, Reason.TARGETS_HEALTHY),
        (nodes(HEALTHY, HEALTHY, HEALTHY, ready=2), {}, WAIT, Reason.PODS_NOT_READY),
        (nodes(), {}, WAIT, Reason.TARGETS_MISSING),
    ],
)
def test_instance_targets_judge_nodes_and_say_so(found, parameters, phase, reason):
    """Local: each node with a ready green pod must be healthy. Cluster: a share of all nodes. Never without pods."""
    result = judge(query(**parameters), found, NOW)

    assert (result.phase, result.reason) == (phase, reason)
    assert "single pods are not judged" in result.message
    assert "green targets" not in result.message


@pytest.mark.parametrize(("seconds", "phase"), [(30, WAIT), (61, BAD)])
def test_a_node_that_was_healthy_gets_the_grace_period_again(seconds, phase):
    """With instance targets a node that was healthy with any of its ready pods fails only after the grace period."""
    found = nodes(HEALTHY, HEALTHY, UNWELL, policy="Local")
    since = {(ARN, pod(2).uid, "i-2", 30080): NOW - timedelta(seconds=seconds)}

    assert judge(query(), replace(found, unwell_since=since), NOW).phase is phase


@pytest.mark.parametrize("kind", ["lambda", "alb"])
def test_other_target_types_are_refused(kind):
    """A target group of another type cannot be judged."""
    with pytest.raises(CannotTell) as raised:
        verdict(group(target(0), target_type=kind))

    assert raised.value.reason is Reason.TARGET_TYPE_UNSUPPORTED


def test_no_group_at_all_is_no_pass():
    """Without any target group the answer is no pass."""
    assert verdict().phase is WAIT


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(999, 1000, 99.9), (2999, 3000, 99.9), (3000, 3000, 100.0), (1, 3, 33.3), (0, 0, 0.0)]
)
def test_a_percentage_is_never_rounded_up(part, whole, shown):
    """100.0 on Argo's chart means every target, not nearly every one."""
    assert percent(part, whole) == shown


states = st.sampled_from(AWS_STATES)
registered = st.lists(states, max_size=8)
shares = st.floats(min_value=1, max_value=100, allow_nan=False)


def targets_of(found):
    return [target(number, state, reason) for number, (state, reason) in enumerate(found)]


@given(found=registered, desired=st.integers(1, 8), least=shares, ready=st.integers(0, 600))
def test_never_successful_without_enough_healthy_targets(found, desired, least, ready):
    """Successful implies that the wanted share of the desired pods is registered and healthy, in any mixture."""
    result = verdict(
        group(*targets_of(found)),
        desired=desired,
        ready_for=timedelta(seconds=ready),
        parameters={"minHealthyPercent": least},
    )

    healthy = sum(state == "healthy" for state, _ in found[:desired])
    assert (result.phase is GO) == (healthy * 100 >= least * desired)


@given(found=registered, desired=st.integers(1, 8), ready=st.none() | st.integers(0, 600))
def test_never_failed_without_a_bad_target(found, desired, ready):
    """Failed implies an unhealthy pod of its own fault, ready for longer than the grace."""
    since = None if ready is None else timedelta(seconds=ready)

    result = verdict(group(*targets_of(found)), desired=desired, ready_for=since)

    blamed = [state.startswith("unhealthy") and not why.startswith("Elb.") for state, why in found[:desired]]
    assert (result.phase is BAD) == (any(blamed) and since is not None and since > DEFAULT_GRACE)


@given(found=st.lists(states, min_size=1, max_size=6), order=st.randoms(use_true_random=False), least=shares)
def test_the_order_of_targets_never_matters(found, order, least):
    """AWS may list targets in any order: the answer is the same but for which examples it names."""
    targets = targets_of(found)
    shuffled = order.sample(targets, len(targets))

    one, other = (
        verdict(group(*some), desired=len(found), parameters={"minHealthyPercent": least})
        for some in (targets, shuffled)
    )

    assert one == other


@given(found=st.lists(states, max_size=6), least=shares, ready=st.integers(0, 600))
def test_a_further_unhealthy_pod_never_improves_the_phase(found, least, ready):
    """One more green pod that is unhealthy leaves the phase as it is or makes it worse."""
    since, parameters = timedelta(seconds=ready), {"minHealthyPercent": least}
    before = targets_of(found)
    more = [*before, target(len(before), "unhealthy", "Target.Timeout")]

    old = verdict(group(*before), desired=max(len(before), 1), ready_for=since, parameters=parameters)
    new = verdict(group(*more), desired=len(more), ready_for=since, parameters=parameters)

    if before:
        assert new.phase.severity >= old.phase.severity


@given(found=st.lists(states, min_size=2, max_size=6), worsened=st.integers(0, 5), least=shares)
def test_a_target_that_turns_unhealthy_never_improves_the_phase(found, worsened, least):
    """Turning any target unhealthy leaves the phase as it is or makes it worse."""
    targets = targets_of(found)
    index = worsened % len(targets)
    worse = [*targets[:index], target(index, "unhealthy", "Target.Timeout"), *targets[index + 1 :]]

    old, new = (
        verdict(group(*some), desired=len(found), parameters={"minHealthyPercent": least}) for some in (targets, worse)
    )

    assert new.phase.severity >= old.phase.severity


LIMITS = {Kind.TOPOLOGY: 13.0, Kind.TARGET_HEALTH: 10.0, Kind.TARGET_GROUPS: 308.0}


@given(kind=st.sampled_from(list(LIMITS)), age=st.floats(-3600, 3600, allow_nan=False), sick=st.booleans())
def test_stale_evidence_neither_passes_nor_fails(kind, age, sick):
    """Evidence older than the limit of its kind, or from the future, decides nothing; all ages are in the answer."""
    read_at = NOW - timedelta(seconds=age)
    found = evidence(group(target(0), target(1), target(2, "unhealthy" if sick else "healthy")))

    result = refuse_stale(judge(query(), found, NOW), {**found.read_at, kind: read_at}, NOW, LIMITS)

    fresh = 0 <= (NOW - read_at).total_seconds() <= LIMITS[kind]
    assert result.phase is ((BAD if sick else GO) if fresh else WAIT)
    assert fresh or result.reason is Reason.STALE_EVIDENCE
    ages = dict.fromkeys(LIMITS, 0.0) | {kind: round((NOW - read_at).total_seconds(), 1)}
    assert result.observed["evidenceAgeSeconds"] == ages


def test_the_oldest_part_of_the_evidence_counts():
    """The age of each kind of evidence is that of its oldest part."""
    old = NOW - timedelta(minutes=1)
    fresh = dict.fromkeys(LIMITS, NOW)
    new, stale = group(target(0)), group(target(0), read_at=old)

    assert evidence(new, read_at=old).read_at == fresh | {Kind.TOPOLOGY: old}
    assert evidence(new, replace(stale, described_at=NOW)).read_at == fresh | {Kind.TARGET_HEALTH: old}
    assert evidence(replace(stale, read_at=NOW), new).read_at == fresh | {Kind.TARGET_GROUPS: old}


def test_examples_name_the_decisive_pods_and_are_few():
    """Of many bad pods an answer names five, those that failed green first."""
    sick = group(*(target(n, "unhealthy", "Target.Timeout") for n in range(20)))
    found = evidence(sick, desired=20, ready_since={pod(19).uid: NOW - timedelta(hours=1)})

    result = judge(query(), found, NOW)

    names = [example["name"] for example in result.observed["examples"]]
    assert len(names) == 5
    assert names[0] == pod(19).name
