"""Load beside a slow AWS, with figures: `make load`, or `python -m tests.load --help`.

The real server in a process of its own, so many callers that ask again as soon as they are answered, an AWS that takes
its time, and every tenth of a second the probes and the metrics. What must hold: no answer but 200 and 503, every 200
right, probes under 100 ms, memory flat. The exit code is 1 if it does not.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.scene import Scene
from tests.server import Server, bare_environment
from tests.world.world import World

PROBE_WITHIN_SECONDS = 0.1
GROWTH_MIB = 10
"""More than this between the end of the first third and the end is no longer flat."""

PAUSE_SECONDS = 1.0
"""How long a refused caller waits; Retry-After says 5, Argo waits its metric's interval."""

PROBES = ("/livez", "/readyz", "/metrics")
READS = ("DescribeTargetGroups", "DescribeTargetHealth")


@dataclass
class Answers:
    """What callers got."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    refusal_seconds: list[float] = field(default_factory=list)

    def ask(self, url: str, session: requests.Session) -> bool:
        """Ask once, keep what came, and return whether it was an answer."""
        started = time.perf_counter()
        try:
            answer = session.get(url, params={"namespace": "shop", "rollout": "web"}, timeout=15)
        except requests.RequestException as error:
            self.outcomes[type(error).__name__] += 1
            return False
        took = time.perf_counter() - started
        found = answer.json()
        self.outcomes[f"{answer.status_code} {found.get('reason', found.get('title'))}"] += 1
        is_answer: bool = answer.status_code == requests.codes.ok
        (self.seconds if is_answer else self.refusal_seconds).append(took)
        return is_answer


@dataclass
class Watched:
    """What probes saw meanwhile, and the memory of the process that answers."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {path: [] for path in PROBES})
    memory_mib: list[float] = field(default_factory=list)

    def probe(self, url: str, path: str) -> None:
        """Ask a probe as the kubelet does: on a new connection each time."""
        with requests.Session() as session:
            session.trust_env = False
            started = time.perf_counter()
            try:
                status = str(session.get(url + path, timeout=5).status_code)
            except requests.RequestException as error:
                status = type(error).__name__
            self.seconds[path].append(time.perf_counter() - started)
        if status != "200":
            self.outcomes[f"{path} {status}"] += 1


def watch(url: str, pid: int, seconds: float) -> Watched:
    """Probe for this long; in a process of its own, so that what callers cost does not count as the server's time."""
    watched, end = Watched(), time.monotonic() + seconds
    while time.monotonic() < end:
        for path in PROBES:
            watched.probe(url, path)
        watched.memory_mib.append(resident_mib(pid))
        time.sleep(0.1)
    return watched


def resident_mib(pid: int) -> float:
    """Memory of the process that answers: the one that the server started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    status = Path(f"/proc/{children[0]}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def run(
    callers: int, seconds: float, delay_seconds: float, settings: dict[str, str]
) -> tuple[Watched, Answers, Watched]:
    """Probe the idle server for a while, then hold the load, and return what was seen before and meanwhile."""
    answers, over = Answers(), threading.Event()
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as watcher,
        World() as world,
        tempfile.TemporaryDirectory() as directory,
    ):
        Scene(world).build()
        environment = bare_environment(world.environment(directory))
        with Server(environment, Path(directory), **settings) as server:
            for read in READS:
                world.aws.faults.add(read, delay_seconds=delay_seconds)

            def keep_asking() -> None:
                with requests.Session() as session:
                    session.trust_env = False
                    while not over.is_set():
                        if not answers.ask(f"{server.url}/v1/target-health", session):
                            over.wait(PAUSE_SECONDS)

            idle = watcher.submit(watch, server.url, server.process.pid, seconds / 6).result()
            asking = [threading.Thread(target=keep_asking) for _ in range(callers)]
            for one in asking:
                one.start()
            watched = watcher.submit(watch, server.url, server.process.pid, seconds).result()
            over.set()
            for one in asking:
                one.join()
    return idle, answers, watched


def figures(name: str, values: list[float]) -> str:
    """Return a line of percentiles, in milliseconds."""
    if len(values) <= 1:
        return f"  {name:9} {len(values):6}"
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    marks = "  ".join(f"p{percent} {cuts[percent - 1] * 1000:.0f}" for percent in (50, 95, 99))
    return f"  {name:9} {len(values):6}  {marks}  max {max(values) * 1000:.0f} ms"


def broken(answers: Answers, watched: Watched) -> list[str]:
    """Return what does not hold."""
    wrong = [one for one in answers.outcomes if one.split()[0] != "503" and one != "200 TargetsHealthy"]
    slow = {path: sum(one >= PROBE_WITHIN_SECONDS for one in values) for path, values in watched.seconds.items()}
    settled = max(watched.memory_mib[: len(watched.memory_mib) // 3 + 1])
    return [
        *(f"not an answer: {one}" for one in [*wrong, *watched.outcomes]),
        *(f"{path} took 100 ms or more {count} times" for path, count in slow.items() if count),
        *(["memory grew"] if watched.memory_mib[-1] > settled + GROWTH_MIB else []),
    ]


def main() -> int:
    """Run, print the figures, and return 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=64, help="callers that ask again as soon as they are answered")
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--delay", type=float, default=1.0, help="seconds that AWS takes for a read")
    parser.add_argument("--threads", default="64", help="PROVIDER_THREADS: questions at the same time")
    chosen = parser.parse_args()

    idle, answers, watched = run(chosen.callers, chosen.seconds, chosen.delay, {"PROVIDER_THREADS": chosen.threads})

    print(f"{chosen.callers} callers, {chosen.seconds:g} s, AWS takes {chosen.delay:g} s, {chosen.threads} threads")
    for outcome, count in sorted((answers.outcomes + watched.outcomes).items()):
        print(f"  {count:6} {outcome}")
    print(figures("answers", answers.seconds))
    print(figures("refusals", answers.refusal_seconds))
    for path, values in watched.seconds.items():
        print(figures(path, values))
    print("  and before, while nobody asked (what is slow there too is the machine's doing):")
    for path, values in idle.seconds.items():
        print(figures(path, values))
    memory = watched.memory_mib
    print(f"  memory    first {memory[0]:.0f}, after a third {memory[len(memory) // 3]:.0f}, last {memory[-1]:.0f} MiB")
    found = broken(answers, watched)
    print("holds" if not found else f"DOES NOT HOLD: {'; '.join(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
