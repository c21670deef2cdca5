"""A load generator: `python -m tests.bench.load <port> <callers> <seconds> <path> ...`; prints what it saw as JSON.

Each caller keeps its connection and asks again as soon as it has its answer. Plain sockets and epoll, because it shares
the machine with what it measures: a request costs it about 30 microseconds, a twentieth of the server's.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from statistics import quantiles
from typing import Any


class Caller:
    """One connection and the request under way on it."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._received = b""

    def ask(self) -> None:
        """Send the request."""
        self._received, self.asked = b"", time.perf_counter()
        self.socket.sendall(next(self._requests))

    def hear(self) -> bool:
        """Take what has come; returns whether the answer is whole. Raises ConnectionError if it is no 200."""
        self._received += self.socket.recv(65536)
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            if not head:
                raise ConnectionError("the server hung up")
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode("latin-1"))
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return len(body) == int(length)


def run(port: int, callers: int, seconds: float, paths: Sequence[str]) -> dict[str, Any]:
    """Ask for these paths in turn, for some seconds; the first half second is not counted."""
    end = "HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n"
    requests = cycle([f"GET {path} {end}".encode() for path in paths])
    waiting, took = selectors.DefaultSelector(), []
    for _ in range(callers):
        caller = Caller(port, requests)
        waiting.register(caller.socket, selectors.EVENT_READ, caller)
        caller.ask()
    begin = time.perf_counter() + 0.5
    ends_at, cpu = begin + seconds, time.process_time()
    while (now := time.perf_counter()) < ends_at:
        for key, _ in waiting.select(timeout=1):
            caller = key.data
            if caller.hear():
                now = time.perf_counter()
                if now >= begin:
                    took.append(now - caller.asked)
                caller.ask()
    cuts = quantiles(took, n=100, method="inclusive")
    return {
        "asks": len(took),
        "per_second": len(took) / seconds,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "worst_ms": max(took) * 1000,
        "own_cpu_share": (time.process_time() - cpu) / (seconds + 0.5),
    }


if __name__ == "__main__":
    port_, callers_, seconds_, *paths_ = sys.argv[1:]
    print(json.dumps(run(int(port_), int(callers_), float(seconds_), paths_)))  # noqa: T201 - the parent reads it
