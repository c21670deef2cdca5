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
        wall = ours["wall_ms"]["median"]
        cells.append(
            [
                f"{row['pods']}",
                *(str(Spread(**way["cpu_ms"])) for way in (ours, plain, floor)),
                f"1/{plain['cpu_of_ours']:.1f}",
                f"{1 / floor['cpu_of_ours']:.2f}",
                *(str(Spread(**way["wall_ms"])) for way in (ours, plain, floor)),
                f"{wall / row['unavoidable_ms']:.2f}",
                f"{1 / floor['wall_of_ours']:.2f}",
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
        f"the round trips that cannot be avoided take {first['unavoidable_ms']:.0f} ms. Ratios: medians within rounds.",
    )


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
        for way in ("ours", "before", "straightforward", "watch")
        if way in row
    ]
    return _table(
        f"pods | situation | way | CPU ms | of {base} | requests | KiB of Kubernetes | API server CPU ms | "
        "KiB of AWS | wall ms",
        cells,
        f"(f) The next look, ten seconds after the last, at a green that waits for one target: median (quartiles) of "
        f"{rows[0]['rounds']}; ratios: medians within rounds. The API server is a real one that answers "
        "the same requests, where it is built. The watch is a lower bound that no verdict may rest on.",
    )


def hot(rows: Rows) -> list[str]:
    """Requests per second and times, beside the bare route."""
    cells = [
        [
            f"{row['callers']}",
            row["server"],
            *(str(Spread(**row[key])) for key in ("per_second", "p50_ms", "p99_ms", "worst_ms")),
            f"{row['of_bare']:.2f}",
            *(f"{row[key]['median']:.0%}" for key in ("server_cpu_share", "own_cpu_share")),
            f"{row['memory_mib']:.0f}" if row["memory_mib"] else "",
        ]
        for row in rows
    ]
    first = rows[0]
    return _table(
        "callers | server | requests/s | p50 ms | p99 ms | worst ms | of the bare route | server's CPU | "
        "generator's CPU | MiB at the end",
        cells,
        f"(b) The same question again: median (quartiles) of {first['rounds']} rounds of {first['seconds']:g} s, "
        "in turns; the generator is tests/bench/load.py.",
    )


def fleet(rows: Rows) -> list[str]:
    """Calls to AWS, and what the Rollouts got for them."""
    cells = [
        [
            f"{row['rollouts']}",
            row["way"],
            f"{row['answers']} in {row['seconds']:g} s",
            ", ".join(f"{name} {rate:.2f}" for name, rate in sorted(row["calls_per_second"].items())),
            f"{row['worst_second']}",
            f"{row['throttled']}",
            f"{row['over_budget']:g}",
            _seconds(row["closest_health_seconds"]),
            f"{row['p99_seconds']:.2f} / {row['worst_seconds']:.2f} ({row['generator_late_seconds']:.2f})",
            ", ".join(f"{count} {phase}" for phase, count in row["phases"].items()),
            ", ".join(f"{count} {reason}" for reason, count in row["reasons"].items()),
            f"{row['passed_once']} ({_seconds(row['all_passed_once_seconds'])})",
            f"{row['promoted']} ({_seconds(row['all_promoted_seconds'])})",
            f"{row['oldest_said_seconds']:.1f} / {row['oldest_true_seconds']:.1f} / {row['stale_passes']}",
            f"{row['memory_mib']:.0f}" if "memory_mib" in row else "",
        ]
        for row in rows
    ]
    return _table(
        "rollouts | way | answers | AWS calls/s | most in a second | throttled by AWS | calls over 5/s + 20 | "
        "closest DescribeTargetHealth of one group, s | p99 / worst answer (generator "
        "late), s | phases | reasons | passed once (all "
        "after s) | three in a row (all after s) | oldest evidence of a pass, as it says / by AWS's log, s / "
        "too old | MiB",
        cells,
        "(c) Each Rollout of 10 pods asks every 5 s; AWS has its bucket of 40 calls and 10 a second.",
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


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def startup(found: dict[str, Any]) -> list[str]:
    """CPU and wall time to ready."""
    cells = [[str(Spread(**found[name])) for name in ("cpu_seconds", "wall_seconds", "memory_mib")]]
    about = f"(e) From starting `alb-provider serve` until /readyz is 200: median (quartiles) of {found['runs']}."
    return _table("CPU s | wall s | MiB when ready", cells, about)


def soak(rows: Rows) -> list[str]:
    """Memory over an hour's questions."""
    cells = [[f"{row['asks']}", f"{row['records']}", f"{row['memory_mib']:.1f}"] for row in rows]
    about = "(d) Resident memory over an hour of questions, in simulated time."
    return _table("questions answered | records kept | MiB", cells, about)


PARTS: dict[str, Callable[[Any], list[str]]] = {
    "cold": cold,
    "again": again,
    "hot": hot,
    "fleet": fleet,
    "hundred": hundred,
    "startup": startup,
    "soak": soak,
}


def everything(found: dict[str, Any]) -> list[str]:
    """Return every table there is."""
    about = found["about"]
    head = (
        f"Measured {about['at']} on {about['cores']} cores, Python {about['python']}; Kubernetes answers after "
        f"{about['latencies']['kubernetes'] * 1000:g} ms, AWS after {about['latencies']['aws'] * 1000:g} ms."
    )
    return [head, "", *(line for part, table in PARTS.items() if part in found for line in table(found[part]))]
