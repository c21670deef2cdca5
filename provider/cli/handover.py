"""`alb-provider handover --undo`: take what a handover left behind out of production, with the caller's credentials."""

import logging.config
import sys

import click

from provider import settings
from provider.handover import enable
from provider.model.errors import CannotTell, NotConfigured, RolloutNotFound
from provider.model.printable import printable
from provider.settings import BadSettings
from provider.sources.aws.registrations import Registrations
from provider.sources.aws.roles import WRITES
from provider.sources.kubernetes.connection import context_namespace
from provider.start import account_of, sources_of
from provider.telemetry import Metrics, logging_config

COULD_NOT = 3


@click.command()
@click.option("--undo", is_flag=True, required=True, help="Take them out. It is the only thing this command does.")
@click.option("--namespace", "-n", required=True, help="Namespace of the Rollout.")
@click.option("--rollout", required=True, help="Name of the Rollout.")
@click.option(
    "--provider-namespace",
    default=context_namespace,
    show_default="the kubeconfig context's",
    help="Namespace of the provider that hands over, where the records of its handovers are.",
)
def handover(undo: bool, namespace: str, rollout: str, provider_namespace: str) -> None:  # noqa: ARG001, FBT001 - click's flag, there to be typed
    """End the handovers of a Rollout, and deregister what they registered in its production target groups.

    The provider that hands over does so by itself; this is for when it is gone. Only recorded targets are taken out,
    and no address behind the production Service. While a handover is still queried it begins again. It needs the rights
    of that provider (docs/handover.md). Exits with 0, or with 3 if something could not be read or written.
    """
    logging.config.dictConfig(logging_config("ERROR"))
    try:
        chosen, metrics = settings.load(), Metrics()
        sources = sources_of(chosen, metrics)
        registrations = Registrations(account_of(chosen, WRITES), sources.shared.threads, metrics)
        loop = enable(
            sources, registrations, metrics, provider_namespace, idle_seconds=chosen.handover_undo_seconds
        ).loop
        count = loop.undo(namespace, rollout, "an operator asked for it")
    except (BadSettings, NotConfigured, RolloutNotFound, CannotTell) as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(COULD_NOT)
    found = f"{count} targets were taken out of production" if count else "Nothing was left behind"
    click.echo(f"{found} (Rollout {rollout} in namespace {namespace})")
