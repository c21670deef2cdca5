"""What a warm-up sends, where to and how fast: pure rules."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.advice.warm_up.hosts import is_among
from provider.advice.warm_up.measured import judge, p95
from provider.advice.warm_up.plan import BadPlan, Pace, Request, in_turn, requests_of


def test_a_file_of_requests():
    """Methods, weights, blanks and comments are read; a line without a method is a GET."""
    lines = ["# products first", "get /products 3", "", "/ # home", "HEAD /healthz  2"]

    assert requests_of(lines) == (Request("/products", "GET", 3), Request("/"), Request("/healthz", "HEAD", 2))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("POST /orders", "line 1: POST is neither GET nor HEAD"),
        ("products", "line 1: PRODUCTS is neither GET nor HEAD, and a path begins with /"),
        ("GET products", "line 1: the path must begin with /"),
        ("GET", "line 1: the path must begin with /"),
        ("/ 0", "line 1: after the path comes a weight between 1 and 1000"),
        ("/ 1001", "line 1: after the path comes a weight"),
        ("/ often", "line 1: after the path comes a weight"),
        ("/ 1 2", "line 1: after the path comes a weight"),
        ("# nothing", "there are no requests in it"),
    ],
)
def test_a_line_that_is_no_request(line, sentence):
    """What is no request is named with its line; a method that could change something is refused."""
    with pytest.raises(BadPlan) as refused:
        requests_of([line])

    assert str(refused.value).startswith(sentence)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_each_request_is_sent_as_often_as_its_weight(weights):
    """In as many requests as there is weight, each one comes exactly as often as its weight says."""
    plan = tuple(Request(f"/{number}", weight=weight) for number, weight in enumerate(weights))

    sent = Counter(one.path for one in islice(in_turn(plan), sum(weights)))

    assert sent == {one.path: one.weight for one in plan}


def test_the_rate_grows():
    """The rate grows evenly from one a second, stays at its end, and never begins above it."""
    assert [Pace(11, 10).at(second) for second in (0, 5, 10, 99)] == [1, 6, 11, 11]
    assert [Pace(0.5, 10).at(second) for second in (0, 99)] == [0.5, 0.5]
    assert Pace(20, 0).at(0) == 20


@pytest.mark.parametrize(
    ("host", "pattern", "is_own"),
    [
        ("preview.example.com", "preview.example.com", True),
        ("Preview.Example.com", "preview.example.COM", True),
        ("a.example.com", "*.example.com", True),
        ("a1.example.com", "a?.example.com", True),
        ("example.com", "*.example.com", False),
        ("previewxexample.com", "preview.example.com", False),
        ("evil.com", "", False),
    ],
)
def test_only_the_hosts_of_the_rules(host, pattern, is_own):
    """A host must be one of the rules' hosts, with their wildcards, whole and whatever its case."""
    assert is_among(host, [pattern]) == is_own
    assert not is_among(host, [])


@pytest.mark.parametrize(
    ("green", "is_warm", "sentence"),
    [
        ([0.3] * 300 + [0.02] * 197 + [0.3] * 3, True, "3 of 200 requests took longer than 1.5 times blue's"),
        ([0.3] * 300 + [0.02] * 196 + [0.3] * 4, False, "4 of 200"),
        ([0.3] * 300 + [0.02] * 150, False, "50 of 200"),
        ([0.02] * 99, False, "99 requests to green and 200 to blue were answered: 100 are needed"),
        ([], False, "0 requests to green"),
    ],
)
def test_the_newest_answers_are_compared(green, is_warm, sentence):
    """Green is warm once its newest 200 answers are as fast as blue's, beyond chance; the slow first ones are over."""
    outcome = judge(green, [0.02] * 475 + [0.1] * 25, 1.5)

    assert outcome.is_warm == is_warm
    assert sentence in outcome.sentence


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=300))
def test_the_percentile_is_one_of_the_times(seconds):
    """At least 95 % of the times do not exceed the percentile, and no smaller time would do."""
    found = p95(seconds)

    assert sum(second <= found for second in seconds) >= 0.95 * len(seconds)
    assert sum(second < found for second in seconds) < 0.95 * len(seconds)
