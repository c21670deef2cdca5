"""`alb-provider handover --undo`: take what a handover left behind out of production, with the caller's credentials."""

import logging.config
import sys

import click

from provider import settings
from provider.handover.undo import Undo
from provider.model.errors import CannotTell, NotConfigured, RolloutNotFound
from provider.model.printable import printable
from provider.settings import BadSettings
from provider.sources.aws.registrations import Registrations
from provider.sources.aws.roles import WRITES
from provider.sources.deadline import Deadline
from provider.start import account_of, sources_of
from provider.telemetry import Metrics, logging_config

COULD_NOT = 3


@click.command()
@click.option("--undo", is_flag=True, required=True, help="Take them out. It is the only thing this command does.")
@click.option("--namespace", "-n", required=True, help="Namespace of the Rollout.")
@click.option("--rollout", required=True, help="Name of the Rollout.")
def handover(undo: bool, namespace: str, rollout: str) -> None:  # noqa: ARG001, FBT001 - click's flag, there to be typed
    """Deregister targets that a handover left behind in the production target groups of a Rollout.

    These are pods of the Rollout that its production Service does not select. No address behind that Service is ever
    touched. Do not run it while a handover is under way: that would begin again. It needs list on pods and replicasets,
    and the two IAM actions of docs/handover.md. Exits with 0, or with 3 if something could not be read or written.
    """
    logging.config.dictConfig(logging_config("ERROR"))
    try:
        chosen, metrics = settings.load(), Metrics()
        sources = sources_of(chosen, metrics)
        undoing = Undo(sources.cluster, Registrations(account_of(chosen, WRITES), sources.shared.threads, metrics))
        deadline = Deadline(chosen.budget_seconds, began_at=sources.clock())
        count = undoing.left_behind(namespace, rollout, sources, deadline)
    except (BadSettings, NotConfigured, RolloutNotFound, CannotTell) as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(COULD_NOT)
    found = f"{count} targets were taken out of production" if count else "Nothing was left behind"
    click.echo(f"{found} (Rollout {rollout} in namespace {namespace})")
