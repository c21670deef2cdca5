"""What a query stores in the record of its handover: that it arrived, what may be registered, and a pass.

The loop reads it there, in whichever replica it runs. Nothing here writes to AWS.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from pydantic import ValidationError

from provider.checks.question import Sources
from provider.handover.question import EVERYTHING, Evidence, Query
from provider.model.errors import CannotTell
from provider.model.handovers import HandoverRecord, RecordedGroup
from provider.model.reasons import Phase, Reason
from provider.model.records import Verdict
from provider.rules import handover as rules
from provider.rules.handover_plan import why_argo_ends
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.kubernetes_errors import Conflict
from provider.sources.kubernetes.leases import Records

AGAIN_SECONDS = 60.0

_CHANGED = "The handover was changed meanwhile"


class Outcome:
    """Stores what queries mean for handovers. Thread-safe: it keeps nothing."""

    def __init__(self, records: Records, sources: Sources) -> None:
        """Store in these records."""
        self._records, self._sources = records, sources

    def arrive(self, query: Query, deadline: Deadline) -> Query:
        """Note that a handover is queried, and return the query with the parameters that began it.

        So a handover has one set of limits, whoever else asks; while it lasts its queries come first in the queue for
        AWS. What cannot be noted does not keep a query from being answered. One that took too long may begin again, as
        after a retry, once nobody asked for AGAIN_SECONDS.
        """
        key = (query.namespace, query.rollout, query.pod_template_hash)

        def touch(record: HandoverRecord) -> HandoverRecord:
            is_timed_out = record.is_timed_out and record.age - record.queried <= AGAIN_SECONDS
            return msgspec.structs.replace(record, queried=record.age, is_timed_out=is_timed_out)

        try:
            record = self._records.update(key, touch, deadline)
            if record is None or record.ended:
                return query
            self._sources.load_balancers.give_turn(deadline.rollout)
            return Query.model_validate(record.parameters)
        except CannotTell as error:
            logging.getLogger(__name__).warning("A query is not noted in the record of its handover: %s", error)
        except ValidationError:  # of a release with other parameters
            logging.getLogger(__name__).warning("The record of %s has parameters that are not valid", "/".join(key))
        return query

    def store(self, query: Query, evidence: Evidence, verdict: Verdict, deadline: Deadline) -> Verdict:
        """Store what may be registered, a failure or a pass, and return the answer. Raises CannotTell.

        A pass is stored before it is answered, so that the loop does not undo what Argo is about to act on.
        """
        record, failed = evidence.record, verdict.message if verdict.phase is Phase.FAILED else ""
        why = why_argo_ends(evidence.green.rollout, query.pod_template_hash)
        if evidence.production is None or why or failed:
            if record is not None and failed and not record.failed and not record.ended:
                self._change(evidence, lambda now: msgspec.structs.replace(now, failed=failed), deadline)
            return _paused(verdict, why)
        if verdict.reason is Reason.HANDOVER_TIMED_OUT:
            return verdict
        is_proved = (record is not None and record.is_proved) or evidence.is_batch_proved(query)
        groups = _targets(query, evidence, is_everything=query.batch_percent >= EVERYTHING or is_proved)
        if record is None:
            self._create(query, evidence, groups, verdict, deadline)
            return verdict

        def change(now: HandoverRecord) -> HandoverRecord:
            if now.ended:
                now = _again(now, query, self._sources.clock())
            is_pass = verdict.phase is Phase.SUCCESSFUL and not record.ended
            passed = now.age if is_pass and now.passed is None else now.passed
            now = msgspec.structs.replace(now, passed=passed, failed="", is_proved=is_proved and not record.ended)
            return now if now.has(groups) else now.with_targets(groups)

        if not self._change(evidence, change, deadline) or record.ended:
            return _not_yet(verdict)
        return verdict

    def _create(
        self,
        query: Query,
        evidence: Evidence,
        groups: tuple[RecordedGroup, ...],
        verdict: Verdict,
        deadline: Deadline,
    ) -> None:
        assert evidence.production is not None  # noqa: S101 - store() has looked
        record = HandoverRecord(
            namespace=query.namespace,
            rollout=query.rollout,
            pod_hash=query.pod_template_hash,
            service=evidence.production.service.service.name,
            parameters=_parameters(query),
            begun_at=self._sources.clock(),
            groups=groups,
            passed=0.0 if verdict.phase is Phase.SUCCESSFUL else None,
        )
        try:
            self._records.create(record, deadline)
        except Conflict:
            raise CannotTell(
                Reason.HANDOVER_WAITING, f"{_CHANGED}: another query began it ({verdict.message})"
            ) from None

    def _change(
        self, evidence: Evidence, change: Callable[[HandoverRecord], HandoverRecord], deadline: Deadline
    ) -> bool:
        """Store a change of the record; False, without a write, if it ended or began again since it was read."""
        before = evidence.record
        assert before is not None  # noqa: S101 - store() has looked

        def guarded(now: HandoverRecord) -> HandoverRecord:
            return change(now) if now.turn == before.turn else now

        stored = self._records.update(before.key, guarded, deadline)
        return stored is not None and (stored.turn == before.turn or (bool(before.ended) and not stored.ended))


def _parameters(query: Query) -> dict[str, Any]:
    return query.model_dump(mode="json", by_alias=True, exclude_none=True)


def _again(record: HandoverRecord, query: Query, now: datetime) -> HandoverRecord:
    """Begin a handover again whose end has passed: what ended it is over."""
    return msgspec.structs.replace(
        record,
        parameters=_parameters(query),
        begun_at=now,
        age=0.0,
        queried=0.0,
        passed=None,
        settled=None,
        failed="",
        ended="",
        is_proved=False,
        turn=record.turn + 1,
    )


def _targets(query: Query, evidence: Evidence, *, is_everything: bool) -> tuple[RecordedGroup, ...]:
    """Return what may be registered: all of green, or as much of it as a first batch."""
    production = evidence.production
    assert production is not None  # noqa: S101 - store() has looked
    groups = []
    for health in production.groups:
        targets = rules.targets_of(evidence.green, production.service, health.binding)
        if not is_everything:
            known = frozenset[str]()
            if evidence.record is not None:
                recorded = {group.arn: group.targets for group in evidence.record.groups}
                known = frozenset(target.pod_uid for target in recorded.get(health.group.arn, ()))
            targets = rules.batch(targets, known, evidence.green.replica_set.replicas, query.batch_percent)
        groups.append(RecordedGroup(health.group.arn, health.group.name, health.group.place, targets))
    return tuple(groups)


def _paused(verdict: Verdict, why: str) -> Verdict:
    """Let nothing pass while Argo will not switch; what else ends a handover has a reason already."""
    if not why or verdict.phase is not Phase.SUCCESSFUL:
        return verdict
    message = f"No handover while {why} ({verdict.message})"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.ROLLOUT_PAUSED, message=message)


def _not_yet(verdict: Verdict) -> Verdict:
    """Let no pass stand that rests on what has changed since."""
    if verdict.phase is not Phase.SUCCESSFUL:
        return verdict
    message = f"{_CHANGED} and begins again ({verdict.message})"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.HANDOVER_WAITING, message=message)
