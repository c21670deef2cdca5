"""The command `warm-up`: send green real requests through the preview rule until it is as fast as blue.

Exit codes are those of `check`: 0 warm, 1 too many requests failed, 2 still cold at the time limit, 3 could not begin,
4 a person must act.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click

from provider.advice.warm_up import measured
from provider.advice.warm_up.hosts import is_among
from provider.advice.warm_up.plan import BadPlan, Pace, Request, in_turn, requests_of
from provider.advice.warm_up.sending import Answers, Sender
from provider.checks import target_health, warm
from provider.cli.asking import NAMESPACE, PROVIDER, TOKEN_FILE, Asks, asks
from provider.cli.check import EXIT_CODES_HELP, NEEDS_A_PERSON, exit_code
from provider.cli.there import Fields, http_address
from provider.cli.watching import wait_for
from provider.model.printable import printable

WARM, FAILED, COLD = 0, 1, 2

MIN_REQUESTS = 20
"""Number of requests from which on the share of failures counts."""

POLL_SECONDS = 1.0
"""Seconds between two counts of the outcomes."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """When the warm-up ends, and what is warm."""

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
@click.option("--blue-url", help="Address of production: send it the same requests, and compare the response times.")
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
    help="Requests per second after the ramp.",
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
    help="Time limit in seconds; then exit code 2.",
)
@click.option(
    "--max-error-percent",
    type=click.FloatRange(min=0, max=100),
    default=1.0,
    show_default=True,
    help="Maximum percentage of failed requests; beyond that exit code 1.",
)
@click.option(
    "--max-latency-factor",
    type=click.FloatRange(min=1, max=100),
    default=1.5,
    show_default=True,
    help="Maximum 95th percentile of green, as a multiple of blue's.",
)
@click.option("--any-host", is_flag=True, help="Send also to hosts that are not in the Rollout's listener rules.")
@click.option(
    "--interval",
    type=click.FloatRange(min=1, max=600),
    default=15.0,
    show_default=True,
    help="Seconds between two comparisons of the response times.",
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
    """Warm green up."""
    plan, extra_headers = _plan(paths, file), _headers(headers)
    given = (("--url", url), ("--blue-url", blue_url))
    addresses = tuple(_origin(address, flag) for flag, address in given if address is not None)
    if len(set(addresses)) < len(addresses):
        raise click.UsageError("--url and --blue-url are the same: give green's address and blue's")
    source, bounds, started = asks(provider, token_file, "--provider"), _Limits(**limits), time.monotonic()
    subject = [("namespace", namespace), ("rollout", rollout)]
    ready, has_decided = wait_for(
        lambda pins: source.ask(target_health.CHECK, [*subject, *({"stage": "beforeSwitch"} | pins).items()]),
        bounds.interval,
        bounds.max_seconds,
        1,
    )
    if ready["phase"] != "Successful":
        _end(exit_code(ready) if has_decided else COLD, {"answer": ready}, ready["message"], as_json=as_json)
    service = str(ready["observed"]["service"])
    for number, address in enumerate(addresses):
        _require_host(address, source, (namespace, rollout), service if number == 0 else None, any_host=any_host)
    pins = [("podTemplateHash", str(ready["observed"]["podTemplateHash"])), ("stage", "beforeSwitch")]
    remaining = max(bounds.max_seconds - (time.monotonic() - started), POLL_SECONDS)
    sender = Sender(addresses, in_turn(plan), Pace(rate, ramp_seconds), extra_headers)
    warm_up_run = _WarmUp(sender, source, [*subject, *pins], replace(bounds, max_seconds=remaining))
    _end(*warm_up_run.run(), as_json=as_json)


class _WarmUp:
    """A warm-up: a background thread sends requests, and this one judges their outcomes."""

    def __init__(self, sender: Sender, source: Asks, fields: Fields, limits: _Limits) -> None:
        self._sender, self._source, self._limits = sender, source, limits
        self._fields = [*fields, ("maxLatencyFactor", f"{limits.max_latency_factor:g}")]
        self._green, *self._blue = sender.answers.values()
        self._last = "no answer yet"

    def run(self) -> tuple[int, dict[str, Any], str]:
        """Return the exit code, the figures and a sentence."""
        over = threading.Event()
        thread = threading.Thread(target=self._sender.run, args=(over.is_set,), daemon=True)
        thread.start()
        try:
            code, sentence = self._until_decided(over.wait)
        finally:
            over.set()
        return code, self._figures(), sentence

    def _until_decided(self, wait: Callable[[float], object]) -> tuple[int, str]:
        due = self._limits.interval
        while True:
            wait(POLL_SECONDS)
            green, second = self._green, self._sender.elapsed
            if green.count >= MIN_REQUESTS:
                if len(green.failed) * 100 > self._limits.max_error_percent * green.count:
                    return FAILED, f"{len(green.failed)} of {green.count} requests failed, at last: {green.failed[-1]}"
                if len(green.refused) == green.count:
                    why = f"All of {green.count} requests were refused ({green.refused[-1]})"
                    raise click.ClickException(f"{why}: give paths that green serves")
            if second >= due or second >= self._limits.max_seconds:
                due = second + self._limits.interval
                code = self._compare() if self._blue else self._ask()
                progress = f"{datetime.now(UTC):%H:%M:%S} UTC  {green.count} requests, {self._sender.rate:.1f}/s"
                click.echo(f"{progress}, {len(green.failed)} failed; {printable(self._last)}", err=True)
                if code is not None:
                    return code, self._last
            if second >= self._limits.max_seconds:
                limit = f"{self._limits.max_latency_factor:g} times blue's 95th percentile"
                return COLD, f"{limit} was never reached in {second:.0f} s: {self._last}"

    def _compare(self) -> int | None:
        """Compare the response times measured here; None while they do not decide."""
        [blue] = self._blue
        comparison = measured.judge(list(self._green.seconds), list(blue.seconds), self._limits.max_latency_factor)
        self._last = comparison.sentence
        return WARM if comparison.is_warm else None

    def _ask(self) -> int | None:
        """Ask `warm`; None while its answer does not decide."""
        try:
            answer = self._source.ask(warm.CHECK, self._fields)
        except click.ClickException as error:
            self._last = f"no answer: {error.format_message()}"
            return None
        self._last = f"{answer['reason']}: {answer['message']}"
        code = exit_code(answer)
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


def _end(code: int, figures: dict[str, Any], sentence: str, *, as_json: bool) -> NoReturn:
    words = {WARM: "Warm", FAILED: "Failed", COLD: "Cold", NEEDS_A_PERSON: "Needs a person"}
    if as_json:
        click.echo(json.dumps({"outcome": words[code], "message": sentence, **figures}, indent=1))
    else:
        click.echo(f"{words[code]}: {printable(sentence)}")
        if "green" in figures:
            green = figures["green"]
            p95 = f", 95th percentile {green['p95Seconds']:.3g} s" if green["p95Seconds"] is not None else ""
            counts = f"{green['requestCount']} requests in {figures['seconds']:.0f} s, {green['failedCount']} failed"
            click.echo(f"{counts}, {green['refusedCount']} refused{p95}")
    sys.exit(code)


def _require_host(address: str, source: Asks, rollout: tuple[str, str], service: str | None, *, any_host: bool) -> None:
    """Refuse a host without a listener rule to this Service; None means any Service of the Rollout."""
    if any_host:
        return
    host = urlsplit(address).hostname or ""
    by_service = source.hosts(*rollout)
    patterns = by_service.get(service, ()) if service else [*chain.from_iterable(by_service.values())]
    if not is_among(host, patterns):
        known = ", ".join(dict.fromkeys(patterns)) or "none"
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
    headers = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not value.isprintable():
            raise click.UsageError('--header must be a name, a colon and a value, such as "X-Preview: 1"')
        headers[name.strip()] = value.strip()
    return headers
