"""Handover: the one thing that the provider does rather than tells. Off unless PROVIDER_HANDOVER=enabled."""

from dataclasses import dataclass
from functools import partial

from provider.checks.question import AnyCheck, Check, Sources
from provider.handover import question
from provider.handover.act import act
from provider.handover.ledger import Ledger
from provider.handover.undo import Undo
from provider.handover.way_back import WayBack
from provider.sources.aws.registrations import Registrations
from provider.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Handovers:
    """The question, and what looks after its consequences."""

    check: AnyCheck
    way_back: WayBack


def enable(sources: Sources, registrations: Registrations, metrics: Metrics, *, most_idle_seconds: float) -> Handovers:
    """Return handovers that begin with an empty ledger. Let `way_back.run` look after them."""
    ledger, undo = Ledger(sources.clock), Undo(sources.cluster, registrations)
    check = Check(
        name=question.NAME,
        about=str(question.__doc__),
        charts="healthyPercent",
        asks_aws=lambda _query: True,
        query=question.Query,
        gather=partial(question.gather, ledger),
        judge=question.judge,
        act=partial(act, ledger, registrations, undo),
    )
    return Handovers(check, WayBack(ledger, undo, sources, metrics, most_idle_seconds=most_idle_seconds))
