"""The command `check <name>`: the same answer as over HTTP, for people, CI and Jobs.

Exit codes: 0 Successful, 1 Failed, 2 Inconclusive and waiting can help, 4 Inconclusive until a person acts. Whatever
prevents an answer is a ClickException, for which the command line exits with 3.
"""

import json
import logging.config
import re
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
import requests
from pydantic import ValidationError
from requests.auth import AuthBase

from provider import settings
from provider.checks import QUESTIONS, body
from provider.checks.question import Check, Query, answer, parse
from provider.evidence.exceptions import BadQuery, NotConfigured, RolloutNotFound
from provider.evidence.records import Phase
from provider.http.openapi import Answer
from provider.start import sources_of
from provider.telemetry import Metrics, logging_config

EXIT_CODES = {Phase.SUCCESSFUL: 0, Phase.FAILED: 1, Phase.INCONCLUSIVE: 2}
NEEDS_A_PERSON = 4
"""The exit code of an Inconclusive answer whose `observed.action` is `fix`: waiting does not help."""

HTTP_TIMEOUT_SECONDS = 15
"""For --url: more than a provider's time limit for an answer (8 s by default)."""

_A_TOKEN = re.compile(r"[!-~]+")

EXIT_CODES_HELP = (
    "\b\n"
    "Exit codes:\n"
    "  0  Successful\n"
    "  1  Failed\n"
    "  2  Inconclusive; ask again, waiting can help\n"
    "  3  no answer: misuse, no connection, refused\n"
    "  4  Inconclusive until a person acts (observed.action is fix)"
)


check = click.Group("check", help=f"Ask the load balancer and print the answer.\n\n{EXIT_CODES_HELP}")


def _command(question: Check) -> click.Command:
    """Return the command of one check; its flags are the parameters in kebab-case."""
    schema = question.query.model_json_schema(by_alias=True)
    flags: list[click.Parameter] = [
        click.Option(
            [f"--{name.replace('_', '-')}", name],
            required=str(field.alias) in schema["required"],
            help=field.description,
        )
        for name, field in question.query.model_fields.items()
    ]
    url = click.Option(
        ["--url"],
        help="Ask the provider at this address, such as http://localhost:8080. Default: read Kubernetes and AWS with "
        "your own credentials.",
    )
    token_file = click.Option(["--token-file"], help="With --url: file that holds the bearer token to send.")
    as_json = click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as JSON, as Argo receives it.")
    about, _, more = question.about.strip().partition("\n\n")

    def run(url: str | None, token_file: str | None, as_json: bool, **given: str | None) -> NoReturn:  # noqa: FBT001 - click passes names
        fields = [
            (str(question.query.model_fields[name].alias), value) for name, value in given.items() if value is not None
        ]
        found = _ask_here(question, fields) if url is None else _ask_provider(url, token_file, question, fields)
        click.echo(json.dumps(found, indent=1, sort_keys=True) if as_json else _readable(found))
        sys.exit(_exit_code(found))

    return click.Command(
        question.name,
        params=[*flags, url, token_file, as_json],
        callback=run,
        help=f"{about}\n\n{more}\n\n{EXIT_CODES_HELP}",
    )


def _exit_code(found: dict[str, Any]) -> int:
    phase = Phase(found["phase"])
    needs_a_person = phase is Phase.INCONCLUSIVE and found["observed"].get("action") == "fix"
    return NEEDS_A_PERSON if needs_a_person else EXIT_CODES[phase]


for _question in QUESTIONS.values():
    check.add_command(_command(_question))


def _ask_here(question: Check, fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Answer from Kubernetes and AWS, read with the caller's own credentials."""
    logging.config.dictConfig(logging_config("ERROR"))
    try:
        query: Query = parse(question, fields)
        found = answer(question, query, sources_of(settings.load(), Metrics()))
    except BadQuery as error:
        raise click.UsageError("; ".join(_flag_problem(one.parameter, one.detail) for one in error.problems)) from error
    except (RolloutNotFound, settings.BadSettings, NotConfigured) as error:
        raise click.ClickException(str(error)) from error
    return dict(json.loads(body.encode(found)))


def _flag_problem(parameter: str, detail: str) -> str:
    flag = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in parameter)
    return f"--{flag} {detail}"


