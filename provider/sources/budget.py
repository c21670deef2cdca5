"""The call budget of one AWS API, and the queue of Rollouts for it.

Elastic Load Balancing allows an account a burst of 40 Describe calls per region and 10 more a second, shared with the
load balancer controller that must register our targets. A gate that used them all would cause the outage it guards
against, so the budget is at most half of them (docs.aws.amazon.com, elasticloadbalancing, elb-api-throttling).

With more Rollouts than calls it does not help to delay each of them a little: Argo wants consecutive passes. So
Rollouts take turns. During its turn a Rollout is served first, each time it asks. The others keep their position in a
queue, in the order of their first query, and are told when to ask again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from threading import Condition

from provider.model.errors import CannotTell
from provider.model.reasons import Reason

TURN_SECONDS = 30.0
"""Length of a turn: three consecutive passes at Argo's usual interval of 10 s."""

TURN_CALLS = 60
"""Maximum calls in one turn, so that a Rollout with many target groups does not use up the budget."""

QUEUE_SECONDS = 30.0
"""A Rollout that was not asked about for this long leaves the queue."""

NEWCOMER_SECONDS = 2.0
"""How long a query waits for a turn to begin, so that few threads wait at any time."""

RESERVE = 0.5
"""Share of the burst that is reserved for Rollouts in their turn."""

RECOVERY_SECONDS = 60.0
"""Time without throttling until the full rate is restored."""

SLOWEST = 1 / 16
"""Share of the rate that is kept even when throttled: without any call the end of throttling would go unnoticed."""


@dataclass(slots=True)
class _Turn:
    """A Rollout's turn: until when, and how many calls of it are left."""

    until: float
    calls_left: int


