"""A look at a Rollout: the first one, and the next one ten seconds after the last; three ways that take turns.

`before` is the build before, taken from the repository's history, with the same harness.
"""

import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from tests import ROOT
from tests.bench.child import Child
from tests.bench.real_server import RealApiServer, is_built
from tests.bench.spread import Spread
from tests.bench.stand_in import Call
from tests.bench.subjects import Subject
from tests.bench.world import BenchWorld, Latencies

BEFORE = "6a88d0d95ce6866941f32117eacb585d4ac5d525"
"""The commit of the build before."""

APART = "straightforward"
"""Takes no turns with the others: after its second or two of work they would find nothing in the processor's caches."""

WARM_UP_ROUNDS = 3
PAUSE_SECONDS = 0.02

NOTHING_KNOWN = "nothing known"

SITUATIONS: dict[str, Callable[[Subject, int], Subject]] = {
    NOTHING_KNOWN: lambda subject, _: subject,
    "nothing changed": lambda subject, _: subject,
    "one target changed": lambda subject, turn: replace(subject, initial=1 + turn % 2),
    "one pod replaced": lambda subject, turn: replace(subject, replaced=turn),
}


def build_before(folder: Path) -> Path | None:
    """Put the provider of before into a folder; None without the repository's history, or what that provider needs.

    It needs `protobuf`, which no lock file has any more: install it by hand to compare.
    """
    if find_spec("google") is None:
        return None
    packed = folder / "before.zip"
    command = ["git", "archive", "--format", "zip", "--output", str(packed), BEFORE, "provider"]
    if subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode:
        return None
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "before")
    return folder / "before"


def measure(
    sizes: Sequence[int], rounds: int, latencies: Latencies, *, with_real_server: bool = False
) -> list[dict[str, Any]]:
    """Return one row for each size and situation, with the CPU of a real API server where its parts are built."""
    subjects = [Subject(number=10 * place, pods=pods, initial=1) for place, pods in enumerate(sizes)]
    with BenchWorld(subjects, latencies) as world, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        environment = world.environment | {"PROVIDER_ELBV2_CALLS_PER_SECOND": "1000"}
        before = build_before(Path(folder))
        folders = {"ours": ROOT, "straightforward": ROOT} | ({"before": before} if before else {})
        named = {
            name: stack.enter_context(Child(_AGAIN.get(name, name), environment, folder=where))
            for name, where in folders.items()
        }
        cold = {
            name: stack.enter_context(Child("ours", environment, folder=folders[name]))
            for name in named
            if name in ("ours", "before")
        }
        ways = dict.fromkeys(SITUATIONS, named) | {NOTHING_KNOWN: {**cold, APART: named[APART]}}
        real = stack.enter_context(RealApiServer(subjects)) if with_real_server and is_built() else None
        return [
            _row(world, ways[situation], subject, situation, rounds, real)
            for subject in subjects
            for situation in SITUATIONS
        ]


_AGAIN = {"ours": "ours-again", "before": "ours-again"}


def _take_turns(
    world: BenchWorld,
    ways: dict[str, Child],
    what: tuple[Subject, str, int],
    told: dict[str, list[dict[str, Any]]],
    asked: dict[str, list[Call]],
) -> None:
    """Let ways take turns: add to `told` the answers of each, and to `asked` what its last one asked Kubernetes.

    Each is the first as often as the others: the stand-ins work before it, which leaves caches cold.
    """
    subject, situation, rounds = what
    names, before = list(ways), None
    for turn in range(WARM_UP_ROUNDS + rounds):
        now = SITUATIONS[situation](subject, turn)
        if now != before:
            world.change(now)
            before = now
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            child = ways[name]
            time.sleep(PAUSE_SECONDS)
            world.forget()
            answer = child.ask(now)
            calls = {"kubernetes": world.kubernetes.calls(), "aws": world.aws.calls()}
            asked[name] = calls["kubernetes"]
            answer["requests"] = sum(map(len, calls.values()))
            answer["kib"] = {side: sum(one.size for one in some) / 1024 for side, some in calls.items()}
            if turn >= WARM_UP_ROUNDS:
                told.setdefault(name, []).append(answer)


def _row(
    world: BenchWorld,
    ways: dict[str, Child],
    subject: Subject,
    situation: str,
    rounds: int,
    real: RealApiServer | None,
) -> dict[str, Any]:
    told: dict[str, list[dict[str, Any]]] = {}
    asked: dict[str, list[Call]] = {}
    apart = {APART: ways[APART]}
    for some in ({name: child for name, child in ways.items() if name not in apart}, apart):
        _take_turns(world, some, (subject, situation, rounds), told, asked)
    world.change(subject)
    if len({str(answers[-1]["opinion"]) for answers in told.values()}) > 1:
        raise RuntimeError(f"The verdicts differ: {[(name, one[-1]['opinion']) for name, one in told.items()]}")
    row: dict[str, Any] = {"pods": subject.pods, "situation": situation, "rounds": rounds}
    base = told.get("before", told["straightforward"])
    servers = real.cpu_ms(asked) if real else {}
    for name, answers in told.items():
        row[name] = {
            "cpu_ms": asdict(Spread.of([one["cpu"] * 1000 for one in answers])),
            "wall_ms": asdict(Spread.of([one["wall"] * 1000 for one in answers])),
            "requests": median(one["requests"] for one in answers),
            "kubernetes_kib": median(one["kib"]["kubernetes"] for one in answers),
            "aws_kib": median(one["kib"]["aws"] for one in answers),
            "api_server_cpu_ms": servers.get(name),
            "cpu_of_base": median(one["cpu"] / other["cpu"] for one, other in zip(answers, base, strict=True)),
        }
    row["base"] = "before" if "before" in told else "straightforward"
    return row
