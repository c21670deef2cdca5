"""The command `check <name>`: the same answer as over HTTP, for people, CI and Jobs.

Exit codes: 0 Successful, 1 Failed, 2 Inconclusive and waiting can help, 4 Inconclusive until a person acts. Whatever
prevents an answer is a ClickException, for which the command line exits with 3.
"""

import sys
from functools import partial
from typing import Any, NoReturn, cast

import click

from provider.checks import QUESTIONS
from provider.checks.question import AnyCheck
from provider.cli import readable
from provider.cli.asking import NAMESPACE, ROLLOUT, TOKEN_FILE, URL, asks
from provider.cli.readable import OUTPUT, Show, shown_as
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
    """A command for each check, and one for what a Rollout's own analyses ask."""

    def list_commands(self, _: click.Context) -> list[str]:
        return [*QUESTIONS, as_argo.name or ""]

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        return as_argo if cmd_name == as_argo.name else _command(QUESTIONS[cmd_name]) if cmd_name in QUESTIONS else None


@click.command("as-argo", params=[NAMESPACE, ROLLOUT, URL, TOKEN_FILE, OUTPUT], epilog=EXIT_CODES_HELP)
def as_argo(namespace: str, rollout: str, url: str | None, token_file: str | None, output: str) -> NoReturn:
    """Ask what the Rollout's own analyses ask: its current AnalysisRun, else its templates.

    With several metrics each answer is printed, and the worst decides the exit code. Like `explain` it is no answer to
    Argo.
    """
    told = asks(url, token_file).explain(namespace, rollout)
    queries = [cast(Answer, query) for query in told["queries"] if "phase" in query]
    if not queries:
        notes = "; ".join(query["note"] for query in told["queries"]) or "nothing is asked"
        raise click.ClickException(f"Rollout {namespace}/{rollout}: {notes}")
    name = f"Rollout {namespace}/{rollout}"
    if output == "table":
        blocks = [f"{query.get('metric', 'not asked by Argo')}: {readable.answer(query, name)}" for query in queries]
        click.echo("\n\n".join(blocks))
    else:
        click.echo(shown_as(output, readable.answer)({"queries": queries}, name))
    worst = max(queries, key=lambda query: (Phase(query["phase"]).severity, exit_code(query)))
    sys.exit(exit_code(worst))


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
        aliases = {name: str(field.alias) for name, field in question.query.model_fields.items()}
        fields = [(aliases[name], value) for name, value in given.items() if value is not None]
        if watch and wait:
            raise click.UsageError("Give either --watch or --wait")
        source = asks(url, token_file)
        show = shown_as("json" if as_json else output, readable.answer)
        name = f"Rollout {given['namespace']}/{given['rollout']}"
        if wait:
            answer, has_decided = wait_for(
                lambda pins: source.ask(question, pinned(fields, pins)), interval, timeout, passes
            )
        else:
            answer, has_decided = source.ask(question, fields), True
        click.echo(show(answer, name))
        if watch:
            follow(answer, lambda: source.ask(question, fields), partial(_echo_change, show, name), interval)
        sys.exit(exit_code(answer) if has_decided else EXIT_CODES[Phase.INCONCLUSIVE])

    return click.Command(
        question.name,
        params=[*_flags(question), URL, TOKEN_FILE, OUTPUT, AS_JSON, WATCH, WAIT, INTERVAL, TIMEOUT, PASSES],
        callback=run,
        help=f"{summary}\n\n{details}\n\n{EXIT_CODES_HELP}",
    )


def _echo_change(show: Show, name: str, answer: Answer) -> None:
    """Print an answer that changed: on one line for a person, in full for a program."""
    click.echo(readable.change(answer) if show is readable.answer else show(answer, name))


def _flags(question: AnyCheck) -> list[click.Parameter]:
    """Return an option for each parameter of a check."""
    schema = question.query.model_json_schema(by_alias=True)
    return [
        NAMESPACE,
        ROLLOUT,
        *(
            click.Option(
                [f"--{name.replace('_', '-')}", name],
                help=f"{field.description}{_limits(schema['properties'][str(field.alias)])}",
                shell_complete=partial(_complete, _choices(schema["properties"][str(field.alias)])),
            )
            for name, field in question.query.model_fields.items()
            if name not in {NAMESPACE.name, ROLLOUT.name}
        ),
    ]


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without Python's None."""
    return next((schema for schema in field.get("anyOf", [field]) if schema.get("type") != "null"), field)


def _choices(field: dict[str, Any]) -> list[str]:
    plain = _plain(field)
    return [str(choice) for choice in plain.get("enum", [plain["const"]] if "const" in plain else [])]


def _complete(choices: list[str], _: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete a value in a shell."""
    return [choice for choice in choices if choice.startswith(incomplete)]


def _limits(field: dict[str, Any]) -> str:
    """Return the choices or the range of a parameter, and its default."""
    schema, limits = _plain(field), []
    if _choices(field):
        limits.append(f"one of {', '.join(_choices(field))}")
    minimum = schema.get("minimum", schema.get("exclusiveMinimum"))
    if minimum is not None and "maximum" in schema:
        limits.append(f"{'more than ' if 'exclusiveMinimum' in schema else ''}{minimum:g} to {schema['maximum']:g}")
    if field.get("default") is not None:
        limits.append(f"default: {field['default']}")
    return f"  [{'; '.join(limits)}]" if limits else ""


AS_JSON = click.Option(["--json", "as_json"], is_flag=True, help="The same as -o json: the answer as Argo receives it.")


def exit_code(answer: Answer) -> int:
    """Return the exit code of an answer."""
    phase = Phase(answer["phase"])
    needs_a_person = phase is Phase.INCONCLUSIVE and answer["observed"].get("action") == "fix"
    return NEEDS_A_PERSON if needs_a_person else EXIT_CODES[phase]
