"""How many calls of one AWS API are ours to make, and whose turn it is to make them.

Elastic Load Balancing gives an account 40 Describe calls in a region and 10 more a second, shared with the load
balancer controller that must register our targets: a gate that takes them all causes the outage it guards against. So
at most half of them are ours (fact: docs.aws.amazon.com, elasticloadbalancing, elb-api-throttling).

Where there are more Rollouts than calls, every Rollout waiting a little longer would help nobody: Argo wants several
passes in a row. So Rollouts take turns. One that has its turn goes first and gets an answer each time it asks; the
others stand in line, in the order in which they first asked, and are told when their turn comes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from threading import Condition

from provider.errors import CannotTell
from provider.reasons import Reason

TURN_SECONDS = 30.0
"""Length of a turn: three passes in a row at Argo's usual interval of 10 s."""

TURN_CALLS = 60
"""Calls in one turn, so that a Rollout with many target groups does not take everybody's."""

LINE_SECONDS = 30.0
"""Who has not asked for so long has left the line."""

NEWCOMER_SECONDS = 2.0
"""How long a question without a turn waits for one: few enough threads stand in line at any time."""

RESERVE = 0.5
"""Share of the burst that is kept for those whose turn it is."""

RECOVERY_SECONDS = 60.0
"""After so long without throttling the full rate is ours again."""

SLOWEST = 1 / 16
"""Share of the rate that throttling never takes away: without any call nobody would notice that it is over."""


@dataclass(slots=True)
class _Turn:
    """A Rollout's turn: until when, and how many calls of it are left."""

    until: float
    calls_left: int


class CallBudget:
    """The calls of one API in one account and region: a token bucket, and a line of Rollouts before it.

    `clock` returns seconds and never goes back. Askers are opaque names; each has at most one place in the line.
    """

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket."""
        self._most, self._burst, self._clock = per_second, burst, clock
        self._level, self._filled_at = burst, clock()
        self._slowed_to, self._throttled_at = per_second, clock() - RECOVERY_SECONDS
        self._turns: dict[str, _Turn] = {}
        self._line: dict[str, float] = {}
        self._tidied_at = clock()
        self._queue: dict[object, int] = {}
        self._changed = Condition()

    def require_turn(self, asker: str) -> None:
        """Send back who stands in line, and is not next: it need not read anything else first.

        Raises CannotTell (AwsBudget). Who has never asked for a call does not stand in line.
        """
        with self._changed:
            now = self._clock()
            self._fill(now)
            if asker in self._line and self._turn(asker, now) is None:
                seconds = self._seconds_until(asker, 1, None, now)
                if seconds > NEWCOMER_SECONDS:
                    raise self._refusal(asker, seconds, now)

    def take(self, asker: str, calls: int, patience_seconds: float) -> None:
        """Take so many calls, waiting for them if need be. Raises CannotTell (AwsBudget), and takes none then."""
        with self._changed:
            ticket, began = object(), self._clock()
            try:
                while not self._taken(asker, calls, patience_seconds, ticket, began):
                    pass
            finally:
                self._queue.pop(ticket, None)

    def charge(self, calls: int = 1) -> None:
        """Take calls that cannot wait (retries, further pages); others wait the longer for it."""
        with self._changed:
            self._fill(self._clock())
            self._level -= calls

    def throttled(self) -> None:
        """AWS says that the account makes too many calls: leave it half of what was ours, and stop for a moment."""
        with self._changed:
            now = self._clock()
            self._fill(now)
            if now - self._throttled_at >= 1:  # several answers of one moment are one fact
                self._slowed_to = max(self._rate(now) / 2, self._most * SLOWEST)
                self._throttled_at = now
            self._level = min(self._level, 0)

    @property
    def per_second(self) -> float:
        """The calls a second that are ours now."""
        return self._rate(self._clock())

    def _taken(self, asker: str, calls: int, patience_seconds: float, ticket: object, began: float) -> bool:
        """Take the calls if they are there, else wait for as long as that may take."""
        now = self._clock()
        self._fill(now)
        seconds = self._seconds_until(asker, calls, ticket, now)
        if seconds <= 0:
            self._grant(asker, calls, now)
            return True
        patience = patience_seconds if asker in self._turns else min(patience_seconds, NEWCOMER_SECONDS)
        if seconds > began + patience - now:
            raise self._refusal(asker, seconds, now)
        self._changed.wait(seconds)
        return False

    def _seconds_until(self, asker: str, calls: int, ticket: object | None, now: float) -> float:
        """Return how long the asker has to wait if nobody else comes: first those with a turn, then the line."""
        if self._turn(asker, now) is not None:
            self._queue.setdefault(ticket, calls)
            before = 0
            for other, wanted in self._queue.items():
                if other is ticket:
                    break
                before += wanted
            needed = before + min(calls, self._burst)
        else:
            ahead = self._place(asker, now)
            if self._level >= self._burst:  # those before do not want them now
                return 0.0
            most = self._burst * (1 - RESERVE)  # more than that is never left over: let it be owed
            needed = self._burst * RESERVE + sum(self._queue.values()) + ahead + min(calls, most)
        return (needed - self._level) / self._rate(now)

    def _place(self, asker: str, now: float) -> int:
        """Stand in line, and return how many stand before."""
        self._line[asker] = now
        if now - self._tidied_at >= 1:
            self._tidied_at = now
            for one in [one for one, asked_at in self._line.items() if now - asked_at > LINE_SECONDS]:
                del self._line[one]
        return list(self._line).index(asker)

    def _grant(self, asker: str, calls: int, now: float) -> None:
        self._level -= calls
        turn = self._turns.get(asker)
        if turn is None:
            self._line.pop(asker, None)
            turn = self._turns[asker] = _Turn(now + TURN_SECONDS, TURN_CALLS)
        turn.calls_left -= calls

    def _turn(self, asker: str, now: float) -> _Turn | None:
        """Return the asker's turn, if it has one; turns that are over are forgotten."""
        over = [one for one, turn in self._turns.items() if turn.until <= now or turn.calls_left <= 0]
        for one in over:
            del self._turns[one]
        return self._turns.get(asker)

    def _refusal(self, asker: str, seconds: float, now: float) -> CannotTell:
        """Say when the turn comes: when those before it in line have had theirs, as turns end one by one."""
        place = list(self._line).index(asker) if asker in self._line else 0
        ends = sorted(turn.until - now for turn in self._turns.values())
        if ends and asker in self._line:
            rounds, rest = divmod(place, len(ends))
            seconds = max(seconds, ends[rest] + rounds * TURN_SECONDS)
        retry_after = ceil(max(seconds, 1))
        return CannotTell(
            Reason.AWS_BUDGET,
            f"Other Rollouts use the AWS calls that are this provider's to make ({self._rate(now):.3g} a second): "
            f"{place} stand in line before this one, whose turn comes in about {retry_after} s",
            {"retryAfterSeconds": retry_after},
        )

    def _rate(self, now: float) -> float:
        recovered = min(1.0, (now - self._throttled_at) / RECOVERY_SECONDS)
        return self._slowed_to + (self._most - self._slowed_to) * recovered

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate(now))
        self._filled_at = now
