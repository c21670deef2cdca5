"""The cache of readings and failures, limited by their cache lifetimes and by the number of records."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.records import Freshness, Kind

MAX_RECORDS = 200_000
"""Cached records (pods, endpoints, targets, points), about 100 MB; the oldest are evicted first."""

Key = tuple[Kind, Hashable]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Reading(Generic[Value]):
    """A piece of evidence, and when it was read: just before the request was sent."""

    value: Value
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a piece of evidence could not be read, and when that was tried."""

    error: CannotTell | RolloutNotFound
    read_at: datetime


Result = Reading[Any] | Failure


class Cache:
    """The last reading and the last failure by key. Not thread-safe."""

    def __init__(self, freshness: Freshness, clock: Callable[[], datetime], extra_seconds: float) -> None:
        """Keep entries for `extra_seconds` after their cache lifetime, since a running query may still use them."""
        self._clock = clock
        self._keep = {kind: timedelta(seconds=freshness.limit(kind, extra_seconds)) for kind in Kind}
        self._keep_failures = timedelta(seconds=freshness.failures + extra_seconds)
        self._readings: dict[Kind, OrderedDict[Key, Reading[Any]]] = {kind: OrderedDict() for kind in Kind}
        self._failures: OrderedDict[Key, Failure] = OrderedDict()
        self.records = 0
        """The number of records in all readings."""

    def results(self, key: Key) -> tuple[Reading[Any] | None, Failure | None]:
        """Return the last reading, and the last failure if nothing was read since."""
        return self._readings[key[0]].get(key), self._failures.get(key)

    def put(self, key: Key, result: Result) -> None:
        """Keep a result. A reading older than the cached one comes from an abandoned call and is dropped."""
        if isinstance(result, Failure):
            self._failures[key] = result
            self._failures.move_to_end(key)
        else:
            before, _ = self.results(key)
            if before is None or result.read_at >= before.read_at:
                self._failures.pop(key, None)
                self._drop(key)
                self._readings[key[0]][key] = result
                self.records += _size(result.value)
        self._evict()

    def _evict(self) -> None:
        """Evict expired entries, then the oldest above the limit. Entries are in read order."""
        now = self._clock()
        for kind, readings in self._readings.items():
            oldest_allowed = now - self._keep[kind]
            while readings:
                key, reading = next(iter(readings.items()))
                if self.records <= MAX_RECORDS and reading.read_at >= oldest_allowed:
                    break
                self._drop(key)
        while self._failures and next(iter(self._failures.values())).read_at < now - self._keep_failures:
            self._failures.popitem(last=False)

    def _drop(self, key: Key) -> None:
        reading = self._readings[key[0]].pop(key, None)
        if reading is not None:
            self.records -= _size(reading.value)


def _size(value: Any) -> int:
    """Return roughly how many records a value holds: its length, if it has one."""
    return 1 + (len(value) if hasattr(value, "__len__") else 0)
