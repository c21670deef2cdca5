"""Part (c): a fleet asking every 5 s through AWS's token bucket, beside scripts that ask AWS themselves."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests import ROOT
from tests.bench import ours
from tests.bench.serving import SERVE, Serving
from tests.bench.stand_in import Call
from tests.bench.subjects import Subject
from tests.bench.world import REST_CORE, BenchWorld, Latencies, pinned

PODS = 10
IN_A_ROW = 3
"""`consecutiveSuccessLimit` of the examples: so many passes promote."""

BUDGET_PER_SECOND, BUDGET_BURST = 5, 20
"""What the provider promises to keep within, by default: half of AWS's bucket."""

HEALTH = "DescribeTargetHealth"
_MODULES = {"ours": "tests.bench.askers", "straightforward": "tests.bench.naive_askers"}


@dataclass(frozen=True)
class Plan:
    """How long to ask at each size, in seconds, and which question."""

    ours_seconds: dict[int, float]
    naive_seconds: float
    question: str = ours.QUESTION


def measure(plan: Plan, latencies: Latencies) -> list[dict[str, Any]]:
    """Return one row per size and way."""
    rows = []
    subjects = [Subject(number=number, pods=PODS) for number in range(max(plan.ours_seconds))]
    with BenchWorld(subjects, latencies, throttles=True) as world:
        for rollouts, seconds in plan.ours_seconds.items():
            with Serving(SERVE, world.environment, world.directory / "server.log") as server:
                before = server.memory_mib()
                world.forget()
                cpu = server.cpu_seconds()
                arguments = [str(server.port), plan.question, str(seconds), str(PODS), str(rollouts)]
                answers = _ask("ours", world, arguments)
                cpu, memory = server.cpu_seconds() - cpu, server.memory_mib()
            row = _row("ours", rollouts, seconds, answers, world.aws.calls())
            rows.append(row | {"cpu_share": cpu / seconds, "memory_mib": memory, "memory_before_mib": before})
            world.forget()
            arguments = [str(plan.naive_seconds), str(PODS), str(rollouts)]
            answers = _ask("straightforward", world, arguments)
            rows.append(_row("straightforward", rollouts, plan.naive_seconds, answers, world.aws.calls()))
    return rows


def _ask(way: str, world: BenchWorld, arguments: Sequence[str]) -> list[dict[str, Any]]:
    command = [*pinned(REST_CORE), sys.executable, "-m", _MODULES[way], *arguments]
    done = subprocess.run(command, cwd=ROOT, env=world.environment, stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _row(way: str, rollouts: int, seconds: float, answers: list[dict[str, Any]], calls: list[Call]) -> dict[str, Any]:
    took = sorted(one["answered"] - one["asked"] for one in answers)
    return {
        "way": way,
        "rollouts": rollouts,
        "seconds": seconds,
        "answers": len(answers),
        "phases": dict(Counter(one.get("phase", one["reason"]) for one in answers).most_common()),
        "reasons": dict(Counter(one["reason"] for one in answers).most_common()),
        "worst_seconds": took[-1],
        "p99_seconds": took[int(len(took) * 0.99)],
        "generator_late_seconds": max(one.get("late", 0.0) for one in answers),
        "calls_per_second": {name: count / seconds for name, count in Counter(one.name for one in calls).items()},
        "worst_second": worst_second(calls),
        "throttled": sum(one.status != 200 for one in calls),
        "over_budget": over_budget(calls),
        "closest_health_seconds": closest(calls),
        **passes(answers, rollouts),
        **ages(answers, calls),
    }


def worst_second(calls: Iterable[Call]) -> int:
    """Return the most ELBv2 calls in any one second."""
    times = sorted(one.arrived for one in calls if one.name.startswith("Describe"))
    first, most = 0, 0
    for last, time in enumerate(times):
        while time - times[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def over_budget(calls: Iterable[Call]) -> float:
    """Return by how many ELBv2 calls the worst stretch of time exceeds the provider's own budget; 0 if none does."""
    times = sorted(one.arrived for one in calls if one.name.startswith("Describe"))
    least, worst = float("inf"), 0.0
    for number, time in enumerate(times):
        least = min(least, number - BUDGET_PER_SECOND * time)
        worst = max(worst, number + 1 - BUDGET_PER_SECOND * time - least - BUDGET_BURST)
    return round(worst, 2)


def closest(calls: Iterable[Call]) -> float | None:
    """Return the shortest time between two DescribeTargetHealth of the same target group."""
    last: dict[str, float] = {}
    gaps = []
    for call in sorted(calls, key=lambda one: one.arrived):
        if call.name == HEALTH:
            if call.about in last:
                gaps.append(call.arrived - last[call.about])
            last[call.about] = call.arrived
    return min(gaps, default=None)


def passes(answers: Iterable[dict[str, Any]], rollouts: int) -> dict[str, Any]:
    """Return how many Rollouts passed once and were promoted, and how long after the first question the last was."""
    row: Counter[int] = Counter()
    once: dict[int, float] = {}
    promoted: dict[int, float] = {}
    first = min(one["asked"] for one in answers)
    for one in sorted(answers, key=lambda one: one["answered"]):
        number = one["rollout"]
        row[number] = row[number] + 1 if one.get("phase") == "Successful" else 0
        if row[number]:
            once.setdefault(number, one["answered"] - first)
        if row[number] >= IN_A_ROW:
            promoted.setdefault(number, one["answered"] - first)
    return {
        "passed_once": len(once),
        "promoted": len(promoted),
        "all_passed_once_seconds": max(once.values()) if len(once) == rollouts else None,
        "all_promoted_seconds": max(promoted.values()) if len(promoted) == rollouts else None,
    }


def ages(answers: Iterable[dict[str, Any]], calls: Iterable[Call]) -> dict[str, Any]:
    """Compare the age of target health behind each pass, as it says and as AWS's own log has it, with the limit.

    The log's age is from when the newest call that had been answered by then reached AWS.
    """
    by_group: dict[str, list[Call]] = {}
    for call in calls:
        if call.name == HEALTH and call.status == 200:
            by_group.setdefault(call.about, []).append(call)
    said, true, unexplained = [0.0], [0.0], 0
    for one in answers:
        if one.get("phase") != "Successful" or "age" not in one:
            continue
        arn = Subject(number=one["rollout"], pods=PODS).arn
        known = [call.arrived for call in by_group.get(arn, ()) if call.answered <= one["answered"]]
        said.append(one["age"] if one["age"] is not None else float("inf"))
        true.append(one["answered"] - max(known, default=float("-inf")))
    limit = ours.oldest_allowed_seconds()
    unexplained = sum(age > limit for age in said) + sum(age > limit + 1 for age in true)
    return {"oldest_said_seconds": max(said), "oldest_true_seconds": max(true), "stale_passes": unexplained}
