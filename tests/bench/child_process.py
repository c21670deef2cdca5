"""One way in a process of its own: `python -m tests.bench.child_process <way>`.

Answers each line of its input, a subject, with one query's CPU and wall time, so that the ways can take turns. CPU is
that of this process with all its threads; the stand-ins have theirs.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import Protocol

from tests.bench.processes import own_memory_mib
from tests.bench.subjects import Opinion, Subject


class Way(Protocol):
    """A client of the cluster and the account, with connections that it keeps."""

    def ask(self, subject: Subject) -> Opinion:
        """Answer `target-health`."""


def way(name: str) -> Way:
    """Build the way; each imports only its own libraries."""
    if name == "straightforward":
        from tests.bench.straightforward import Straightforward  # noqa: PLC0415 - memory is measured too

        return Straightforward()
    from tests.bench.ours import Ours  # noqa: PLC0415

    return Ours(shared=name == "ours-again")


def main(name: str) -> None:
    """Ask once per line."""
    chosen = way(name)
    for line in sys.stdin:
        subject = Subject(**json.loads(line))
        wall, cpu = time.perf_counter(), time.process_time()
        opinion = chosen.ask(subject)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        told = {"cpu": cpu, "wall": wall, "opinion": asdict(opinion), "memory": own_memory_mib()}
        print(json.dumps(told), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(sys.argv[1])
