"""The command `check <name>`: the same answer as over HTTP, for people, CI and Jobs.

Exit codes: 0 Successful, 1 Failed, 2 Inconclusive and waiting can help, 4 Inconclusive until a person acts. Whatever
prevents an answer is a ClickException, for which the command line exits with 3.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import click
import yaml

from provider.checks import QUESTIONS
from provider.checks.question import AnyCheck
from provider.cli import readable
from provider.cli.asking import NAMESPACE, TOKEN_FILE, URL, asks
from provider.cli.watching import INTERVAL, PASSES, TIMEOUT, WAIT, WATCH, follow, pinned, wait_for
from provider.model.answer import Answer
from provider.model.reasons import Phase

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


class _Checks(click.Group):
    """A command for each check."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(QUESTIONS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        return _command(QUESTIONS[cmd_name]) if cmd_name in QUESTIONS else None


check = _Checks("check", help=f"Ask the load balancer and print the answer.\n\n{EXIT_CODES_HELP}")


def _command(question: AnyCheck) -> click.Command:
    """Return the command of one check; its flags are the parameters in kebab-case."""
    summary, _, details = question.about.strip().partition("\n\n")

    def run(
        url: str | None,
        token_file: str | None,
        output: str,
        as_json: bool,  # noqa: FBT001 - click passes names
        watch: bool,  # noqa: FBT001 - click passes names
        wait: bool,  # noqa: FBT001 - click passes names
        interval: float,
        timeout: float,
        passes: int,
        **given: str | None,
    ) -> NoReturn:
        fields = [
            (str(question.query.model_fields[name].alias), value) for name, value in given.items() if value is not None
        ]
        if watch and wait:
            raise click.UsageError("Give either --watch or --wait")
        source = asks(url, token_file)
        show = _OUTPUTS["json" if as_json else output]
        name = f"Rollout {given['namespace']}/{given['rollout']}"
        if wait:
            answer, has_decided = wait_for(
                lambda pins: source.ask(question, pinned(fields, pins)), interval, timeout, passes
            )
            click.echo(show(answer, name))
            sys.exit(exit_code(answer) if has_decided else EXIT_CODES[Phase.INCONCLUSIVE])
        answer = source.ask(question, fields)
        click.echo(show(answer, name))
        if watch:
            answer = follow(answer, lambda: source.ask(question, fields), partial(_echo_change, show, name), interval)
        sys.exit(exit_code(answer))

    return click.Command(
        question.name,
        params=[*_flags(question), URL, TOKEN_FILE, *_OUTPUT_FLAGS, WATCH, WAIT, INTERVAL, TIMEOUT, PASSES],
        callback=run,
        help=f"{summary}\n\n{details}\n\n{EXIT_CODES_HELP}",
    )


def _echo_change(show: Callable[[Answer, str], str], name: str, answer: Answer) -> None:
    """Print an answer that changed: on one line for a person, in full for a program."""
    click.echo(readable.change(answer) if show is readable.answer else show(answer, name))


def _flags(question: AnyCheck) -> list[click.Parameter]:
    """Return an option for each parameter of a check."""
    schema = question.query.model_json_schema(by_alias=True)
    return [
        NAMESPACE,
        *(
            click.Option(
                [f"--{name.replace('_', '-')}", name],
                required=str(field.alias) in schema["required"],
                help=f"{field.description}{_limits(schema['properties'][str(field.alias)])}",
            )
            for name, field in question.query.model_fields.items()
            if name != NAMESPACE.name
        ),
    ]


def _limits(field: dict[str, Any]) -> str:
    """Return the choices or the range of a parameter, and its default."""
    schema = next((part for part in field.get("anyOf", [field]) if part.get("type") != "null"), field)
    limits = []
    if "enum" in schema or "const" in schema:
        limits.append(f"one of {', '.join(schema.get('enum', [schema.get('const')]))}")
    minimum = schema.get("minimum", schema.get("exclusiveMinimum"))
    if minimum is not None and "maximum" in schema:
        limits.append(f"{'more than ' if 'exclusiveMinimum' in schema else ''}{minimum:g} to {schema['maximum']:g}")
    if field.get("default") is not None:
        limits.append(f"default: {field['default']}")
    return f"  [{'; '.join(limits)}]" if limits else ""


_OUTPUT_FLAGS: list[click.Parameter] = [
    click.Option(
        ["--output", "-o"],
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="How to print the answer.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="The same as -o json: the answer as Argo receives it."),
]


def _json(answer: Answer, name: str) -> str:  # noqa: ARG001 - the signature of every output
    return json.dumps(answer, indent=1, sort_keys=True)


def _yaml(answer: Answer, name: str) -> str:  # noqa: ARG001 - the signature of every output
    return yaml.safe_dump(answer, sort_keys=True).rstrip()


_OUTPUTS: dict[str, Callable[[Answer, str], str]] = {"table": readable.answer, "json": _json, "yaml": _yaml}


def exit_code(answer: Answer) -> int:
    """Return the exit code of an answer."""
    phase = Phase(answer["phase"])
    needs_a_person = phase is Phase.INCONCLUSIVE and answer["observed"].get("action") == "fix"
    return NEEDS_A_PERSON if needs_a_person else EXIT_CODES[phase]
