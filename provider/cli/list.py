"""The command `list`: every Rollout with its state, those that need a person first."""

from typing import Any

import click

from provider.cli import readable
from provider.cli.asking import TOKEN_FILE, URL, asks
from provider.cli.explain import COLOURS
from provider.cli.readable import OUTPUT, shown_as
from provider.model.printable import printable


@click.command("list", params=[URL, TOKEN_FILE, OUTPUT])
@click.option("--namespace", "-n", help="Namespace of the Rollouts. Default: every namespace that may be listed.")
@click.argument("words", nargs=-1)
def list_(namespace: str | None, words: tuple[str, ...], url: str | None, token_file: str | None, output: str) -> None:
    """List Rollouts, a line each: those that need a person first, then those that wait.

    It is told from what Argo says of them, and asks nothing of AWS. With WORDS only those lines that have every word.
    """
    answer = asks(url, token_file).rollouts(namespace)
    rows = [row for row in answer["rollouts"] if all(word.lower() in _text(row).lower() for word in words)]
    click.echo(shown_as(output, _table)({"rollouts": rows}, ""), color=readable.colour())


def _table(answer: dict[str, Any], name: str) -> str:  # noqa: ARG001 - as every output
    rows = answer["rollouts"]
    if not rows:
        return "There is no such Rollout."
    head = ["NAMESPACE", "ROLLOUT", "ACTION", "STATE", "PHASE", "REVISION", "IMAGES", "ANALYSIS"]
    lines = readable.table([head, *([printable(cell) for cell in _cells(row)] for row in rows)])
    coloured = (click.style(line, fg=COLOURS[row["action"]]) for line, row in zip(lines[1:], rows, strict=True))
    return "\n".join([lines[0], *coloured])


def _cells(row: dict[str, Any]) -> list[str]:
    tags = ", ".join(image.rpartition("/")[2] for image in row["images"])
    runs = ", ".join(f"{run['analysis']} {run['phase']}" for run in row["analysisRuns"])
    cells = [row["namespace"], row["rollout"], row["action"], row["state"], row["phase"], row["revision"], tags, runs]
    return [str(cell) or "-" for cell in cells]


def _text(row: dict[str, Any]) -> str:
    return " ".join(_cells(row))
