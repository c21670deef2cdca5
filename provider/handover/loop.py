"""The loop: compares every record with what is, writes what is missing, and reads again until nothing is left to do."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Lock

import msgspec

from provider.checks.parameters import Query
from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.handovers import HandoverRecord, Key
from provider.model.reasons import Reason
from provider.model.records import Verdict, same_address
from provider.rules.handover_plan import Facts, Plan, desired
from provider.rules.last_switch import LastSwitch, after_look
from provider.sources.aws.registrations import Registrations
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.kubernetes_errors import Conflict
from provider.sources.kubernetes.leases import Leadership, Records
from provider.telemetry import Metrics

PAUSE_SECONDS = 1.0
"""Between two looks at a record."""

RIGHT_PAUSE, SETTLED_PAUSE = timedelta(seconds=2), timedelta(seconds=5)
"""The same while its groups hold what they should, and once they have done so for SETTLED_AFTER_SECONDS.

Not after a pass, and while a switch is watched: what is known of the switch is no finer than the looks. A failure and a
pass are looked at with the next look.
"""

SETTLED_AFTER_SECONDS = 15.0

AGE_SECONDS = 5.0
"""How often a record's age is stored."""

AT_ONCE = 32
"""Records that are looked after at the same time: all wait for one write budget, and one that hangs delays no other."""

MAX_ROUNDS = 3
"""Writes in one look, each followed by a read."""

MAX_SWITCHES = 200
"""Rollouts whose last switch is remembered."""


@dataclass(slots=True)
class _Watch:
    """What this replica knows of a record: its age when it was first seen, and what was to be done at the last look."""

    turn: int
    age: float
    since: datetime
    next_look_at: datetime
    is_busy: bool = False
    left_behind: int = 0
    answered: tuple[str, float | None] = ("", None)
    ended: str = ""
    wrong_since: datetime | None = None


