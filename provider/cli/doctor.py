"""The command `doctor`: tests every right, API, IAM action, setting and clock that the provider needs."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from provider.advice.doctor import Doctor, Outcome
from provider.cli import readable
from provider.cli.asking import errors_shown, own_settings
from provider.cli.readable import OUTPUT, shown_as
from provider.http.access import TokenAccess
from provider.http.floors import Floors
from provider.http.server.tls import Certificate
from provider.model.printable import printable
from provider.sources.kubernetes.connection import context_namespace
from provider.start import sources_of
from provider.telemetry import Metrics

SOMETHING_TO_FIX = 1
COLOURS = {Outcome.OK: "green", Outcome.NOTE: "yellow", Outcome.FIX: "red"}


@click.command(
    params=[OUTPUT],
    epilog="\b\nExit codes:\n  0  queries have what they need\n  1  something is to be fixed\n"
    "  3  it could not begin: a setting, a kubeconfig",
)
@click.option(
    "--namespace",
    "-n",
    "namespaces",
    multiple=True,
    help="Namespace of Rollouts, if the provider may read only some; may be repeated. Default: the whole cluster.",
)
def doctor(namespaces: tuple[str, ...], output: str) -> NoReturn:
    """Test every right, API, IAM action, setting and clock that the provider needs, and say what to fix.

    It tests with the identity with which it runs, by reading as queries do, and writes nothing. In the provider's pod:
    kubectl -n alb-provider exec deploy/alb-provider -- alb-provider doctor
    """
    with errors_shown():
        chosen = own_settings("CRITICAL")
        sources = sources_of(chosen, Metrics())
        for path, read in ((chosen.tokens_file, TokenAccess), (chosen.floors_file, Floors)):
            if path:
                read(Path(path))
        Certificate.of(chosen.tls_cert_file, chosen.tls_key_file)
    handover_in = context_namespace() if chosen.handover == "enabled" else ""
    findings = list(Doctor(sources, namespaces, events=chosen.events == "enabled", handover_in=handover_in).examine())
    click.echo(
        shown_as(output, _table)({"findings": [asdict(finding) for finding in findings]}, ""), color=readable.colour()
    )
    sys.exit(SOMETHING_TO_FIX if any(finding.outcome is Outcome.FIX for finding in findings) else 0)


def _table(report: dict[str, Any], name: str) -> str:  # noqa: ARG001 - as every output
    lines = []
    for finding in report["findings"]:
        outcome = click.style(f"{finding['outcome']:<4}", fg=COLOURS[finding["outcome"]])
        lines.append(f"{outcome}  {printable(': '.join(filter(None, (finding['test'], finding['advice']))))}")
    return "\n".join(lines)
