"""`alb-provider handover --undo`: take what a handover left behind out of production, with the caller's credentials."""

import click

from provider.cli.asking import errors_shown, own_settings
from provider.handover import Handovers
from provider.sources.aws.registrations import Registrations
from provider.sources.aws.roles import WRITES
from provider.sources.kubernetes.connection import context_namespace
from provider.start import account_of, sources_of
from provider.telemetry import Metrics


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
    with errors_shown():
        chosen, metrics = own_settings(), Metrics()
        sources = sources_of(chosen, metrics)
        registrations = Registrations(account_of(chosen, WRITES), sources.shared.threads, metrics)
        loop = Handovers(
            sources, registrations, metrics, provider_namespace, idle_seconds=chosen.handover_undo_seconds
        ).loop
        count = loop.undo(namespace, rollout, "an operator asked for it")
    outcome = f"{count} targets were taken out of production" if count else "Nothing was left behind"
    click.echo(f"{outcome} (Rollout {rollout} in namespace {namespace})")