class CallBudget:
    """The calls of one API in one account and region: a token bucket with a queue of Rollouts.

    `clock` returns seconds and never goes back. Rollouts are opaque names, each in the queue at most once.
    """

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket."""
        self._most, self._burst, self._clock = per_second, burst, clock
        self._level, self._filled_at = burst, clock()
        self._slowed_to, self._throttled_at = per_second, clock() - RECOVERY_SECONDS
        self._turns: dict[str, _Turn] = {}
        self._queue: dict[str, float] = {}
        self._tidied_at = clock()
        self._waiting: dict[object, int] = {}
        self._changed = Condition()

    def require_turn(self, rollout: str) -> None:
        """Refuse a query whose Rollout is in the queue and not next, before it reads anything.

        Raises CannotTell (AwsBudget). A Rollout that never needed a call is not in the queue.
        """
        with self._changed:
            now = self._clock()
            self._fill(now)
            if rollout in self._queue and self._turn(rollout, now) is None:
                seconds = self._seconds_until(rollout, 1, None, now)
                if seconds > NEWCOMER_SECONDS:
                    raise self._refusal(rollout, seconds, now)

    def take(self, rollout: str, calls: int, max_wait_seconds: float) -> None:
        """Take this many calls, waiting if necessary. Raises CannotTell (AwsBudget) without taking any."""
        with self._changed:
            ticket, began = object(), self._clock()
            try:
                while not self._taken(rollout, calls, max_wait_seconds, ticket, began):
                    pass
            finally:
                self._waiting.pop(ticket, None)

    def charge(self, calls: int = 1) -> None:
        """Take calls that cannot wait (retries, further pages); the following ones wait longer."""
        with self._changed:
            self._fill(self._clock())
            self._level -= calls

    def throttled(self) -> None:
        """On throttling: halve the rate and empty the bucket."""
        with self._changed:
            now = self._clock()
            self._fill(now)
            if now - self._throttled_at >= 1:  # several throttled answers at once count once
                self._slowed_to = max(self._rate(now) / 2, self._most * SLOWEST)
                self._throttled_at = now
            self._level = min(self._level, 0)

    @property
    def per_second(self) -> float:
        """The current rate: calls per second."""
        return self._rate(self._clock())

    @property
    def level(self) -> float:
        """The calls that may be made at once; less than 0 if some were made that could not wait."""
        with self._changed:
            self._fill(self._clock())
            return self._level

    @property
    def queued(self) -> int:
        """How many Rollouts are in the queue."""
        with self._changed:
            now = self._clock()
            return sum(now - asked_at <= QUEUE_SECONDS for asked_at in self._queue.values())

    def _taken(self, rollout: str, calls: int, max_wait_seconds: float, ticket: object, began: float) -> bool:
        """Take the calls if they are available, else wait until they may be."""
        now = self._clock()
        self._fill(now)
        seconds = self._seconds_until(rollout, calls, ticket, now)
        if seconds <= 0:
            self._grant(rollout, calls, now)
            return True
        max_wait = max_wait_seconds if rollout in self._turns else min(max_wait_seconds, NEWCOMER_SECONDS)
        if seconds > began + max_wait - now:
            raise self._refusal(rollout, seconds, now)
        self._changed.wait(seconds)
        return False

    def _seconds_until(self, rollout: str, calls: int, ticket: object | None, now: float) -> float:
        """Return the seconds to wait if no other Rollout comes: Rollouts in their turn first, then the queue."""
        if self._turn(rollout, now) is not None:
            self._waiting.setdefault(ticket, calls)
            before = 0
            for other, wanted in self._waiting.items():
                if other is ticket:
                    break
                before += wanted
            needed = before + min(calls, self._burst)
        else:
            ahead = self._place(rollout, now)
            if self._level >= self._burst:  # those ahead do not need them now
                return 0.0
            most = self._burst * (1 - RESERVE)  # never more than this is free outside of turns; the rest is owed
            needed = self._burst * RESERVE + sum(self._waiting.values()) + ahead + min(calls, most)
        return (needed - self._level) / self._rate(now)

    def _place(self, rollout: str, now: float) -> int:
        """Enter the queue, and return how many Rollouts are ahead."""
        self._queue[rollout] = now
        if now - self._tidied_at >= 1:
            self._tidied_at = now
            for one in [one for one, asked_at in self._queue.items() if now - asked_at > QUEUE_SECONDS]:
                del self._queue[one]
        return list(self._queue).index(rollout)

    def _grant(self, rollout: str, calls: int, now: float) -> None:
        self._level -= calls
        turn = self._turns.get(rollout)
        if turn is None:
            self._queue.pop(rollout, None)
            turn = self._turns[rollout] = _Turn(now + TURN_SECONDS, TURN_CALLS)
        turn.calls_left -= calls

    def _turn(self, rollout: str, now: float) -> _Turn | None:
        """Return the Rollout's turn, if it has one; expired turns are removed."""
        over = [one for one, turn in self._turns.items() if turn.until <= now or turn.calls_left <= 0]
        for one in over:
            del self._turns[one]
        return self._turns.get(rollout)

    def _refusal(self, rollout: str, seconds: float, now: float) -> CannotTell:
        """Say when the turn begins: after those ahead in the queue, as turns end one by one."""
        place = list(self._queue).index(rollout) if rollout in self._queue else 0
        ends = sorted(turn.until - now for turn in self._turns.values())
        if ends and rollout in self._queue:
            rounds, rest = divmod(place, len(ends))
            seconds = max(seconds, ends[rest] + rounds * TURN_SECONDS)
        retry_after = ceil(max(seconds, 1))
        return CannotTell(
            Reason.AWS_BUDGET,
            f"The AWS call budget of this provider ({self._rate(now):.3g} calls/s) is in use by other Rollouts. "
            f"Position in the queue: {place + 1}; the turn begins in about {retry_after} s",
            {"retryAfterSeconds": retry_after},
        )

    def _rate(self, now: float) -> float:
        recovered = min(1.0, (now - self._throttled_at) / RECOVERY_SECONDS)
        return self._slowed_to + (self._most - self._slowed_to) * recovered

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate(now))
        self._filled_at = now
