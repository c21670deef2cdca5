"""Refused requests: each is counted and logged, since most clients discard the problem document.

The log shows the path, the parameters and their values, but not a value that could be a token: a template may have put
one into the wrong parameter.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from provider.model import lengths
from provider.telemetry import Metrics

REFUSALS = "refusals"
"""Where an application keeps its Refusals in `extensions`."""

SECONDS_BETWEEN_LINES = 1.0
"""Minimum time between two lines about the same client address and status."""

MAX_CLIENTS = 1000
"""Maximum number of pairs of a client address and a status in memory; beyond that the oldest is dropped."""

_MAX_LINE = 500
_NAME = re.compile(r"[a-z0-9.,-]{1,63}")


@dataclass(slots=True)
class _Client:
    """When a refusal of this client was last logged, and how many were left out since."""

    written_at: float
    left_out: int = 0


class Refusals:
    """Counts and logs what is refused, whether by the application or by the server before it."""

    def __init__(self, metrics: Metrics, parameters: Collection[str], seconds: Callable[[], float] = monotonic) -> None:
        """Count in these metrics; `parameters` are the known names, `seconds` is a monotonic clock."""
        self._metrics = metrics
        self._parameters = frozenset(parameters)
        self._seconds = seconds
        self._lock = Lock()
        self._clients: OrderedDict[tuple[str, int], _Client] = OrderedDict()

    def refused(self, status: int, sentence: str, address: str, request: str) -> None:
        """Count a refusal; log it unless a line about this client and status was written within a second."""
        self._metrics.refusals.labels(str(status)).inc()
        left_out = self._next_line(address, status)
        if left_out is not None:
            extra = {"status": status, "client": address, "request": request, "leftOut": left_out}
            logging.getLogger(__name__).warning("%s", sentence, extra=extra)

    def _next_line(self, address: str, status: int) -> int | None:
        """Return how many lines were left out before this one; None if this one is left out too."""
        now = self._seconds()
        with self._lock:
            client = self._clients.get((address, status))
            if client is not None and now - client.written_at < SECONDS_BETWEEN_LINES:
                client.left_out += 1
                return None
            self._clients[address, status] = _Client(now)
            self._clients.move_to_end((address, status))
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
            return client.left_out if client else 0

    def shown(self, path: str, query: str) -> str:
        """Return a request's path and parameters for the log, with `...` for whatever could be a token."""
        parts = "/".join(self._harmless(part) for part in path.split("/"))
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        parameters = "&".join(f"{self._harmless(name)}{equals}{self._harmless(value)}" for name, equals, value in pairs)
        return (f"{parts}?{parameters}" if parameters else parts)[:_MAX_LINE]

    def shown_line(self, received: bytes) -> str:
        """Return the same for a request that could not be parsed; empty if its first bytes are not HTTP."""
        path, _, query = _target(received).partition("?")
        return self.shown(path, query)

    def blank_in(self, received: bytes) -> str:
        """Say which parameter's value has the blank that breaks the request line; empty if there is no blank."""
        before, blank, _ = _target(received).partition(" ")
        if not blank:
            return ""
        name = re.split("[?&]", before)[-1].partition("=")[0]
        where = f"the value of {name}" if name in self._parameters else "the path or a parameter"
        return f"There is a blank in {where}, which breaks the request line. Remove it from the argument, or write %20."

    def _harmless(self, text: str) -> str:
        return text if len(text) < lengths.TOKEN or text in self._parameters or _NAME.fullmatch(text) else "..."


def _target(received: bytes) -> str:
    """Return what stands between the method and the version of a request line, blanks included."""
    line = received.partition(b"\r\n")[0].decode("latin-1")
    match = re.fullmatch(r"[A-Z]{1,20} (/.*?)(?: HTTP/[0-9.]+)?", line)
    return match[1] if match else ""
