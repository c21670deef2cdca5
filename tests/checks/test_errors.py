"""The judge of errors: tables for its limits, properties for its promises."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks import errors
from provider.checks.errors import percent
from provider.checks.question import parse
from provider.model.reasons import Phase, Reason
from provider.model.records import Metric, Stage, Window
from provider.rules.counts import (
    CONNECTION_ERRORS,
    ELB_5XX,
    ELB_CODES,
    HEALTHY_HOSTS,
    REQUESTS,
    TARGET_5XX,
    dimension,
)
from provider.rules.window import Minutes
from tests.records import ARN, BALANCER, BLUE_GROUP, GREEN_GROUP, LOAD_BALANCER, NOW, WINDOW, traffic

WAIT, GO, BAD = Phase.INCONCLUSIVE, Phase.SUCCESSFUL, Phase.FAILED


def verdict(found, **parameters):
    fields = {"namespace": "shop", "rollout": "web"} | {name: str(value) for name, value in parameters.items()}
    return errors.CHECK.judge(parse(errors.CHECK, fields.items()), found, NOW)


@pytest.mark.parametrize(
    ("counts", "parameters", "phase", "reason"),
    [
        ({REQUESTS: 1000}, {}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 10}, {}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 11}, {}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 6, CONNECTION_ERRORS: 5}, {}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 50}, {"maxErrorPercent": 5}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 51}, {"maxErrorPercent": 5}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 1}, {"maxErrorPercent": 0}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 3}, {"maxErrors": 3}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ({REQUESTS: 1000, TARGET_5XX: 4}, {"maxErrors": 3}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({REQUESTS: 4, TARGET_5XX: 4}, {"maxErrors": 3, "minRequests": 10}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({REQUESTS: 9, TARGET_5XX: 9}, {"minRequests": 10}, WAIT, Reason.TOO_FEW_REQUESTS),
        ({REQUESTS: 10, TARGET_5XX: 10}, {"minRequests": 10}, BAD, Reason.ERRORS_ABOVE_LIMIT),
        ({}, {}, GO, Reason.NO_REQUESTS),
        ({}, {"minRequests": 1}, WAIT, Reason.TOO_FEW_REQUESTS),
        ({CONNECTION_ERRORS: 5}, {}, BAD, Reason.ERRORS_ABOVE_LIMIT),
    ],
)
def test_the_limits_at_and_around_their_boundaries(counts, parameters, phase, reason):
    """A share or number at its limit passes, one above it fails, and too few requests block unless too many failed."""
    found = verdict(traffic(counts), **parameters)

    assert (found.phase, found.reason) == (phase, reason)


def test_the_sentence_has_the_numbers_the_metric_and_the_minutes():
    """A failure says how many of how many requests, which metric, which minutes, and what was allowed."""
    found = verdict(traffic({REQUESTS: 900, TARGET_5XX: 72, CONNECTION_ERRORS: 1}))

    assert found.message == (
        "73 of 900 requests (8.12 %) failed in green-group between 11:55 and 11:58 UTC "
        "(72 × 5xx, 1 connection error), more than the 1 % allowed"
    )
    assert found.number == 8.12


@pytest.mark.parametrize(
    ("on_no_data", "counts", "phase"),
    [
        ("inconclusive", {REQUESTS: 1000}, WAIT),
        ("inconclusive", {}, WAIT),
        ("pass", {}, GO),
        ("pass", {REQUESTS: 1000, TARGET_5XX: 900}, WAIT),
        ("fail", {}, BAD),
    ],
)
def test_a_minute_without_data_is_never_zero(on_no_data, counts, phase):
    """Without a confirming metric for every minute the answer is NoData, and onNoData sets the phase."""
    found = verdict(traffic(counts, live=False), onNoData=on_no_data)

    assert (found.phase, found.reason) == (phase, Reason.NO_DATA)


@given(
    by_balancer=st.lists(st.booleans(), min_size=3, max_size=3),
    by_hosts=st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_every_minute_needs_a_confirming_metric(by_balancer, by_hosts):
    """An absent count is 0 only in minutes with the load balancer's RequestCount or the group's HealthyHostCount."""
    points = {
        Metric(REQUESTS, BALANCER): {m: 5.0 for m, has in zip(WINDOW.minutes, by_balancer, strict=True) if has},
        Metric(HEALTHY_HOSTS, BALANCER, dimension(ARN), "Maximum"): {
            m: 0.0 for m, has in zip(WINDOW.minutes, by_hosts, strict=True) if has
        },
    }

    found = verdict(traffic(points=points))

    confirmed = all(one or other for one, other in zip(by_balancer, by_hosts, strict=True))
    assert found.phase is (GO if confirmed else WAIT)


def test_points_outside_the_window_do_not_count():
    """Points of other minutes neither add errors nor confirm a count."""
    outside = {WINDOW.end: 500.0, WINDOW.start - timedelta(minutes=1): 500.0}
    points = {
        Metric(TARGET_5XX, BALANCER, dimension(ARN)): outside,
        Metric(REQUESTS, BALANCER): dict.fromkeys(WINDOW.minutes[:2], 10.0) | outside,
    }

    assert verdict(traffic(points=points)).reason is Reason.NO_DATA
    points[Metric(REQUESTS, BALANCER)][WINDOW.minutes[2]] = 10.0
    assert verdict(traffic(points=points)).reason is Reason.NO_REQUESTS


ELB = {REQUESTS: 1000, ELB_5XX: 60, ELB_CODES[502]: 10, ELB_CODES[503]: 20, ELB_CODES[504]: 29}


def test_before_the_switch_the_load_balancers_own_errors_are_reported_only():
    """Before the switch ELB codes, which have no target group, are in the sentence by cause and not in the phase."""
    found = verdict(traffic({REQUESTS: 1000}, balancer=ELB))

    assert found.phase is GO
    assert found.message.endswith(
        "; reported only: load balancer shop itself returned 10 × HTTP 502 (a target closed the connection or broke "
        "the protocol), 20 × HTTP 503 (no target available), 29 × HTTP 504 (a target was too slow), 1 × other 5xx"
    )


@pytest.mark.parametrize(
    ("balancer", "foreign", "phase", "reason"),
    [
        (ELB, {LOAD_BALANCER: 0}, BAD, Reason.LOAD_BALANCER_ERRORS),
        (ELB, {LOAD_BALANCER: 2}, WAIT, Reason.LOAD_BALANCER_SHARED),
        (ELB, {}, WAIT, Reason.LOAD_BALANCER_SHARED),
        ({REQUESTS: 1000, ELB_5XX: 10, ELB_CODES[502]: 10}, {}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ({ELB_5XX: 5, ELB_CODES[503]: 5}, {LOAD_BALANCER: 0}, BAD, Reason.LOAD_BALANCER_ERRORS),
    ],
)
def test_after_the_switch_the_load_balancers_own_errors_are_judged(balancer, foreign, phase, reason):
    """After the switch too many ELB 5xx fail green, unless the load balancer also serves target groups of others."""
    found = verdict(traffic({REQUESTS: 1000}, balancer=balancer, stage=Stage.AFTER_SWITCH, foreign=foreign))

    assert (found.phase, found.reason) == (phase, reason)


@pytest.mark.parametrize("stage", [Stage.BEFORE_SWITCH, Stage.AFTER_SWITCH])
@pytest.mark.parametrize("first", [0, -1, -10])
@pytest.mark.parametrize("parameters", [{}, {"switchGap": "ignore"}])
def test_the_gap_of_a_switch_is_only_reported_if_it_is_ignored(parameters, first, stage):
    """With switchGap=ignore the load balancer's own 5xx of green's first minute, and of no other, do not fail green."""
    minutes = Minutes(WINDOW.start + timedelta(minutes=first), WINDOW.end, WINDOW.end)

    found = verdict(
        traffic({REQUESTS: 1000}, balancer=ELB, stage=stage, foreign={LOAD_BALANCER: 0}, minutes=minutes), **parameters
    )

    is_reported = stage is Stage.BEFORE_SWITCH or (bool(parameters) and first == 0)
    assert found.phase is (GO if is_reported else BAD)
    assert ("reported only" in found.message) is is_reported
    assert found.observed["loadBalancers"][0]["elb5xxCount"] == 60


@pytest.mark.parametrize("switch_gap", ["fail", "ignore"])
def test_the_gap_excuses_no_answer_of_green(switch_gap):
    """The 5xx of green's own targets in its first minute fail it, whatever is said of the load balancer's."""
    found = verdict(
        traffic({REQUESTS: 1000, TARGET_5XX: 11}, balancer=ELB, stage=Stage.AFTER_SWITCH, foreign={LOAD_BALANCER: 0}),
        switchGap=switch_gap,
    )

    assert (found.phase, found.reason) == (BAD, Reason.ERRORS_ABOVE_LIMIT)


@pytest.mark.parametrize(
    ("green", "blue", "parameters", "phase", "reason"),
    [
        ((1000, 80), (10_000, 10), {}, BAD, Reason.WORSE_THAN_BLUE),
        ((1000, 9), (10_000, 10), {}, BAD, Reason.WORSE_THAN_BLUE),
        ((1000, 80), (10_000, 800), {}, WAIT, Reason.NOT_WORSE_THAN_BLUE),
        ((1000, 80), (10_000, 800), {"maxErrors": 5}, WAIT, Reason.NOT_WORSE_THAN_BLUE),
        ((1000, 5), (10_000, 40), {}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ((1000, 0), (10_000, 900), {}, GO, Reason.ERRORS_WITHIN_LIMIT),
        ((99, 50), (10_000, 0), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        ((1000, 50), (99, 0), {}, WAIT, Reason.TOO_FEW_REQUESTS),
        ((1000, 50), (150, 0), {"minRequests": 200}, WAIT, Reason.TOO_FEW_REQUESTS),
        ((100, 4), (100, 0), {}, WAIT, Reason.NOT_WORSE_THAN_BLUE),
        ((100, 4), (100, 0), {"significance": 0.1}, BAD, Reason.WORSE_THAN_BLUE),
        ((1000, 80), None, {}, WAIT, Reason.NO_BLUE),
    ],
)
def test_compared_with_blue(green, blue, parameters, phase, reason):
    """With compare=blue green fails only if its share is worse than blue's beyond chance, given enough requests."""
    found = traffic({REQUESTS: green[0], TARGET_5XX: green[1]}, blue=blue and {REQUESTS: blue[0], TARGET_5XX: blue[1]})

    result = verdict(found, compare="blue", **parameters)

    assert (result.phase, result.reason) == (phase, reason)
    assert f"green failed {green[1]} of {green[0]} requests" in result.message or reason is Reason.TOO_FEW_REQUESTS
    if blue and reason is not Reason.TOO_FEW_REQUESTS:
        assert f"blue failed {blue[1]} of {blue[0]} requests" in result.message


