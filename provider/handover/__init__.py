"""Handover: the one thing that the provider does rather than tells. Off unless PROVIDER_HANDOVER=enabled.

A query stores in the record of its handover that it arrived, what may be registered, and a pass; it writes nothing to
AWS. The loop reads it there, in whichever replica it runs.
"""

import socket
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import msgspec

from provider.checks.question import AnyCheck, Check, Sources
from provider.handover import question
from provider.handover.loop import Loop
from provider.handover.question import Evidence, Query
from provider.model.handovers import HandoverRecord
from provider.model.reasons import Phase, Reason
from provider.model.records import Verdict
from provider.rules import handover as rules
from provider.rules.handover_plan import why_argo_ends
from provider.sources.aws.registrations import Registrations
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.kubernetes_errors import Conflict
from provider.sources.kubernetes.leases import Leadership, Records
from provider.telemetry import Metrics

AGAIN_SECONDS = 60.0


class Handovers:
    """The check, which only stores and reads records, and the loop that acts on them. Thread-safe."""

    def __init__(
        self, sources: Sources, registrations: Registrations, metrics: Metrics, namespace: str, *, idle_seconds: float
    ) -> None:
        """Keep the records in this namespace. Let `loop.run` look after them."""
        server = sources.cluster.server
        self._sources, self._records = sources, Records(server, namespace)
        leadership = Leadership(server, namespace, f"{socket.gethostname()}_{uuid4()}", sources.clock)
        self.loop = Loop(self._records, leadership, registrations, sources, metrics, idle_seconds)
        self.check: AnyCheck = Check(
            name=question.NAME,
            about=str(question.__doc__),
            charts="healthyPercent",
            asks_aws=lambda _query: True,
            query=Query,
            gather=question.gather,
            judge=question.judge,
            arrive=self._arrive,
            act=self._store,
        )

    def _arrive(self, query: Query, deadline: Deadline) -> Query:
        """Note that a handover is queried, and return the query with the parameters that began it.

        So a handover has one set of limits, whoever else asks; while it lasts its queries come first in the queue for
        AWS. One that took too long may begin again, as after a retry, once nobody asked for AGAIN_SECONDS. Raises
        CannotTell.
        """

        def touch(record: HandoverRecord) -> HandoverRecord:
            is_timed_out = record.is_timed_out and record.age - record.queried <= AGAIN_SECONDS
            return msgspec.structs.replace(record, queried=record.age, is_timed_out=is_timed_out)

        record = self._records.update((query.namespace, query.rollout, query.pod_template_hash), touch, deadline)
        if record is not None and not record.ended:
            self._sources.load_balancers.elbv2.give_turn(deadline.rollout)
        return query.during(record)

    def _store(self, query: Query, evidence: Evidence, verdict: Verdict, deadline: Deadline) -> Verdict:
        """Store what may be registered, a failure or a pass, and return the answer. Raises CannotTell.

        A pass is stored before it is answered, so that the loop does not undo what Argo is about to act on.
        """
        production, is_pass = evidence.production, verdict.phase is Phase.SUCCESSFUL
        service = production.service.service.name if production else ""
        about = (query.namespace, query.rollout, query.pod_template_hash, service)
        parameters = query.model_dump(mode="json", by_alias=True, exclude_none=True)
        begun = HandoverRecord(*about, parameters, self._sources.clock())
        before = query.record or begun
        failed = verdict.message if verdict.phase is Phase.FAILED else ""
        why = why_argo_ends(evidence.green.rollout, query.pod_template_hash)
        if production is None or why or failed:
            if query.record and failed and not before.ended:
                self._change(before, lambda now: now.end(failed), deadline)
            return _no_pass(verdict, Reason.ROLLOUT_PAUSED, f"No handover while {why}") if why and is_pass else verdict
        if verdict.reason is Reason.HANDOVER_TIMED_OUT:
            return verdict
        is_proved = before.is_proved or evidence.is_batch_proved(query)
        percent = question.EVERYTHING if is_proved else query.batch_percent
        groups = tuple(
            rules.recorded_group(evidence.green, production.service, health, before.groups, percent)
            for health in production.groups
        )

        def change(now: HandoverRecord) -> HandoverRecord:
            if now.ended:  # what ended it is over
                now = msgspec.structs.replace(
                    begun, service=now.service, groups=now.groups, turn=now.turn + 1, version=now.version
                )
            passed = now.age if is_pass and not before.ended and now.passed is None else now.passed
            now = msgspec.structs.replace(now, passed=passed, is_proved=is_proved and not before.ended)
            return now.with_targets(groups)

        if self._change(before, change, deadline) or not is_pass:
            return verdict
        return _no_pass(verdict, Reason.HANDOVER_WAITING, "The handover was changed meanwhile and begins again")

    def _change(
        self, before: HandoverRecord, change: Callable[[HandoverRecord], HandoverRecord], deadline: Deadline
    ) -> bool:
        """Create a record or store its change; False, maybe without a write, if it ended or began since it was read."""
        if not before.version:
            try:
                self._records.create(change(before), deadline)
            except Conflict:
                return False
            return True
        stored = self._records.update(before.key, lambda now: change(now) if now.turn == before.turn else now, deadline)
        return stored is not None and stored.turn == before.turn


def _no_pass(verdict: Verdict, reason: Reason, why: str) -> Verdict:
    """Let no pass stand on what will not be, or has changed since."""
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=reason, message=f"{why} ({verdict.message})")
