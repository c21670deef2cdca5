"""The figures as Markdown tables."""

from collections.abc import Callable
from typing import Any

from tests.bench.spread import Spread

Rows = list[dict[str, Any]]


def _table(head: str, rows: list[list[str]], about: str) -> list[str]:
    columns = head.split(" | ")
    lines = [f"| {' | '.join(cells)} |" for cells in [columns, ["---"] * len(columns), *rows]]
    return [about, "", *lines, ""]


def again(rows: Rows) -> list[str]:
    """What the next look costs."""
    base = rows[0]["base"]
    cells = [
        [
            f"{row['pods']}",
            row["situation"],
            way,
            str(Spread(**row[way]["cpu_ms"])),
            f"{row[way]['cpu_of_base']:.2f}",
            f"{row[way]['requests']:g}",
            f"{row[way]['kubernetes_kib']:.0f}",
            "" if row[way]["api_server_cpu_ms"] is None else f"{row[way]['api_server_cpu_ms']:.1f}",
            f"{row[way]['aws_kib']:.0f}",
            str(Spread(**row[way]["wall_ms"])),
        ]
        for row in rows
        for way in ("ours", "before", "straightforward")
        if way in row
    ]
    return _table(
        f"pods | situation | way | CPU ms | of {base} | requests | KiB of Kubernetes | API server CPU ms | "
        "KiB of AWS | wall ms",
        cells,
        f"(f) The next look, ten seconds after the last, at a green that waits for one target: median (quartiles) of "
        f"{rows[0]['rounds']}; ratios: medians within rounds. The API server is a real one that answers "
        "the same requests, where it is built.",
    )


def hundred(rows: Rows) -> list[str]:
    """What many Rollouts under analysis cost, beside the build before."""
    cells = [
        [
            row["build"],
            f"{row['cpu_share']:.3f}",
            f"{row['memory_mib']:.0f}",
            f"{row['answers']}",
            f"{row['kubernetes_kib']:.0f}",
            ", ".join(f"{count} {reason}" for reason, count in row["reasons"].items()),
        ]
        for row in rows
    ]
    return _table(
        "build | of a core | MiB | answers | KiB of Kubernetes each | reasons",
        cells,
        f"(g) {rows[0]['rollouts']} Rollouts of {rows[0]['pods']} pods wait for one target, each asked every 10 s.",
    )


def early(rows: Rows) -> list[str]:
    """How long a bad switch lasts."""
    cells = [
        [
            f"{row['share'] * 100:g} %",
            f"{row['rate']}",
            way,
            f"{numbers['aborted']}",
            f"{numbers['median']:g}",
            f"{numbers['worst']:g}",
            f"{numbers['saved']}",
        ]
        for row in rows
        for way, numbers in row["ways"].items()
    ]
    return _table(
        "5xx | requests/s | way | aborts | median s | worst s | failed requests saved",
        cells,
        f"(h) From a blue-green switch to the abort: {rows[0]['switches']} seeded switches each, by a virtual clock.",
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


PARTS: dict[str, Callable[[Any], list[str]]] = {"again": again, "hundred": hundred, "early": early}


def everything(found: dict[str, Any]) -> list[str]:
    """Return every table there is."""
    about = found["about"]
    head = (
        f"Measured {about['at']} on {about['cores']} cores, Python {about['python']}; Kubernetes answers after "
        f"{about['latencies']['kubernetes'] * 1000:g} ms, AWS after {about['latencies']['aws'] * 1000:g} ms."
    )
    return [head, "", *(line for part, table in PARTS.items() if part in found for line in table(found[part]))]
