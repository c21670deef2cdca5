"""What a question does: registers what is missing, or takes green out of production again."""

from dataclasses import replace

from provider.aws.registrations import Registrations
from provider.evidence.deadline import Deadline
from provider.evidence.reasons import Reason
from provider.evidence.records import GroupHealth, Phase, Verdict
from provider.handover.question import Evidence, Query
from provider.handover.undo import Undo
from provider.rules import handover as rules


def act(
    registrations: Registrations, undo: Undo, query: Query, evidence: Evidence, verdict: Verdict, deadline: Deadline
) -> Verdict:
    """Do what the verdict asks for: register what is missing, or undo. Raises CannotTell."""
    handover, production = evidence.handover, evidence.production
    with handover.held(deadline):
        if handover.pod_hash != query.pod_template_hash:
            undo.handover(query.namespace, handover, f"{handover.pod_hash} is not the current green any more", deadline)
            return _not_yet(verdict, "Targets of the version before were taken out of production first")
        ended = rules.why_undo(evidence.green.rollout, query.pod_template_hash)
        if verdict.phase is Phase.FAILED or verdict.reason is Reason.HANDOVER_TIMED_OUT:
            ended = ended or verdict.message
            handover.timed_out = verdict.reason is Reason.HANDOVER_TIMED_OUT
        if ended and handover.is_open:
            undo.handover(query.namespace, handover, ended, deadline)
        if ended and verdict.phase is Phase.SUCCESSFUL:
            verdict = replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.ROLLOUT_PAUSED, message=_sentence(ended))
        if ended:
            return verdict
        if production is None:
            return verdict
        for group, some in production.left.items():
            undo.targets(query.namespace, handover.service, group, some, "left behind by an earlier handover", deadline)
        if handover.turn != production.turn:
            return _not_yet(verdict, "The handover was undone meanwhile and begins again")
        for health in production.groups:
            _register(registrations, query, evidence, health, deadline)
    return verdict


def _register(
    registrations: Registrations, query: Query, evidence: Evidence, health: GroupHealth, deadline: Deadline
) -> None:
    """Register green's missing targets in one group, and note those that are there already, whoever did it."""
    assert evidence.production is not None  # noqa: S101 - act() has looked
    handover, now = evidence.handover, evidence.green.read_at
    found = rules.progress(evidence.green, evidence.production.service, health)
    handover.note(health.group, found.registered, now)
    first = rules.batch(found.missing, len(found.registered), found.wanted, query.batch_percent)
    batch = evidence.production.first_batch
    missing = first or (found.missing if batch is not None and batch.is_known else frozenset())
    if missing:
        handover.note(health.group, missing, now)
        why = f"handover of {query.rollout} ({query.pod_template_hash}) in namespace {query.namespace}"
        registrations.register(health.group, missing, why, deadline)


def _sentence(why: str) -> str:
    return f"No handover while {why}"


def _not_yet(verdict: Verdict, sentence: str) -> Verdict:
    """Let no pass stand that rests on what has changed since."""
    if verdict.phase is not Phase.SUCCESSFUL:
        return verdict
    message = f"{sentence} ({verdict.message})"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.HANDOVER_WAITING, message=message)