SECOND_GROUP = replace(GREEN_GROUP, arn=ARN.replace("web-1f9c", "second"), name="second-group")


def test_a_group_without_data_excuses_no_other():
    """With onNoData=pass a group without data next to one with too many failures never passes, compared or not."""
    silent = replace(SECOND_GROUP, load_balancer_arns=(LOAD_BALANCER.replace("app/shop", "app/other"),))
    found = traffic({REQUESTS: 1000, TARGET_5XX: 500}, blue={REQUESTS: 1000, TARGET_5XX: 500})
    both = replace(found, groups=(GREEN_GROUP, silent))

    assert verdict(both, onNoData="pass").phase is BAD
    assert verdict(both, onNoData="pass", compare="blue").phase is WAIT


def test_a_blue_without_data_decides_nothing():
    """Without data for blue there is nothing to compare with, whatever onNoData says."""
    other = LOAD_BALANCER.replace("app/shop", "app/other")
    found = traffic({REQUESTS: 1000, TARGET_5XX: 500}, blue={})
    silent = replace(found, blue=(replace(BLUE_GROUP, load_balancer_arns=(other,)),))

    for on_no_data in ("inconclusive", "pass", "fail"):
        result = verdict(silent, compare="blue", onNoData=on_no_data)
        assert (result.phase, result.reason) == (WAIT, Reason.NO_DATA)


