"""What a query stores in the record of its handover: that it arrived, what may be registered, and a pass.

The loop reads it there, in whichever replica it runs. Nothing here writes to AWS.
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from provider.checks.question import Sources
from provider.handover.question import EVERYTHING, Evidence, Production, Query
from provider.model.errors import CannotTell
from provider.model.handovers import HandoverRecord, RecordedGroup
from provider.model.reasons import Phase, Reason
from provider.model.records import Green, GroupHealth, Verdict
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
        AWS. One that took too long may begin again, as after a retry, once nobody asked for AGAIN_SECONDS. Raises
        CannotTell.
        """

        def touch(record: HandoverRecord) -> HandoverRecord:
            is_timed_out = record.is_timed_out and record.age - record.queried <= AGAIN_SECONDS
            return msgspec.structs.replace(record, queried=record.age, is_timed_out=is_timed_out)

        key = (query.namespace, query.rollout, query.pod_template_hash)
        record = self._records.update(key, touch, deadline)
        if record is not None and not record.ended:
            self._sources.load_balancers.elbv2.give_turn(deadline.rollout)
        return query.during(record)

    def store(self, query: Query, evidence: Evidence, verdict: Verdict, deadline: Deadline) -> Verdict:
        """Store what may be registered, a failure or a pass, and return the answer. Raises CannotTell.

        A pass is stored before it is answered, so that the loop does not undo what Argo is about to act on.
        """
        record, production = query.record, evidence.production
        failed = verdict.message if verdict.phase is Phase.FAILED else ""
        why = why_argo_ends(evidence.green.rollout, query.pod_template_hash)
        if production is None or why or failed:
            if record is not None and failed and not record.ended:
                self._change(record, lambda now: now.end(failed), deadline)
            return _unless_pass(verdict, Reason.ROLLOUT_PAUSED, f"No handover while {why}") if why else verdict
        if verdict.reason is Reason.HANDOVER_TIMED_OUT:
            return verdict
        is_proved = query.is_proved or evidence.is_batch_proved(query)
        percent = EVERYTHING if is_proved else query.batch_percent
        groups = tuple(_recorded(query, evidence.green, production, health, percent) for health in production.groups)
        is_pass = verdict.phase is Phase.SUCCESSFUL
        if record is None:
            record = self._begun(query, production.service.service.name, groups, passed=0.0 if is_pass else None)
            try:
                self._records.create(record, deadline)
            except Conflict:
                message = f"{_CHANGED}: another query began it ({verdict.message})"
                raise CannotTell(Reason.HANDOVER_WAITING, message) from None
            return verdict

        def change(now: HandoverRecord) -> HandoverRecord:
            if now.ended:  # what ended it is over
                begun = self._begun(query, now.service, now.groups)
                now = msgspec.structs.replace(begun, turn=now.turn + 1, version=now.version)
            passed = now.age if is_pass and not record.ended and now.passed is None else now.passed
            now = msgspec.structs.replace(now, passed=passed, is_proved=is_proved and not record.ended)
            return now.with_targets(groups)

        if self._change(record, change, deadline) and not record.ended:
            return verdict
        return _unless_pass(verdict, Reason.HANDOVER_WAITING, f"{_CHANGED} and begins again")

    def _begun(
        self, query: Query, service: str, groups: tuple[RecordedGroup, ...], passed: float | None = None
    ) -> HandoverRecord:
        parameters = query.model_dump(mode="json", by_alias=True, exclude_none=True)
        about = (query.namespace, query.rollout, query.pod_template_hash, service)
        return HandoverRecord(*about, parameters, self._sources.clock(), groups, passed=passed)

    def _change(
        self, before: HandoverRecord, change: Callable[[HandoverRecord], HandoverRecord], deadline: Deadline
    ) -> bool:
        """Store a change of the record; False, without a write, if it ended or began again since it was read."""
        stored = self._records.update(before.key, lambda now: change(now) if now.turn == before.turn else now, deadline)
        return stored is not None and (stored.turn == before.turn or (bool(before.ended) and not stored.ended))


def _recorded(query: Query, green: Green, production: Production, health: GroupHealth, percent: float) -> RecordedGroup:
    """Return what may be registered in a group: all of green, or as much of it as a first batch."""
    targets = rules.targets_of(green, production.service, health.binding)
    if percent < EVERYTHING:
        groups = query.record.groups if query.record is not None else ()
        known = {target.pod_uid for group in groups if group.arn == health.group.arn for target in group.targets}
        targets = rules.batch(targets, known, green.replica_set.replicas, percent)
    return RecordedGroup(health.group.arn, health.group.name, health.group.place, targets)


def _unless_pass(verdict: Verdict, reason: Reason, why: str) -> Verdict:
    """Let no pass stand on what will not be, or has changed since; what is not a pass has a reason already."""
    if verdict.phase is not Phase.SUCCESSFUL:
        return verdict
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=reason, message=f"{why} ({verdict.message})")
