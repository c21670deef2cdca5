"""Repeated queries: `--watch` and `--wait`."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click

from provider.cli import readable
from provider.model.answer import Answer
from provider.model.printable import printable

WATCH = click.Option(["--watch"], is_flag=True, help="Repeat the query until Ctrl-C, and print changes.")
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
            _echo_no_answer(error)
            continue
        before, last = last, now
        if any(before.get(key) != now.get(key) for key in keys):
            show(now)


def pinned(fields: list[tuple[str, str]], pins: dict[str, str]) -> list[tuple[str, str]]:
    """Add the pinned parameters to those of a query, which come first."""
    given = {name for name, _ in fields}
    return [*fields, *((name, value) for name, value in pins.items() if name not in given)]


def wait_for(
    ask: Callable[[dict[str, str]], Answer], interval: float, timeout: float, passes: int
) -> tuple[Answer, bool]:
    """Ask until an answer decides; return the last answer, and whether it decided before the timeout.

    The version and the stage of the first answer that names them are pinned, so that a newer version or a switch is not
    taken for the one that is waited for. Progress goes to standard error. Raises ClickException if the first query
    fails: waiting does not mend a wrong flag or a wrong address.
    """
    until, consecutive = time.monotonic() + timeout, 0
    answer = ask({})
    pins = _pins(answer)
    while True:
        consecutive = consecutive + 1 if answer["phase"] == "Successful" else 0
        click.echo(f"{readable.change(answer)} ({consecutive} of {passes})", err=True)
        if answer["phase"] == "Failed" or answer["observed"].get("action") == "fix" or consecutive >= passes:
            return answer, True
        while True:
            if time.monotonic() + interval >= until:
                click.echo(f"The time is over, with {consecutive} of {passes} consecutive passes", err=True)
                return answer, False
            time.sleep(interval)
            try:
                answer = ask(pins)
                break
            except click.ClickException as error:
                consecutive = 0
                _echo_no_answer(error)
        pins = pins or _pins(answer)


def _echo_no_answer(error: click.ClickException) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} UTC  no answer: {printable(error.format_message())}", err=True)


def _pins(answer: Answer) -> dict[str, str]:
    observed = answer["observed"]
    if "podTemplateHash" not in observed or "stage" not in observed:
        return {}
    stage = observed["stage"]
    return {"podTemplateHash": observed["podTemplateHash"], "stage": stage[:1].lower() + stage[1:]}
