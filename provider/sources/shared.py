"""Evidence that queries share, with at most one read in flight for each piece.

Each kind of evidence has a cache lifetime, counted from just before its request was sent. Within it a query gets the
cached value; while a read is in flight it waits for that one; otherwise it starts a read. Failures are cached too, for
a second.
"""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, Generic

from provider.model.errors import CannotTell, DeadlineExceeded, RolloutNotFound
from provider.model.reasons import Reason
from provider.model.records import Freshness, Kind
from provider.sources.bulkheads import KUBERNETES, Bulkheads
from provider.sources.cache import Cache, Failure, Key, Reading, Result, Value
from provider.sources.clock import OtherClocks, steady
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Request(Generic[Value]):
    """A piece of evidence to read: `kind` and `key` identify it, `what` names it for the operator.

    `call` returns the value, or a Reading if parts of it were read earlier; it runs on the threads of `place`.
    `is_outdated` expires a value before its cache lifetime. With `bypass_cache` only reads that start after the query
    began count.
    """

    kind: Kind
    key: Hashable
    what: str
    call: Callable[[], Value | Reading[Value]]
    place: Hashable = KUBERNETES
    is_outdated: Callable[[Value, timedelta], bool] = lambda _value, _age: False
    bypass_cache: bool = False

    @property
    def cache_key(self) -> Key:
        """Its key in the cache."""
        return (self.kind, self.key)


@dataclass(slots=True, eq=False)
class _Flight:
    """One read in flight; `reads_since` is when its call began (monotonic), None while it waits for a thread."""

    started: float = field(default_factory=monotonic)
    reads_since: float | None = None
    landed: "Future[Result]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Pending(Generic[Value]):
    """A piece of evidence that is cached, or in flight."""

    request: Request[Value]
    outcome: Result | _Flight

    def result(self, deadline: Deadline) -> Reading[Value]:
        """Wait for it. Raises its failure, and DeadlineExceeded if the deadline ends before."""
        outcome = self.outcome
        if isinstance(outcome, _Flight):
            outcome = deadline.wait(outcome.landed, self.request.what)
        if isinstance(outcome, Failure):
            raise outcome.error.with_traceback(None)  # raised in many threads, it would collect their tracebacks
        return outcome


class Shared:
    """The shared evidence. Thread-safe; calls run outside of its lock."""

    def __init__(
        self,
        threads: Bulkheads,
        freshness: Freshness,
        metrics: Metrics,
        *,
        flight_seconds: float,
        clock: Callable[[], datetime] = steady,
    ) -> None:
        """Read on these threads. No query waits for a read that has been in flight for longer than `flight_seconds`."""
        self.threads, self.freshness, self.clock = threads, freshness, clock
        self._metrics, self._flight_seconds = metrics, flight_seconds
        self._lock = Lock()
        self._cache = Cache(freshness, clock, flight_seconds)
        self._flights: dict[Key, _Flight] = {}
        self.other_clocks = OtherClocks(clock, metrics)
        """How far the clocks of the upstreams are from ours."""

    def start(self, request: Request[Value], deadline: Deadline) -> Pending[Value]:
        """Start to read what is not cached, without waiting."""
        pending, flight = self._find(request, deadline)
        if flight is not None:
            self.threads.submit(request.place, partial(self._fly, request, flight))
        return pending

    def read(self, request: Request[Value], deadline: Deadline) -> Reading[Value]:
        """Return one piece of evidence. Raises its failure, and DeadlineExceeded."""
        return self.start(request, deadline).result(deadline)

    def compose(self, request: Request[Value], deadline: Deadline) -> Reading[Value]:
        """Return evidence that takes several reads: its call runs in this thread, since it waits for other threads."""
        pending, flight = self._find(request, deadline)
        if flight is not None:
            self._fly(request, flight)
        return pending.result(deadline)

    def _find(self, request: Request[Value], deadline: Deadline) -> tuple[Pending[Value], _Flight | None]:
        """Return what is cached or in flight; the second item is a new flight that this query must make."""
        key = request.cache_key
        with self._lock:
            cached = self._usable(request, deadline)
            flight = self._flights.get(key)
            new = None
            if cached is None and (flight is None or not self._may_join(flight, request, deadline)):
                flight = new = self._flights[key] = _Flight()
        outcome = "read" if new else "joined" if cached is None else "fresh"
        self._metrics.shared_evidence.labels(request.kind, outcome).inc()
        result = cached or flight
        assert result is not None  # noqa: S101 - one of the two is there
        return Pending(request, result), new

    def _may_join(self, flight: _Flight, request: Request[Any], deadline: Deadline) -> bool:
        """Tell whether a read in flight is worth waiting for, and recent enough for this query."""
        if monotonic() - flight.started > self._flight_seconds:
            return False
        return not request.bypass_cache or flight.reads_since is None or flight.reads_since >= deadline.began

    def _usable(self, request: Request[Any], deadline: Deadline) -> Result | None:
        """Return the cached reading or failure, if it is fresh or was read for this query."""
        reading, failure = self._cache.results(request.cache_key)
        for result in (reading, failure):
            if result is not None and deadline.began_at is not None and deadline.began_at <= result.read_at:
                return result
        if request.bypass_cache:
            return None
        now = self.clock()
        if reading is not None:
            age = now - reading.read_at
            lifetime = timedelta(seconds=self.freshness.seconds(request.kind))
            if age <= lifetime and not request.is_outdated(reading.value, age):
                return reading
        if failure is not None and now - failure.read_at <= timedelta(seconds=self.freshness.failures):
            return failure
        return None

    def _fly(self, request: Request[Any], flight: _Flight) -> None:
        """Make the call, cache its result, and pass it to all waiting queries."""
        key = request.cache_key
        with self._lock:
            flight.reads_since = monotonic()
            is_awaited = self._flights.get(key) is flight
        if not is_awaited:  # replaced by a newer flight: in an outage, calls must not queue up
            flight.landed.set_exception(DeadlineExceeded(f"Reading {request.what} did not start in time"))
            return
        read_at = self.clock()
        result: Result
        try:
            value = request.call()
            result = value if isinstance(value, Reading) else Reading(value, read_at)
        except (CannotTell, RolloutNotFound) as error:
            error.read_at = error.read_at or read_at  # as old as the failure that caused it, or it would never expire
            error.detach()
            result = Failure(error, error.read_at)
        except Exception as error:  # noqa: BLE001 - a defect is raised in the queries that wait for it
            self._forget_flight(key, flight)
            flight.landed.set_exception(error)
            return
        self._keep(key, result)
        self._forget_flight(key, flight)
        flight.landed.set_result(result)

    def _keep(self, key: Key, result: Result) -> None:
        if isinstance(result, Failure) and getattr(result.error, "reason", None) is Reason.AWS_BUDGET:
            return  # about one Rollout's position in the queue
        with self._lock:
            self._cache.put(key, result)
            self._metrics.shared_records.set(self._cache.records)

    def _forget_flight(self, key: Key, flight: _Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
