"""The model of Argo's metric assessment against what Argo's documentation and code say."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world.argo.analysis_runs import play
from tests.world.argo.assessment import (
    MEASURED,
    Counters,
    Limits,
    Phase,
    assess,
    ends,
    holds,
    measure,
    phase_of_run,
)

S, I, E, F = MEASURED  # noqa: E741 - one letter per measurement makes a sequence readable

BOTH = {"successCondition": 'result[1] == "Successful"', "failureCondition": 'result[1] == "Failed"'}
SUCCESS_ONLY = {"successCondition": 'result[1] == "Successful"'}
FAILURE_ONLY = {"failureCondition": 'result[1] == "Failed"'}

WAIT_UNTIL_HEALTHY = Limits(50, inconclusive_limit=50, consecutive_error_limit=30, consecutive_success_limit=3)
WATCH = Limits(10, failure_limit=1, inconclusive_limit=3, consecutive_error_limit=10)

small_limits = st.integers(1, 4).flatmap(
    lambda count: st.builds(
        Limits,
        count=st.just(count),
        failure_limit=st.integers(0, count),
        inconclusive_limit=st.integers(0, count),
        consecutive_error_limit=st.integers(0, 2),
        consecutive_success_limit=st.just(0),
    )
)


@pytest.mark.parametrize(
    ("conditions", "answer", "expected"),
    [
        ({}, "Inconclusive", S),
        ({}, "Failed", S),
        (SUCCESS_ONLY, "Successful", S),
        (SUCCESS_ONLY, "Inconclusive", F),
        (FAILURE_ONLY, "Failed", F),
        (FAILURE_ONLY, "Inconclusive", S),
        (BOTH, "Successful", S),
        (BOTH, "Failed", F),
        (BOTH, "Inconclusive", I),
        (BOTH, "anything else", I),
        ({"successCondition": 'result[1] == "Failed"', "failureCondition": 'result[1] == "Failed"'}, "Failed", F),
    ],
)
def test_a_measurement_is_what_its_conditions_make_of_it(conditions, answer, expected):
    """Only with both conditions is an answer that is neither pass nor failure Inconclusive; failure wins."""
    assert measure(conditions, [95.0, answer, "a sentence"]) is expected


@pytest.mark.parametrize("result", [[], [95.0], None, {"phase": "Successful"}, "Successful"])
def test_an_answer_that_cannot_be_evaluated_is_an_error(result):
    """A result without a second element is an Error, not a verdict."""
    assert measure(BOTH, result) is E


@pytest.mark.parametrize("condition", ["result.phase == 'Successful'", 'result[0] == "Failed"', "true", ""])
def test_unknown_conditions_are_refused(condition):
    """The model never guesses what a condition that it does not know would say."""
    with pytest.raises(ValueError, match="does not know"):
        holds(condition, [95.0, "Successful", ""])


@pytest.mark.parametrize(
    ("limits", "measured", "expected"),
    [
        pytest.param(Limits(1), [S], S, id="one pass of one"),
        pytest.param(Limits(1), [F], F, id="one failure is more than the default limit"),
        pytest.param(Limits(1), [I], I, id="one unknown is more than the default limit"),
        pytest.param(Limits(1), [E] * 4, Phase.RUNNING, id="four consecutive errors are allowed by default"),
        pytest.param(Limits(1), [E] * 5, E, id="the fifth consecutive error ends it"),
        pytest.param(Limits(3), [E, E, E, E, S] * 3, S, id="errors that are not consecutive end nothing"),
        pytest.param(Limits(3), [S, S], Phase.RUNNING, id="count is not reached"),
        pytest.param(Limits(5, failure_limit=2), [F, S, F, S, F], F, id="failures add up"),
        pytest.param(Limits(5, inconclusive_limit=1), [I, S, S, I], I, id="unknowns add up, consecutive or not"),
        pytest.param(Limits(60, inconclusive_limit=60), [I] * 60, S, id="pitfall: sixty waits pass"),
        pytest.param(Limits(60, inconclusive_limit=59), [S] + [I] * 59, S, id="pitfall: one early pass, then waits"),
        pytest.param(Limits(2, failure_limit=1, inconclusive_limit=1), [F, I], S, id="pitfall: limits add up to count"),
        pytest.param(WAIT_UNTIL_HEALTHY, [I, E, S, S, S], S, id="A: three consecutive"),
        pytest.param(
            WAIT_UNTIL_HEALTHY, [S, S, E, S, S, I, S, S], Phase.RUNNING, id="A: after a break the count starts again"
        ),
        pytest.param(WAIT_UNTIL_HEALTHY, [I] * 49 + [F], F, id="A: one failure aborts at once"),
        pytest.param(WAIT_UNTIL_HEALTHY, [I] * 49, Phase.RUNNING, id="A: waiting trips no limit"),
        pytest.param(WAIT_UNTIL_HEALTHY, [I] * 50, I, id="A: waiting too long pauses"),
        pytest.param(WAIT_UNTIL_HEALTHY, [S, I] * 25, I, id="A: passes that are never consecutive pause"),
        pytest.param(WAIT_UNTIL_HEALTHY, [E] * 31, E, id="A: our own outage aborts"),
        pytest.param(WAIT_UNTIL_HEALTHY, [I] * 47 + [S] * 3, S, id="A: the last three of count"),
        pytest.param(WATCH, [F, I, I, I] + [S] * 6, S, id="C: six passes of ten are the least"),
        pytest.param(WATCH, [S] * 8 + [F, F], F, id="C: the second failure aborts"),
        pytest.param(WATCH, [S] * 6 + [I] * 4, I, id="C: the fourth unknown pauses"),
        pytest.param(Limits(3, -1, 3, 4, 2), [F, F, F], F, id="failureLimit -1 fails at count"),
        pytest.param(Limits(4, -1, 4, 4, 2), [F, F, S, S], S, id="failureLimit -1 allows failures before the row"),
        pytest.param(Limits(None), [S] * 1000, Phase.RUNNING, id="an endless metric never passes"),
        pytest.param(Limits(None, failure_limit=1), [S] * 99 + [F, S, F], F, id="an endless metric fails"),
    ],
)
def test_a_metric_ends_as_documented(limits, measured, expected):
    """Each documented way for a metric to end, or to go on, is what the model says."""
    phase, _ = assess(limits, measured)

    assert phase is expected


def test_a_metric_that_has_ended_is_not_measured_again():
    """What comes after the end changes nothing."""
    assert assess(Limits(1), [S, F]) == (S, Counters(successful=1, successes_in_a_row=1))


@given(small_limits)
def test_passes_without_a_pass_are_exactly_those_of_too_generous_limits(limits):
    """Without consecutiveSuccessLimit a metric can pass without a pass exactly if both limits add up to count."""
    fewest = min(counters.successful for phase, counters in ends(limits) if phase is S)

    assert fewest == max(0, limits.count - limits.failure_limit - limits.inconclusive_limit)


@given(small_limits)
def test_all_ends_are_those_of_all_sequences(limits):
    """Following the counters finds the same ends as trying every sequence of measurements."""
    longest = limits.count + 2
    tried = {assess(limits, sequence) for sequence in product(MEASURED, repeat=longest)}

    assert {end for end in tried if end[0] is not Phase.RUNNING} <= ends(limits)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ({"count": 2}, "needs an interval"),
        ({"count": 3, "interval": "1s", "failureLimit": 2, "consecutiveSuccessLimit": 2}, "consecutiveSuccessLimit"),
        ({"count": 3, "interval": "1s", "inconclusiveLimit": 4}, "inconclusiveLimit"),
        ({"count": 3, "interval": "1s", "failureLimit": -1}, "needs a consecutiveSuccessLimit"),
    ],
)
def test_limits_that_argo_refuses_are_refused(metric, reason):
    """A metric that Argo's validation rejects has no verdict."""
    with pytest.raises(ValueError, match=reason):
        Limits.of(metric)


