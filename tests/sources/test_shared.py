"""Shared evidence: what is read once, how long it is cached, and what is never mixed up."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.model.errors import CannotTell, DeadlineExceeded, RolloutNotFound
from provider.model.reasons import Reason
from provider.model.records import Freshness, Kind
from provider.sources.bulkheads import Bulkheads
from provider.sources.cache import MAX_RECORDS
from provider.sources.deadline import Deadline
from provider.sources.shared import Request, Shared
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
        self.calls = 0
        self.released = Event()
        self.released.set()
        self.begun = Event()
        self.error: Exception | None = None
        self._lock = Lock()

    def __call__(self) -> int:
        with self._lock:
            self.calls += 1
            number = self.calls
        self.begun.set()
        self.released.wait(LONG)
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.released.set()


@pytest.fixture
def threads() -> Iterator[Bulkheads]:
    with closing(Bulkheads(8)) as threads:
        yield threads


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def shared(threads: Bulkheads, metrics: Metrics, clock: Clock) -> Shared:
    return Shared(threads, FRESH, metrics, flight_seconds=8, clock=clock)


@pytest.fixture
def kept_records(metrics: Metrics) -> Callable[[], float | None]:
    """Return the number of cached records, as the metric shows it."""
    return lambda: metrics.registry.get_sample_value("alb_provider_shared_records")


@pytest.fixture
def ask(shared: Shared, clock: Clock, source: Source) -> Callable[..., Any]:
    """Read as a new query does, and return the value."""

    def ask(key: str = "a", kind: Kind = Kind.TARGET_HEALTH, seconds: float = LONG, **more: Any) -> Any:
        request = Request(kind, key, "something", **{"call": source, **more})
        return shared.read(request, Deadline(seconds, began_at=clock())).value

    return ask


@pytest.mark.parametrize("kind", Kind)
def test_evidence_serves_while_it_is_fresh(ask, clock, kind):
    """Evidence serves every query within the cache lifetime of its kind, and is read again after it."""
    first = ask("a", kind=kind)
    clock.advance(FRESH.seconds(kind))
    second = ask("a", kind=kind)
    clock.advance(0.001)
    third = ask("a", kind=kind)

    assert (first, second, third) == (1, 1, 2)


def test_concurrent_questions_share_one_read(ask, source):
    """Twenty queries during a read in flight wait for it, and it is made once."""
    source.released.clear()
    with ThreadPoolExecutor(20) as askers:
        asked = [askers.submit(ask, "a") for _ in range(20)]
        source.begun.wait(LONG)
        source.released.set()

        assert {future.result() for future in asked} == {1}
    assert source.calls == 1


def test_a_cached_failure_keeps_nothing_of_the_answer(ask):
    """A failure is cached without the error that caused it, whose frames hold the whole answer."""

    def read():
        try:
            int("an answer of 1 MB")
        except ValueError as error:
            raise CannotTell(Reason.KUBERNETES_MALFORMED, "not what its schema promises") from error

    for _ in range(2):
        with pytest.raises(CannotTell, match="schema") as failure:
            ask(call=read)

    assert (failure.value.__cause__, failure.value.__context__) == (None, None)


def test_a_query_never_reads_a_thing_twice(shared, clock, source):
    """Evidence read since a query began serves it to its end, however short its cache lifetime is."""
    deadline, request = Deadline(LONG, began_at=clock()), Request(Kind.TARGET_HEALTH, "a", "something", source)
    first = shared.read(request, deadline)
    clock.advance(6)

    assert shared.read(request, deadline) == first
    assert source.calls == 1


@pytest.mark.parametrize("error", [CannotTell(Reason.AWS_FORBIDDEN, "forbidden"), RolloutNotFound("none")])
def test_a_failure_is_shared_for_a_second(ask, clock, source, error):
    """A failed read fails every query within a second, and is then tried again."""
    source.error = error
    for _ in range(3):
        with pytest.raises(type(error), match=str(error)):
            ask("a")
    source.error = None
    clock.advance(1.001)

    assert ask("a") == 2


def test_a_failure_does_not_live_on_in_what_it_made_fail(ask, clock, source):
    """A read that failed because of an earlier failure is tried again when that one is, a second after it."""
    outer = {"kind": Kind.TOPOLOGY, "call": lambda: ask("a")}
    source.error = CannotTell(Reason.AWS_FORBIDDEN, "forbidden")
    with pytest.raises(CannotTell):
        ask("a")
    clock.advance(0.9)
    with pytest.raises(CannotTell, match="forbidden"):
        ask("outer", **outer)
    source.error = None
    clock.advance(0.2)

    assert ask("outer", **outer) == 2


def test_a_defect_is_raised_by_all_and_not_remembered(ask, source):
    """An unexpected error is raised as it is, and the next query tries again."""
    source.error = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        ask("a")
    source.error = None

    assert ask("a") == 2


def test_who_waits_gives_up_at_its_own_deadline(ask, source):
    """A query whose time is over says so, while the read goes on and serves the next query."""
    source.released.clear()
    with pytest.raises(DeadlineExceeded, match="Reading something did not finish"):
        ask("a", seconds=0.05)
    source.released.set()

    assert ask("a") == 1


def test_a_position_in_the_queue_is_not_shared(ask, source):
    """AwsBudget is about one Rollout, so it is not cached: the next query makes the call."""
    source.error = CannotTell(Reason.AWS_BUDGET, "wait")
    with pytest.raises(CannotTell, match="wait"):
        ask("a")
    source.error = None

    assert ask("a") == 2


def test_nothing_newer_is_replaced_by_something_older(threads, clock):
    """An abandoned read that returns late does not replace a newer value."""
    shared, slow = Shared(threads, FRESH, Metrics(), flight_seconds=0, clock=clock), Event()

    def late() -> str:
        slow.wait(LONG)
        return "old"

    abandoned = shared.start(Request(Kind.TARGET_HEALTH, "a", "something", late), Deadline(LONG, began_at=clock()))
    clock.advance(1)
    newest = Request(Kind.TARGET_HEALTH, "a", "something", lambda: "new")
    assert shared.read(newest, Deadline(LONG, began_at=clock())).value == "new"
    slow.set()
    assert abandoned.result(Deadline(LONG)).value == "old"

    assert shared.read(replace(newest, call=late), Deadline(LONG)).value == "new"


def test_a_value_may_be_outdated_although_it_is_fresh(ask, clock):
    """A reader may expire a value before its cache lifetime: a target group without a rule is read again soon."""
    ask("a")
    clock.advance(1)

    assert ask("a", is_outdated=lambda value, age: value == 1 and age >= timedelta(seconds=1)) == 2


def test_what_bypasses_the_cache_is_read_after_the_query_began(ask, clock):
    """A query that bypasses the cache takes only what was read since it began, fresh or not."""
    ask("a")
    clock.advance(0.1)

    assert [ask("a", bypass_cache=True), ask("a", bypass_cache=True)] == [2, 2]


def test_memory_is_bounded(ask, kept_records, clock):
    """The number of cached records stays below the limit, and entries that are too old for any query are evicted."""
    large = tuple(range(MAX_RECORDS // 4))
    records = []
    for number in range(12):
        ask(number, kind=Kind.METRICS, call=lambda: large)
        records.append(kept_records())
    clock.advance(FRESH.limit(Kind.METRICS, 8) + 0.001)
    ask("a")

    assert records[2] == max(records) == 3 * (len(large) + 1)
    assert kept_records() == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5), st.booleans()), max_size=60))
def test_no_answer_rests_on_what_is_older_than_its_limit(steps):
    """Whatever is read and however time passes, evidence never serves a query beyond its cache lifetime."""
    clock, source = Clock(), Source()
    with closing(Bulkheads(2)) as threads:
        shared = Shared(threads, FRESH, Metrics(), flight_seconds=8, clock=clock)
        for key, seconds, fails in steps:
            clock.advance(seconds)
            source.error = CannotTell(Reason.AWS_TIMEOUT, "late") if fails else None
            request = Request(Kind.TARGET_HEALTH, key, "something", source)
            try:
                reading = shared.read(request, Deadline(LONG, began_at=clock()))
            except CannotTell:
                continue
            assert timedelta(0) <= clock() - reading.read_at <= timedelta(seconds=FRESH.target_health)
