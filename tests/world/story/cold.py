"""Answers the requests to `cold`, whose new version is slow until it has answered some: real HTTP."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.world.aws.meter import Meter
from tests.world.aws.moto_cloudwatch import Times

WARM_AFTER = 300
"""Requests that warm a new version."""
COLD_SECONDS, WARM_SECONDS = 0.3, 0.02


@dataclass
class CountedRequests(Meter):
    """Counts requests that were really sent, instead of users."""

    version: Callable[[], str] = str
    """The version that answers; a new one is cold."""
    _times: Counter[float] = field(default_factory=Counter, init=False)
    _by_version: Counter[str] = field(default_factory=Counter, init=False)
    _counting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as a pod behind the preview's rule: slowly at first (WSGI)."""
        began, version = time.monotonic(), self.version()
        with self._counting:
            self._by_version[version] += 1
            is_cold = self._by_version[version] <= WARM_AFTER
        time.sleep(COLD_SECONDS if is_cold else WARM_SECONDS)
        with self._counting:  # in steps of a hundredth of a second
            self._times[max(round(time.monotonic() - began, 2), 0.01)] += 1
        return _answer(environ, start_response)

    def _requested(self) -> tuple[int, Times | None]:
        with self._counting:
            times, self._times = self._times, Counter()
        return times.total(), Times(tuple(times.items())) if times else None


def warm(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as a pod behind the production rule (WSGI)."""
    time.sleep(WARM_SECONDS)
    return _answer(environ, start_response)


def _answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]
