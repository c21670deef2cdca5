"""The parts of `make traffic` that can be judged without it: what HAProxy is told, and what is made of the answers."""

from tests.traffic.data_plane import SHARES, serving, shares
from tests.traffic.load import summary

A, B = ("10.0.0.1", 8080), ("10.0.0.2", 8080)
NANOSECONDS = 10**9


def test_only_healthy_targets_get_requests():
    """Whatever else is registered, draining targets keep what they have and initial ones get nothing."""
    states = {A: "healthy", B: "unhealthy", ("10.0.0.3", 1): "initial", ("10.0.0.4", 1): "draining"}

    assert list(serving(states).values()) == ["ready", "drain", "maint", "drain"]


def test_it_fails_open_only_if_every_target_is_unhealthy():
    """Draining ones do not count; a single initial one keeps the others from getting requests."""
    assert serving({A: "unhealthy", B: "draining"}) == {A: "ready", B: "drain"}
    assert serving({A: "unhealthy", B: "initial"}) == {A: "drain", B: "maint"}
    assert serving({}) == {}


def test_requests_are_shared_by_weight():
    """Every share of a hundred goes to a group, and to none if all weights are 0."""
    assert [shares({"a": 3, "b": 1}).count(name) for name in ("a", "b")] == [75, 25]
    assert shares({"a": 0, "b": 1}) == ["b"] * SHARES
    assert shares({"a": 0}) == [""] * SHARES


def test_a_hole_ends_with_an_answer():
    """Failures are counted by kind and second; the hole is the longest time from one to the next without an answer."""
    sent = [(0, 200), (1, 503), (2, 503), (3, 200), (4, 503), (5, 0), (9, 500), (10, 200)]
    rows = [(second * NANOSECONDS, status, NANOSECONDS // 100, "dial: no route") for second, status in sent]

    answers = summary(rows[::-1])

    assert (answers.requests, answers.failed, answers.hole_seconds) == (8, 5, 5.0)
    assert answers.per_second == 0.8
    assert answers.kinds == {"503": 3, "no route": 1, "500": 1}
    assert answers.by_second == {1: 1, 2: 1, 4: 1, 5: 1, 9: 1}
    assert (answers.median_seconds, answers.worst_seconds) == (0.01, 0.01)
