"""The command `list`: every Rollout with its state, those that need a person first."""

from typing import Any

import click

from provider.cli import readable
from provider.cli.asking import TOKEN_FILE, URL, asks
from provider.cli.explain import COLOURS
from provider.cli.outputs import OUTPUT, shown_as
from provider.model.printable import printable


@click.command("list", params=[URL, TOKEN_FILE, OUTPUT])
@click.option("--namespace", "-n", help="Namespace of the Rollouts. Default: every namespace that may be listed.")
@click.argument("words", nargs=-1)
def list_(namespace: str | None, words: tuple[str, ...], url: str | None, token_file: str | None, output: str) -> None:
    """List Rollouts, a line each: those that need a person first, then those that wait.

    It is told from what Argo says of them, and asks nothing of AWS. With WORDS only those lines that have every word.
    """
    listed = asks(url, token_file).rollouts(namespace)
    rows = [one for one in listed["rollouts"] if all(word.lower() in _text(one).lower() for word in words)]
    click.echo(shown_as(output, _table)({"rollouts": rows}, ""), color=readable.colour())


def _table(listed: dict[str, Any], name: str) -> str:  # noqa: ARG001 - as every output
    rows = listed["rollouts"]
    if not rows:
        return "There is no such Rollout."
    head = ["NAMESPACE", "ROLLOUT", "ACTION", "STATE", "PHASE", "REVISION", "IMAGES", "ANALYSIS"]
    lines = readable.table([head, *([printable(cell) for cell in _cells(one)] for one in rows)])
    coloured = (click.style(line, fg=COLOURS[one["action"]]) for line, one in zip(lines[1:], rows, strict=True))
    return "\n".join([lines[0], *coloured])


def _cells(one: dict[str, Any]) -> list[str]:
    tags = ", ".join(image.rpartition("/")[2] for image in one["images"])
    runs = ", ".join(f"{run['analysis']} {run['phase']}" for run in one["analysisRuns"])
    cells = [one["namespace"], one["rollout"], one["action"], one["state"], one["phase"], one["revision"], tags, runs]
    return [str(cell) or "-" for cell in cells]


def _text(one: dict[str, Any]) -> str:
    return " ".join(_cells(one))
