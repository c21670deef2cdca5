"""The gap of a switch with a handover and without one, in figures."""

import os
from dataclasses import dataclass
from random import Random
from statistics import median

import pytest

from tests.handover.stage import Replica, Stage

SWITCHES = int(os.environ.get("HANDOVER_SWITCHES", "6" if os.environ.get("LONG_TESTS") else "2"))
"""HANDOVER_SWITCHES=1000 pytest -s tests/handover/test_gap.py prints the figures of so many."""

STEP_SECONDS = 0.5


@dataclass(frozen=True)
class Gap:
    """One switch: seconds in which no target of the production group was healthy, and the least share of capacity."""

    seconds: float
    least_percent: float


def switched(world, clock, sources, account, replicas, *, hands_over):
    """Let one Rollout of so many pods switch, and return its gap."""
    world.reset()
    replica = Replica(sources, account)

    def gate(name, _pod_hash):
        query = {"namespace": "shop", "rollout": name, "checks": "replicas,target-health", "stage": "beforeSwitch"}
        return str(replica.app.test_client().get("/v1/gate", query_string=query).get_json()["phase"])

    def handover(name, pod_hash):
        return str(replica.ask(name, pod_hash)["phase"])

    stage = Stage(world, clock, replicas, handover if hands_over else gate)
    for _ in range(60):
        stage.play(1, step=STEP_SECONDS)
        replica.look()
        if stage.web.switched_at is not None and stage.story.seconds > stage.web.switched_at + 12:
            break
    assert stage.web.switched_at is not None
    counts = [count for _, count in stage.healthy]
    return Gap(counts.count(0) * STEP_SECONDS, 100 * min(counts) / replicas)


@pytest.mark.timeout(7200)
def test_a_handover_closes_the_gap(world, wall_clock, sources, account, tried):
    """With a handover there is no second without a healthy target, and never less than the wanted capacity."""
    random = Random(14)
    found: dict[bool, list[Gap]] = {True: [], False: []}
    for _ in range(SWITCHES):
        pods = random.choice((4, 6, 10, 25, 60, 120, 250))
        for hands_over, gaps in found.items():
            gaps.append(switched(world, wall_clock, sources, account, pods, hands_over=hands_over))
    for hands_over, gaps in found.items():
        seconds, least = [one.seconds for one in gaps], [one.least_percent for one in gaps]
        print(  # noqa: T201 - the figures of the documentation
            f"{'with' if hands_over else 'without'} handover: {len(gaps)} switches, no healthy target for "
            f"{median(seconds):.1f} s (median), {max(seconds):.1f} s (worst); least capacity {min(least):.0f} %"
        )
    tried("switches with and without handover", 2 * SWITCHES)

    assert max(one.seconds for one in found[True]) == 0
    assert min(one.least_percent for one in found[True]) >= 100
    assert max(one.seconds for one in found[False]) > 0
