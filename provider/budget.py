"""The time one question has, and the threads that its reads run on.

Argo waits 10 s for an answer. A question therefore gets one budget (8 s unless set) for all it reads; whatever is still
under way when it ends is named in the answer and left to its own timeouts.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provider.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Read:
    """One read: what is being read, in words for the operator, and the call that reads it."""

    what: str
    call: Callable[[], Any]


class Budget:
    """What is left of one question's time."""

    def __init__(
        self, seconds: float, threads: ThreadPoolExecutor, *, asker: str = "", began_at: datetime | None = None
    ) -> None:
        """Start the clock now.

        `asker` is who takes turns where calls are few: the Rollout that is asked about. What was read since `began_at`
        was read for this question, so that no question reads a thing twice.
        """
        self.seconds = seconds
        self.asker = asker
        self.began_at = began_at
        self._threads = threads
        self._end = time.monotonic() + seconds

    def anew(self) -> "Budget":
        """Return a whole budget, for a read that others will wait for too: its time is not only ours."""
        return Budget(self.seconds, self._threads, asker=self.asker)

    def remaining_seconds(self) -> float:
        """Return the seconds left; never less than a millisecond, since a timeout of 0 means "for ever" to some."""
        return max(self._end - time.monotonic(), 0.001)

    def read(self, *reads: Read) -> list[Any]:
        """Run independent reads at the same time and return their results in order.

        Raises what a read raised (the first in order that failed), or DeadlineExceeded naming the first one that is
        still under way when the budget ends. Not to be called from within a read: it would wait for its own thread.
        """
        futures = [(one, self._threads.submit(one.call)) for one in reads]
        try:
            return [self.wait(future, one.what) for one, future in futures]
        finally:
            for _, future in futures:
                future.cancel()

    def wait(self, future: Future[Any], what: str) -> Any:
        """Wait for a read that is under way. Raises what it raised, or DeadlineExceeded naming it."""
        try:
            return future.result(timeout=self.remaining_seconds())
        except NotDone:
            if future.done():  # it ended in this very moment, or its own error is a TimeoutError too
                return future.result()
            sentence = f"Reading {what} did not finish within the question's {self.seconds:g} s"
            raise DeadlineExceeded(sentence) from None
