"""How many questions are answered at the same time; one more is refused at once.

A question that waited for its turn would get its answer after the asker stopped waiting, and would keep others from
theirs. A refused one costs a millisecond, and Argo asks again by itself.
"""

from threading import Lock


class Overloaded(Exception):
    """As many questions are being answered as may be (503)."""


class Admission:
    """The places for questions; entered, it holds one while a question is answered."""

    def __init__(self, questions: int) -> None:
        """Allow this many at the same time."""
        self._questions = questions
        self._lock, self._taken = Lock(), 0

    def __enter__(self) -> None:
        """Take a place. Raises Overloaded if there is none."""
        with self._lock:
            if self._taken >= self._questions:
                raise Overloaded(
                    f"This replica is answering {self._questions} questions already, as many as PROVIDER_THREADS "
                    "allows: ask again"
                )
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        with self._lock:
            self._taken -= 1
