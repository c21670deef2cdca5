"""Part (e): from starting `alb-provider serve` until it is ready."""

from dataclasses import asdict
from typing import Any

from tests.bench.serving import SERVE, Serving
from tests.bench.spread import Spread
from tests.bench.subjects import Subject
from tests.bench.world import BenchWorld, Latencies


def measure(latencies: Latencies, runs: int) -> dict[str, Any]:
    """Return CPU (all processes of the server) and wall time until /readyz says 200, and the memory then."""
    cpu, wall, memory = [], [], []
    with BenchWorld([Subject(number=0, pods=1)], latencies) as world:
        for _ in range(runs):
            with Serving(SERVE, world.environment, world.directory / "server.log") as server:
                cpu.append(server.cpu_to_ready)
                wall.append(server.wall_to_ready)
                memory.append(server.memory_mib())
    figures = {"cpu_seconds": cpu, "wall_seconds": wall, "memory_mib": memory}
    return {"runs": runs} | {name: asdict(Spread.of(found)) for name, found in figures.items()}