@pytest.mark.parametrize(
    ("metric", "count"), [({}, 1), ({"interval": "10s"}, None), ({"interval": "10s", "count": 5}, 5), ({"count": 0}, 1)]
)
def test_count_has_argos_defaults(metric, count):
    """Without count a metric is measured once, or for ever if it has an interval."""
    assert Limits.of(metric) == Limits(count)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ([S, S], S),
        ([S, Phase.RUNNING], Phase.RUNNING),
        ([I, Phase.RUNNING], I),
        ([S, I, E], E),
        ([E, F, I], F),
        ([Phase.RUNNING, F], F),
    ],
)
def test_a_run_is_as_bad_as_its_worst_metric(metrics, expected):
    """One metric that does not end well decides the run, whatever the others would have said."""
    assert phase_of_run(metrics) is expected


def test_a_metric_is_measured_first_at_the_switch_and_never_after_its_end():
    """Without initialDelay the first measurement is at second 0, the switch; a metric that has ended asks no more."""
    metrics = [
        {"name": "quick", "interval": "10s", "count": 50, "consecutiveSuccessLimit": 3},
        {"name": "slow", "initialDelay": "1m", "interval": "60s", "count": 2},
    ]

    ended = play(metrics, lambda _name, _second: Phase.SUCCESSFUL, answer_seconds=1)

    assert ended.measured == {"quick": (0, 11, 22), "slow": (60, 121)}
    assert (ended.phase, ended.seconds) == (Phase.SUCCESSFUL, 122)
