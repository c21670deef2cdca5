"""Rollouts that ask: `tests.bench.askers <port> <seconds> <pods> <rollouts> <every> <apart>`.

As Argo does: each asks every so many seconds, by a new connection (Go keeps two idle ones to a host), and never again
before it has its answer or has given up after ten. They start spread over the first of these times. Their subjects'
numbers are `apart`. Prints one JSON line per answer.
"""

import asyncio
import json
import sys
import time
from typing import Any

from tests.bench.ours import path_of
from tests.bench.subjects import Subject

PATIENCE_SECONDS = 10.0


class Asker:
    """One Rollout's measurements."""

    def __init__(self, port: int, subject: Subject, every: float) -> None:
        self._port, self._number, self._every = port, subject.number, every
        path = path_of(subject)
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, starts_at: float, ends_at: float) -> None:
        """Ask until the end."""
        due = starts_at
        while due < ends_at:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked = time.monotonic()
            try:
                told = await asyncio.wait_for(self._ask(), PATIENCE_SECONDS)
            except (OSError, TimeoutError, EOFError) as error:
                told = {"status": 0, "reason": type(error).__name__}
                self._hang_up()
            answered = time.monotonic()
            line = {"rollout": self._number, "asked": asked, "answered": answered, "late": asked - due, **told}
            print(json.dumps(line))  # noqa: T201 - the parent reads it
            due = max(due + self._every, answered)

    async def _ask(self) -> dict[str, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        body = await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0]))
        if "connection: close" in head:
            self._hang_up()
        status = int(head.split(" ")[1])
        if status != 200:
            return {"status": status, "reason": f"HTTP {status}"}
        answer = json.loads(body)
        return {"status": status, "phase": answer["phase"], "reason": answer["reason"]}

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _all(port: int, seconds: float, pods: int, rollouts: int, every: float, apart: int) -> None:
    start = time.monotonic() + 0.2
    askers = [Asker(port, Subject(number=apart * place, pods=pods), every) for place in range(rollouts)]
    spread = (start + every * place / rollouts for place in range(rollouts))
    await asyncio.gather(*(asker.run(one, start + seconds) for asker, one in zip(askers, spread, strict=True)))


if __name__ == "__main__":
    port_, seconds_, pods_, rollouts_, every_, apart_ = sys.argv[1:]
    asyncio.run(_all(int(port_), float(seconds_), int(pods_), int(rollouts_), float(every_), int(apart_)))
