"""The pods: one process that listens on each pod's address and answers users and health checks as its version does.

`python -m tests.traffic.pods` reads `start ADDRESS PORT BEHAVIOUR` and `stop ADDRESS` and answers each with a line. It
is the nodes too: `node ADDRESS PORT` listens there, and `endpoints PORT ADDRESS:PORT …` says to whom connections go.
"""

import asyncio
import random
import sys
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from typing import cast

import uvloop

COLD_REQUESTS, COLD_SECONDS, QUEUE_LIMIT = 200, 0.04, 200
"""A cold pod answers its first 200 requests one at a time, each in 40 ms; others get 503 while 200 wait."""

BROKEN_SHARE = 0.08
HANG_UP_SHARE, HANG_UP_SECONDS = 0.02, 0.02
"""A pod that hangs up closes a connection this long after one in fifty answers, without a header that says so."""


def _response(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


OK = _response("200 OK", b"ok")
BROKEN = _response("500 Internal Server Error", b"no")
BUSY = _response("503 Service Unavailable", b"no")


class Pod:
    """One pod's listener and its connections."""

    def __init__(self, behaviour: str) -> None:
        self.connections: set[Connection] = set()
        self.server: asyncio.Server | None = None
        self._answer: Callable[[Connection], None] = getattr(self, f"_{behaviour}")
        self._waiting: deque[Connection] = deque()
        self._cold_count = COLD_REQUESTS

    def answer(self, connection: "Connection", head: bytes) -> None:
        """Answer a request: a health check at once, users as the version does."""
        if head.startswith(b"GET /healthz") and self._answer != self._sick:
            connection.send(OK)
        else:
            self._answer(connection)

    def stop(self) -> None:
        """Close the listener and, as all are idle after preStop, the connections."""
        if self.server is not None:
            self.server.close()
        for connection in tuple(self.connections):
            connection.close()

    def _healthy(self, connection: "Connection") -> None:
        connection.send(OK)

    def _sick(self, connection: "Connection") -> None:
        connection.send(BROKEN)

    def _broken(self, connection: "Connection") -> None:
        connection.send(BROKEN if random.random() < BROKEN_SHARE else OK)

    def _hangup(self, connection: "Connection") -> None:
        connection.send(OK)
        if random.random() < HANG_UP_SHARE:
            asyncio.get_running_loop().call_later(HANG_UP_SECONDS, connection.close)

    def _cold(self, connection: "Connection") -> None:
        if not self._cold_count and not self._waiting:
            connection.send(OK)
        elif len(self._waiting) >= QUEUE_LIMIT:
            connection.send(BUSY)
        else:
            self._waiting.append(connection)
            if len(self._waiting) == 1:
                asyncio.get_running_loop().call_later(COLD_SECONDS, self._serve_next)

    def _serve_next(self) -> None:
        self._waiting.popleft().send(OK)
        self._cold_count = max(0, self._cold_count - 1)
        while self._waiting and not self._cold_count:
            self._waiting.popleft().send(OK)
        if self._waiting:
            asyncio.get_running_loop().call_later(COLD_SECONDS, self._serve_next)


class Connection(asyncio.Protocol):
    """One connection with keep-alive; a load balancer sends one request at a time."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._pod.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Answer every whole request: they have no body."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._pod.answer(self, head)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a protocol's signature
        """Forget it."""
        self._pod.connections.discard(self)

    def send(self, response: bytes) -> None:
        """Send an answer, unless the client has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(response)

    def close(self) -> None:
        """Close it after what is written."""
        if self._transport is not None:
            self._transport.close()


async def forward(endpoints: list[tuple[str, int]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward a connection to a node port to a random pod, until one of the two closes it."""
    try:
        to_pod = await asyncio.open_connection(*random.choice(endpoints))
    except (OSError, IndexError):
        writer.close()
        return
    await asyncio.gather(_copy(reader, to_pod[1]), _copy(to_pod[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


async def serve() -> None:
    """Do what standard input says until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    pods: dict[str, Pod] = {}
    endpoints: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    while line := await reader.readline():
        match line.decode().split():
            case "start", address, port, behaviour:
                pod = pods[address] = Pod(behaviour)
                pod.server = await loop.create_server(partial(Connection, pod), address, int(port), backlog=4096)
            case "stop", address:
                pods.pop(address).stop()
            case "node", address, port:
                await asyncio.start_server(partial(forward, endpoints[port]), address, int(port), backlog=4096)
            case "endpoints", port, *behind:
                endpoints[port][:] = [(one.partition(":")[0], int(one.partition(":")[2])) for one in behind]
            case command:
                raise ValueError(f"not a command: {command}")
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve())
