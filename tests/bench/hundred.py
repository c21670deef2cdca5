"""A hundred Rollouts with 250 pods under analysis, each asked every ten seconds, beside the build before.

Every green waits for one target, as during most of an analysis; AWS's budget is no limit here, so that every query
looks. The two builds take turns, each as a server of its own.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.bench.again import build_before
from tests.bench.serving import Serving
from tests.bench.subjects import Subject
from tests.bench.world import REST_CORE, BenchWorld, Latencies, pinned

EVERY_SECONDS = 10.0

APART = 10
"""Between the numbers of two subjects: each in a namespace of its own, since all of them have one pod template hash."""


def measure(rollouts: int, pods: int, seconds: float, turns: int, latencies: Latencies) -> list[dict[str, Any]]:
    """Return a row for each turn of each build: the share of a core, memory, answers, and bytes."""
    subjects = [Subject(number=APART * place, pods=pods, initial=1) for place in range(rollouts)]
    with BenchWorld(subjects, latencies) as world, tempfile.TemporaryDirectory() as folder:
        before = build_before(Path(folder))
        builds = {"ours": ROOT, **({"before": before} if before else {})}
        return [
            _row(world, name, build, (rollouts, pods, seconds)) for _ in range(turns) for name, build in builds.items()
        ]


def _row(world: BenchWorld, name: str, build: Path, size: tuple[int, int, float]) -> dict[str, Any]:
    rollouts, pods, seconds = size
    more = {"PROVIDER_ELBV2_CALLS_PER_SECOND": "1000", "PROVIDER_SWITCH_WATCH_SECONDS": "0"}
    with Serving(world.environment, world.directory / "server.log", folder=build, more=more) as server:
        _ask(server.port, (rollouts, pods, EVERY_SECONDS))  # the first look at each is a cold one
        world.forget()
        cpu = server.cpu_seconds()
        answers = _ask(server.port, (rollouts, pods, seconds))
        cpu, memory = server.cpu_seconds() - cpu, server.memory_mib()
    return {
        "build": name,
        "rollouts": rollouts,
        "pods": pods,
        "cpu_share": cpu / seconds,
        "memory_mib": memory,
        "answers": len(answers),
        "reasons": dict(Counter(one["reason"] for one in answers)),
        "kubernetes_kib": sum(one.size for one in world.kubernetes.calls()) / 1024 / max(len(answers), 1),
    }


def _ask(port: int, size: tuple[int, int, float]) -> list[dict[str, Any]]:
    rollouts, pods, seconds = size
    arguments = [str(port), str(seconds), str(pods), str(rollouts), str(EVERY_SECONDS), str(APART)]
    command = [*pinned(REST_CORE), sys.executable, "-m", "tests.bench.askers", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
