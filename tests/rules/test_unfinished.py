"""What unfinished minutes say beyond doubt, whatever is published in which order."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.records import Metric
from provider.rules.counts import ELB_5XX, REQUESTS, TARGET_5XX, dimension
from provider.rules.proportions import chance_of_as_many
from provider.rules.unfinished import MARGIN, Bounds, bounds_of_group, bounds_of_load_balancer, chance_at_most
from provider.rules.window import MINUTE, Minutes, minutes_of, open_window
from tests.records import ARN, BALANCER, GREEN_GROUP, LOAD_BALANCER, NOW

LENGTH, LAG = timedelta(minutes=3), timedelta(minutes=2)
OF_GROUP = Metric(REQUESTS, BALANCER, dimension(ARN))
FAILED = Metric(TARGET_5XX, BALANCER, dimension(ARN))
OF_BALANCER, OWN = Metric(REQUESTS, BALANCER), Metric(ELB_5XX, BALANCER)
FINISHED = NOW - 2 * MINUTE


def minutes(first: datetime = NOW - 10 * MINUTE) -> Minutes:
    return Minutes(first, FINISHED, NOW)


def fails(bounds: list[Bounds], percent: float = 1, max_errors: int | None = None, min_requests: int = 0) -> bool:
    return any(one.fails(max_error_percent=percent, max_errors=max_errors, min_requests=min_requests) for one in bounds)


def blue_green(
    points: dict[Metric, dict[datetime, float]], of: Minutes | None = None, *, is_production: bool = True
) -> list[Bounds]:
    confirmed = {OF_BALANCER: dict.fromkeys(minutes().recent(LENGTH).minutes, 10000.0)} | points
    return bounds_of_group(GREEN_GROUP, confirmed, of or minutes(), LENGTH, is_production=is_production)


part = st.fractions(0, 1)


@given(
    counts=st.lists(st.tuples(st.integers(0, 20_000), st.floats(0, 1)), min_size=5, max_size=5),
    published=st.lists(st.tuples(part, part), min_size=2, max_size=2),
    percent=st.sampled_from([0, 0.3, 1, 5, 50]),
)
def test_no_order_of_publication_fails_a_green_that_is_finished_within_the_limit(counts, published, percent):
    """Whatever part of failures and requests is published, a failure is one of a window that fails when finished."""
    every = [FINISHED + (number - 3) * MINUTE for number in range(5)]
    final = {one: (total, int(total * share)) for one, (total, share) in zip(every, counts, strict=True)}
    busiest = max(total for one, (total, _) in final.items() if one < FINISHED)
    for one in every[3:]:  # traffic may double at once, and no more
        total = min(final[one][0], MARGIN * busiest)
        final[one] = (total, min(final[one][1], total))
    parts = dict.fromkeys(every[:3], (1, 1)) | dict(zip(every[3:], published, strict=True))
    points = {
        OF_GROUP: {one: float(int(final[one][0] * parts[one][0])) for one in every},
        FAILED: {one: float(int(final[one][1] * parts[one][1])) for one in every},
    }

    for bounds in blue_green(points):
        requests = sum(final.get(one, (0, 0))[0] for one in bounds.window.minutes)
        errors = sum(final.get(one, (0, 0))[1] for one in bounds.window.minutes)
        if fails([bounds], percent):
            assert errors * 100 > percent * requests


@pytest.mark.parametrize(
    ("errors", "requests", "limits", "is_failed"),
    [
        (120, 3000, {}, False),
        (121, 3000, {}, True),
        (300, 0, {}, False),  # failures without any request
        (240, 12_000, {}, False),  # as busy as that is already known: it may double once more
        (241, 12_000, {}, True),
        (9, 3000, {"max_errors": 9}, False),
        (10, 0, {"max_errors": 9}, True),
        (300, 3000, {"min_requests": 3001}, False),
        (300, 3000, {"min_requests": 3000}, True),
        (1, 3000, {"percent": 0}, True),
    ],
)
def test_the_limit_is_held_against_twice_the_busiest_minute(errors, requests, limits, is_failed):
    """One failure more than 1 % of twice the busiest minute fails; `maxErrors` needs no bound of requests."""
    before = {FINISHED - number * MINUTE: 6000.0 for number in range(8, 11)}
    points = {OF_GROUP: before | {FINISHED: float(requests)}, FAILED: {FINISHED: float(errors)}}

    assert fails(blue_green(points, minutes(FINISHED)), **limits) is is_failed


def test_a_group_that_never_had_requests_is_not_bounded_by_them():
    """A production group without a past, or an idle one, has no share to be sure of; a preview has its balancer's."""
    points = {OF_GROUP: {FINISHED: 300.0}, FAILED: {FINISHED: 250.0}}

    assert not fails(blue_green(points, minutes(FINISHED)))
    assert fails(blue_green(points, minutes(FINISHED), is_production=False))  # of at most 2 x 10,000
    assert not fails(blue_green(points, minutes(FINISHED), is_production=False), percent=1.25)


