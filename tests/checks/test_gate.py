"""The gate and the replicas part of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks import QUESTIONS, gate, green_pods, replicas
from provider.checks.gate import PARTS
from provider.checks.question import parse
from provider.model.errors import BadQuery, CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import Green, Kind, ReplicaSet
from provider.rules.counts import REQUESTS, TARGET_5XX
from tests.records import NOW, evidence, group, pod, replica_set, rollout, target, traffic

REPLICAS, TARGET_HEALTH, ERRORS, _ = PARTS
HEALTHY = [target(0), target(1), target(2)]
SICK = [target(0), target(1), target(2, "unhealthy", "Target.Timeout")]
NEW = [target(0), target(1), target(2, "initial", "Elb.InitialHealthChecking")]
NO_AWS = CannotTell(Reason.AWS_THROTTLED, "AWS throttles elasticloadbalancing:DescribeTargetHealth")


def green(of: ReplicaSet | None = None) -> Green:
    return Green(rollout(), of or replica_set(), tuple(pod(number) for number in range(3)), NOW, NOW)


def asked(*parts, **parameters):
    """Return the gate's answer to this evidence."""
    fields = {"namespace": "shop", "rollout": "web"} | parameters
    query = QUESTIONS["gate"].query.model_validate(fields)
    return QUESTIONS["gate"].judge(query, gate.Evidence(green(), parts), NOW)


@pytest.mark.parametrize(
    ("available", "desired", "least", "phase", "number"),
    [
        (3, 3, None, Phase.SUCCESSFUL, 100.0),
        (4, 3, None, Phase.SUCCESSFUL, 100.0),
        (2, 3, None, Phase.INCONCLUSIVE, 66.6),
        (0, 3, None, Phase.INCONCLUSIVE, 0.0),
        (0, 0, None, Phase.INCONCLUSIVE, 0.0),
        (9, 10, None, Phase.INCONCLUSIVE, 90.0),
        (9, 10, 90, Phase.SUCCESSFUL, 90.0),
        (9, 10, 90.1, Phase.INCONCLUSIVE, 90.0),
        (2, 3, 66.6, Phase.SUCCESSFUL, 66.6),
        (1, 100, 1, Phase.SUCCESSFUL, 1.0),
        (0, 100, 1, Phase.INCONCLUSIVE, 0.0),
        (0, 0, 1, Phase.INCONCLUSIVE, 0.0),
    ],
)
def test_replicas_compares_available_with_desired(available, desired, least, phase, number):
    """Green passes once minHealthyPercent of its desired replicas are available; missing ones are never a failure."""
    found = replicas.Evidence(green(replica_set(replicas=desired, available=available)))
    fields = {"namespace": "shop", "rollout": "web"} | ({"minHealthyPercent": least} if least else {})

    verdict = replicas.judge(green_pods.Query.model_validate(fields), found, NOW)

    assert (verdict.phase, verdict.number) == (phase, number)
    passed_with_fewer = phase is Phase.SUCCESSFUL and available < desired
    assert (f"; minHealthyPercent={least} is met" in verdict.message) == passed_with_fewer
    assert verdict.message.startswith(f"{min(available, desired)} of {desired} replicas of web-6d9f7c available")


@pytest.mark.parametrize(
    ("available", "targets", "phase", "reason"),
    [
        (3, HEALTHY, Phase.SUCCESSFUL, Reason.ALL_CHECKS_PASSED),
        (2, HEALTHY, Phase.INCONCLUSIVE, Reason.REPLICAS_UNAVAILABLE),
        (3, NEW, Phase.INCONCLUSIVE, Reason.TARGETS_INITIAL),
        (2, NEW, Phase.INCONCLUSIVE, Reason.REPLICAS_UNAVAILABLE),
        (3, SICK, Phase.FAILED, Reason.TARGETS_UNHEALTHY),
        (2, SICK, Phase.FAILED, Reason.TARGETS_UNHEALTHY),
    ],
)
def test_the_worst_check_decides(available, targets, phase, reason):
    """Failed beats Inconclusive beats Successful, the first check of the worst phase gives the reason."""
    of = replicas.Evidence(green(replica_set(available=available)))

    verdict = asked((REPLICAS, of), (TARGET_HEALTH, evidence(group(*targets))))

    assert (verdict.phase, verdict.reason) == (phase, reason)
    assert [check["check"] for check in verdict.observed["checks"]] == ["replicas", "target-health"]
    assert verdict.number == (100.0 if targets is HEALTHY else 66.6)


