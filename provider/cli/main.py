"""The command line: `alb-provider serve`, `check` and `explain` with the same answers as over HTTP, and `handover`.

All but the first are in modules of their own that are imported only for them: importing the readers takes as much
processor time as starting the server, which replaces this process by gunicorn.
"""

import os
import sys
import traceback
import warnings
from importlib import import_module
from typing import NoReturn

import click

from provider import DOCUMENTATION, __version__
from provider.model.printable import printable

COULD_NOT_ASK = 3
INTERRUPTED = 130
"""After Ctrl-C, as shells have it: 128 and the signal's number."""


_ON_DEMAND = {
    "check": "check:check",
    "convert": "convert:convert_",
    "doctor": "doctor:doctor",
    "explain": "explain:explain",
    "forecast": "forecast:forecast_",
    "handover": "handover:handover",
    "lag": "lag:lag",
    "list": "list:list_",
    "preflight": "preflight:preflight",
    "warm-up": "warm_up:warm_up",
}
"""Commands by name: the module in provider/cli/ and what it is called there."""


class _Commands(click.Group):
    """Has `serve`, and imports the others on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name."""
        return sorted([*super().list_commands(ctx), *_ON_DEMAND])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name not in _ON_DEMAND:
            return super().get_command(ctx, cmd_name)
        module, _, name = _ON_DEMAND[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"provider.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List each command with its whole first sentence, which click cuts."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.help.strip().partition("\n\n")[0]) for name, command in commands if command and command.help
        ]
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.split())) for name, text in rows])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nDocumentation (docs/): {DOCUMENTATION}",
)
@click.version_option(__version__, prog_name="alb-provider")
def cli() -> None:
    """Tell whether the AWS load balancer considers the new version of a Rollout healthy."""


@cli.command()
def serve() -> None:
    """Serve the HTTP endpoints. Settings are PROVIDER_* environment variables."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:provider.http.server.gunicorn_conf"]
    os.execv(sys.executable, [*gunicorn, "provider.start:served_app()"])  # noqa: S606 - no shell, our own arguments


def main(name: str = "alb-provider") -> NoReturn:
    """Run the command line as the program of this name. Misuse exits with 3, because 2 means Inconclusive."""
    if not sys.warnoptions:  # what libraries say to programmers, such as of a kubeconfig's insecure-skip-tls-verify
        warnings.simplefilter("ignore")
    try:
        cli.main(prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(COULD_NOT_ASK)
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc] # it may quote a manifest or a server
        error.show()
        sys.exit(COULD_NOT_ASK)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001 - Python's own exit code for a defect is 1, which here says that green is bad
        from provider.redaction import redacted  # noqa: PLC0415 - costs as much as click

        click.echo(redacted(traceback.format_exc()), err=True)
        sys.exit(COULD_NOT_ASK)
    sys.exit(0)


def kubectl_plugin() -> NoReturn:
    """Run the command line as `kubectl alb-gate`: kubectl calls the program `kubectl-alb_gate`."""
    main("kubectl alb-gate")


if __name__ == "__main__":
    main()