def test_few_requests_may_be_a_burst():
    """Traffic of three requests a minute may have a thousand at once: ten failures say nothing yet."""
    before = {FINISHED - number * MINUTE: 3.0 for number in range(8, 11)}
    points = {OF_GROUP: before | {FINISHED: 20.0}, FAILED: {FINISHED: 20.0}}

    assert not fails(blue_green(points, minutes(FINISHED)))


def test_a_minute_without_data_keeps_its_own_rule():
    """A finished minute that no metric confirms leaves the answer to `onNoData`."""
    points = {OF_GROUP: {FINISHED - 3 * MINUTE: 6000.0, NOW - MINUTE: 6000.0}, FAILED: {NOW - MINUTE: 6000.0}}

    assert fails(blue_green(points))
    assert not fails(blue_green(points | {OF_BALANCER: {NOW - MINUTE: 6000.0}}))


@pytest.mark.parametrize(("served", "is_failed"), [(FINISHED, False), (FINISHED - MINUTE, True)])
def test_the_gap_at_the_switch_counts_once(served, is_failed):
    """The load balancer's own 5xx of green's first minute wait until it is finished; later ones do not."""
    points = {
        OF_BALANCER: {FINISHED - number * MINUTE: 6000.0 for number in range(8)},
        OWN: {FINISHED: 3000.0},
    }

    assert fails(bounds_of_load_balancer(LOAD_BALANCER, points, minutes(served), LENGTH)) is is_failed


side = st.tuples(st.integers(0, 3000), st.integers(0, 3000)).map(lambda pair: (min(pair), max(pair)))


@given(green=side, blue=side, finished=side, completed=st.tuples(part, part, part, part))
def test_green_is_worse_however_blue_goes_on(green, blue, finished, completed):
    """The chance is an upper bound: no completion of blue's and green's counts gives a higher one."""

    def bounds(known, past):
        most = past[1] + 2 * max(known[1], 1000)
        return Bounds("", minutes().recent(LENGTH), 1, known[0] + past[0], known[1] + past[1], most, past[1] - past[0])

    one, other = bounds(green, (0, 0)), bounds(blue, finished)
    highest = chance_at_most(one, other)

    def grown(of, requests, errors):
        total = int(of.requests + (of.most_requests - of.requests) * requests)
        return int(of.errors + (total - of.answered - of.errors) * errors), total

    green_errors, green_total = grown(one, completed[0], completed[1])
    blue_errors, blue_total = grown(other, completed[2], completed[3])
    assert chance_of_as_many(green_errors, green_total, blue_errors, blue_total) <= highest * (1 + 1e-6) + 1e-12


@given(st.integers(0, 600), st.integers(0, 900), st.integers(0, 900), st.sampled_from([60, 120, 600]))
def test_each_window_is_judged_again_when_it_is_finished(now, lag, served, length):
    """An unfinished window is exactly the one that opens later, and reads begin no earlier than needed."""
    at, since = NOW + timedelta(seconds=now), NOW - timedelta(seconds=served)
    of = minutes_of(at, timedelta(seconds=lag), since)

    assert of.until >= at.replace(second=0) or lag == 0
    for window in of.windows(timedelta(seconds=length)):
        finished = window.end + timedelta(seconds=lag)
        assert open_window(finished, timedelta(seconds=length), timedelta(seconds=lag), since, "web") == window
        assert of.recent(timedelta(seconds=length)).start <= window.start
