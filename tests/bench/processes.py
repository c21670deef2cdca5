"""What Linux says about processes: CPU seconds and memory, children included."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants that are alive."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(one) for one in task.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU that a process and its descendants have used, those that ended and were waited for included."""
    total = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(ticks) for ticks in fields[11:15])  # utime, stime, and both of waited-for children
    return total / _TICKS


def memory_mib(pid: int) -> float:
    """Return the resident memory of the largest process of a tree: a server's worker. In MiB."""
    return max(_resident(one) for one in tree(pid))


def own_memory_mib() -> float:
    """Return this process's resident memory in MiB."""
    return _resident(os.getpid())


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
