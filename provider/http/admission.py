"""Limits how many queries are answered at the same time; beyond that a query is refused at once.

A queued query would be answered after its client has given up, and delay the others. A refusal takes a millisecond, and
Argo repeats the query by itself.
"""

from threading import Lock


class Overloaded(Exception):
    """As many queries are being answered as PROVIDER_THREADS allows (503)."""


class Admission:
    """A context manager that holds one of a limited number of places while a query is answered."""

    def __init__(self, queries: int) -> None:
        """Allow this many queries at the same time."""
        self._queries = queries
        self._lock, self._taken = Lock(), 0

    def __enter__(self) -> None:
        """Take a place. Raises Overloaded if there is none."""
        with self._lock:
            if self._taken >= self._queries:
                raise Overloaded(
                    f"This replica is answering {self._queries} queries already, the maximum (PROVIDER_THREADS); "
                    "try again"
                )
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        """Free the place."""
        with self._lock:
            self._taken -= 1
