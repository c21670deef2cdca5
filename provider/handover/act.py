"""What a question does: registers what is missing, or takes green out of production again."""

from contextlib import suppress
from dataclasses import replace

from provider.handover.ledger import Ledger
from provider.handover.question import Evidence, Query
from provider.handover.undo import Undo
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import GroupHealth, Verdict
from provider.rules import handover as rules
from provider.sources.aws.registrations import Registrations
from provider.sources.deadline import Deadline


def act(
    ledger: Ledger,
    registrations: Registrations,
    undo: Undo,
    query: Query,
    evidence: Evidence,
    verdict: Verdict,
    deadline: Deadline,
) -> Verdict:
    """Do what the verdict asks for: register what is missing, or undo. Raises CannotTell."""
    handover, namespace = evidence.handover, query.namespace
    with handover.held(deadline):
        if handover.pod_hash != query.pod_template_hash:
            with suppress(CannotTell):  # the background tries again, and a Failed must not become anything else
                undo.handover(namespace, handover, f"{handover.pod_hash} is not the current green any more", deadline)
            return _not_yet(verdict, "Targets of the version before were taken out of production first")
        handover.timed_out |= verdict.reason is Reason.HANDOVER_TIMED_OUT
        ended = rules.why_undo(evidence.green.rollout, query.pod_template_hash)
        if ended or verdict.reason is Reason.HANDOVER_TIMED_OUT or verdict.phase is Phase.FAILED:
            with suppress(CannotTell):  # as above
                undo.handover(namespace, handover, ended or verdict.message, deadline)
            return _paused(verdict, ended)
        if evidence.production is None:
            return verdict
        return _hand_over(ledger, registrations, undo, query, evidence, verdict, deadline)


def _hand_over(
    ledger: Ledger,
    registrations: Registrations,
    undo: Undo,
    query: Query,
    evidence: Evidence,
    verdict: Verdict,
    deadline: Deadline,
) -> Verdict:
    """Take out what was left behind, and register what is missing."""
    handover, production = evidence.handover, evidence.production
    assert production is not None  # noqa: S101 - act() has looked
    for group, some in production.left.items():
        undo.targets(query.namespace, handover.service, group, some, "left behind by an earlier handover", deadline)
    if handover.turn != production.turn:
        return _not_yet(verdict, "The handover was undone meanwhile and begins again")
    for health in production.groups:
        if not _register(ledger, registrations, query, evidence, health, deadline):
            return _not_yet(verdict, "A newer version's handover has begun")
    return verdict


def _register(
    ledger: Ledger,
    registrations: Registrations,
    query: Query,
    evidence: Evidence,
    health: GroupHealth,
    deadline: Deadline,
) -> bool:
    """Register green's missing targets in one group, and note those that are there already, whoever did it.

    False, without a write, if the handover is no longer the Rollout's.
    """
    assert evidence.production is not None  # noqa: S101 - act() has looked
    found = rules.progress(evidence.green, evidence.production.service, health)
    first = rules.batch(found.missing, len(found.registered), found.wanted, query.batch_percent)
    batch = evidence.production.first_batch
    missing = first or (found.missing if batch is not None and batch.is_known else frozenset())
    key = (query.namespace, query.rollout)
    if not ledger.note(key, evidence.handover, health.group, found.registered | missing):
        return False
    if missing:
        why = f"handover of {query.rollout} ({query.pod_template_hash}) in namespace {query.namespace}"
        registrations.register(health.group, missing, why, deadline)
    return True


def _paused(verdict: Verdict, why: str) -> Verdict:
    """Let nothing pass while a person has paused the Rollout; what else ends a handover has a reason already."""
    if not why or verdict.phase is not Phase.SUCCESSFUL:
        return verdict
    message = f"No handover while {why} ({verdict.message})"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.ROLLOUT_PAUSED, message=message)


def _not_yet(verdict: Verdict, sentence: str) -> Verdict:
    """Let no pass stand that rests on what has changed since."""
    if verdict.phase is not Phase.SUCCESSFUL:
        return verdict
    message = f"{sentence} ({verdict.message})"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.HANDOVER_WAITING, message=message)
