"""An hour of a hundred Rollouts' questions, as fast as they go: does memory stay flat?"""

from typing import Any

from tests.bench.hot import load
from tests.bench.ours import path_of
from tests.bench.serving import SERVE, Serving
from tests.bench.subjects import Subject
from tests.bench.world import BenchWorld, Latencies

ROLLOUTS, PODS = 100, 10
HOUR_OF_ASKS = ROLLOUTS * 3600 // 5
TENTHS = 10
SLICE_SECONDS = 2.0


def measure(latencies: Latencies, asks: int, question: str) -> list[dict[str, Any]]:
    """Return the worker's memory in MiB after every tenth of the questions, and before the first."""
    subjects = [Subject(number=number, pods=PODS) for number in range(ROLLOUTS)]
    paths = [path_of(one, question) for one in subjects]
    with (
        BenchWorld(subjects, latencies, throttles=True) as world,
        Serving(SERVE, world.environment, world.directory / "server.log") as server,
    ):
        rows, asked = [{"asks": 0, "memory_mib": server.memory_mib()}], 0
        for tenth in range(1, TENTHS + 1):
            while asked < asks * tenth / TENTHS:
                asked += load(server.port, 16, SLICE_SECONDS, paths)["asks"]
                world.forget()
            rows.append({"asks": asked, "memory_mib": server.memory_mib()})
    return rows
