"""Asking again and again: what `--watch` and `--wait` do."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click

from provider.cli import readable
from provider.model.answer import Answer
from provider.model.printable import printable

WATCH = click.Option(["--watch"], is_flag=True, help="Go on asking, and print what changes, until Ctrl-C.")
INTERVAL = click.Option(
    ["--interval"],
    type=click.FloatRange(min=1, max=3600),
    default=5.0,
    show_default=True,
    help="With --watch and --wait: seconds between two queries.",
)
WAIT = click.Option(
    ["--wait"],
    is_flag=True,
    help="Ask until --passes consecutive answers are Successful, or one is Failed or needs a person.",
)
TIMEOUT = click.Option(
    ["--timeout"],
    type=click.FloatRange(min=1, max=86_400),
    default=900.0,
    show_default=True,
    help="With --wait: seconds after which the last answer counts.",
)
PASSES = click.Option(
    ["--passes"],
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="With --wait: consecutive Successful answers that are needed, as in the example templates.",
)


_Answer = TypeVar("_Answer", bound=Mapping[str, Any])


def follow(
    first: _Answer,
    ask: Callable[[], _Answer],
    show: Callable[[_Answer], None],
    interval: float,
    keys: Iterable[str] = ("phase", "reason", "message"),
) -> NoReturn:
    """Ask every so many seconds until Ctrl-C, and show each answer of which one of these keys changed.

    What prevents an answer is printed, and the next try follows.
    """
    last = first
    while True:
        time.sleep(interval)
        try:
            now = ask()
        except click.ClickException as error:
            _tell_no_answer(error)
            continue
        before, last = last, now
        if any(before.get(key) != now.get(key) for key in keys):
            show(now)


def pinned(fields: list[tuple[str, str]], more: dict[str, str]) -> list[tuple[str, str]]:
    """Add what is pinned to the parameters of a query, but for those that were given."""
    given = {name for name, _ in fields}
    return [*fields, *((name, value) for name, value in more.items() if name not in given)]


def wait_for(
    ask: Callable[[dict[str, str]], Answer], interval: float, timeout: float, passes: int
) -> tuple[Answer, bool]:
    """Ask until an answer decides; return the last one, and whether it decided before the time was over.

    The version and the stage of the first answer that names them are pinned: a newer version, or a switch in between,
    would otherwise be taken for what was waited for. Progress goes to standard error. Raises ClickException if the
    first query gets no answer: waiting does not mend a wrong flag or a wrong address.
    """
    until, in_a_row = time.monotonic() + timeout, 0
    found = ask({})
    more = _pins(found)
    while True:
        in_a_row = in_a_row + 1 if found["phase"] == "Successful" else 0
        click.echo(f"{readable.change(found)} ({in_a_row} of {passes})", err=True)
        if found["phase"] == "Failed" or found["observed"].get("action") == "fix" or in_a_row >= passes:
            return found, True
        while True:
            if time.monotonic() + interval >= until:
                click.echo(f"The time is over, with {in_a_row} of {passes} consecutive passes", err=True)
                return found, False
            time.sleep(interval)
            try:
                found = ask(more)
                break
            except click.ClickException as error:
                in_a_row = 0
                _tell_no_answer(error)
        more = more or _pins(found)


def _tell_no_answer(error: click.ClickException) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} UTC  no answer: {printable(error.format_message())}", err=True)


def _pins(found: Answer) -> dict[str, str]:
    seen = found["observed"]
    if "podTemplateHash" not in seen or "stage" not in seen:
        return {}
    stage = str(seen["stage"])
    return {"podTemplateHash": str(seen["podTemplateHash"]), "stage": stage[:1].lower() + stage[1:]}
