"""A cache of evidence that queries share, with at most one read in flight for each piece.

Each kind of evidence has a cache lifetime, counted from just before its request was sent. Within it a query gets the
cached value; while a read is in flight it waits for that one; otherwise it starts a read. Failures are cached too, for
a second. A newer value is never replaced by an older one. Expired entries are evicted, so memory holds only the
evidence of the last queries.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from provider.model.errors import CannotTell, DeadlineExceeded, RolloutNotFound
from provider.model.records import Freshness, Kind, Place
from provider.sources.deadline import Deadline

MAX_RECORDS = 200_000
"""Maximum number of cached records (pods, endpoints, targets, points), about 100 MB; the oldest are evicted first."""

FUTURE = timedelta(seconds=1)
"""Evidence further in the future is ignored: the clock was set back since."""

NOWHERE = Place("")
"""The place of evidence that is not read from AWS."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Known(Generic[Value]):
    """A piece of evidence, and when it was read: just before the request was sent."""

    value: Value
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Pieces of evidence that one call reads together.

    `call` gets the keys that are not cached and returns their values; a CannotTell as a value is the failure of that
    key alone, a Known is older than this read. `place` is where the call goes, for `Admit`. `stale` tells that a value
    must be read again although it is fresh. `anew`: only evidence read after the query began counts.
    """

    kind: Kind
    what: str
    keys: Sequence[Hashable]
    call: Callable[[Sequence[Any]], Mapping[Any, Any]]
    place: Place = NOWHERE
    stale: Callable[[Any, timedelta], bool] = lambda _value, _age: False
    anew: bool = False


Admit = Callable[[Sequence[Wanted]], None]
"""Is called before reads start; what it raises (CannotTell) ends the query."""


def admit_all(_: Sequence[Wanted]) -> None:
    """Admit every call: Kubernetes calls have no call budget."""


@dataclass(slots=True, eq=False)
class _Flight:
    """One call in flight, for some keys; its result has a value or a failure for each.

    `reads_since` is when the call began (monotonic): None while it waits for a thread.
    """

    keys: tuple[Hashable, ...]
    started: float = field(default_factory=monotonic)
    reads_since: float | None = None
    landed: "Future[Mapping[Hashable, _Result]]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: CannotTell | RolloutNotFound
    read_at: datetime


_Result = Known[Any] | _Failure


@dataclass(slots=True)
class _Asked:
    """One Wanted, sorted: cached results, flights to wait for, and the one to start."""

    wanted: Wanted
    results: "dict[Hashable, _Result]"
    flights: list[_Flight]
    own: _Flight | None = None


class Counts(Protocol):
    """Where sharing is counted: the provider's metrics."""

    def shared(self, kind: str, outcome: str) -> None:
        """Count wanted evidence that was `fresh`, `joined` a read in flight, or was `read`."""

    def keeps(self, records: int) -> None:
        """Set the number of cached records."""


