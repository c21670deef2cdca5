"""The command: `python -m tests.bench`; prints tables, and leaves them with the raw figures and a plot in a folder."""

import json
import os
import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.bench import cold, plot, tables
from tests.bench.world import ROOT, Latencies

PARTS = ("cold",)
SIZES = (10, 100, 250, 500, 1000)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--only", default=",".join(PARTS), help="Parts to run, with commas between.")
@click.option("--quick", is_flag=True, help="Small sizes and short rounds: that it runs, not what it costs.")
@click.option("--aws-latency", default=40.0, type=click.FloatRange(min=0), help="Milliseconds before AWS answers.")
@click.option("--kubernetes-latency", default=10.0, type=click.FloatRange(min=0), help="The same of Kubernetes.")
@click.option("--rounds", default=15, type=click.IntRange(min=2), help="Cold questions of each way at each size.")
@click.option("--results", default=ROOT / "bench-results", type=click.Path(path_type=Path), help="Folder to write to.")
def main(*, only: str, quick: bool, aws_latency: float, kubernetes_latency: float, rounds: int, results: Path) -> None:
    """Measure what questions cost."""
    parts = only.split(",")
    if unknown := set(parts) - set(PARTS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}", param_hint="--only")
    latencies = Latencies(kubernetes=kubernetes_latency / 1000, aws=aws_latency / 1000)
    found: dict[str, Any] = {"about": _about(latencies, quick=quick)}
    began = time.monotonic()
    if "cold" in parts:
        found["cold"] = cold.measure((10, 20) if quick else SIZES, 2 if quick else rounds, latencies)
        _show(tables.cold(found["cold"]))
    found["about"]["seconds"] = round(time.monotonic() - began)
    _write(found, results)


def _about(latencies: Latencies, *, quick: bool) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "quick": quick,
        "latencies": asdict(latencies),
    }


def _show(lines: list[str]) -> None:
    click.echo("\n".join([*lines, ""]))


def _write(found: dict[str, Any], results: Path) -> None:
    results.mkdir(exist_ok=True)
    (results / "bench.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (results / "bench.md").write_text("\n".join(tables.everything(found)) + "\n", encoding="utf-8")
    drawn = plot.draw(found, results / "bench.png")
    click.echo(f"Written: {', '.join(str(path) for path in (results / 'bench.md', results / 'bench.json', *drawn))}")


if __name__ == "__main__":
    main()