def test_a_check_that_could_not_look_blocks_but_hides_no_failure():
    """A check without evidence is Inconclusive with its own reason, and another check's Failed still decides."""
    available = (REPLICAS, replicas.Evidence(green()))

    blocked = asked(available, (TARGET_HEALTH, NO_AWS))
    failed = asked((REPLICAS, NO_AWS), (TARGET_HEALTH, evidence(group(*SICK))))

    assert (blocked.phase, blocked.reason) == (Phase.INCONCLUSIVE, Reason.AWS_THROTTLED)
    assert "AWS throttles" in blocked.message
    assert (failed.phase, failed.reason) == (Phase.FAILED, Reason.TARGETS_UNHEALTHY)


def test_a_check_that_needs_a_person_is_named_before_one_that_waits():
    """Of two checks that block, the one that needs a person gives the reason and comes first in the sentence."""
    waiting = (REPLICAS, replicas.Evidence(green(replica_set(available=2))))
    forbidden = CannotTell(Reason.AWS_FORBIDDEN, "AWS forbids it. Allow it.")

    for parts in ([waiting, (TARGET_HEALTH, forbidden)], [(TARGET_HEALTH, forbidden), waiting]):
        verdict = asked(*parts)

        assert (verdict.phase, verdict.reason) == (Phase.INCONCLUSIVE, Reason.AWS_FORBIDDEN)
        assert verdict.message == (
            "target-health: AWS forbids it. Allow it. replicas: 2 of 3 replicas of web-6d9f7c available"
        )


def test_one_reason_of_two_checks_is_said_once():
    """Checks that say the same share one sentence."""
    verdict = asked((TARGET_HEALTH, NO_AWS), (ERRORS, NO_AWS))

    assert verdict.message == "target-health, errors: AWS throttles elasticloadbalancing:DescribeTargetHealth"


@given(st.lists(st.sampled_from([HEALTHY, NEW, SICK, None]), min_size=2, max_size=4))
def test_the_gate_passes_only_if_every_check_does(parts):
    """A gate is Successful exactly if all of its checks are, in any mixture and order."""
    gathered = [NO_AWS if part is None else evidence(group(*part)) for part in parts]

    verdict = asked(*((TARGET_HEALTH, evidence) for evidence in gathered))

    assert (verdict.phase is Phase.SUCCESSFUL) == all(part is HEALTHY for part in parts)
    assert (verdict.phase is Phase.FAILED) == any(part is SICK for part in parts)


@pytest.mark.parametrize(
    ("failed", "phase", "reason"),
    [(0, Phase.SUCCESSFUL, Reason.ALL_CHECKS_PASSED), (500, Phase.FAILED, Reason.ERRORS_ABOVE_LIMIT)],
)
def test_the_gate_charts_health_and_fails_on_5xx(failed, phase, reason):
    """A green that is healthy everywhere and answers 5xx is Failed; the number stays the healthy percentage."""
    seen = traffic({REQUESTS: 1000, TARGET_5XX: failed})

    verdict = asked((TARGET_HEALTH, evidence(group(*HEALTHY))), (ERRORS, seen))

    assert (verdict.phase, verdict.reason, verdict.number) == (phase, reason, 100.0)
    assert [check["phase"] for check in verdict.observed["checks"]] == ["Successful", phase.value]


def test_the_gates_evidence_is_as_old_as_its_oldest_part():
    """The evidence of the gate is as old as its oldest part."""
    old = NOW - timedelta(minutes=1)
    fresh, stale = replicas.Evidence(green()), replicas.Evidence(replace(green(), read_at=old))

    found = gate.Evidence(green(), ((REPLICAS, fresh), (TARGET_HEALTH, NO_AWS), (REPLICAS, stale)))

    assert found.read_at == {Kind.TOPOLOGY: old}


@pytest.mark.parametrize("checks", ["error", "replicas,", ",", "replicas,replicas", "replicas target-health"])
def test_checks_names_only_checks_that_there_are(checks):
    """A misspelt entry of `checks` is rejected: omitting a check by accident would open the gate."""
    with pytest.raises(BadQuery) as raised:
        parse(QUESTIONS["gate"], [("namespace", "shop"), ("rollout", "web"), ("checks", checks)])

    assert [problem.parameter for problem in raised.value.problems] == ["checks"]


def test_the_gate_takes_every_parameter_of_its_checks():
    """The gate takes every parameter of its checks."""
    own = set(QUESTIONS["gate"].query.model_fields)

    assert own == {"checks"}.union(*(part.query.model_fields for part in PARTS))
