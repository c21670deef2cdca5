"""The command: `python -m tests.bench`; prints tables, and leaves them with the raw figures in a folder."""

import json
import os
import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests import ROOT
from tests.bench import again, early, hundred, tables
from tests.bench.world import Latencies

PARTS = ("again", "hundred", "early")
PODS = (10, 250, 1000)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--only", default=",".join(PARTS), help="Parts to run, with commas between.")
@click.option("--quick", is_flag=True, help="Small sizes and short rounds: that it runs, not what it costs.")
@click.option("--aws-latency", default=40.0, type=click.FloatRange(min=0), help="Milliseconds before AWS answers.")
@click.option("--kubernetes-latency", default=10.0, type=click.FloatRange(min=0), help="The same of Kubernetes.")
@click.option("--rounds", default=15, type=click.IntRange(min=2), help="Queries of each way at each size.")
@click.option("--results", default=ROOT / "bench-results", type=click.Path(path_type=Path), help="Folder to write to.")
def main(results: Path, only: str, aws_latency: float, kubernetes_latency: float, **options: Any) -> None:
    """Measure what queries cost."""
    parts = only.split(",")
    if unknown := set(parts) - set(PARTS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}", param_hint="--only")
    latencies = Latencies(kubernetes=kubernetes_latency / 1000, aws=aws_latency / 1000)
    found: dict[str, Any] = {"about": _about(latencies, quick=options["quick"])}
    began = time.monotonic()
    for part in parts:
        click.echo(f"Measuring: {part} ...", err=True)
        found[part] = _measured(part, latencies, **options)
        click.echo("\n".join(tables.PARTS[part](found[part])))
    found["about"]["seconds"] = round(time.monotonic() - began)
    _write(found, results)


def _measured(part: str, latencies: Latencies, *, quick: bool, rounds: int) -> Any:
    """Run one part, quickly or in full."""
    match part:
        case "again" if quick:
            return again.measure((10,), 2, latencies)
        case "again":
            return again.measure(PODS, rounds, latencies, with_real_server=True)
        case "early":
            return early.measure(10 if quick else 200)
        case _ if quick:
            return hundred.measure(2, 10, 2.0, 1, latencies)
        case _:
            return hundred.measure(100, 250, 60.0, 2, latencies)


def _about(latencies: Latencies, *, quick: bool) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "quick": quick,
        "latencies": asdict(latencies),
    }


def _write(found: dict[str, Any], results: Path) -> None:
    results.mkdir(exist_ok=True)
    (results / "bench.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (results / "bench.md").write_text("\n".join(tables.everything(found)) + "\n", encoding="utf-8")
    click.echo(f"Written: {results / 'bench.md'}, {results / 'bench.json'}")


if __name__ == "__main__":
    main()