class Sharing:
    """The shared evidence. Thread-safe; calls run outside of its lock."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        freshness: Freshness,
        metrics: Counts,
        *,
        flight_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read on these threads. Nobody waits for a call that has been in flight for longer than `flight_seconds`."""
        self.freshness, self.clock = freshness, clock
        self._threads, self._metrics, self._flight_seconds = threads, metrics, flight_seconds
        self._lock = Lock()
        self._known: dict[Kind, OrderedDict[Hashable, Known[Any]]] = {kind: OrderedDict() for kind in Kind}
        self._failed: OrderedDict[tuple[Kind, Hashable], _Failure] = OrderedDict()
        self._flights: dict[tuple[Kind, Hashable], _Flight] = {}
        self._records = 0

    def begin(self, *wanted: Wanted, deadline: Deadline, admit: Admit = admit_all) -> "Pending":
        """Start to read what is not cached, all at the same time, without waiting. Raises what `admit` raises."""
        asked = [self._ask(one, deadline) for one in wanted]
        own = [(one.wanted, one.own) for one in asked if one.own is not None]
        if own:
            try:
                admit([one for one, _ in own])
            except CannotTell as error:
                for one, flight in own:
                    self._forget_flight(one.kind, flight)
                    flight.landed.set_exception(error)
                raise
        for one, flight in own:
            self._threads.submit(self._fly, one, flight)
        return Pending(asked)

    def read(self, *wanted: Wanted, deadline: Deadline, admit: Admit = admit_all) -> dict[Any, Known[Any]]:
        """Return everything wanted, by its key.

        Raises what `admit` raises, the first failure in order, and DeadlineExceeded if the deadline ends before.
        """
        return self.begin(*wanted, deadline=deadline, admit=admit).result(deadline)

    def look(
        self, kind: Kind, key: Hashable, what: str, call: Callable[[], Any], deadline: Deadline, *, anew: bool = False
    ) -> Known[Any]:
        """Return one piece of evidence that takes several reads; `call` makes it in the thread of the first query."""
        asked = self._ask(Wanted(kind, what, (key,), lambda _: {key: call()}, anew=anew), deadline)
        if asked.own is not None:
            self._fly(asked.wanted, asked.own)
        return Pending([asked]).result(deadline)[key]

    @property
    def records(self) -> int:
        """The number of cached records."""
        return self._records

    def _ask(self, wanted: Wanted, deadline: Deadline) -> _Asked:
        """Sort the keys into cached, in flight, and to be read by this query."""
        asked, missing, now = _Asked(wanted, {}, []), [], self.clock()
        with self._lock:
            for key in wanted.keys:
                result = self._usable(wanted, key, now, deadline)
                flight = self._flights.get((wanted.kind, key))
                if result is not None:
                    asked.results[key] = result
                elif flight is None or not self._may_join(flight, wanted, deadline):
                    missing.append(key)
                elif flight not in asked.flights:
                    asked.flights.append(flight)
            if missing:
                asked.own = _Flight(tuple(missing))
                asked.flights.append(asked.own)
                self._flights.update(dict.fromkeys(((wanted.kind, key) for key in missing), asked.own))
        self._metrics.shared(wanted.kind, "read" if asked.own else "joined" if asked.flights else "fresh")
        return asked

    def _may_join(self, flight: _Flight, wanted: Wanted, deadline: Deadline) -> bool:
        """Tell whether a call in flight is worth waiting for, and recent enough for this query."""
        if monotonic() - flight.started > self._flight_seconds:
            return False
        return not wanted.anew or flight.reads_since is None or flight.reads_since >= deadline.began

    def _usable(self, wanted: Wanted, key: Hashable, now: datetime, deadline: Deadline) -> "_Result | None":
        """Return the cached value or failure of a key, if it is fresh or was read for this query."""
        known = self._known[wanted.kind].get(key)
        failed = self._failed.get((wanted.kind, key))
        for result in (known, failed):
            if (
                result is not None
                and deadline.began_at is not None
                and deadline.began_at <= result.read_at <= now + FUTURE
            ):
                return result
        if wanted.anew:
            return None
        if known is not None:
            age = now - known.read_at
            if _is_young(age, self.freshness.seconds(wanted.kind)) and not wanted.stale(known.value, age):
                return known
        if failed is not None and _is_young(now - failed.read_at, self.freshness.failures):
            return failed
        return None

    def _fly(self, wanted: Wanted, flight: _Flight) -> None:
        """Make the call, cache its results, and hand them to all who wait."""
        if not self._is_awaited(wanted.kind, flight):
            flight.landed.set_exception(DeadlineExceeded(f"Reading {wanted.what} did not start in time"))
            return
        read_at = self.clock()
        try:
            values = wanted.call(flight.keys)
            results = {key: _result(values[key], read_at) for key in flight.keys}
        except (CannotTell, RolloutNotFound) as error:
            results = dict.fromkeys(flight.keys, _failure(error, read_at))
        except Exception as error:  # noqa: BLE001 - a defect is raised in the queries that wait for it
            self._forget_flight(wanted.kind, flight)
            flight.landed.set_exception(error)
            return
        self._keep(wanted.kind, results)
        self._forget_flight(wanted.kind, flight)
        flight.landed.set_result(results)

    def _keep(self, kind: Kind, results: "Mapping[Hashable, _Result]") -> None:
        with self._lock:
            for key, result in results.items():
                if isinstance(result, _Failure):
                    self._failed[kind, key] = result
                    self._failed.move_to_end((kind, key))
                    continue
                before = self._known[kind].get(key)
                if before is None or not result.read_at < before.read_at <= self.clock() + FUTURE:
                    # Otherwise an abandoned call returned after all, with an older value.
                    self._failed.pop((kind, key), None)
                    self._drop(kind, key)
                    self._known[kind][key] = result
                    self._records += _size(result.value)
            self._forget_old()
            self._metrics.keeps(self._records)

    def _forget_old(self) -> None:
        """Evict expired entries, then the oldest above the limit. Entries are kept in read order."""
        now = self.clock()
        for kind, known in self._known.items():
            limit = self.freshness.limit(kind, self._flight_seconds)
            while known and (
                self._records > MAX_RECORDS or not _is_young(now - next(iter(known.values())).read_at, limit)
            ):
                self._drop(kind, next(iter(known)))
        limit = self.freshness.failures + self._flight_seconds
        while self._failed and not _is_young(now - next(iter(self._failed.values())).read_at, limit):
            self._failed.popitem(last=False)

    def _drop(self, kind: Kind, key: Hashable) -> None:
        known = self._known[kind].pop(key, None)
        if known is not None:
            self._records -= _size(known.value)

    def _is_awaited(self, kind: Kind, flight: _Flight) -> bool:
        """Tell whether this flight was not replaced: in an outage old calls must not queue up behind slow ones."""
        with self._lock:
            flight.reads_since = monotonic()
            return any(self._flights.get((kind, key)) is flight for key in flight.keys)

    def _forget_flight(self, kind: Kind, flight: _Flight) -> None:
        with self._lock:
            for key in flight.keys:
                if self._flights.get((kind, key)) is flight:
                    del self._flights[kind, key]


