"""Limits how many queries are answered at the same time; beyond that a query is refused at once.

A queued query would be answered after its client has given up, and delay the others. A refusal takes a millisecond, and
Argo repeats the query by itself.
"""

from threading import BoundedSemaphore

MAX_LOOKS = 2
"""Looks of people at the same time: what they read takes a few MiB for each."""


class Overloaded(Exception):
    """As much is being answered as this replica can at the same time (503)."""


class Admission:
    """A context manager that holds one of a limited number of places while a query is answered."""

    def __init__(self, queries: int) -> None:
        """Allow this many queries at the same time."""
        self._queries, self._places = queries, BoundedSemaphore(queries)

    def __enter__(self) -> None:
        """Take a place. Raises Overloaded if there is none."""
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                f"This replica is answering {self._queries} queries already, the maximum (PROVIDER_THREADS); try again"
            )

    def __exit__(self, *_: object) -> None:
        """Free the place."""
        self._places.release()


class PeopleAdmission:
    """Admits a few looks of people at a time, which read whole objects of a few MiB each. The others wait their turn.

    They take a place of the queries only then, so that no number of open pages can refuse a query of Argo.
    """

    def __init__(self, admission: Admission, seconds: float, looks: int = MAX_LOOKS) -> None:
        """Let a look wait for at most `seconds`."""
        self._admission, self._seconds = admission, seconds
        self._turns = BoundedSemaphore(looks)

    def __enter__(self) -> None:
        """Wait for a turn, then take a place. Raises Overloaded."""
        if not self._turns.acquire(timeout=self._seconds):
            raise Overloaded("Too many pages and explanations are being made at the moment; try again")
        try:
            self._admission.__enter__()
        except Overloaded:
            self._turns.release()
            raise

    def __exit__(self, *_: object) -> None:
        """Free the place, and let the next look begin."""
        self._admission.__exit__()
        self._turns.release()
