"""Evidence that questions share: one read in flight for all who ask, and its result while it is fresh.

Every kind of evidence has a time for which it is fresh, counted from the moment just before its request was sent. Who
asks within that time gets what is known; who asks while it is being read waits for that read; only then is it read
anew. A failure is shared in the same way, for a second. Nothing fresh is ever replaced by something older, and what is
no longer fresh is forgotten, so that memory holds only what the last seconds were asked about.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar

from provider.budget import Budget
from provider.errors import CannotTell, DeadlineExceeded, RolloutNotFound
from provider.records import Freshness, Kind, Place
from provider.telemetry import Metrics

MAX_RECORDS = 200_000
"""Records (pods, endpoints, targets, points) that are kept at most, about 100 MB; the oldest go first."""

MAX_MADE = 2_000
"""Verdicts that are kept at most: one for each question of as many Rollouts."""

FUTURE = timedelta(seconds=1)
"""Evidence from the future by more than this is none: the clock was set back since."""

NOWHERE = Place("")
"""The place of what is not read from AWS."""

NEVER = datetime.min.replace(year=2, tzinfo=UTC)
"""Long ago: nothing is fresh since then."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Known(Generic[Value]):
    """A piece of evidence, and when it was read: just before the request was sent."""

    value: Value
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Pieces of evidence that one call reads together.

    `call` gets the keys that are not known and returns their values; a CannotTell as a value is the failure of its
    key alone, a Known is older than this read. `place` is where the call goes, for who admits it. `stale` says of a
    value that it is to be read anew although it is fresh.
    """

    kind: Kind
    what: str
    keys: Sequence[Hashable]
    call: Callable[[Sequence[Any]], Mapping[Any, Any]]
    place: Place = NOWHERE
    stale: Callable[[Any, timedelta], bool] = lambda _value, _age: False


Admit = Callable[[Sequence[Wanted]], None]
"""Is asked before calls are made; what it raises (CannotTell) ends the question."""


def admit_all(_: Sequence[Wanted]) -> None:
    """Admit every call: those of Kubernetes are not counted."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """One call under way, for some keys; its result is all of them, each known or failed."""

    keys: tuple[Hashable, ...]
    started: float = field(default_factory=monotonic)
    landed: "Future[Mapping[Hashable, _Result]]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: CannotTell | RolloutNotFound
    read_at: datetime


_Result = Known[Any] | _Failure


@dataclass(slots=True)
class _Asked:
    """What became of one Wanted: what is known, the flights to wait for, and the one to start."""

    wanted: Wanted
    results: "dict[Hashable, _Result]"
    flights: list[_Flight]
    own: _Flight | None = None


class Sharing:
    """Everything that questions share. Thread-safe; what it calls runs outside of its lock."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        freshness: Freshness,
        metrics: Metrics,
        *,
        flight_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read on these threads. A call under way for longer than `flight_seconds` is waited for no more."""
        self.freshness, self.clock = freshness, clock
        self._threads, self._metrics, self._flight_seconds = threads, metrics, flight_seconds
        self._lock = Lock()
        self._known: dict[Kind, OrderedDict[Hashable, Known[Any]]] = {kind: OrderedDict() for kind in Kind}
        self._failed: OrderedDict[tuple[Kind, Hashable], _Failure] = OrderedDict()
        self._flights: dict[tuple[Kind, Hashable], _Flight] = {}
        self._records = 0
        self._made: OrderedDict[Hashable, tuple[Any, datetime, datetime]] = OrderedDict()

    def begin(self, *wanted: Wanted, budget: Budget, admit: Admit = admit_all) -> "Pending":
        """Start to read what is not known, all at the same time, without waiting for it. Raises what `admit` raises."""
        asked = [self._ask(one, budget) for one in wanted]
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

    def read(self, *wanted: Wanted, budget: Budget, admit: Admit = admit_all) -> dict[Any, Known[Any]]:
        """Return everything wanted by its key.

        Raises what `admit` raises, the first failure in order, and DeadlineExceeded if the budget ends before.
        """
        return self.begin(*wanted, budget=budget, admit=admit).result(budget)

    def look(self, kind: Kind, key: Hashable, what: str, call: Callable[[], Any], budget: Budget) -> Known[Any]:
        """Return one piece of evidence that takes several reads, made by `call` in the thread of whoever asks first."""
        asked = self._ask(Wanted(kind, what, (key,), lambda _: {key: call()}), budget)
        if asked.own is not None:
            self._fly(asked.wanted, asked.own)
        return Pending([asked]).result(budget)[key]

    def recall(self, key: Hashable) -> Any:
        """Return what was made of shared evidence, while all of that evidence is fresh; None otherwise."""
        with self._lock:
            value, made_of, until = self._made.get(key, (None, NEVER, NEVER))
        return value if made_of - FUTURE <= self.clock() <= until else None

    def remember(self, key: Hashable, value: Any, read_at: Mapping[Kind, datetime]) -> None:
        """Keep what was made of evidence that was read at these times."""
        until = min(at + timedelta(seconds=self.freshness.seconds(kind)) for kind, at in read_at.items())
        with self._lock:
            self._made[key] = (value, max(read_at.values()), until)
            self._made.move_to_end(key)
            while len(self._made) > MAX_MADE:
                self._made.popitem(last=False)

    @property
    def records(self) -> int:
        """How many records are kept."""
        return self._records

    def _ask(self, wanted: Wanted, budget: Budget) -> _Asked:
        """Sort the keys into known, under way, and to be read by us."""
        asked, missing, now = _Asked(wanted, {}, []), [], self.clock()
        with self._lock:
            for key in wanted.keys:
                result = self._usable(wanted, key, now, budget)
                flight = self._flights.get((wanted.kind, key))
                if result is not None:
                    asked.results[key] = result
                elif flight is None or monotonic() - flight.started > self._flight_seconds:
                    missing.append(key)
                elif flight not in asked.flights:
                    asked.flights.append(flight)
            if missing:
                asked.own = _Flight(tuple(missing))
                asked.flights.append(asked.own)
                self._flights.update(dict.fromkeys(((wanted.kind, key) for key in missing), asked.own))
        self._metrics.shared(wanted.kind, "read" if asked.own else "joined" if asked.flights else "fresh")
        return asked

    def _usable(self, wanted: Wanted, key: Hashable, now: datetime, budget: Budget) -> "_Result | None":
        """Return what is known of a key, or why it could not be read, if that was just now or for this question."""
        known = self._known[wanted.kind].get(key)
        failed = self._failed.get((wanted.kind, key))
        for result in (known, failed):
            if result is not None and budget.began_at is not None and budget.began_at <= result.read_at <= now + FUTURE:
                return result
        if known is not None:
            age = now - known.read_at
            if _is_young(age, self.freshness.seconds(wanted.kind)) and not wanted.stale(known.value, age):
                return known
        if failed is not None and _is_young(now - failed.read_at, self.freshness.failures):
            return failed
        return None

    def _fly(self, wanted: Wanted, flight: _Flight) -> None:
        """Make the call, keep what it found, and tell everybody who waits."""
        if not self._is_awaited(wanted.kind, flight):
            flight.landed.set_exception(DeadlineExceeded(f"Reading {wanted.what} was not begun in time"))
            return
        read_at = self.clock()
        try:
            values = wanted.call(flight.keys)
            results = {key: _result(values[key], read_at) for key in flight.keys}
        except (CannotTell, RolloutNotFound) as error:
            results = dict.fromkeys(flight.keys, _failure(error, read_at))
        except Exception as error:  # noqa: BLE001 - a defect is raised by whoever waits for this
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
                    # Otherwise a call that had been given up on came back after all, with what is older.
                    self._failed.pop((kind, key), None)
                    self._drop(kind, key)
                    self._known[kind][key] = result
                    self._records += _size(result.value)
            self._forget_old()
            self._metrics.keeps(self._records)

    def _forget_old(self) -> None:
        """Drop what nobody may use any more, and what is too much; each kind is in the order in which it was read."""
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
        """Tell whether this flight was not replaced: in an outage old ones must not pile up behind slow ones."""
        with self._lock:
            return any(self._flights.get((kind, key)) is flight for key in flight.keys)

    def _forget_flight(self, kind: Kind, flight: _Flight) -> None:
        with self._lock:
            for key in flight.keys:
                if self._flights.get((kind, key)) is flight:
                    del self._flights[kind, key]


@dataclass(frozen=True, slots=True)
class Pending:
    """Evidence that is known or under way."""

    asked: Sequence[_Asked]

    def result(self, budget: Budget) -> dict[Any, Known[Any]]:
        """Wait for all of it. Raises the first failure in order, and DeadlineExceeded if the budget ends before."""
        found: dict[Any, Known[Any]] = {}
        for one in self.asked:
            results = dict(one.results)
            for flight in one.flights:
                results |= budget.wait(flight.landed, one.wanted.what)
            found |= {key: _known(results[key]) for key in one.wanted.keys}
        return found


def _known(result: "_Result") -> Known[Any]:
    if isinstance(result, _Failure):
        raise result.error.with_traceback(None)  # the same error is raised for many, and would collect their traces
    return result


def _result(value: Any, read_at: datetime) -> "_Result":
    if isinstance(value, Known):
        return value
    return _failure(value, read_at) if isinstance(value, CannotTell) else Known(value, read_at)


def _failure(error: CannotTell | RolloutNotFound, read_at: datetime) -> _Failure:
    """Make a failure; one that another read told of is as old as that, or it would live on from one to the next."""
    error.read_at = error.read_at or read_at
    return _Failure(error, error.read_at)


def _is_young(age: timedelta, seconds: float) -> bool:
    return -FUTURE <= age <= timedelta(seconds=seconds)


def _size(value: Any) -> int:
    """Return how many records a value holds, roughly: a list of targets its length, anything without a length one."""
    return 1 + (len(value) if hasattr(value, "__len__") else 0)
