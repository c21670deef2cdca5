"""One way in a process of its own: `python -m tests.bench.cold_child <way> [plan]`.

Answers each line of its input, a subject, with one question's CPU and wall time, so that the ways can take turns. CPU
is that of this process with all its threads; the stand-ins have theirs. What a question leaves in the heap is
collected when Python's own collector says so, as in a server.
"""

import json
import sys
import time
from dataclasses import asdict

from tests.bench.processes import own_memory_mib
from tests.bench.subjects import Subject
from tests.bench.way import Prepared, Way


def way(name: str, plan: str) -> Way:
    """Build the way; each imports only its own libraries."""
    if name == "ours":
        from tests.bench.ours import Ours  # noqa: PLC0415 - memory is measured too

        return Ours()
    if name in {"ours-again", "watch-again"}:
        from tests.bench.again_ways import OursAgain, WatchAgain  # noqa: PLC0415

        return OursAgain() if name == "ours-again" else WatchAgain()
    if name == "straightforward":
        from tests.bench.straightforward import Straightforward  # noqa: PLC0415

        return Straightforward()
    from tests.bench.floor import Floor, read_plan  # noqa: PLC0415

    return Floor(read_plan(plan))


def main(name: str, plan: str = "[]") -> None:
    """Ask once per line."""
    chosen = way(name, plan)
    for line in sys.stdin:
        asked = Subject(**json.loads(line))
        if isinstance(chosen, Prepared):
            chosen.prepare(asked)
        wall, cpu = time.perf_counter(), time.process_time()
        opinion = chosen.ask(asked)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        told = {"cpu": cpu, "wall": wall, "opinion": asdict(opinion) if opinion else None, "memory": own_memory_mib()}
        print(json.dumps(told), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