def test_blue_is_always_reported():
    """Without compare blue's share is reported only."""
    result = verdict(traffic({REQUESTS: 1000}, blue={REQUESTS: 1000, TARGET_5XX: 500}))

    assert result.phase is GO
    assert result.observed["blue"] == {"requestCount": 1000, "errorCount": 500, "errorPercent": 50.0, "pValue": 1.0}
    assert result.message.endswith("; blue failed 500 of 1000 requests (50 %)")


counted = st.integers(0, 2000)
options = st.fixed_dictionaries(
    {},
    optional={
        "maxErrorPercent": st.floats(0, 100, allow_nan=False),
        "maxErrors": st.integers(0, 500),
        "minRequests": st.integers(0, 1500),
        "onNoData": st.sampled_from(["inconclusive", "pass", "fail"]),
        "compare": st.just("blue"),
    },
)


@given(requests=counted, failed=counted, more=st.integers(1, 500), blue=counted, live=st.booleans(), parameters=options)
def test_more_5xx_never_improves_the_phase(requests, failed, more, blue, live, parameters):
    """With any limits, a green with more 5xx is judged the same or worse."""
    failed = min(failed, requests)
    more = min(more, requests - failed)
    base = {"blue": {REQUESTS: 2000, TARGET_5XX: blue}, "live": live}

    one = verdict(traffic({REQUESTS: requests, TARGET_5XX: failed}, **base), **parameters)
    other = verdict(traffic({REQUESTS: requests, TARGET_5XX: failed + more}, **base), **parameters)

    assert other.phase.severity >= one.phase.severity


