"""The time limit of one query, and the threads that its reads run on.

Argo waits 10 s for an answer, so a query has one deadline (default: 8 s) for all its reads. The answer names the read
that is still in flight then; the read itself ends by its own timeouts.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provider.model.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Read:
    """One read: the call, and what it reads in words for the operator."""

    what: str
    call: Callable[[], Any]


class Deadline:
    """The remaining time of one query."""

    def __init__(
        self, seconds: float, threads: ThreadPoolExecutor, *, rollout: str = "", began_at: datetime | None = None
    ) -> None:
        """Start the clock now.

        `rollout` is the Rollout of the query: Rollouts take turns in the queue for AWS calls. Evidence read since
        `began_at` was read for this query, so no query reads the same evidence twice.
        """
        self.seconds = seconds
        self.rollout = rollout
        self.began_at = began_at
        self._threads = threads
        self.began = time.monotonic()
        self._end = self.began + seconds

    def anew(self) -> "Deadline":
        """Return a new full deadline, for a read that other queries wait for too."""
        return Deadline(self.seconds, self._threads, rollout=self.rollout)

    def remaining_seconds(self) -> float:
        """Return the seconds left; at least a millisecond, since some libraries read a timeout of 0 as no timeout."""
        return max(self._end - time.monotonic(), 0.001)

    def read(self, *reads: Read) -> list[Any]:
        """Run independent reads at the same time and return their results in order.

        Raises the first error in order, or DeadlineExceeded naming the first read that is still in flight when the
        deadline ends. Do not call it from within a read: that would wait for its own thread.
        """
        futures = [(one, self._threads.submit(one.call)) for one in reads]
        try:
            return [self.wait(future, one.what) for one, future in futures]
        finally:
            for _, future in futures:
                future.cancel()

    def wait(self, future: Future[Any], what: str) -> Any:
        """Wait for a read in flight. Raises its error, or DeadlineExceeded naming it."""
        try:
            return future.result(timeout=self.remaining_seconds())
        except NotDone:
            if future.done():  # it ended just now, or its own error is a TimeoutError
                return future.result()
            sentence = f"Reading {what} did not finish within the query's time limit of {self.seconds:g} s"
            raise DeadlineExceeded(sentence) from None