def _ask_provider(url: str, token_file: str | None, question: Check, fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Ask a running provider over HTTP."""
    base = _address(url)
    where = f"{base}/v1/{question.name}"
    auth = _Bearer(_token(token_file) if token_file is not None else None)
    try:
        response = requests.get(where, params=fields, auth=auth, timeout=HTTP_TIMEOUT_SECONDS, allow_redirects=False)
        found = response.json()
    except requests.JSONDecodeError as error:
        raise click.ClickException(
            f"{where} answered {response.status_code} without JSON: is it a provider?"
        ) from error
    except (requests.RequestException, ValueError) as error:  # its text may quote a proxy's password
        raise click.ClickException(f"Cannot reach {base}: {_why(error)}") from error
    try:
        if response.status_code == requests.codes.ok:
            return Answer.model_validate(found).model_dump(mode="json")
    except ValidationError:
        pass
    if response.status_code == requests.codes.unauthorized and token_file is None:
        raise click.ClickException(f"{base} requires a bearer token (--token-file)")
    detail = found.get("detail", "") if isinstance(found, dict) else ""
    raise click.ClickException(f"{where} answered {response.status_code}: {detail or 'not an answer'}")


def _address(url: str) -> str:
    """Return the address of --url without a slash at its end. Raises ClickException if it is not an HTTP address."""
    try:
        parts = urlsplit(url.strip())
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError as error:  # a port that is not a number, a bracket that is not closed
        raise click.ClickException("--url is not a valid address") from error
    if user is not None:
        raise click.ClickException("--url must not contain a user name or password; use --token-file")
    if not url.strip():
        raise click.ClickException("--url is empty")
    if parts.scheme not in {"http", "https"}:
        raise click.ClickException(f"Cannot reach {url}: the address needs http:// or https:// in front")
    if not host:
        raise click.ClickException(f"Cannot reach {url}: the address has no host name")
    return url.strip().rstrip("/")


class _Bearer(AuthBase):
    """Sends the token, or nothing. Without an object like this requests sends the login that ~/.netrc has."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _token(token_file: str) -> str:
    """Read the token from a file. The sentences quote neither: some people pass the token itself to --token-file."""
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise click.ClickException(f"Cannot read the file of --token-file: {_why(error)}") from error
    if not _A_TOKEN.fullmatch(token):
        what = "is not one word of printable ASCII characters" if token else "is empty"
        raise click.ClickException(f"The content of the file of --token-file {what}")
    return token


def _why(error: Exception) -> str:
    """Say what failed without the text of the error, which may quote an address or a credential."""
    match error:
        case requests.exceptions.SSLError():
            return "its TLS certificate is not trusted (REQUESTS_CA_BUNDLE names the authorities that are)"
        case requests.exceptions.ProxyError():
            return "the proxy of the environment does not answer (NO_PROXY leaves it out)"
        case requests.Timeout():
            return f"no answer within {HTTP_TIMEOUT_SECONDS} s"
        case requests.ConnectionError():
            return "the connection failed; is it running there?"
        case UnicodeError():
            return "it is not ASCII text"
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return type(error).__name__


def _readable(found: dict[str, Any]) -> str:
    """Format an answer for a person: the sentence, then tables of targets by state, failed requests and checks."""
    observed = found["observed"]
    groups = observed.get("targetGroups", [])
    states = sorted({key for group in groups for key in group if key.endswith("Count")})
    tables = [
        (
            ["TARGET GROUP", "HEALTHY %", *(state.removesuffix("Count").upper() for state in states)],
            [[one["name"], one["healthyPercent"], *(one.get(state, 0) for state in states)] for one in groups],
        ),
        (
            ["TARGET", "ADDRESS", "PORT", "STATE", "AWS REASON", "DESCRIPTION"],
            [[one.get(key, "-") for key in _EXAMPLE] for one in observed.get("examples", [])],
        ),
        (
            ["TARGET GROUP", "REQUESTS", "TARGET 5XX", "CONNECTION ERRORS", "ERROR %"],
            [[one.get(key, "-") for key in _COUNTS] for one in observed.get("errorsByTargetGroup", [])],
        ),
        (
            ["CHECK", "PHASE", "REASON"],
            [[one["check"], one["phase"], one["reason"]] for one in observed.get("checks", [])],
        ),
    ]
    lines = [f"{found['phase']} ({found['reason']})", found["message"]]
    for head, rows in tables:
        if rows:
            lines += ["", *_table([head, *([str(cell) for cell in row] for row in rows)])]
    return "\n".join(lines)


_COUNTS = ("name", "requestCount", "target5xxCount", "connectionErrorCount", "errorPercent")
_EXAMPLE = ("name", "address", "port", "state", "awsReason", "description")


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