@given(requests=counted, failed=counted, shift=st.integers(-100_000, 100_000), parameters=options)
def test_shifting_every_timestamp_changes_nothing(requests, failed, shift, parameters):
    """The same counts in other minutes of the year give the same phase, reason and number."""
    moved = Window(WINDOW.start + shift * timedelta(minutes=1), WINDOW.end + shift * timedelta(minutes=1))
    counts = {REQUESTS: requests, TARGET_5XX: failed}

    one, other = verdict(traffic(counts), **parameters), verdict(traffic(counts, window=moved), **parameters)

    assert (one.phase, one.reason, one.number) == (other.phase, other.reason, other.number)


def test_the_worst_target_group_decides():
    """Of two groups behind one Service the one that fails more is named and charted."""
    found = traffic({REQUESTS: 1000})
    points = {
        **found.points,
        Metric(REQUESTS, BALANCER, dimension(SECOND_GROUP.arn)): {WINDOW.start: 100.0},
        Metric(TARGET_5XX, BALANCER, dimension(SECOND_GROUP.arn)): {WINDOW.start: 2.0},
    }

    result = verdict(replace(found, groups=(GREEN_GROUP, SECOND_GROUP), points=points))

    assert (result.phase, result.number) == (BAD, 2.0)
    assert "second-group" in result.message


@pytest.mark.parametrize(("part", "whole", "shown"), [(1, 1_000_000, 0.01), (0, 5, 0.0), (0, 0, 0.0), (1, 3, 33.34)])
def test_an_error_percentage_is_never_rounded_down(part, whole, shown):
    """0.0 on Argo's chart means no failure at all."""
    assert percent(part, whole) == shown
