"""The figures as Markdown tables."""

from collections.abc import Callable
from typing import Any

from tests.bench.spread import Spread

Rows = list[dict[str, Any]]


def _table(head: str, rows: list[list[str]], about: str) -> list[str]:
    columns = head.split(" | ")
    lines = [f"| {' | '.join(cells)} |" for cells in [columns, ["---"] * len(columns), *rows]]
    return [about, "", *lines, ""]


def cold(rows: Rows) -> list[str]:
    """CPU and wall time of one cold question, and the ratios that matter."""
    cells = []
    for row in rows:
        ours, plain, floor = (row[name] for name in ("ours", "straightforward", "floor"))
        cpu, wall = ours["cpu_ms"]["median"], ours["wall_ms"]["median"]
        cells.append(
            [
                f"{row['pods']}",
                *(str(Spread(**way["cpu_ms"])) for way in (ours, plain, floor)),
                f"1/{plain['cpu_ms']['median'] / cpu:.1f}",
                f"{cpu / floor['cpu_ms']['median']:.2f}",
                *(str(Spread(**way["wall_ms"])) for way in (ours, plain, floor)),
                f"{wall / row['unavoidable_ms']:.2f}",
                f"{wall / floor['wall_ms']['median']:.2f}",
                *(f"{way['memory_mib']:.0f}" for way in (ours, plain, floor)),
            ]
        )
    first = rows[0]
    requests = " + ".join(str(number) for number in first["stages"])
    return _table(
        "pods | CPU ms ours | straightforward | floor | ours / straightforward | ours / floor | wall ms ours | "
        "straightforward | floor | ours / unavoidable | ours / floor | MiB ours | straightforward | floor",
        cells,
        f"(a) One cold question `target-health`: median (quartiles) of {first['rounds']}; {requests} requests; "
        f"the round trips that cannot be avoided take {first['unavoidable_ms']:.0f} ms.",
    )


_PARTS: dict[str, Callable[[Any], list[str]]] = {"cold": cold}


def everything(found: dict[str, Any]) -> list[str]:
    """Return every table there is."""
    about = found["about"]
    head = (
        f"Measured {about['at']} on {about['cores']} cores, Python {about['python']}; Kubernetes answers after "
        f"{about['latencies']['kubernetes'] * 1000:g} ms, AWS after {about['latencies']['aws'] * 1000:g} ms."
    )
    return [head, "", *(line for part, table in _PARTS.items() if part in found for line in table(found[part]))]
