"""An hour of questions with the clock going as fast as they are answered: does memory stay flat?

All evidence grows old as in that hour, since the provider reads and judges by the clock that is given to it.
`python -m tests.bench.soak <asks a Rollout>` is the process that is measured; it prints a row after every tenth.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from tests import ROOT
from tests.bench.ours import Ours
from tests.bench.processes import own_memory_mib
from tests.bench.subjects import Subject
from tests.bench.world import BenchWorld, Latencies

ROLLOUTS, PODS = 20, 50
EVERY_SECONDS = 5
HOUR_OF_ASKS = 3600 // EVERY_SECONDS
TENTHS = 10
AT_ONCE = Latencies(kubernetes=0, aws=0)


def subjects() -> list[Subject]:
    """Return the Rollouts that are asked about."""
    return [Subject(number=number, pods=PODS) for number in range(ROLLOUTS)]


def measure(asks: int, question: str) -> list[dict[str, Any]]:
    """Return the process's memory in MiB and its records of shared evidence, after every tenth of the hour."""
    with BenchWorld(subjects(), AT_ONCE) as world:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.soak", str(asks), question],
            cwd=ROOT,
            env=world.environment | {"PROVIDER_ELBV2_CALLS_PER_SECOND": "1000"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main(asks: int, question: str) -> None:
    """Ask about each Rollout so many times, `EVERY_SECONDS` of simulated time apart."""
    began = datetime.now(UTC)
    now = [began]
    ours = Ours(shared=True, clock=lambda: now[0])
    for number in range(1, asks + 1):
        for subject in subjects():
            ours.ask(subject, question)
        now[0] = began + timedelta(seconds=number * EVERY_SECONDS)
        if number * TENTHS // asks > (number - 1) * TENTHS // asks:
            row = {"asks": number * ROLLOUTS, "records": ours.records(), "memory_mib": own_memory_mib()}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
