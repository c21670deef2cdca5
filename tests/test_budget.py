"""One question's time: what is read at the same time, what is named when it ends, and what is never begun."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event
from time import monotonic
from typing import Any

import pytest

from provider.budget import Budget, Read
from provider.errors import CannotTell, DeadlineExceeded
from provider.reasons import Reason

LONG = 30
"""Seconds that no test here waits for."""


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
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
    """Independent reads are under way together: each of these waits until all of them have begun."""
    together = Barrier(4)
    reads = [Read(f"part {number}", lambda: together.wait(LONG)) for number in range(4)]

    found = Budget(LONG, threads).read(*reads)

    assert sorted(found) == [0, 1, 2, 3]


def test_results_are_in_the_order_of_the_reads(threads):
    """A read that ends first does not come first: results are in the order in which they were asked for."""
    second_is_done = Event()

    def first() -> str:
        second_is_done.wait(LONG)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    assert Budget(LONG, threads).read(Read("one", first), Read("other", second)) == ["first", "second"]
    assert Budget(LONG, threads).read() == []


def test_the_first_error_in_order_is_raised(threads):
    """Of several errors the one of the read asked for first wins, however late: the same fault has the same answer."""
    late = Event()

    def second() -> None:
        late.set()
        raise refusal("second")

    with pytest.raises(CannotTell, match=r"^first$"):
        Budget(LONG, threads).read(
            Read("healthy", lambda: "fine"), Read("one", raising(refusal("first"), late)), Read("other", second)
        )


def test_the_end_of_the_budget_names_the_read_under_way(threads, released):
    """A read that takes longer than the budget ends the question at its deadline, by the name of that read."""
    reads = [Read("Rollout web", lambda: "fine"), Read("Service web-preview", lambda: released.wait(LONG))]
    started = monotonic()

    with pytest.raises(DeadlineExceeded) as ended:
        Budget(0.05, threads).read(*reads)

    assert str(ended.value) == "Reading Service web-preview did not finish within the question's 0.05 s"
    assert ended.value.reason is Reason.DEADLINE_EXCEEDED
    assert monotonic() - started < 1


def test_one_budget_is_shared_by_all_rounds_of_a_question(threads, released):
    """A second round gets what the first left over, not a budget of its own."""
    budget = Budget(0.2, threads)
    started = monotonic()
    with pytest.raises(DeadlineExceeded):
        budget.read(Read("first round", lambda: released.wait(LONG)))

    with pytest.raises(DeadlineExceeded, match="second round"):
        budget.read(Read("second round", lambda: released.wait(LONG)))

    assert monotonic() - started < 0.35
    assert budget.remaining_seconds() == 0.001, "a timeout of 0 would mean 'for ever' to some clients"


def test_what_has_not_begun_is_cancelled(released):
    """A question that is over starts no further reads, so an outage does not fill the threads with old questions."""
    begun: list[str] = []
    hanging = Read("hanging", lambda: released.wait(LONG))

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(DeadlineExceeded):
            Budget(0.05, threads).read(hanging, Read("never", lambda: begun.append("never")))
        released.set()

    assert begun == []


def test_a_time_out_of_the_read_itself_is_not_the_questions_deadline(threads):
    """A read that raises a TimeoutError of its own, with time left, is not reported as the budget's end."""
    own = TimeoutError("the reader's own")

    with pytest.raises(TimeoutError, match="the reader's own"):
        Budget(LONG, threads).read(Read("anything", raising(own)))


class _JustInTime(Future[Any]):
    """A read that ends in the very moment in which its caller gives up waiting."""

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


class _Photofinish(ThreadPoolExecutor):
    """Threads whose every read ends exactly at the deadline."""

    def submit(self, call: Callable[..., Any], /, *_: Any, **__: Any) -> Future[Any]:
        return _JustInTime(call)


def test_a_read_that_ends_exactly_at_the_deadline_is_answered():
    """A read that ends while its caller gives up gives its result, its own error or DeadlineExceeded: never a 500."""
    with _Photofinish(1) as threads:
        budget = Budget(LONG, threads)

        with suppress(DeadlineExceeded):
            assert budget.read(Read("anything", lambda: "in time")) == ["in time"]
        with pytest.raises(CannotTell):
            budget.read(Read("anything", raising(refusal("no"))))
