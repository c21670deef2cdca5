"""How many questions are answered at the same time; one more is refused at once.

A question that waited for its turn would get its answer after the asker stopped waiting, and would keep others from
theirs. A refused one costs a millisecond, and Argo asks again by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore


class Overloaded(Exception):
    """As many questions are being answered as may be (503)."""


class Admission:
    """The places for questions."""

    def __init__(self, questions: int) -> None:
        """Allow this many at the same time."""
        self._questions = questions
        self._places = Semaphore(questions)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while a question is answered. Raises Overloaded if there is none."""
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                f"This replica is answering {self._questions} questions already, as many as PROVIDER_THREADS allows: "
                "ask again"
            )
        try:
            yield
        finally:
            self._places.release()
