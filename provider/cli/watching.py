"""Asking again and again: what `--watch` does."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

WATCH = click.Option(["--watch"], is_flag=True, help="Go on asking, and print what changes, until Ctrl-C.")
INTERVAL = click.Option(
    ["--interval"],
    type=click.FloatRange(min=1, max=3600),
    default=5.0,
    show_default=True,
    help="With --watch: seconds between two queries.",
)


def follow(
    first: dict[str, Any], ask: Callable[[], dict[str, Any]], show: Callable[[dict[str, Any]], None], interval: float
) -> dict[str, Any]:
    """Ask every so many seconds until Ctrl-C, and show each answer whose phase, reason or sentence changed.

    Returns the last answer. What prevents one is printed, and the next try follows.
    """
    found = first
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(interval)
            try:
                now = ask()
            except click.ClickException as error:
                click.echo(f"{datetime.now(UTC):%H:%M:%S} UTC  no answer: {error.format_message()}", err=True)
                continue
            before, found = found, now
            if any(before[key] != now[key] for key in ("phase", "reason", "message")):
                show(now)
    return found
