"""What a run costs: CPU seconds of each part, calls to AWS and requests to the API server by caller."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.real.cast import PROVIDER_KEY_ID
from tests.world.server.faults import Call

ARGO_KEY_ID, CLI_KEY_ID = "AKIAARGOARGOARGOARGO", "AKIACLICLICLICLICLIC"
_AWS_CALLERS = {PROVIDER_KEY_ID: "provider", ARGO_KEY_ID: "Argo", CLI_KEY_ID: "AWS CLI"}
_API_CALLERS = {
    "alb-provider/": "provider",
    "rollouts-controller/": "Argo",
    "kube-controller-manager/": "Kubernetes",
    "kubectl-argo-rollouts/": "a person",
}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and all its descendants that still run."""
    parents: dict[int, list[int]] = {}
    times: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        times[int(path.parent.name)] = int(fields[11]) + int(fields[12])
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    total, waiting = 0, [pid]
    while waiting:
        process = waiting.pop()
        total += times.get(process, 0)
        waiting += parents.get(process, [])
    return total / os.sysconf("SC_CLK_TCK")


def aws_calls(calls: Iterable[Call], names: Iterable[str]) -> Counter[str]:
    """Count the calls to AWS about one of these names by caller, but for those of the stand-ins."""
    counts: Counter[str] = Counter()
    for call in calls:
        caller = next((caller for key, caller in _AWS_CALLERS.items() if key in (call.authorization or "")), "")
        if caller and any(name in call.about for name in names):
            counts[caller] += 1
    return counts


def api_requests(audit_log: Path, namespace: str) -> Counter[str]:
    """Count the requests to the API server about a namespace by caller, but for those of the stand-ins."""
    counts: Counter[str] = Counter()
    quoted = f'"namespace":"{namespace}"'.encode()
    with audit_log.open("rb") as log:
        for line in log:
            if quoted in line and line.endswith(b"\n"):
                agent = json.loads(line).get("userAgent", "")
                counts.update(caller for prefix, caller in _API_CALLERS.items() if agent.startswith(prefix))
    return counts


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return what was added, by key, rounded."""
    return {key: round(value - before.get(key, 0), 1) for key, value in after.items()}
