"""The command `lag`: how late CloudWatch publishes the minutes of a Rollout's target groups."""

import time
from contextlib import suppress
from typing import Any

import click

from provider.advice.lag import Lags, Reads
from provider.cli import readable
from provider.cli.asking import NAMESPACE, ROLLOUT, errors_shown, own_settings
from provider.cli.readable import OUTPUT, shown_as
from provider.model.printable import printable
from provider.start import sources_of
from provider.telemetry import Metrics

HEAD = ["METRIC", "TARGET GROUP", "MINUTES", "LEAST s", "MEDIAN s", "WORST s", "CHANGED", "LAST CHANGE s"]


@click.command(params=[NAMESPACE, ROLLOUT, OUTPUT])
@click.option("--minutes", type=click.FloatRange(0, 24 * 60), default=10, show_default=True, help="How long to look.")
@click.option("--interval", type=click.FloatRange(1), default=10, show_default=True, help="Seconds between two reads.")
def lag(namespace: str, rollout: str, output: str, minutes: float, interval: float) -> None:
    """Watch how late CloudWatch publishes each minute of a Rollout's target groups, and which it changes later.

    It reads with your own credentials; each look asks CloudWatch for four metrics of each target group. What it sees is
    printed on standard error, and a summary at the end, also after Ctrl-C. The target groups need requests meanwhile.
    """
    lags, until = Lags(), time.monotonic() + minutes * 60
    with errors_shown(), suppress(KeyboardInterrupt):
        uncached = own_settings().model_copy(update={"metrics_fresh_seconds": 0.0})
        reads = Reads(sources_of(uncached, Metrics()), namespace, rollout)
        if not reads.metrics:
            raise click.ClickException(
                "No load balancer forwards to a target group of this Rollout: there are no metrics"
            )
        while True:
            for sentence in lags.note(*reads.read()):
                click.echo(printable(sentence), err=True)
            if time.monotonic() + interval > until:
                break
            time.sleep(interval)
    click.echo(shown_as(output, _table)({"lags": lags.rows()}, f"{namespace}/{rollout}"))


def _table(report: dict[str, Any], name: str) -> str:
    rows = [[printable(str(cell)) for cell in row.values()] for row in report["lags"]]
    return "\n".join(readable.table([HEAD, *rows])) if rows else f"No new minute appeared for {name}: look for longer"
