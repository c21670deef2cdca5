"""A thread that does the same thing again and again, as controllers do."""

import threading
import traceback
from collections import deque
from types import TracebackType
from typing import Self

import requests


class Loop:
    """Calls `step` every so many seconds until it is stopped; an error of the API server is tried again."""

    def __init__(self, name: str, every_seconds: float) -> None:
        self.errors: deque[str] = deque(maxlen=5)
        """The last errors, for the message of a failing test."""
        self._every_seconds = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def step(self) -> None:
        """Do it once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(30)

    def _repeat(self) -> None:
        while not self._over.wait(self._every_seconds):
            try:
                self.step()
            except requests.RequestException as error:  # a conflict, or the API server restarts
                self.errors.append(str(error))
            except Exception:  # noqa: BLE001 - it is shown with the test that fails because of it
                self.errors.append(traceback.format_exc())
