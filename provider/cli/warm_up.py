"""The command `warm-up`: send green real requests through the preview rule until it is as fast as blue.

Exit codes are those of `check`: 0 warm, 1 too many requests failed, 2 still cold when the time was over, 3 could not
begin, 4 a person must act.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click

from provider.advice.warm_up import measured
from provider.advice.warm_up.hosts import is_among
from provider.advice.warm_up.plan import BadPlan, Pace, Request, in_turn, requests_of
from provider.advice.warm_up.sending import Answers, Sender
from provider.checks import target_health, warm
from provider.cli.asking import NAMESPACE, PROVIDER, TOKEN_FILE, Asks, Fields, asks, http_address
from provider.cli.check import EXIT_CODES_HELP, NEEDS_A_PERSON
from provider.cli.watching import wait_for
from provider.model.answer import Answer
from provider.model.printable import printable

WARM, FAILED, COLD = 0, 1, 2

FEWEST = 20
"""Requests after which a share of failures counts."""

LOOK_SECONDS = 1.0
"""Between two looks at what came of the requests."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """When it ends, and what is warm."""

    max_seconds: float
    max_error_percent: float
    max_latency_factor: float
    interval: float


@click.command(
    "warm-up",
    params=[NAMESPACE, PROVIDER, TOKEN_FILE],
    help="Send green real requests through the load balancer's preview rule until it is as fast as blue.\n\n"
    "It waits until green's targets are healthy, then sends requests at a rate that grows, and asks `warm` about "
    "CloudWatch's response times, which takes a few minutes. With --blue-url it sends the same requests to blue and "
    f"compares what it measures, which is faster.\n\n{EXIT_CODES_HELP}",
)
@click.option("--rollout", required=True, help="Name of the Rollout.")
@click.option("--url", "url", required=True, help="Address of the preview, such as https://preview.example.com.")
@click.option("--blue-url", help="Address of production: compare with it what is measured here.")
@click.option(
    "--path",
    "paths",
    multiple=True,
    help='A path to request, with a weight if you like ("/products 3"). May be repeated. Default: /',
)
@click.option("--requests", "file", help="File of requests, one per line: [METHOD] PATH [WEIGHT]. Only GET and HEAD.")
@click.option("--header", "headers", multiple=True, help='A header to send, such as "X-Preview: 1". May be repeated.')
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1, max=1000),
    default=10.0,
    show_default=True,
    help="Requests per second in the end.",
)
@click.option(
    "--ramp-seconds",
    type=click.FloatRange(min=0, max=3600),
    default=60.0,
    show_default=True,
    help="Seconds in which the rate grows from 1 to --rate.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=1, max=7200),
    default=900.0,
    show_default=True,
    help="When to give up: exit code 2.",
)
@click.option(
    "--max-error-percent",
    type=click.FloatRange(min=0, max=100),
    default=1.0,
    show_default=True,
    help="More failed requests than this end it: exit code 1.",
)
@click.option(
    "--max-latency-factor",
    type=click.FloatRange(min=1, max=100),
    default=1.5,
    show_default=True,
    help="How many times as long as blue's 95th percentile green's may be.",
)
@click.option("--any-host", is_flag=True, help="Send to hosts that are in none of the Rollout's listener rules too.")
@click.option(
    "--interval",
    type=click.FloatRange(min=1, max=600),
    default=15.0,
    show_default=True,
    help="Seconds between two looks at the response times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def warm_up(
    namespace: str,
    rollout: str,
    url: str,
    blue_url: str | None,
    paths: tuple[str, ...],
    file: str | None,
    headers: tuple[str, ...],
    rate: float,
    ramp_seconds: float,
    provider: str | None,
    token_file: str | None,
    any_host: bool,  # noqa: FBT001 - click passes names
    as_json: bool,  # noqa: FBT001 - click passes names
    **limits: float,
) -> NoReturn:
    """Warm green up; the help of the command is above."""
    plan, sent = _plan(paths, file), _headers(headers)
    given = (("--url", url), ("--blue-url", blue_url))
    addresses = tuple(_origin(one, flag) for flag, one in given if one is not None)
    if len(set(addresses)) < len(addresses):
        raise click.UsageError("--url and --blue-url are the same: give green's address and blue's")
    source, bounds, began = asks(provider, token_file, "--provider"), _Limits(**limits), time.monotonic()
    about = [("namespace", namespace), ("rollout", rollout)]
    ready, is_ready = wait_for(
        lambda more: source.ask(target_health.CHECK, [*about, *({"stage": "beforeSwitch"} | more).items()]),
        bounds.interval,
        bounds.max_seconds,
        1,
    )
    if ready["phase"] != "Successful":
        _end(_exit_code(ready) if is_ready else COLD, {"answer": ready}, ready["message"], as_json=as_json)
    service = str(ready["observed"]["service"])
    for number, address in enumerate(addresses):
        _require_own(address, source, (namespace, rollout), service if number == 0 else None, any_host=any_host)
    pins = [("podTemplateHash", str(ready["observed"]["podTemplateHash"])), ("stage", "beforeSwitch")]
    left = max(bounds.max_seconds - (time.monotonic() - began), LOOK_SECONDS)
    sender = Sender(addresses, in_turn(plan), Pace(rate, ramp_seconds), sent)
    code, says, found = _Warming(sender, source, [*about, *pins], replace(bounds, max_seconds=left)).run()
    _end(code, found, says, as_json=as_json)


class _Warming:
    """One warm-up: requests go out in a thread of their own, and this one looks at what comes of them."""

    def __init__(self, sender: Sender, source: Asks, fields: Fields, limits: _Limits) -> None:
        self._sender, self._source, self._limits = sender, source, limits
        self._fields = [*fields, ("maxLatencyFactor", f"{limits.max_latency_factor:g}")]
        self._green, *self._blue = sender.answers.values()
        self._last = "no answer yet"

    def run(self) -> tuple[int, str, dict[str, Any]]:
        """Return the exit code, a sentence and the figures."""
        over = threading.Event()
        thread = threading.Thread(target=self._sender.run, args=(over.is_set,), daemon=True)
        thread.start()
        try:
            code, says = self._until_decided(over.wait)
        finally:
            over.set()
        return code, says, self._figures()

    def _until_decided(self, wait: Callable[[float], object]) -> tuple[int, str]:
        due = self._limits.interval
        while True:
            wait(LOOK_SECONDS)
            green, second = self._green, self._sender.elapsed
            if green.count >= FEWEST:
                if len(green.failed) * 100 > self._limits.max_error_percent * green.count:
                    return FAILED, f"{len(green.failed)} of {green.count} requests failed, at last: {green.failed[-1]}"
                if len(green.refused) == green.count:
                    why = f"All of {green.count} requests were refused ({green.refused[-1]})"
                    raise click.ClickException(f"{why}: give paths that green serves")
            if second >= due or second >= self._limits.max_seconds:
                due = second + self._limits.interval
                decided = self._measured() if self._blue else self._asked()
                now = f"{datetime.now(UTC):%H:%M:%S} UTC  {green.count} requests, {self._sender.rate:.1f}/s"
                click.echo(f"{now}, {len(green.failed)} failed; {printable(self._last)}", err=True)
                if decided is not None:
                    return decided, self._last
            if second >= self._limits.max_seconds:
                wanted = f"{self._limits.max_latency_factor:g} times blue's 95th percentile was never reached"
                return COLD, f"{wanted} in {second:.0f} s: {self._last}"

    def _measured(self) -> int | None:
        """Compare what was measured; None while that decides nothing."""
        [blue] = self._blue
        found = measured.judge(list(self._green.seconds), list(blue.seconds), self._limits.max_latency_factor)
        self._last = found.says
        return WARM if found.is_warm else None

    def _asked(self) -> int | None:
        """Ask `warm`; None while its answer decides nothing."""
        try:
            found = self._source.ask(warm.CHECK, self._fields)
        except click.ClickException as error:
            self._last = f"no answer: {error.format_message()}"
            return None
        self._last = f"{found['reason']}: {found['message']}"
        code = _exit_code(found)
        return None if code == COLD else code

    def _figures(self) -> dict[str, Any]:
        return {
            "seconds": round(self._sender.elapsed, 1),
            "green": _figures(self._green),
            **({"blue": _figures(self._blue[0])} if self._blue else {}),
        }


def _figures(answers: Answers) -> dict[str, Any]:
    newest = list(answers.seconds)[-measured.RECENT :]
    return {
        "requestCount": answers.count,
        "failedCount": len(answers.failed),
        "refusedCount": len(answers.refused),
        "p95Seconds": measured.p95(newest),
    }


def _exit_code(found: Answer) -> int:
    if found["phase"] == "Successful":
        return WARM
    if found["phase"] == "Failed":
        return FAILED
    return NEEDS_A_PERSON if found["observed"].get("action") == "fix" else COLD


def _end(code: int, found: dict[str, Any], says: str, *, as_json: bool) -> NoReturn:
    words = {WARM: "Warm", FAILED: "Failed", COLD: "Cold", NEEDS_A_PERSON: "Needs a person"}
    if as_json:
        click.echo(json.dumps({"outcome": words[code], "message": says, **found}, indent=1))
    else:
        click.echo(f"{words[code]}: {printable(says)}")
        if "green" in found:
            sent = found["green"]
            p95 = f", 95th percentile {sent['p95Seconds']:.3g} s" if sent["p95Seconds"] is not None else ""
            counts = f"{sent['requestCount']} requests in {found['seconds']:.0f} s, {sent['failedCount']} failed"
            click.echo(f"{counts}, {sent['refusedCount']} refused{p95}")
    sys.exit(code)


def _require_own(address: str, source: Asks, rollout: tuple[str, str], service: str | None, *, any_host: bool) -> None:
    """Refuse a host that is in none of the listener rules to the green Service, or to any of the Rollout's."""
    if any_host:
        return
    host = urlsplit(address).hostname or ""
    hosts = source.hosts(*rollout)
    own = hosts.get(service, ()) if service else [one for some in hosts.values() for one in some]
    if not is_among(host, own):
        known = ", ".join(dict.fromkeys(own)) or "none"
        whose = f"Service {service}" if service else f"Rollout {rollout[1]}"
        raise click.ClickException(
            f"{host} is not a host of the listener rules of {whose}, which are: {known}. Use one of them, or --any-host"
        )


def _origin(url: str, flag: str) -> str:
    address = http_address(url, flag)
    if urlsplit(address).path or set("?#") & set(address):
        raise click.ClickException(f"{url} has a path: give it with --path")
    return address


def _plan(paths: tuple[str, ...], file: str | None) -> tuple[Request, ...]:
    if paths and file is not None:
        raise click.UsageError("Give either --path or --requests")
    try:
        return requests_of(Path(file).read_text(encoding="utf-8").splitlines() if file is not None else paths or ("/",))
    except OSError as error:
        raise click.ClickException(f"Cannot read {file}: {error.strerror}") from error
    except (BadPlan, ValueError) as error:
        raise click.ClickException(f"{file or '--path'}: {error}") from error


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.strip() or not value.isprintable():
            raise click.UsageError('--header must be a name, a colon and a value, such as "X-Preview: 1"')
        found[name.strip()] = value.strip()
    return found
