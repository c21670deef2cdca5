"""The time limit of one query.

Argo waits 10 s for an answer, so a query has one deadline (default: 8 s) for all its reads. The answer names the read
that was still in flight; that read ends by its own timeouts.
"""

import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from datetime import datetime
from typing import TypeVar

from provider.model.errors import DeadlineExceeded

Value = TypeVar("Value")


class Deadline:
    """The remaining time of one query."""

    def __init__(self, seconds: float, *, rollout: str = "", began_at: datetime | None = None) -> None:
        """Start now.

        `rollout` is the Rollout of the query, for the queue of AWS calls. Evidence read since `began_at` is fresh, so
        that no query reads the same evidence twice.
        """
        self.seconds = seconds
        self.rollout = rollout
        self.began_at = began_at
        self.began = time.monotonic()

    def renewed(self) -> "Deadline":
        """Return a new full deadline, for a read that other queries wait for too."""
        return Deadline(self.seconds, rollout=self.rollout)

    def remaining_seconds(self) -> float:
        """Return the seconds left; at least a millisecond, since some libraries read a timeout of 0 as no timeout."""
        return max(self.began + self.seconds - time.monotonic(), 0.001)

    def require(self, what: str) -> None:
        """Raise DeadlineExceeded, naming what is still to be done, once the time is over."""
        if time.monotonic() >= self.began + self.seconds:
            raise DeadlineExceeded(f"{what} did not finish within the query's time limit of {self.seconds:g} s")

    def wait(self, future: "Future[Value]", what: str) -> Value:
        """Wait for a read in flight. Raises its error, or DeadlineExceeded naming it."""
        try:
            return future.result(timeout=self.remaining_seconds())
        except NotDone:
            if future.done():  # it ended just now, or its own error is a TimeoutError
                return future.result()
            sentence = f"Reading {what} did not finish within the query's time limit of {self.seconds:g} s"
            raise DeadlineExceeded(sentence) from None
