"""Counts the requests and responses of one target group per minute, in whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from tests.world.aws.cloudwatch import Hosts
from tests.world.aws.moto_cloudwatch import Times

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Users:
    """The users of one target group, at a constant rate."""

    requests_per_second: int = 0
    target_5xx: Fraction = Fraction(0)
    """The share of the answered requests that the targets answer with 5xx."""
    unconnected: Fraction = Fraction(0)
    """The share of those requests whose target cannot be connected to: the load balancer answers 502."""
    fast_seconds: float = 0.02
    """How long most requests take."""
    slower: tuple[tuple[float, Fraction], ...] = ((0.04, Fraction(40, 100)), (0.08, Fraction(8, 100)))
    """(seconds, share) of the others."""


@dataclass(frozen=True)
class Counts:
    """One minute of one target group."""

    requests: int
    """Those for which a target was chosen."""
    target_5xx: int
    unconnected: int
    """Those whose target could not be connected to; among `requests`."""
    without_target: int
    """Those for which no target could be chosen; not among `requests`."""
    hosts: Hosts | None
    """None when no target was registered."""
    times: Times | None = field(default=None, compare=False)
    """How long the requests took; None without a request."""


@dataclass
class _Whole:
    """Rounds exact amounts down to whole numbers and carries the rest over to the next minute."""

    left: Fraction = Fraction(0)

    def take(self, amount: Fraction) -> int:
        self.left += amount
        whole = int(self.left)
        self.left -= whole
        return whole


@dataclass
class Meter:
    """The requests to one target group: `users` times `percent()`.

    While no target is healthy, the load balancer answers 503. Fail-open (a real load balancer sends requests to
    unhealthy targets if it has no others) is not modelled: no group of the story needs it.
    """

    load_balancer: str
    """ARN."""
    target_group: str
    """ARN."""
    users: Users
    percent: Callable[[], int] = lambda: 100
    _percent: int = field(default=0, init=False)
    _registered: int = field(default=0, init=False)
    _healthy: int = field(default=0, init=False)
    _answered: int = field(default=0, init=False)
    """In percent times microseconds, as is the next one."""
    _unanswered: int = field(default=0, init=False)
    _host_microseconds: int = field(default=0, init=False)
    _registered_microseconds: int = field(default=0, init=False)
    _hosts: list[int] = field(default_factory=list, init=False)
    _carried: dict[str, _Whole] = field(default_factory=dict, init=False)

    def look(self, states: list[str]) -> None:
        """Record the targets' states; they apply until the next call."""
        self._percent = self.percent()
        # A draining target has been deregistered: it is neither a healthy host nor an unhealthy one.
        self._registered = sum(state != "draining" for state in states)
        self._healthy = states.count("healthy")

    def run(self, microseconds: int) -> None:
        """Count this many seconds within a minute."""
        if self._healthy:
            self._answered += self._percent * microseconds
        else:
            self._unanswered += self._percent * microseconds
        if self._registered and microseconds:
            self._registered_microseconds += microseconds
            self._host_microseconds += self._healthy * microseconds
            self._hosts.append(self._healthy)

    def close(self) -> Counts:
        """Return the finished minute and start the next."""
        requests, times = self._requested()
        without_target = self._whole("without_target", self._requests(self._unanswered))
        # Shares are taken of whole requests, so that there are never more errors than requests.
        counts = Counts(
            requests=requests,
            target_5xx=self._whole("target_5xx", requests * self.users.target_5xx),
            unconnected=self._whole("unconnected", requests * self.users.unconnected),
            without_target=without_target,
            hosts=self._closed_hosts(),
            times=times,
        )
        self._answered = self._unanswered = self._host_microseconds = self._registered_microseconds = 0
        self._hosts.clear()
        return counts

    def _requested(self) -> tuple[int, Times | None]:
        """Return the minute's requests for which a target was chosen, and how long they took."""
        requests = self._whole("requests", self._requests(self._answered))
        if not requests:
            return 0, None
        slower = [(seconds, int(requests * share)) for seconds, share in self.users.slower]
        fast = requests - sum(count for _, count in slower)
        return requests, Times(((self.users.fast_seconds, fast), *slower))

    def _requests(self, percent_microseconds: int) -> Fraction:
        return Fraction(self.users.requests_per_second * percent_microseconds, 100 * _MICROSECONDS)

    def _whole(self, name: str, amount: Fraction) -> int:
        return self._carried.setdefault(name, _Whole()).take(amount)

    def _closed_hosts(self) -> Hosts | None:
        if not self._hosts:
            return None
        # One sample a second, as far as whole numbers can say it; the average is weighted by time.
        samples = max(1, round(self._registered_microseconds / _MICROSECONDS))
        total = round(samples * self._host_microseconds / self._registered_microseconds)
        return Hosts(least=min(self._hosts), most=max(self._hosts), total=total, samples=samples)
