"""The call budget of queries in one account and region, and the queue of Rollouts for it.

Elastic Load Balancing allows an account a burst of 40 Describe calls per region and 10 a second, which the load
balancer controller needs too, to register our targets. So the budget is at most half of them (docs.aws.amazon.com,
elasticloadbalancing, elb-api-throttling).

Argo wants consecutive passes, so Rollouts take turns: during its turn a Rollout is served first. The others keep their
position in a queue, in the order of their first query, and their answer says when to ask again.
"""

import time
from collections.abc import Callable

from provider.model.errors import CannotTell
from provider.sources.token_bucket import TokenBucket

TURN_SECONDS, TURN_CALLS = 30.0, 60  # the end of a turn; enough for three passes at an interval of 10 s or less
QUEUE_SECONDS = 30.0  # a Rollout without a query for this long leaves the queue
NEWCOMER_SECONDS = 2.0  # how long a call waits for a turn to begin, so that few threads wait at any time
RESERVE = 0.5  # share of the burst that is reserved for Rollouts in their turn


class CallBudget(TokenBucket):
    """A token bucket with a queue of Rollouts (opaque names)."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a full bucket and an empty queue."""
        super().__init__(per_second, burst, clock)
        self._turns: dict[str, tuple[float, int]] = {}  # when a turn ends, and its remaining calls
        self._queue: dict[str, float] = {}  # the last query of each Rollout in it

    def require_turn(self, rollout: str) -> None:
        """Refuse a query whose Rollout is in the queue and not next, before it reads anything. Raises CannotTell."""
        with self._lock:
            if rollout in self._queue and not self._has_turn(rollout):
                seconds = self._seconds_until(rollout)
                if seconds > NEWCOMER_SECONDS:
                    raise self._refusal(rollout, seconds)

    def give_turn(self, rollout: str) -> None:
        """Let a Rollout's turn begin now, ahead of the queue: what it has begun must not wait."""
        with self._lock:
            self._queue.pop(rollout, None)
            self._turns[rollout] = self._new_turn()

    @property
    def queued(self) -> int:
        """How many Rollouts are in the queue."""
        with self._lock:
            return sum(self._clock() - asked_at <= QUEUE_SECONDS for asked_at in self._queue.values())

    def _seconds_until(self, rollout: str, ticket: object | None = None) -> float:
        """Return the seconds to wait if no other Rollout joins: Rollouts in their turn come first, then the queue."""
        if self._has_turn(rollout):
            return super()._seconds_until(rollout, ticket)
        level, now = self._fill(), self._clock()
        self._queue[rollout] = now
        self._queue = {name: asked for name, asked in self._queue.items() if now - asked <= QUEUE_SECONDS}
        if level >= self._burst:  # nobody ahead needs the calls now
            return 0.0
        ahead = len(self._waiting) + list(self._queue).index(rollout)
        return (self._burst * RESERVE + ahead + min(1, self._burst) - level) / self.per_second

    def _patience(self, rollout: str, max_wait_seconds: float) -> float:
        return max_wait_seconds if self._has_turn(rollout) else min(max_wait_seconds, NEWCOMER_SECONDS)

    def _taken(self, rollout: str) -> None:
        self._queue.pop(rollout, None)
        until, calls_left = self._turns.get(rollout) or self._new_turn()
        self._turns[rollout] = (until, calls_left - 1)

    def _new_turn(self) -> tuple[float, int]:
        return self._clock() + TURN_SECONDS, TURN_CALLS

    def _has_turn(self, rollout: str) -> bool:
        """Tell whether it is the Rollout's turn; remove turns that are over."""
        now = self._clock()
        self._turns = {name: turn for name, turn in self._turns.items() if turn[0] > now and turn[1] > 0}
        return rollout in self._turns

    def _refusal(self, rollout: str, seconds: float) -> CannotTell:
        """Estimate when the turn begins: turns end one by one, and those ahead in the queue come first."""
        place, now = list(self._queue).index(rollout) if rollout in self._queue else 0, self._clock()
        ends = sorted(until - now for until, _ in self._turns.values())
        if ends and rollout in self._queue:
            rounds, rest = divmod(place, len(ends))
            seconds = max(seconds, ends[rest] + rounds * TURN_SECONDS)
        return self._exhausted(seconds, f"Position in the queue: {place + 1}; the turn begins")
