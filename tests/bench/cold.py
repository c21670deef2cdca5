"""Part (a): one cold question at several sizes, three ways taking turns."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Self

from tests import ROOT
from tests.bench.floor import Stage, stages, write_plan
from tests.bench.spread import Spread
from tests.bench.subjects import Subject
from tests.bench.world import SERVER_CORE, BenchWorld, Latencies, pinned

WAYS = ("ours", "straightforward", "floor")
WARM_UP_ROUNDS = 3
LOOKS = 5
PAUSE_SECONDS = 0.45
"""Between questions: three calls to AWS each, which must stay within the provider's own budget of 5 a second."""


class Child:
    """One way, waiting for its turns."""

    def __init__(
        self, name: str, environment: Mapping[str, str], plan: list[Stage] | None = None, folder: Path = ROOT
    ) -> None:
        command = [*pinned(SERVER_CORE), sys.executable, "-m", "tests.bench.cold_child", name]
        self.name = name
        self._process: Any = subprocess.Popen(
            [*command, write_plan(plan or [])],
            cwd=folder,  # Python looks for modules here first
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, subject: Subject) -> dict[str, Any]:
        """Let it ask about a subject; returns `cpu` and `wall` in seconds, `opinion`, `memory` in MiB."""
        self._process.stdin.write(json.dumps(asdict(subject)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The {self.name} way ended; its error is above")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def measure(
    sizes: Sequence[int], rounds: int, latencies: Latencies, pause_seconds: float = PAUSE_SECONDS
) -> list[dict[str, Any]]:
    """Return one row per size."""
    subjects = [Subject(number=10 * place, pods=pods) for place, pods in enumerate(sizes)]
    with BenchWorld(subjects, latencies) as world:
        return [_row(world, subject, rounds, pause_seconds) for subject in subjects]


def _row(world: BenchWorld, subject: Subject, rounds: int, pause_seconds: float) -> dict[str, Any]:
    with ExitStack() as stack:
        ours = stack.enter_context(Child("ours", world.environment))
        plain = stack.enter_context(Child("straightforward", world.environment))
        plan, requests, size = _plan(world, ours, subject, pause_seconds)
        floor = stack.enter_context(Child("floor", world.environment, plan))
        _require_same_bytes(world, floor, subject, requests, size)
        children = (ours, plain, floor)
        told: dict[str, list[dict[str, Any]]] = {child.name: [] for child in children}
        for number in range(WARM_UP_ROUNDS + rounds):
            for child in children:
                time.sleep(pause_seconds)
                answer = child.ask(subject)
                if number >= WARM_UP_ROUNDS:
                    told[child.name].append(answer)
    opinion = _same_opinion(told)
    row: dict[str, Any] = {
        "pods": subject.pods,
        "rounds": rounds,
        "opinion": opinion,
        "stages": [len(stage.steps) for stage in plan],
        "kib": size / 1024,
        "unavoidable_ms": world.unavoidable_seconds * 1000,
    }
    for name, answers in told.items():
        row[name] = {
            "cpu_ms": asdict(Spread.of([one["cpu"] * 1000 for one in answers])),
            "wall_ms": asdict(Spread.of([one["wall"] * 1000 for one in answers])),
            "memory_mib": median(one["memory"] for one in answers),
        }
        row[name] |= {f"{what}_of_ours": _compared(answers, told["ours"], what) for what in ("cpu", "wall")}
    return row


def _compared(answers: list[dict[str, Any]], ours: list[dict[str, Any]], what: str) -> float:
    """Return how often ours goes into another way: the median of rounds, as the machine has fast and slow moments."""
    return float(median(one[what] / own[what] for one, own in zip(answers, ours, strict=True)))


def _plan(world: BenchWorld, ours: Child, subject: Subject, pause_seconds: float) -> tuple[list[Stage], int, int]:
    """Look at what a cold question of ours asks: its stages, the number of its requests and of its bytes.

    Of several looks the one with the fewest stages counts, since a late thread looks like a stage of its own.
    """
    seen: list[tuple[list[Stage], int, int]] = []
    for _ in range(WARM_UP_ROUNDS + LOOKS):
        world.forget()
        ours.ask(subject)
        time.sleep(pause_seconds)
        calls = [*world.kubernetes.calls(), *world.aws.calls()]
        seen.append((stages(calls), len(calls), sum(one.size for one in calls)))
    return min(seen[WARM_UP_ROUNDS:], key=lambda one: len(one[0]))


def _require_same_bytes(world: BenchWorld, floor: Child, subject: Subject, requests: int, size: int) -> None:
    """The floor is one only if it fetches what ours fetches."""
    floor.ask(subject)
    world.forget()
    floor.ask(subject)
    calls = [*world.kubernetes.calls(), *world.aws.calls()]
    if (len(calls), sum(one.size for one in calls)) != (requests, size):
        raise RuntimeError(f"The floor made {len(calls)} requests, ours {requests} ({size} bytes)")


def _same_opinion(told: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A figure counts only beside the same verdict."""
    ours, plain = (told[name][-1]["opinion"] for name in ("ours", "straightforward"))
    for name, wanted in (("ours", ours), ("straightforward", ours)):
        if any(one["opinion"] != wanted for one in told[name]):
            raise RuntimeError(f"The verdicts differ: ours {ours}, straightforward {plain}")
    found: dict[str, Any] = ours
    return found
