"""The command `check <question>`: the same answer as over HTTP, for people, CI and Jobs.

It exits with 0 for Successful, 1 for Failed, 2 for Inconclusive; what could not be asked is a ClickException, for which
the command line exits with 3.
"""

import json
import logging.config
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import requests
from pydantic import ValidationError

from provider import body, settings
from provider.checks import QUESTIONS
from provider.description import Answer
from provider.errors import BadQuery, NotConfigured, RolloutNotFound
from provider.question import Check, Query, answer, parse
from provider.records import Phase
from provider.start import sources_of
from provider.telemetry import Metrics, logging_config

EXIT_CODES = {Phase.SUCCESSFUL: 0, Phase.FAILED: 1, Phase.INCONCLUSIVE: 2}
HTTP_TIMEOUT_SECONDS = 15
"""For --url: a provider answers within its budget; the rest is the way there and back."""


@click.group()
def check() -> None:
    """Ask one question; exit code 0 Successful, 1 Failed, 2 Inconclusive, 3 could not ask."""


def _command(question: Check) -> click.Command:
    """Make the command of one question; its flags are the query's parameters in kebab-case."""
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
        ["--url"], help="Ask a running provider at this address instead of reading with own credentials."
    )
    token_file = click.Option(["--token-file"], help="With --url: a file whose content is the bearer token to send.")
    as_json = click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as Argo gets it.")
    about, _, more = question.about.strip().partition("\n\n")

    def run(url: str | None, token_file: str | None, as_json: bool, **given: str | None) -> NoReturn:  # noqa: FBT001 - click passes names
        fields = [
            (str(question.query.model_fields[name].alias), value) for name, value in given.items() if value is not None
        ]
        found = _ask_here(question, fields) if url is None else _ask_provider(url, token_file, question, fields)
        click.echo(json.dumps(found, indent=1, sort_keys=True) if as_json else _readable(found))
        sys.exit(EXIT_CODES[Phase(found["phase"])])

    return click.Command(
        question.name, params=[*flags, url, token_file, as_json], callback=run, help=f"{about}\n\n{more}"
    )


for _question in QUESTIONS.values():
    check.add_command(_command(_question))


def _ask_here(question: Check, fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Read Kubernetes and AWS with the caller's own credentials."""
    logging.config.dictConfig(logging_config("ERROR"))
    try:
        query: Query = parse(question, fields)
        found = answer(question, query, sources_of(settings.load(), Metrics()))
    except BadQuery as error:
        raise click.UsageError("; ".join(_flag_problem(one.parameter, one.detail) for one in error.problems)) from error
    except RolloutNotFound as error:
        raise click.ClickException(str(error)) from error
    except (settings.BadSettings, NotConfigured) as error:
        raise click.ClickException(str(error)) from error
    return dict(json.loads(body.encode(found)))


def _flag_problem(parameter: str, detail: str) -> str:
    flag = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in parameter)
    return f"--{flag} {detail}"


def _ask_provider(url: str, token_file: str | None, question: Check, fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Ask a running provider over HTTP."""
    where = f"{url.rstrip('/')}/v1/{question.name}"
    headers = _authorization(token_file) if token_file else {}
    try:
        response = requests.get(
            where, params=fields, headers=headers, timeout=HTTP_TIMEOUT_SECONDS, allow_redirects=False
        )
        found = response.json()
    except requests.JSONDecodeError as error:
        raise click.ClickException(
            f"{where} answered {response.status_code} without JSON: is it a provider?"
        ) from error
    except requests.RequestException as error:
        raise click.ClickException(f"Cannot ask {where}: {type(error).__name__}") from error
    try:
        if response.status_code == requests.codes.ok:
            return Answer.model_validate(found).model_dump(mode="json")
    except ValidationError:
        pass
    detail = found.get("detail", "") if isinstance(found, dict) else ""
    raise click.ClickException(f"{where} answered {response.status_code}: {detail or 'not an answer'}")


def _authorization(token_file: str) -> dict[str, str]:
    """Return the header with the token of a file, as a mounted Secret has it."""
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"Cannot read --token-file {token_file}: {type(error).__name__}") from error
    return {"Authorization": f"Bearer {token}"}


def _readable(found: dict[str, Any]) -> str:
    """Write an answer for a person: the sentence, then tables of targets by state, failed requests and checks."""
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
