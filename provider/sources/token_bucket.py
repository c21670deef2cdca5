"""How many calls one AWS API in one account and region may get from this provider: a token bucket.

AWS limits calls in the same way, and tells of its limit only by throttling: then the rate is halved, and recovers
(docs.aws.amazon.com, elasticloadbalancing, elb-api-throttling).
"""

import time
from collections.abc import Callable
from math import ceil
from threading import Condition

from provider.model.errors import CannotTell
from provider.model.reasons import Reason

RECOVERY_SECONDS = 60.0  # time without throttling until the full rate is restored
MIN_RATE = 1 / 16  # share of the rate kept when throttled; without calls the end of throttling would go unnoticed


class TokenBucket:
    """A token bucket that serves calls in the order in which they come. Thread-safe; the clock is monotonic."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a full bucket."""
        self._max, self._burst, self._clock = per_second, burst, clock
        self._level, self._filled_at = burst, clock()
        self._slowed_to, self._throttled_at = per_second, clock() - RECOVERY_SECONDS
        self._waiting: list[object] = []  # the calls that are served next
        self._lock = Condition()

    def take(self, rollout: str, max_wait_seconds: float) -> None:
        """Take one call for a Rollout, waiting if necessary. Raises CannotTell (AwsBudget) without taking it."""
        with self._lock:
            began, ticket = self._clock(), object()
            try:
                while (seconds := self._seconds_until(rollout, ticket)) > 0:
                    if self._clock() + seconds > began + self._patience(rollout, max_wait_seconds):
                        raise self._refusal(rollout, seconds)
                    self._lock.wait(seconds)
                self._level -= 1
                self._taken(rollout)
            finally:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)

    def charge(self) -> None:
        """Take a call that cannot wait, a retry; following calls wait longer."""
        with self._lock:
            self._level = self._fill() - 1

    def throttled(self) -> None:
        """On throttling: halve the rate and empty the bucket."""
        with self._lock:
            level, now = self._fill(), self._clock()
            if now - self._throttled_at >= 1:  # concurrent throttled answers count once
                self._slowed_to = max(self.per_second / 2, self._max * MIN_RATE)
                self._throttled_at = now
            self._level = min(level, 0)

    @property
    def per_second(self) -> float:
        """The current rate: calls per second."""
        recovered = min(1.0, (self._clock() - self._throttled_at) / RECOVERY_SECONDS)
        return self._slowed_to + (self._max - self._slowed_to) * recovered

    @property
    def level(self) -> float:
        """The calls that may be made at once; negative after retries, which do not wait."""
        with self._lock:
            return self._fill()

    def _seconds_until(self, _rollout: str, ticket: object | None = None) -> float:
        """Return the seconds until the call of this ticket, or the next one, may be made."""
        if ticket is not None and ticket not in self._waiting:
            self._waiting.append(ticket)
        ahead = self._waiting.index(ticket) if ticket in self._waiting else len(self._waiting)
        return (ahead + min(1, self._burst) - self._fill()) / self.per_second

    def _patience(self, _rollout: str, max_wait_seconds: float) -> float:
        """Return for how long a call of this Rollout may wait."""
        return max_wait_seconds

    def _taken(self, rollout: str) -> None:
        """Note a call of this Rollout."""

    def _refusal(self, _rollout: str, seconds: float) -> CannotTell:
        return self._exhausted(seconds, "The next call may be made")

    def _exhausted(self, seconds: float, what_comes: str) -> CannotTell:
        retry_after = ceil(max(seconds, 1))
        return CannotTell(
            Reason.AWS_BUDGET,
            f"The AWS call budget of this provider ({self.per_second:.3g} calls/s) is in use by other Rollouts. "
            f"{what_comes} in about {retry_after} s",
            {"retryAfterSeconds": retry_after},
        )

    def _fill(self) -> float:
        """Refill the bucket and return its level."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._filled_at) * self.per_second)
        self._filled_at = now
        return self._level
