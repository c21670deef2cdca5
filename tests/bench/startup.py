"""Part (e): from starting `alb-provider serve` until it is ready, as in the image."""

from dataclasses import asdict
from typing import Any

from tests.bench.serving import SERVE, Serving
from tests.bench.spread import Spread
from tests.bench.subjects import Subject
from tests.bench.world import BenchWorld, Latencies

ONLY_THE_TESTS_HAVE = ("kubernetes_validate",)
"""What the image lacks, and the Kubernetes client imports wherever it finds it."""


def measure(latencies: Latencies, runs: int) -> dict[str, Any]:
    """Return CPU (all processes of the server) and wall time until /readyz says 200, and the memory then."""
    cpu, wall, memory = [], [], []
    with BenchWorld([Subject(number=0, pods=1)], latencies) as world:
        for name in ONLY_THE_TESTS_HAVE:
            (world.directory / f"{name}.py").write_text("raise ImportError")
        as_in_the_image = {**world.environment, "PYTHONPATH": str(world.directory)}
        for _ in range(runs):
            with Serving(SERVE, as_in_the_image, world.directory / "server.log") as server:
                cpu.append(server.cpu_to_ready)
                wall.append(server.wall_to_ready)
                memory.append(server.memory_mib())
    figures = {"cpu_seconds": cpu, "wall_seconds": wall, "memory_mib": memory}
    return {"runs": runs} | {name: asdict(Spread.of(found)) for name, found in figures.items()}
