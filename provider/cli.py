"""The command line: `alb-provider serve`, and `alb-provider check <question>` with the same answer as over HTTP.

`check` exits with 0 for Successful, 1 for Failed, 2 for Inconclusive, and 3 when it could not ask. It is in a module of
its own, imported when it is asked for: its readers cost as much processor time as the whole start of a server, which
runs gunicorn in this process's place and needs none of them here.
"""

import os
import sys
import traceback
from typing import NoReturn

import click

from provider import __version__

COULD_NOT_ASK = 3


class _Commands(click.Group):
    """`serve` is here, `check` is imported by who asks for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name both."""
        return sorted([*super().list_commands(ctx), "check"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name != "check":
            return super().get_command(ctx, cmd_name)
        from provider.ask import check  # noqa: PLC0415 - see above

        return check


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="alb-provider")
def cli() -> None:
    """Ask the AWS load balancer whether green is ready."""


@cli.command()
def serve() -> None:
    """Answer questions over HTTP; all settings are PROVIDER_* environment variables."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:provider.gunicorn_conf"]
    os.execv(sys.executable, [*gunicorn, "provider.start:served_app()"])  # noqa: S606 - no shell, our own arguments


def main() -> NoReturn:
    """Run the command line; a misuse exits with 3, since 2 means Inconclusive."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(COULD_NOT_ASK)
    except click.ClickException as error:
        error.show()
        sys.exit(COULD_NOT_ASK)
    except click.Abort:
        sys.exit(COULD_NOT_ASK)
    except Exception:  # noqa: BLE001 - Python's own exit code for a defect is 1, which here says that green is bad
        traceback.print_exc()
        sys.exit(COULD_NOT_ASK)
    sys.exit(0)


if __name__ == "__main__":
    main()
