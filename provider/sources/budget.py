"""How many calls one AWS API in one account and region may get from this provider, and the queue of Rollouts for them.

Elastic Load Balancing allows an account a burst of 40 Describe calls per region and 10 a second, which the load
balancer controller needs too, to register our targets. So the budget of queries is at most half of them. AWS tells of
its limit only by throttling: then the rate is halved, and recovers (docs.aws.amazon.com, elasticloadbalancing,
elb-api-throttling).

Argo wants consecutive passes, so Rollouts take turns: during its turn a Rollout is served first. The others keep their
position in a queue, in the order of their first query, and their answer says when to ask again.
"""

import time
from collections.abc import Callable
from math import ceil
from threading import Condition

from provider.model.errors import CannotTell
from provider.model.reasons import Reason

RECOVERY_SECONDS = 60.0  # time without throttling until the full rate is restored
MIN_RATE = 1 / 16  # share of the rate kept when throttled; without calls the end of throttling would go unnoticed
TURN_SECONDS, TURN_CALLS = 30.0, 60  # the end of a turn; enough for three passes at an interval of 10 s or less
QUEUE_SECONDS = 30.0  # a Rollout without a query for this long leaves the queue
NEWCOMER_SECONDS = 2.0  # how long a call waits for a turn to begin, so that few threads wait at any time
RESERVE = 0.5  # share of the burst that is reserved for Rollouts in their turn


class CallBudget:
    """A token bucket with a queue of Rollouts (opaque names). Thread-safe; the clock is monotonic.

    Without `takes_turns` calls are served in the order in which they come.
    """

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic, *, takes_turns: bool = True
    ) -> None:
        """Start with a full bucket and an empty queue."""
        self._max, self._burst, self._clock, self._takes_turns = per_second, burst, clock, takes_turns
        self._level, self._filled_at = burst, clock()
        self._slowed_to, self._throttled_at = per_second, clock() - RECOVERY_SECONDS
        self._waiting: list[object] = []  # the calls that are served next
        self._turns: dict[str, tuple[float, int]] = {}  # when a turn ends, and its remaining calls
        self._queue: dict[str, float] = {}  # the last query of each Rollout in it
        self._lock = Condition()

    def require_turn(self, rollout: str) -> None:
        """Refuse a query whose Rollout is in the queue and not next, before it reads anything. Raises CannotTell."""
        with self._lock:
            if rollout in self._queue and not self._has_turn(rollout):
                seconds = self._seconds_until(rollout, None)
                if seconds > NEWCOMER_SECONDS:
                    raise self._refusal(rollout, seconds)

    def give_turn(self, rollout: str) -> None:
        """Let a Rollout's turn begin now, ahead of the queue: what it has begun must not wait."""
        with self._lock:
            self._queue.pop(rollout, None)
            self._turns[rollout] = (self._clock() + TURN_SECONDS, TURN_CALLS)

    def take(self, rollout: str, max_wait_seconds: float) -> None:
        """Take one call for a Rollout, waiting if necessary. Raises CannotTell (AwsBudget) without taking it."""
        with self._lock:
            began, ticket = self._clock(), object()
            try:
                while (seconds := self._seconds_until(rollout, ticket)) > 0:
                    longest = max_wait_seconds if self._has_turn(rollout) else min(max_wait_seconds, NEWCOMER_SECONDS)
                    if self._clock() + seconds > began + longest:
                        raise self._refusal(rollout, seconds)
                    self._lock.wait(seconds)
                self._level -= 1
                self._queue.pop(rollout, None)
                until, calls_left = self._turns.get(rollout, (self._clock() + TURN_SECONDS, TURN_CALLS))
                self._turns[rollout] = (until, calls_left - 1)
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

    @property
    def queued(self) -> int:
        """How many Rollouts are in the queue."""
        with self._lock:
            return sum(self._clock() - asked_at <= QUEUE_SECONDS for asked_at in self._queue.values())

    def _seconds_until(self, rollout: str, ticket: object | None) -> float:
        """Return the seconds until the call of this ticket, or the Rollout's next one, if no other Rollout joins."""
        level, now = self._fill(), self._clock()
        if self._has_turn(rollout):
            if ticket is not None and ticket not in self._waiting:
                self._waiting.append(ticket)
            ahead = self._waiting.index(ticket) if ticket in self._waiting else len(self._waiting)
            return (ahead + min(1, self._burst) - level) / self.per_second
        self._queue[rollout] = now
        self._queue = {name: asked for name, asked in self._queue.items() if now - asked <= QUEUE_SECONDS}
        if level >= self._burst:  # nobody ahead needs the calls now
            return 0.0
        ahead = len(self._waiting) + list(self._queue).index(rollout)
        return (self._burst * RESERVE + ahead + min(1, self._burst) - level) / self.per_second

    def _has_turn(self, rollout: str) -> bool:
        """Tell whether it is the Rollout's turn; remove turns that are over."""
        now = self._clock()
        self._turns = {name: turn for name, turn in self._turns.items() if turn[0] > now and turn[1] > 0}
        return rollout in self._turns or not self._takes_turns

    def _refusal(self, rollout: str, seconds: float) -> CannotTell:
        """Say when the next call may be made: turns end one by one, and those ahead in the queue come first."""
        what_comes = "The next call may be made"
        if self._takes_turns:
            place, now = list(self._queue).index(rollout) if rollout in self._queue else 0, self._clock()
            ends = sorted(until - now for until, _ in self._turns.values())
            if ends and rollout in self._queue:
                rounds, rest = divmod(place, len(ends))
                seconds = max(seconds, ends[rest] + rounds * TURN_SECONDS)
            what_comes = f"Position in the queue: {place + 1}; the turn begins"
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
