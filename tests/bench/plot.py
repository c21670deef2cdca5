"""The figures as a picture."""

from pathlib import Path
from typing import Any


def draw(found: dict[str, Any], path: Path) -> list[Path]:
    """Write a PNG with one panel per part; returns what was written: nothing without matplotlib (extra `bench`)."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError:
        return []
    mpl.use("Agg")
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = [(part, panel) for part, panel in _PANELS.items() if part in found]
    if not panels:
        return []
    figure = Figure(figsize=(6.5 * len(panels), 4.8), layout="constrained")
    for place, (part, panel) in enumerate(panels):
        panel(figure.add_subplot(1, len(panels), place + 1), found[part])
    figure.savefig(path, dpi=130)
    return [path]


def _cold(axes: Any, rows: list[dict[str, Any]]) -> None:
    for way, colour in (("straightforward", "tab:red"), ("ours", "tab:blue"), ("floor", "tab:grey")):
        spreads = [row[way]["cpu_ms"] for row in rows]
        pods = [row["pods"] for row in rows]
        middle = [one["median"] for one in spreads]
        errors = [[one["median"] - one["low"] for one in spreads], [one["high"] - one["median"] for one in spreads]]
        axes.errorbar(pods, middle, yerr=errors, marker="o", capsize=3, label=way, color=colour)
    axes.set(xscale="log", yscale="log", xlabel="pods", ylabel="CPU, ms", title="One cold question")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()


def _hot(axes: Any, rows: list[dict[str, Any]]) -> None:
    for server in dict.fromkeys(row["server"] for row in rows):
        some = [row for row in rows if row["server"] == server]
        rates = [row["per_second"]["median"] for row in some]
        axes.plot([str(row["callers"]) for row in some], rates, marker="o", label=server)
    axes.set(xlabel="callers", ylabel="requests/s", title="The same question again", ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def _fleet(axes: Any, rows: list[dict[str, Any]]) -> None:
    for way, colour in (("straightforward", "tab:red"), ("ours", "tab:blue")):
        some = [row for row in rows if row["way"] == way]
        rates = [max(sum(row["calls_per_second"].values()), 0.01) for row in some]
        axes.plot([row["rollouts"] for row in some], rates, marker="o", label=way, color=colour)
    axes.axhline(10, color="tab:grey", linestyle="--", label="what AWS refills")
    axes.set(xscale="log", yscale="log", xlabel="rollouts", ylabel="AWS calls/s", title="A fleet asking every 5 s")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()


def _soak(axes: Any, rows: list[dict[str, Any]]) -> None:
    axes.plot([row["asks"] for row in rows], [row["memory_mib"] for row in rows], marker="o")
    axes.set(xlabel="questions answered", ylabel="MiB", title="Memory over an hour's questions", ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)


_PANELS = {"cold": _cold, "hot": _hot, "fleet": _fleet, "soak": _soak}
