"""A Rollout whose green is slow until it has answered some requests, and what answers them: real HTTP."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.world.aws.meter import Meter
from tests.world.aws.moto_cloudwatch import Times
from tests.world.story.blue_green import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from tests.world.aws.api import AwsApi
    from tests.world.story.revisions import Cluster

WARM_AFTER = 300
"""Requests that warm green."""
COLD_SECONDS, WARM_SECONDS = 0.3, 0.02
HOST = "localhost"
"""The host of the listener rules, whose listeners are the demo's own ports."""


@dataclass
class _Counted(Meter):
    """Counts requests that were really sent, instead of users."""

    _times: Counter[float] = field(default_factory=Counter, init=False)
    _counting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def record(self, seconds: float) -> None:
        """Count one request, in steps of a hundredth of a second."""
        with self._counting:
            self._times[max(round(seconds, 2), 0.01)] += 1

    def _requested(self) -> tuple[int, Times | None]:
        with self._counting:
            times, self._times = self._times, Counter()
        return times.total(), Times(tuple(times.items())) if times else None


class Cold(Waiting):
    """A waiting Rollout whose green gets only the requests of a warm-up."""

    def __init__(self, cluster: Cluster, aws: AwsApi, name: str, replicas: int) -> None:
        super().__init__(cluster, aws, name, replicas)
        self._answered = 0
        self._green: _Counted | None = None

    def set_up(self) -> None:
        """Add a rule with a host to each target group."""
        super().set_up()
        for arn in self.arns.values():
            self.aws.rule({arn: 1}, host=HOST)

    def meters(self) -> list[Meter]:
        """Return blue's users, and what counts the requests that green really gets."""
        load_balancer, (blue, green) = self.aws.load_balancer(self.load_balancer), self.arns.values()
        self._green = _Counted(load_balancer, green, self.users(str(self.preview_service)))
        return [Meter(load_balancer, blue, self.users(self.active_service)), self._green]

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as a green pod behind the preview rule: slowly at first (WSGI)."""
        began = time.monotonic()
        self._answered += 1
        time.sleep(COLD_SECONDS if self._answered <= WARM_AFTER else WARM_SECONDS)
        if self._green is not None:
            self._green.record(time.monotonic() - began)
        return _answer(environ, start_response)


def blue(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as a blue pod behind the production rule (WSGI)."""
    time.sleep(WARM_SECONDS)
    return _answer(environ, start_response)


def _answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]
