"""The command `check <name>`: the same answer as over HTTP, for people, CI and Jobs.

Exit codes: 0 Successful, 1 Failed, 2 Inconclusive and waiting can help, 4 Inconclusive until a person acts. Whatever
prevents an answer is a ClickException, for which the command line exits with 3.
"""

import json
import sys
from typing import Any, NoReturn

import click

from provider.checks import QUESTIONS
from provider.checks.question import Check
from provider.cli import readable
from provider.cli.asking import TOKEN_FILE, URL, asks
from provider.cli.watching import INTERVAL, WATCH, follow
from provider.evidence.records import Phase

EXIT_CODES = {Phase.SUCCESSFUL: 0, Phase.FAILED: 1, Phase.INCONCLUSIVE: 2}
NEEDS_A_PERSON = 4
"""The exit code of an Inconclusive answer whose `observed.action` is `fix`: waiting does not help."""

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
    as_json = click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as JSON, as Argo receives it.")
    about, _, more = question.about.strip().partition("\n\n")

    def run(
        url: str | None,
        token_file: str | None,
        as_json: bool,  # noqa: FBT001 - click passes names
        watch: bool,  # noqa: FBT001
        interval: float,
        **given: str | None,
    ) -> NoReturn:
        fields = [
            (str(question.query.model_fields[name].alias), value) for name, value in given.items() if value is not None
        ]
        source = asks(url, token_file)
        found = source.ask(question, fields)
        name = f"Rollout {given['namespace']}/{given['rollout']}"
        click.echo(_json(found) if as_json else readable.answer(found, name))
        if watch:
            show = _json if as_json else readable.change
            found = follow(found, lambda: source.ask(question, fields), lambda now: click.echo(show(now)), interval)
        sys.exit(exit_code(found))

    return click.Command(
        question.name,
        params=[*flags, URL, TOKEN_FILE, as_json, WATCH, INTERVAL],
        callback=run,
        help=f"{about}\n\n{more}\n\n{EXIT_CODES_HELP}",
    )


def _json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, sort_keys=True)


def exit_code(found: dict[str, Any]) -> int:
    """Return the exit code of an answer."""
    phase = Phase(found["phase"])
    needs_a_person = phase is Phase.INCONCLUSIVE and found["observed"].get("action") == "fix"
    return NEEDS_A_PERSON if needs_a_person else EXIT_CODES[phase]


for _question in QUESTIONS.values():
    check.add_command(_command(_question))
