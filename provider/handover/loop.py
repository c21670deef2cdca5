"""The loop: compares every record with what is, writes what is missing, and reads again until nothing is left to do."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Lock

import msgspec

from provider.checks.parameters import Query
from provider.checks.question import Sources
from provider.handover.last_switch import LastSwitches
from provider.handover.production import read_facts, write
from provider.handover.watch import PAUSE_SECONDS, Watch
from provider.model.errors import CannotTell
from provider.model.handovers import HandoverRecord, Key
from provider.model.reasons import Reason
from provider.model.records import Verdict
from provider.rules.handover_plan import Plan, desired
from provider.sources.aws.registrations import Registrations
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.kubernetes_errors import Conflict
from provider.sources.kubernetes.leases import Leadership, Records
from provider.telemetry import Metrics

AGE_SECONDS = 5.0
"""How often a record's age is stored."""

AT_ONCE = 32
"""Records that are looked after at the same time: all wait for one write budget, and one that hangs delays no other."""

MAX_ROUNDS = 3
"""Writes in one look, each followed by a read."""


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
        self._watches: dict[Key, Watch] = {}
        self._busy: set[Key] = set()
        self._switches = LastSwitches()

    def run(self, stopping: Event) -> None:
        """Look every second until told to stop."""
        while not stopping.wait(PAUSE_SECONDS):
            self.look()

    def look(self) -> list["Future[None]"]:
        """Begin to look after every record that is due, and return what is in flight."""
        started: list[Future[None]] = []
        try:
            deadline = self._deadline()
            records = self._records.all(deadline)
            if not self._leadership.holds(deadline):
                records = []
            self._forget({record.key for record in records})
            started = [self._threads.submit(self._carefully, each) for each in records if self._begin(each)]
        except CannotTell as error:
            logging.getLogger(__name__).warning("Handovers cannot be looked after, and are tried again: %s", error)
        except Exception:  # a thread that dies would leave green in production
            logging.getLogger(__name__).exception("The loop of the handovers has a defect")
        self._measure()
        return started

    def undo(self, namespace: str, rollout: str, why: str) -> int:
        """End a Rollout's handovers: take out what is recorded, and return how many targets that were.

        Raises CannotTell, also where a target must stay for now.
        """
        count = 0
        for listed in self._records.all(self._deadline()):
            if listed.key[:2] == (namespace, rollout):
                deadline = self._deadline()
                end = self._records.update(listed.key, lambda now: now if now.ended else now.end(why), deadline)
                count += self._undo(end, deadline) if end else 0
        return count

    def _undo(self, record: HandoverRecord, deadline: Deadline) -> int:
        count = 0
        while True:
            facts = read_facts(record, self._sources, self._registrations, deadline)
            plan = desired(record, facts, record.age, self._idle_seconds)
            if plan.is_switched or not plan.left_behind:
                return count
            taken = sum(len(group.deregister) for group in plan.groups)
            if not taken:
                why = f"Service {record.service} does not exist" if facts.service is None else "they serve its users"
                sentence = f"{plan.left_behind} targets of Rollout {record.rollout} must stay for now: {why}"
                raise CannotTell(Reason.HANDOVER_WAITING, sentence)
            write(plan, self._registrations, deadline)
            count += taken
            deadline.require(f"The undoing of {plan.left_behind} targets")

    def answered(self, query: Query, verdict: Verdict) -> Verdict:
        """Add to an answer the Rollout's last switch after a handover, and what waits to be taken out."""
        shown = verdict.observed.copy()
        about = (query.namespace, query.rollout)
        with self._lock:
            plans = [each.plan for key, each in self._watches.items() if key[:2] == about and each.plan]
        if last := self._switches.of(*about):
            shown["lastSwitch"] = last.observed()
        left = [plan for plan in plans if plan.record.ended and plan.left_behind]
        if left:
            shown["leftBehind"] = {"count": sum(plan.left_behind for plan in left), "why": left[0].record.ended}
        return replace(verdict, observed=shown) if shown != verdict.observed else verdict

    def _begin(self, record: HandoverRecord) -> bool:
        """Tell whether a record is due now, and note that it is looked after: by one look at a time."""
        now = self._sources.clock()
        with self._lock:
            if record.key in self._busy:
                return False
            watch = self._watches.get(record.key)
            if watch is None or watch.turn != record.turn:
                watch = self._watches[record.key] = Watch(record.turn, record.age, now, now)
            if watch.next_look_at > now:
                return False
            self._busy.add(record.key)
            return True

    def _carefully(self, record: HandoverRecord) -> None:
        what = f"The handover of {record.rollout} ({record.pod_hash}) in namespace {record.namespace}"
        try:
            self._look_after(record, self._watches[record.key])
        except Conflict:
            logging.getLogger(__name__).debug("%s was changed meanwhile and is read again", what)
        except CannotTell as error:
            logging.getLogger(__name__).warning("%s is looked after again in a moment: %s", what, error)
        except Exception:  # as in look()
            logging.getLogger(__name__).exception("%s met a defect", what)
        finally:
            with self._lock:
                self._busy.discard(record.key)

    def _look_after(self, record: HandoverRecord, watch: Watch) -> None:
        """Read, store, write, and read again. Raises CannotTell and Conflict."""
        deadline = self._deadline()
        for round_number in range(MAX_ROUNDS):
            plan = self._plan(record, watch, deadline, fresh=round_number > 0)
            if plan.is_over:
                self._records.delete(record, deadline)
                return
            record = self._store(record, plan, watch, deadline)
            if not plan.has_writes:
                return
            watch.states, watch.written_at = None, self._sources.clock()
            try:
                write(plan, self._registrations, deadline)
            except CannotTell as error:
                refusal = (error.reason, str(error))
                if refusal != record.refusal:
                    self._records.replace(msgspec.structs.replace(record, refusal=refusal), self._deadline())
                raise

    def _plan(self, record: HandoverRecord, watch: Watch, deadline: Deadline, *, fresh: bool) -> Plan:
        """Decide; nothing is done on the word of an earlier read, which only spares AWS while nothing changes."""
        now = self._sources.clock()
        with self._lock:
            wanted_per_second = sum(1 / each.pause for each in self._watches.values())
        states = None if fresh else watch.recent_states(record, now, wanted_per_second)
        facts = read_facts(record, self._sources, self._registrations, deadline, states)
        watch.pass_time(self._sources.clock())
        plan = desired(record, facts, watch.age, self._idle_seconds, is_quiet=watch.is_quiet(now))
        if states is None:
            watch.states, watch.read_at = facts.states, now
        elif watch.is_news(plan, record):
            return self._plan(record, watch, deadline, fresh=True)
        watch.note(plan, self._sources.clock())
        if plan.is_switched and states is None:
            self._switches.see(plan.record, facts, self._sources, self._metrics)
        return plan

    def _store(self, record: HandoverRecord, plan: Plan, watch: Watch, deadline: Deadline) -> HandoverRecord:
        """Store what was decided, before it is carried out: a pass that was stored first wins. Raises Conflict."""
        same = msgspec.structs.replace(plan.record, age=record.age)
        if same == record and plan.record.age - record.age < AGE_SECONDS:
            return record
        if plan.record.turn != record.turn:
            logging.getLogger(__name__).info(
                "%s of %s is undone: %s", record.pod_hash, record.rollout, plan.record.ended
            )
            watch.turn = plan.record.turn
        return self._records.replace(plan.record, deadline)

    def _forget(self, keys: set[Key]) -> None:
        with self._lock:
            self._watches = {key: each for key, each in self._watches.items() if key in keys or key in self._busy}

    def _measure(self) -> None:
        now = self._sources.clock()
        with self._lock:
            watches = list(self._watches.values())
        self._metrics.left_behind(
            sum(each.plan.left_behind for each in watches if each.plan and each.plan.record.ended),
            max((each.wrong_seconds(now) for each in watches), default=0.0),
        )

    def _deadline(self) -> Deadline:
        return Deadline(self._sources.budget_seconds, began_at=self._sources.clock())
