"""The command `simulate`: what users get at a switch, by strategy and by what green is like."""

from pathlib import Path

import click

from provider.advice.simulation.report import markdown, outcomes, situations, svg, text

FORMATS = {"table": text, "markdown": markdown}


@click.command()
@click.option("--pods", type=click.IntRange(1, 1000), default=250, show_default=True, help="Pods of each version.")
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=1, max=1_000_000),
    default=10_000.0,
    show_default=True,
    help="Requests of all users.",
)
@click.option(
    "--interval-seconds",
    type=click.FloatRange(min=5, max=300),
    default=15.0,
    show_default=True,
    help="Health check interval of the target groups.",
)
@click.option("--seconds", type=click.IntRange(10, 600), default=60, show_default=True, help="How long to watch.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same figures.")
@click.option("--output", "-o", type=click.Choice(sorted(FORMATS)), default="table", show_default=True)
@click.option("--svg", "svg_file", help="Draw the failed requests of each second into this file.")
def simulate(
    pods: int,
    requests_per_second: float,
    interval_seconds: float,
    seconds: int,
    seed: int,
    output: str,
    svg_file: str | None,
) -> None:
    """Simulate a switch under load for every strategy, with a healthy, a sick, a cold and a failing green.

    Prints the failed requests of all users, the longest time in which no target served some of them, and the worst
    latency. It needs no cluster and no network, and its figures depend on nothing but the options.
    """
    numbers = {
        "pods": pods,
        "requests_per_second": requests_per_second,
        "interval_seconds": interval_seconds,
        "lasts_seconds": float(seconds),
        "seed": seed,
    }
    results = outcomes(situations(**numbers))
    click.echo(FORMATS[output](results))
    if svg_file is not None:
        try:
            Path(svg_file).write_text(svg(results), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"Cannot write {svg_file}: {error.strerror}") from error
