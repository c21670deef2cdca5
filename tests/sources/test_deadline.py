"""Reads within the time limit of a query: parallel, each place apart, and the one named that is still in flight."""

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from threading import Barrier, Event
from time import monotonic
from typing import Any

import pytest

from provider.model.errors import CannotTell, DeadlineExceeded
from provider.model.reasons import Reason
from provider.sources.bulkheads import Bulkheads, Read
from provider.sources.deadline import Deadline

LONG = 30
"""Seconds that no test here waits for."""


@pytest.fixture
def threads() -> Iterator[Bulkheads]:
    with closing(Bulkheads(4)) as threads:
        yield threads


@pytest.fixture
def released() -> Iterator[Event]:
    """An event that hanging reads wait for; set at the end, so that no thread outlives its test."""
    event = Event()
    yield event
    event.set()


def refusal(sentence: str) -> CannotTell:
    return CannotTell(Reason.AWS_FORBIDDEN, sentence)


def raising(error: Exception, after: Event | None = None) -> Callable[[], Any]:
    def call() -> None:
        if after is not None:
            after.wait(LONG)
        raise error

    return call


def test_reads_run_at_the_same_time(threads):
    """Independent reads run in parallel: each of these waits until all of them have started."""
    together = Barrier(4)
    reads = [Read(f"part {number}", lambda: together.wait(LONG)) for number in range(4)]

    found = threads.read("here", Deadline(LONG), *reads)

    assert sorted(found) == [0, 1, 2, 3]


def test_results_are_in_the_order_of_the_reads(threads):
    """Results come in the order of the reads, not in the order in which they end."""
    second_is_done = Event()

    def first() -> str:
        second_is_done.wait(LONG)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    assert threads.read("here", Deadline(LONG), Read("one", first), Read("other", second)) == ["first", "second"]
    assert threads.read("here", Deadline(LONG)) == []


def test_the_first_error_in_order_is_raised(threads):
    """Of several errors the first read's is raised, however late it comes, so the same fault has the same answer."""
    late = Event()

    def second() -> None:
        late.set()
        raise refusal("second")

    with pytest.raises(CannotTell, match=r"^first$"):
        threads.read(
            "here",
            Deadline(LONG),
            Read("healthy", lambda: "fine"),
            Read("one", raising(refusal("first"), late)),
            Read("other", second),
        )


def test_the_end_of_the_budget_names_the_read_under_way(threads, released):
    """A read that takes too long ends the query at its deadline, and the error names that read."""
    reads = [Read("Rollout web", lambda: "fine"), Read("Service web-preview", lambda: released.wait(LONG))]
    started = monotonic()

    with pytest.raises(DeadlineExceeded) as ended:
        threads.read("here", Deadline(0.05), *reads)

    assert str(ended.value) == "Reading Service web-preview did not finish within the query's time limit of 0.05 s"
    assert ended.value.reason is Reason.DEADLINE_EXCEEDED
    assert monotonic() - started < LONG


def test_one_budget_is_shared_by_all_rounds_of_a_question(threads, released):
    """A second round of reads gets the time that is left, not a new time limit."""
    deadline = Deadline(0.2)
    started = monotonic()
    with pytest.raises(DeadlineExceeded):
        threads.read("here", deadline, Read("first round", lambda: released.wait(LONG)))

    with pytest.raises(DeadlineExceeded, match="second round"):
        threads.read("here", deadline, Read("second round", lambda: released.wait(LONG)))

    assert monotonic() - started < LONG
    assert deadline.remaining_seconds() == 0.001, "a timeout of 0 would mean 'for ever' to some clients"


def test_what_has_not_begun_is_cancelled(released):
    """A query that has ended starts no further reads, so an outage does not fill the threads."""
    begun: list[str] = []
    hanging = Read("hanging", lambda: released.wait(LONG))

    with closing(Bulkheads(1)) as threads:
        with pytest.raises(DeadlineExceeded):
            threads.read("here", Deadline(0.05), hanging, Read("never", lambda: begun.append("never")))
        released.set()

    assert begun == []


def test_a_time_out_of_the_read_itself_is_not_the_questions_deadline(threads):
    """A read that raises its own TimeoutError, with time left, is not reported as DeadlineExceeded."""
    own = TimeoutError("the reader's own")

    with pytest.raises(TimeoutError, match="the reader's own"):
        threads.read("here", Deadline(LONG), Read("anything", raising(own)))


class _JustInTime(Future[Any]):
    """A read that ends just when its caller stops waiting."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self._call = call

    def result(self, timeout: float | None = None) -> Any:
        if self.done():
            return super().result(timeout)
        try:
            self.set_result(self._call())
        except CannotTell as error:
            self.set_exception(error)
        raise TimeoutError


class _Photofinish(Bulkheads):
    """Threads whose every read ends exactly at the deadline."""

    def submit(self, place: Hashable, call: Callable[[], Any]) -> Future[Any]:  # noqa: ARG002 - as the base class
        return _JustInTime(call)


def test_a_read_that_ends_exactly_at_the_deadline_is_answered():
    """A read that ends just at the deadline gives its result, its own error or DeadlineExceeded: never a 500."""
    with closing(_Photofinish(1)) as threads:
        deadline = Deadline(LONG)

        with suppress(DeadlineExceeded):
            assert threads.read("here", deadline, Read("anything", lambda: "in time")) == ["in time"]
        with pytest.raises(CannotTell):
            threads.read("here", deadline, Read("anything", raising(refusal("no"))))


def test_a_silent_place_holds_up_no_other(released):
    """While every thread of one place waits, another place is read at once."""
    with closing(Bulkheads(2)) as threads:
        hanging = [threads.submit("silent", lambda: released.wait(LONG)) for _ in range(5)]

        assert threads.read("other", Deadline(LONG), Read("anything", lambda: "read")) == ["read"]
        assert not any(future.done() for future in hanging)
        released.set()
