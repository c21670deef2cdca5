"""Users at a constant rate: vegeta, and what became of every request."""

import csv
import os
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.real.control_plane import Program

HOST = "shop.example.com"
"""The production host of every example."""

VERSION = "12.13.0"
TIMEOUT_SECONDS = 10


def vegeta() -> str | None:
    """Return the load generator of this machine, None without one."""
    return shutil.which("vegeta", path=f"{os.environ.get('PATH')}:{Path.home() / 'go' / 'bin'}")


@dataclass(frozen=True)
class Answers:
    """What users got. Times are seconds; moments are Unix times."""

    requests: int
    per_second: float
    """Requests that were sent each second: fewer than asked for if the machine does not carry as many."""
    kinds: dict[str, int]
    """Failures by kind: a status, or what the generator says instead of one."""
    by_second: dict[int, int]
    """Failures by the Unix second in which the request was sent."""
    hole_seconds: float
    """The longest time in which every request failed."""
    median_seconds: float
    p99_seconds: float
    worst_seconds: float

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(self.kinds.values())


class Users:
    """A constant rate of requests to some addresses, for at most so many seconds."""

    def __init__(self, directory: Path, addresses: Iterable[str], rate: int, most_seconds: int) -> None:
        directory.mkdir(exist_ok=True)
        targets = directory / "targets"
        targets.write_text("".join(f"GET http://{address}/\nHost: {HOST}\n\n" for address in addresses), "utf-8")
        self._results = directory / "results.bin"
        self.program = Program(
            directory,
            vegeta() or "vegeta",
            *("attack", "-name", "users", "-targets", targets, "-rate", f"{rate}/s", "-duration", f"{most_seconds}s"),
            *("-timeout", f"{TIMEOUT_SECONDS}s", "-connections", "20000", "-max-body", "0", "-output", self._results),
        )

    def answers(self) -> Answers:
        """Read what became of every request, once the generator has ended."""
        with subprocess.Popen(
            [vegeta() or "vegeta", "encode", "--to", "csv", self._results], stdout=subprocess.PIPE, text=True
        ) as encoded:
            rows = [(int(row[0]), int(row[1]), int(row[2]), row[5]) for row in csv.reader(encoded.stdout or ())]
        self._results.unlink()
        return summary(rows)


def summary(rows: list[tuple[int, int, int, str]]) -> Answers:
    """Sum up (sent at in ns, status, latency in ns, error) of every request."""
    kinds: Counter[str] = Counter()
    by_second: defaultdict[int, int] = defaultdict(int)
    latencies, hole, begin = [], 0, 0
    for sent_at, status, latency, error in sorted(rows):
        if status == 200:
            latencies.append(latency)
            begin = 0
            continue
        begin = begin or sent_at
        hole = max(hole, sent_at - begin)
        kinds[str(status) if status else _words(error)] += 1
        by_second[sent_at // 10**9] += 1
    latencies.sort()
    at = (
        [latencies[min(int(len(latencies) * share), len(latencies) - 1)] for share in (0.5, 0.99, 1)]
        if latencies
        else [0, 0, 0]
    )
    sent = [row[0] for row in rows]
    per_second = len(rows) / max((max(sent) - min(sent)) / 1e9, 1.0)
    times = (nanoseconds / 1e9 for nanoseconds in at)
    return Answers(len(rows), per_second, dict(kinds), dict(by_second), hole / 1e9, *times)


def _words(error: str) -> str:
    """Return the kind of the generator's own error, which ends with it."""
    return error.rpartition(": ")[2] or error
