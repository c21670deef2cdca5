"""Part (b): the same question again and again, beside a bare Flask route with the same bytes on the same server."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import Any

from tests import ROOT
from tests.bench.ours import path_of
from tests.bench.serving import BARE, SERVE, Serving
from tests.bench.spread import Spread
from tests.bench.subjects import Subject
from tests.bench.world import REST_CORE, BenchWorld, Latencies, pinned

CALLERS = (1, 4, 32)


def measure(
    sizes: Sequence[int], latencies: Latencies, *, seconds: float, rounds: int, callers: Sequence[int] = CALLERS
) -> list[dict[str, Any]]:
    """Return one row per number of callers and server; the servers take turns in every round."""
    subjects = [Subject(number=10 * place, pods=pods) for place, pods in enumerate(sizes)]
    with BenchWorld(subjects, latencies) as world, ExitStack() as stack:
        log = world.directory / "server.log"
        ours = stack.enter_context(Serving(SERVE, world.environment, log))
        body = world.directory / "body.json"
        body.write_bytes(_answered(ours, subjects[0]))
        more = {"BENCH_BODY": str(body), "PROVIDER_LOG_LEVEL": "WARNING"}
        bare = stack.enter_context(Serving(BARE, world.environment, log, more=more))
        asked = [("bare route", bare, path_of(subjects[0]))]
        asked += [(f"ours, {one.pods} pods", ours, path_of(one)) for one in subjects]
        rows = [_row(count, asked, seconds, rounds) for count in callers]
        memory = ours.memory_mib()
    return [one | {"memory_mib": memory if one["server"] != "bare route" else None} for row in rows for one in row]


def _answered(ours: Serving, subject: Subject) -> bytes:
    status, body = ours.get(path_of(subject))
    if status != 200 or json.loads(body)["phase"] != "Successful":
        raise RuntimeError(f"The question is not answered well: {status} {body[:500]!r}")
    return body


def _row(callers: int, asked: list[tuple[str, Serving, str]], seconds: float, rounds: int) -> list[dict[str, Any]]:
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in asked}
    for _ in range(rounds):
        for name, server, path in asked:
            cpu, began = server.cpu_seconds(), time.perf_counter()
            told = load(server.port, callers, seconds, [path])
            told["server_cpu_share"] = (server.cpu_seconds() - cpu) / (time.perf_counter() - began)
            seen[name].append(told)
    bare = median(one["per_second"] for one in seen["bare route"])
    return [
        {
            "server": name,
            "callers": callers,
            "rounds": rounds,
            "seconds": seconds,
            "of_bare": median(one["per_second"] for one in told) / bare,
            **{key: asdict(Spread.of([one[key] for one in told])) for key in told[0]},
        }
        for name, told in seen.items()
    ]


def load(port: int, callers: int, seconds: float, paths: Sequence[str]) -> dict[str, Any]:
    """Run the load generator in its own process, on the other core."""
    command = [*pinned(REST_CORE), sys.executable, "-m", "tests.bench.load", str(port), str(callers), str(seconds)]
    done = subprocess.run([*command, *paths], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told