@dataclass(frozen=True, slots=True)
class Pending:
    """Evidence that is cached or in flight."""

    asked: Sequence[_Asked]

    def result(self, deadline: Deadline) -> dict[Any, Known[Any]]:
        """Wait for all of it. Raises the first failure in order, and DeadlineExceeded if the deadline ends before."""
        found: dict[Any, Known[Any]] = {}
        for one in self.asked:
            results = dict(one.results)
            for flight in one.flights:
                results |= deadline.wait(flight.landed, one.wanted.what)
            found |= {key: _known(results[key]) for key in one.wanted.keys}
        return found


def _known(result: "_Result") -> Known[Any]:
    if isinstance(result, _Failure):
        raise result.error.with_traceback(None)  # raised in many threads, it would collect their tracebacks
    return result


def _result(value: Any, read_at: datetime) -> "_Result":
    if isinstance(value, Known):
        return value
    return _failure(value, read_at) if isinstance(value, CannotTell) else Known(value, read_at)


def _failure(error: CannotTell | RolloutNotFound, read_at: datetime) -> _Failure:
    """Make a failure; one caused by another is as old as that one, or it would be cached again and again."""
    error.read_at = error.read_at or read_at
    return _Failure(error, error.read_at)


def _is_young(age: timedelta, seconds: float) -> bool:
    return -FUTURE <= age <= timedelta(seconds=seconds)


def _size(value: Any) -> int:
    """Return roughly how many records a value holds: its length, if it has one."""
    return 1 + (len(value) if hasattr(value, "__len__") else 0)
