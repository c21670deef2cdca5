"""One stand-in as a process: `python -m tests.bench.stand_in kubernetes|aws <settings>`; prints its port and serves.

An event loop that reads requests, answers prepared bytes after a latency, and notes every call. Its own CPU per
answer is some tens of microseconds, so that what is measured is the client.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

from tests.bench.aws_answers import AwsAnswers
from tests.bench.kubernetes_answers import KubernetesAnswers
from tests.bench.subjects import Subject
from tests.bench.wire import Request, ok

CONTROL, CHANGE = "/bench/", "change="


@dataclass(frozen=True)
class Call:
    """One call as it was answered. Times are of the monotonic clock, which all processes of a machine share."""

    arrived: float
    answered: float
    name: str
    about: str
    target: str
    accept: str
    accept_encoding: str
    body: str
    status: int
    size: int


class StandIn:
    """The state behind all connections: what is answered, how late, and what was asked."""

    def __init__(self, answers: AwsAnswers | KubernetesAnswers, latency_seconds: float) -> None:
        self.answers = answers
        self.latency_seconds = latency_seconds
        self.calls: list[Call] = []

    def control(self, command: str) -> bytes:
        """`calls` tells the calls so far, `forget` drops them, `change=<subject>` changes a Rollout."""
        if command.startswith(CHANGE):
            self.answers.change(Subject(**json.loads(unquote(command.removeprefix(CHANGE)))))
        if command == "forget":
            self.calls.clear()
        return ok(json.dumps([asdict(one) for one in self.calls]).encode(), "application/json")


class Connection(asyncio.Protocol):
    """One client's connection, kept open; requests are answered in order."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._received = b""
        self._waiting: deque[Request] = deque()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._next()) is not None:
            self._waiting.append(request)
            if len(self._waiting) == 1:
                self._begin(request)

    def _next(self) -> Request | None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        request = Request.of(head.decode("latin-1"))
        if len(rest) < request.length:
            return None
        request.body, self._received = rest[: request.length].decode(), rest[request.length :]
        return request

    def _begin(self, request: Request) -> None:
        stand_in, arrived = self._stand_in, time.monotonic()
        if request.target.startswith(CONTROL):
            self._end(stand_in.control(request.target.removeprefix(CONTROL)))
            return
        answer = stand_in.answers(request)

        def end() -> None:
            asked = (request.target, request.accept, request.accept_encoding, request.body)
            what = (answer.name, answer.about, *asked, answer.status, len(answer.content))
            stand_in.calls.append(Call(arrived, time.monotonic(), *what))
            self._end(answer.content)

        asyncio.get_running_loop().call_later(stand_in.latency_seconds, end)

    def _end(self, content: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(content)
        self._waiting.popleft()
        if self._waiting:
            self._begin(self._waiting[0])


async def serve(stand_in: StandIn) -> None:
    """Listen on a free port, tell it, and serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stand_in), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main(kind: str, settings: str) -> None:
    """Build the answers and serve them."""
    chosen = json.loads(settings)
    subjects = [Subject(**one) for one in chosen["subjects"]]
    answers: AwsAnswers | KubernetesAnswers
    answers = KubernetesAnswers(subjects, chosen["created_at"]) if kind == "kubernetes" else AwsAnswers(subjects)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(serve(StandIn(answers, chosen["latency_seconds"])))


if __name__ == "__main__":
    main(*sys.argv[1:])
