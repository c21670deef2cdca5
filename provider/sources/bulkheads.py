"""The threads that reads run on: a pool for each place, so that a silent place delays no other.

A place is Kubernetes, or an account and region of AWS. A call that waits for other reads must not run here: it would
wait for its own threads.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from provider.sources.deadline import Deadline

KUBERNETES = "kubernetes"

MAX_PLACES = 50
"""Pools; the least recently used is closed first. Bindings choose the regions and accounts."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Read:
    """One read: `what` it reads, in words for the operator, and the call."""

    what: str
    call: Callable[[], Any]


class Bulkheads:
    """A pool of at most `threads` threads for each place. Thread-safe."""

    def __init__(self, threads: int) -> None:
        """Start without threads."""
        self._threads = threads
        self._lock = Lock()
        self._pools: OrderedDict[Hashable, ThreadPoolExecutor] = OrderedDict()

    def submit(self, place: Hashable, call: Callable[[], Value]) -> "Future[Value]":
        """Run a call on a thread of its place, once one is free."""
        with self._lock:
            pool = self._pools.setdefault(place, ThreadPoolExecutor(self._threads, thread_name_prefix="read"))
            self._pools.move_to_end(place)
            if len(self._pools) > MAX_PLACES:
                self._pools.popitem(last=False)[1].shutdown(wait=False)
            return pool.submit(call)

    def read(self, place: Hashable, deadline: Deadline, *reads: Read) -> list[Any]:
        """Run independent reads of a place at the same time and return their results in order.

        Raises the first error in order, or DeadlineExceeded naming the first read that is still in flight when the
        deadline ends.
        """
        futures = [(read, self.submit(place, read.call)) for read in reads]
        try:
            return [deadline.wait(future, read.what) for read, future in futures]
        finally:
            for _, future in futures:
                future.cancel()

    def close(self) -> None:
        """Wait for every thread to end."""
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.shutdown(cancel_futures=True)