class Loop:
    """Looks after all handovers while this replica holds the lease. Thread-safe."""

    def __init__(
        self,
        records: Records,
        leadership: Leadership,
        registrations: Registrations,
        sources: Sources,
        metrics: Metrics,
        *,
        idle_seconds: float,
    ) -> None:
        """End a handover that was not queried for `idle_seconds`."""
        self._records, self._leadership, self._registrations = records, leadership, registrations
        self._sources, self._metrics, self._idle_seconds = sources, metrics, idle_seconds
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="handover")
        self._lock = Lock()
        self._watches: dict[Key, _Watch] = {}
        self._switches: dict[Key, LastSwitch] = {}

    def run(self, stopping: Event) -> None:
        """Look every second until told to stop."""
        while not stopping.wait(PAUSE_SECONDS):
            self.look()

    def look(self) -> list["Future[None]"]:
        """Begin to look after every record that is due, and return what is under way."""
        try:
            deadline = self._deadline()
            records = self._records.all(deadline)
            started = [
                self._threads.submit(self._carefully, record)
                for record in (records if self._leadership.holds(deadline) else ())
                if self._begin(record)
            ]
            self._forget({record.key for record in records})
        except CannotTell as error:
            logging.getLogger(__name__).warning("Handovers cannot be looked after, and are tried again: %s", error)
            started = []
        except Exception:  # a thread that dies would leave green in production
            logging.getLogger(__name__).exception("The loop of the handovers has a defect")
            started = []
        self._measure()
        return started

    def undo(self, namespace: str, rollout: str, why: str) -> int:
        """End a Rollout's handovers: take out what is recorded, and return how many targets that were.

        Raises CannotTell, also where a target must stay for now.
        """
        records = self._records.all(self._deadline())
        return sum(self._undo(one, why) for one in records if one.key[:2] == (namespace, rollout))

    def _undo(self, record: HandoverRecord, why: str) -> int:
        deadline, count = self._deadline(record), 0

        def end(stored: HandoverRecord) -> HandoverRecord:
            return stored if stored.ended else msgspec.structs.replace(stored, ended=why, turn=stored.turn + 1)

        while True:
            stored = self._records.update(record.key, end, deadline)
            if stored is None:
                return count
            facts = self._facts(stored, deadline)
            plan = desired(stored, facts, stored.age, self._idle_seconds)
            if plan.is_switched or not plan.left_behind:
                return count
            taken = sum(len(group.deregister) for group in plan.groups)
            if not taken:
                why = f"Service {record.service} does not exist" if facts.service is None else "they serve its users"
                sentence = f"{plan.left_behind} targets of Rollout {record.rollout} must stay for now: {why}"
                raise CannotTell(Reason.HANDOVER_WAITING, sentence)
            self._write(plan, deadline)
            count += taken
            deadline.require(f"The undoing of {plan.left_behind} targets")

    def answered(self, query: Query, verdict: Verdict) -> Verdict:
        """Add to an answer the Rollout's last switch after a handover, and what waits to be taken out."""
        shown = verdict.observed.copy()
        with self._lock:
            for key, last in self._switches.items():
                if key[:2] == (query.namespace, query.rollout):
                    shown["lastSwitch"] = last.observed()
            watches = [one for key, one in self._watches.items() if key[:2] == (query.namespace, query.rollout)]
        left = [watch for watch in watches if watch.left_behind and watch.ended]
        if left:
            shown["leftBehind"] = {"count": sum(one.left_behind for one in left), "why": left[0].ended}
        return replace(verdict, observed=shown) if shown != verdict.observed else verdict

    def _begin(self, record: HandoverRecord) -> bool:
        """Tell whether a record is due now, and note that it is looked after."""
        now = self._sources.clock()
        with self._lock:
            watch = self._watches.get(record.key)
            if watch is None or watch.turn != record.turn:
                watch = self._watches[record.key] = _Watch(record.turn, record.age, now, now)
            is_answered_since = _answered(record) != watch.answered
            if watch.is_busy or (watch.next_look_at > now and not is_answered_since):
                return False
            watch.is_busy = True
            return True

    def _age(self, watch: _Watch) -> float:
        return watch.age + (self._sources.clock() - watch.since).total_seconds()

    def _carefully(self, record: HandoverRecord) -> None:
        what = f"The handover of {record.rollout} ({record.pod_hash}) in namespace {record.namespace}"
        try:
            self._look_after(record)
        except Conflict:
            logging.getLogger(__name__).debug("%s was changed meanwhile and is read again", what)
        except CannotTell as error:
            logging.getLogger(__name__).warning("%s is looked after again in a moment: %s", what, error)
        except Exception:  # as in look()
            logging.getLogger(__name__).exception("%s met a defect", what)
        finally:
            with self._lock:
                if record.key in self._watches:
                    self._watches[record.key].is_busy = False

    def _look_after(self, record: HandoverRecord) -> None:
        """Read, store, write, and read again. Raises CannotTell and Conflict."""
        deadline = self._deadline(record)
        watch = self._watches[record.key]
        for _ in range(MAX_ROUNDS):
            facts = self._facts(record, deadline)
            plan = desired(record, facts, self._age(watch), self._idle_seconds)
            self._note(watch, plan, facts)
            if plan.is_over:
                self._records.delete(record, deadline)
                self._watches.pop(record.key, None)
                return
            record = self._store(record, plan, deadline)
            if all(not (group.register or group.deregister) for group in plan.groups):
                return
            try:
                self._write(plan, deadline)
            except CannotTell as error:
                refusal = (error.reason, str(error))
                if refusal != record.refusal:
                    self._records.replace(msgspec.structs.replace(record, refusal=refusal), self._deadline(record))
                raise

    def _store(self, record: HandoverRecord, plan: Plan, deadline: Deadline) -> HandoverRecord:
        """Store what was decided, before it is carried out: a pass that was stored first wins. Raises Conflict."""
        same = msgspec.structs.replace(plan.record, age=record.age)
        if same == record and plan.record.age - record.age < AGE_SECONDS:
            return record
        if plan.record.turn != record.turn:
            logging.getLogger(__name__).info(
                "%s of %s is undone: %s", record.pod_hash, record.rollout, plan.record.ended
            )
            self._watches[record.key].turn = plan.record.turn
        return self._records.replace(plan.record, deadline)

    def _write(self, plan: Plan, deadline: Deadline) -> None:
        """Register and deregister; what fails keeps nothing else from being written. Raises the first CannotTell."""
        errors: list[CannotTell] = []
        record = plan.record
        why = f"handover of {record.rollout} ({record.pod_hash}) in namespace {record.namespace}"
        for group in plan.groups:
            for write, targets in (
                (self._registrations.register, group.register),
                (self._registrations.deregister, group.deregister),
            ):
                try:
                    if targets:
                        write(group.group, targets, f"{why}: {record.ended}" if record.ended else why, deadline)
                except CannotTell as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _facts(self, record: HandoverRecord, deadline: Deadline) -> Facts:
        """Read what decides; last what is behind the production Service, which must not be taken out."""
        sources = self._sources
        rollout, pods = sources.cluster.rollout_and_pods(record.namespace, record.rollout, record.pod_hash, deadline)
        balancers = sources.load_balancers
        states = {group.arn: balancers.states(group.arn, group.place, deadline) for group in record.groups}
        service, slices = sources.cluster.behind(record.namespace, record.service, deadline)
        return Facts(
            rollout=rollout,
            service=service,
            behind=frozenset(same_address(address) for one in slices for address in one.addresses),
            ready=frozenset(same_address(each.address) for one in slices for each in one.endpoints if each.ready),
            living=frozenset(pod.uid for pod in pods if not pod.terminating),
            states=states,
        )

    def _note(self, watch: _Watch, plan: Plan, facts: Facts) -> None:
        """Remember what was found, for answers and metrics."""
        now, record = self._sources.clock(), plan.record
        is_settled = record.settled is not None and record.age - record.settled > SETTLED_AFTER_SECONDS
        has_just_passed = record.passed is not None and record.age - record.passed <= SETTLED_AFTER_SECONDS
        is_at_switch = not is_settled and (plan.is_switched or has_just_passed)
        pause = SETTLED_PAUSE if is_settled else RIGHT_PAUSE
        watch.next_look_at = now if is_at_switch or not plan.is_right else now + pause
        watch.left_behind, watch.answered, watch.ended = plan.left_behind, _answered(record), record.ended
        is_wrong = not plan.is_right and (plan.is_switched or bool(record.ended))
        watch.wrong_since = (watch.wrong_since or now) if is_wrong else None
        if plan.is_switched:
            self._watch_switch(record, facts, now)

    def _watch_switch(self, record: HandoverRecord, facts: Facts, now: datetime) -> None:
        with self._lock:
            before = self._switches.get(record.key)
            if before is None:
                written_at = facts.service.selector_written_at if facts.service else None
                at = self._sources.other_clocks.kubernetes().ours(written_at) if written_at else now
                targets = {target.address for group in record.groups for target in group.targets}
                before = LastSwitch(record.pod_hash, at, frozenset(targets))
                for other in [one for one in self._switches if one[:2] == record.key[:2]]:
                    del self._switches[other]
                while len(self._switches) >= MAX_SWITCHES:
                    del self._switches[next(iter(self._switches))]
            elif before.is_over(now):
                return
            after = after_look(before, [states for states in facts.states.values() if states is not None], now)
            self._switches[record.key] = after
        if after.is_over(now) and after.seconds is not None:
            self._metrics.handed_over(after.seconds)
        self._metrics.reset_by_switch(len(after.reset) - len(before.reset))

    def _forget(self, keys: set[Key]) -> None:
        with self._lock:
            for key in set(self._watches) - keys:
                if not self._watches[key].is_busy:
                    del self._watches[key]

    def _measure(self) -> None:
        now = self._sources.clock()
        with self._lock:
            watches = list(self._watches.values())
        since = [one.wrong_since for one in watches if one.wrong_since is not None]
        self._metrics.left_behind(
            sum(one.left_behind for one in watches if one.ended),
            max(((now - one).total_seconds() for one in since), default=0.0),
        )

    def _deadline(self, record: HandoverRecord | None = None) -> Deadline:
        about = f"{record.namespace}/{record.rollout}" if record else ""
        return Deadline(self._sources.budget_seconds, rollout=about, began_at=self._sources.clock())


def _answered(record: HandoverRecord) -> tuple[str, float | None]:
    """What a query has stored of its answer, upon which the loop must not rest."""
    return record.failed, record.passed
