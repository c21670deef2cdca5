"""Shared evidence: what is read once, how long it is cached, and what is never mixed up."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.errors import CannotTell, DeadlineExceeded, RolloutNotFound
from provider.model.reasons import Reason
from provider.model.records import Freshness, Kind, Place
from provider.sources.deadline import Deadline
from provider.sources.shared import MAX_RECORDS, Known, Sharing, Wanted
from provider.telemetry import Metrics

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FRESH = Freshness()
LONG = 20
"""Seconds that no test here waits for."""


class Clock:
    """The time, as a test sets it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Source:
    """A source that counts its calls, and waits, fails or answers as a test says."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.released = Event()
        self.released.set()
        self.begun = Event()
        self.error: Exception | None = None
        self._lock = Lock()

    def __call__(self, keys: Any) -> dict[Any, Any]:
        with self._lock:
            self.calls.append(tuple(keys))
            number = len(self.calls)
        self.begun.set()
        self.released.wait(LONG)
        if self.error is not None:
            raise self.error
        return {key: f"{key} {number}" for key in keys}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.released.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def sharing(threads: ThreadPoolExecutor, clock: Clock) -> Sharing:
    return Sharing(threads, FRESH, Metrics(), flight_seconds=8, clock=clock)


@pytest.fixture
def ask(sharing: Sharing, threads: ThreadPoolExecutor, clock: Clock, source: Source) -> Callable[..., Any]:
    """Read as a new query does, and return the values of the keys."""

    def ask(*keys: str, kind: Kind = Kind.TARGET_HEALTH, seconds: float = LONG, **more: Any) -> Any:
        deadline = Deadline(seconds, threads, began_at=clock())
        found = sharing.read(Wanted(kind, "something", keys, source, **more), deadline=deadline)
        values = [found[key].value for key in keys]
        return values if len(keys) > 1 else values[0]

    return ask


@pytest.mark.parametrize("kind", Kind)
def test_evidence_serves_while_it_is_fresh(ask, clock, kind):
    """Evidence serves every query within the cache lifetime of its kind, and is read again after it."""
    first = ask("a", kind=kind)
    clock.advance(FRESH.seconds(kind))
    second = ask("a", kind=kind)
    clock.advance(0.001)
    third = ask("a", kind=kind)

    assert (first, second, third) == ("a 1", "a 1", "a 2")


def test_concurrent_questions_share_one_read(ask, source):
    """Twenty queries during a read in flight wait for it, and it is made once."""
    source.released.clear()
    with ThreadPoolExecutor(20) as askers:
        asked = [askers.submit(ask, "a") for _ in range(20)]
        source.begun.wait(LONG)
        source.released.set()

        assert {one.result() for one in asked} == {"a 1"}
    assert len(source.calls) == 1


def test_only_what_is_not_known_is_read(ask, source):
    """Of several keys the cached ones are not read again, and the others are read in one call."""
    ask("a")

    assert ask("a", "b", "c") == ["a 1", "b 2", "c 2"]
    assert source.calls == [("a",), ("b", "c")]


def test_a_question_never_reads_a_thing_twice(sharing, threads, clock, source):
    """Evidence read since a query began serves it to its end, however short its cache lifetime is."""
    deadline = Deadline(LONG, threads, began_at=clock())
    wanted = Wanted(Kind.TARGET_HEALTH, "something", ("a",), source)
    first = sharing.read(wanted, deadline=deadline)
    clock.advance(6)

    assert sharing.read(wanted, deadline=deadline) == first
    assert len(source.calls) == 1


@pytest.mark.parametrize("error", [CannotTell(Reason.AWS_FORBIDDEN, "forbidden"), RolloutNotFound("none")])
def test_a_failure_is_shared_for_a_second(ask, clock, source, error):
    """A failed read fails every query within a second, and is then tried again."""
    source.error = error
    for _ in range(3):
        with pytest.raises(type(error), match=str(error)):
            ask("a")
    source.error = None
    clock.advance(1.001)

    assert ask("a") == "a 2"


def test_a_failure_does_not_live_on_in_what_it_made_fail(ask, sharing, threads, clock, source):
    """A read that failed because of an earlier failure is tried again when that one is, a second after it."""
    outer = Wanted(Kind.TOPOLOGY, "outer", ("b",), lambda _: {"b": ask("a")})
    source.error = CannotTell(Reason.AWS_FORBIDDEN, "forbidden")
    with pytest.raises(CannotTell):
        ask("a")
    clock.advance(0.9)
    with pytest.raises(CannotTell, match="forbidden"):
        sharing.read(outer, deadline=Deadline(LONG, threads, began_at=clock()))
    source.error = None
    clock.advance(0.2)

    assert sharing.read(outer, deadline=Deadline(LONG, threads, began_at=clock()))["b"].value == "a 2"


def test_one_key_may_fail_beside_others(sharing, threads, clock):
    """A call for several keys may fail for one of them; queries for the others get them."""
    bad = CannotTell(Reason.TARGET_GROUP_NOT_FOUND, "not found")
    wanted = Wanted(Kind.TARGET_GROUPS, "groups", ("good", "bad"), lambda _: {"good": "here", "bad": bad})

    with pytest.raises(CannotTell, match="not found"):
        sharing.read(wanted, deadline=Deadline(LONG, threads, began_at=clock()))
    found = sharing.read(replace(wanted, keys=("good",)), deadline=Deadline(LONG, threads, began_at=clock()))

    assert found["good"].value == "here"


def test_a_defect_is_raised_by_all_and_not_remembered(ask, source):
    """An unexpected error is raised as it is, and the next query tries again."""
    source.error = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        ask("a")
    source.error = None

    assert ask("a") == "a 2"


def test_who_waits_gives_up_at_its_own_deadline(ask, source):
    """A query whose time is over says so, while the read goes on and serves the next query."""
    source.released.clear()
    with pytest.raises(DeadlineExceeded, match="Reading something did not finish"):
        ask("a", seconds=0.05)
    source.released.set()

    assert ask("a") == "a 1"


def test_what_is_not_admitted_is_not_read(sharing, threads, clock, source, ask):
    """Calls that are refused are not made, and the refusal is not cached: the next call is admitted."""

    def refuse(calls: Any) -> None:
        assert [one.place for one in calls] == [Place("eu-west-1")]
        raise CannotTell(Reason.AWS_BUDGET, "wait")

    wanted = Wanted(Kind.TARGET_HEALTH, "something", ("a",), source, Place("eu-west-1"))
    with pytest.raises(CannotTell, match="wait"):
        sharing.read(wanted, deadline=Deadline(LONG, threads, began_at=clock()), admit=refuse)

    assert source.calls == []
    assert ask("a") == "a 1"


def test_nothing_newer_is_replaced_by_something_older(threads, clock, source):
    """An abandoned read that returns late does not replace a newer value."""
    sharing = Sharing(threads, FRESH, Metrics(), flight_seconds=0, clock=clock)
    slow = Event()

    def late(_: Any) -> dict[str, str]:
        slow.wait(LONG)
        return {"a": "old"}

    def read(call: Any, seconds: float = LONG) -> Any:
        deadline = Deadline(seconds, threads, began_at=clock())
        return sharing.read(Wanted(Kind.TARGET_HEALTH, "something", ("a",), call), deadline=deadline)["a"].value

    with pytest.raises(DeadlineExceeded):
        read(late, 0.05)
    clock.advance(1)
    assert read(lambda _: {"a": "new"}) == "new"
    slow.set()
    while threads._work_queue.qsize():
        pass
    threads.submit(lambda: None).result()

    assert read(source) == "new"


def test_evidence_from_the_future_is_none(ask, clock):
    """After the clock is set back by an hour, older evidence is read again, not cached for an hour."""
    ask("a")
    clock.advance(-3600)

    assert ask("a") == "a 2"


def test_stale_says_what_is_read_anew_although_fresh(ask, clock):
    """A reader may expire a value before its cache lifetime: a target group without a rule is read again soon."""
    ask("a")
    clock.advance(1)

    assert ask("a", stale=lambda value, age: value == "a 1" and age >= timedelta(seconds=1)) == "a 2"


def test_memory_is_bounded(ask, sharing, threads, clock):
    """The number of cached records stays below the limit, and entries that are too old for any query are evicted."""
    large = tuple(range(MAX_RECORDS // 4))

    def read(number: int) -> None:
        wanted = Wanted(Kind.METRICS, "something", (number,), lambda _: {number: large})
        sharing.read(wanted, deadline=Deadline(LONG, threads, began_at=clock()))

    for number in range(12):
        read(number)
    kept = sharing.records, len(sharing._known[Kind.METRICS])
    clock.advance(FRESH.limit(Kind.METRICS, 8) + 0.001)
    ask("a")

    assert kept[0] <= MAX_RECORDS
    assert kept[1] == 3
    assert sharing.records == 1 + len("a 1")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 5), st.booleans()), max_size=60))
def test_no_answer_rests_on_what_is_older_than_its_limit(steps):
    """Whatever is read and however the clock moves, evidence never serves a query beyond its cache lifetime."""
    clock, source = Clock(), Source()
    with ThreadPoolExecutor(2) as threads:
        sharing = Sharing(threads, FRESH, Metrics(), flight_seconds=8, clock=clock)
        for key, seconds, fails in steps:
            clock.advance(seconds)
            source.error = CannotTell(Reason.AWS_TIMEOUT, "late") if fails else None
            deadline = Deadline(LONG, threads, began_at=clock())
            try:
                known: Known[Any] = sharing.read(
                    Wanted(Kind.TARGET_HEALTH, "something", (key,), source), deadline=deadline
                )[key]
            except CannotTell:
                continue
            assert timedelta(seconds=-1) <= clock() - known.read_at <= timedelta(seconds=FRESH.target_health)
