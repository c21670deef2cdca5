"""Handover: the one thing that the provider does rather than tells. Off unless PROVIDER_HANDOVER=enabled."""

import socket
from dataclasses import dataclass
from uuid import uuid4

from provider.checks.question import AnyCheck, Check, Sources
from provider.handover import question
from provider.handover.loop import Loop
from provider.handover.outcome import Outcome
from provider.sources.aws.registrations import Registrations
from provider.sources.kubernetes.leases import Leadership, Records
from provider.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Handovers:
    """The question, which only stores and reads records, and the loop that acts on them."""

    check: AnyCheck
    loop: Loop


def enable(
    sources: Sources, registrations: Registrations, metrics: Metrics, namespace: str, *, idle_seconds: float
) -> Handovers:
    """Return handovers whose records are in this namespace. Let `loop.run` look after them."""
    server = sources.cluster.server
    records = Records(server, namespace)
    leadership = Leadership(server, namespace, f"{socket.gethostname()}_{uuid4()}", sources.clock)
    outcome = Outcome(records, sources)
    check = Check(
        name=question.NAME,
        about=str(question.__doc__),
        charts="healthyPercent",
        asks_aws=lambda _query: True,
        query=question.Query,
        gather=question.gather,
        judge=question.judge,
        arrive=outcome.arrive,
        act=outcome.store,
    )
    return Handovers(check, Loop(records, leadership, registrations, sources, metrics, idle_seconds=idle_seconds))
