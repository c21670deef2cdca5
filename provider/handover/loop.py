"""The loop: compares every record with what is, writes what is missing, and reads again until nothing is left to do."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event, Lock

import msgspec

from provider.checks.parameters import Query
from provider.checks.question import Sources
from provider.handover.watch import MAX_SWITCHES, PAUSE_SECONDS, LastSwitch, Watch
from provider.model.errors import CannotTell
from provider.model.handovers import HandoverRecord, Key
from provider.model.reasons import Reason
from provider.model.records import Verdict, same_address
from provider.rules.handover_plan import Facts, Plan, States, desired
from provider.sources.aws.registrations import DEREGISTER, REGISTER, Registrations
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


@dataclass(eq=False)
class Loop:
    """Looks after all handovers while this replica holds the lease, and ends idle ones. Thread-safe."""

    _records: Records
    _leadership: Leadership
    _registrations: Registrations
    _sources: Sources
    _metrics: Metrics
    _idle_seconds: float
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "handover"))
    _lock: Lock = field(default_factory=Lock)
    _watches: dict[Key, Watch] = field(default_factory=dict)
    _switches: dict[tuple[str, str], LastSwitch] = field(default_factory=dict)

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
            keys = {record.key for record in records}
            with self._lock:
                self._watches = {key: each for key, each in self._watches.items() if key in keys or each.is_busy}
            started = [self._threads.submit(self._carefully, each) for each in records if self._begin(each)]
        except CannotTell as error:
            logging.getLogger(__name__).warning("Handovers cannot be looked after, and are tried again: %s", error)
        except Exception:  # a thread that dies would leave green in production
            logging.getLogger(__name__).exception("The loop of the handovers has a defect")
        now = self._sources.clock()
        with self._lock:
            watches = list(self._watches.values())
        self._metrics.left_behind(
            sum(each.plan.left_behind for each in watches if each.plan and each.plan.record.ended),
            max((each.wrong_seconds(now) for each in watches), default=0.0),
        )
        return started

    def undo(self, namespace: str, rollout: str, why: str) -> int:
        """End a Rollout's handovers: take out what is recorded, and return how many targets that were.

        Raises CannotTell, also where a target must stay for now.
        """
        count = 0
        for listed in self._records.all(self._deadline()):
            if listed.key[:2] == (namespace, rollout):
                deadline = self._deadline()
                record = self._records.update(listed.key, lambda now: now if now.ended else now.end(why), deadline)
                while record and (taken := self._take_out(record, deadline)):
                    count += taken
        return count

    def _take_out(self, record: HandoverRecord, deadline: Deadline) -> int:
        facts = self._read(record, deadline)
        plan = desired(record, facts, record.age, self._idle_seconds)
        if plan.is_switched or not plan.left_behind:
            return 0
        taken = sum(len(group.deregister) for group in plan.groups)
        if not taken:
            why = f"Service {record.service} does not exist" if facts.service is None else "they serve its users"
            sentence = f"{plan.left_behind} targets of Rollout {record.rollout} must stay for now: {why}"
            raise CannotTell(Reason.HANDOVER_WAITING, sentence)
        self._write(plan, deadline)
        deadline.require(f"The undoing of {plan.left_behind} targets")
        return taken

    def answered(self, query: Query, verdict: Verdict) -> Verdict:
        """Add to an answer the Rollout's last switch after a handover, and what waits to be taken out."""
        shown = verdict.observed.copy()
        about = (query.namespace, query.rollout)
        with self._lock:
            plans = [each.plan for key, each in self._watches.items() if key[:2] == about and each.plan]
        if last := self._switches.get(about):
            shown["lastSwitch"] = last.observed()
        left = [plan for plan in plans if plan.record.ended and plan.left_behind]
        if left:
            shown["leftBehind"] = {"count": sum(plan.left_behind for plan in left), "why": left[0].record.ended}
        return replace(verdict, observed=shown) if shown != verdict.observed else verdict

    def _begin(self, record: HandoverRecord) -> bool:
        """Tell whether a record is due now, and note that it is looked after: by one look at a time."""
        now = self._sources.clock()
        with self._lock:
            watch = self._watches.get(record.key)
            if watch is not None and watch.is_busy:
                return False
            if watch is None or watch.turn != record.turn:
                watch = self._watches[record.key] = Watch(record.turn, record.age, now, now)
            watch.is_busy = watch.next_look_at <= now
            return watch.is_busy

    def _carefully(self, record: HandoverRecord) -> None:
        watch, what = self._watches[record.key], f"The {record.name}"
        try:
            self._look_after(record, watch)
        except Conflict:
            logging.getLogger(__name__).debug("%s was changed meanwhile and is read again", what)
        except CannotTell as error:
            logging.getLogger(__name__).warning("%s is looked after again in a moment: %s", what, error)
        except Exception:  # as in look()
            logging.getLogger(__name__).exception("%s met a defect", what)
        finally:
            watch.is_busy = False

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
                self._write(plan, deadline)
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
        facts = self._read(record, deadline, states)
        watch.pass_time(self._sources.clock())
        plan = desired(record, facts, watch.age, self._idle_seconds, is_quiet=watch.is_quiet(now))
        if states is None:
            watch.states, watch.read_at = facts.states, now
        elif watch.is_news(plan, record):
            return self._plan(record, watch, deadline, fresh=True)
        watch.note(plan, self._sources.clock())
        if plan.is_switched and states is None:
            self._note_switch(plan.record, facts)
        return plan

    def _read(self, record: HandoverRecord, deadline: Deadline, states: States | None = None) -> Facts:
        """Read what decides; last what is behind the production Service, which must not be taken out.

        With `states` the groups are not read. Raises CannotTell.
        """
        cluster = self._sources.cluster
        rollout, pods = cluster.rollout_and_pods(*record.key, deadline)
        if states is None:
            states = {group.arn: self._registrations.states(group, deadline) for group in record.groups}
        service, slices = cluster.behind(record.namespace, record.service, deadline)
        return Facts(
            rollout=rollout,
            service=service,
            behind=frozenset(same_address(address) for each in slices for address in each.addresses),
            ready=frozenset(same_address(each.address) for one in slices for each in one.endpoints if each.ready),
            living=frozenset(pod.uid for pod in pods if not pod.terminating),
            states=states,
        )

    def _write(self, plan: Plan, deadline: Deadline) -> None:
        """Register and deregister; what fails keeps nothing else from being written. Raises the first CannotTell."""
        errors: list[CannotTell] = []
        why = ": ".join(filter(None, (plan.record.name, plan.record.ended)))
        for group in plan.groups:
            for operation, targets in ((REGISTER, group.register), (DEREGISTER, group.deregister)):
                try:
                    self._registrations.write(operation, group.group, targets, why, deadline)
                except CannotTell as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _note_switch(self, record: HandoverRecord, facts: Facts) -> None:
        """Note what a look after the switch to a record's version found, and measure it once it is over."""
        now, key = self._sources.clock(), record.key[:2]
        with self._lock:
            before = self._switches.get(key)
            if before is None or before.pod_hash != record.pod_hash:
                written_at = facts.service.selector_written_at if facts.service else None
                at = self._sources.other_clocks.kubernetes().ours(written_at) if written_at else now
                targets = frozenset(target.address for group in record.groups for target in group.targets)
                before = LastSwitch(record.pod_hash, at, targets)
                self._switches.pop(key, None)
            elif before.is_over(now):
                return
            self._switches[key] = after = before.after_look(
                [held for held in facts.states.values() if held is not None], now
            )
            if len(self._switches) > MAX_SWITCHES:
                del self._switches[next(iter(self._switches))]
        if after.is_over(now) and after.seconds is not None:
            self._metrics.handover_seconds.observe(after.seconds)
        self._metrics.handover_resets.inc(len(after.reset) - len(before.reset))

    def _store(self, record: HandoverRecord, plan: Plan, watch: Watch, deadline: Deadline) -> HandoverRecord:
        """Store what was decided, before it is carried out: a pass that was stored first wins. Raises Conflict."""
        same = msgspec.structs.replace(plan.record, age=record.age)
        if same == record and plan.record.age - record.age < AGE_SECONDS:
            return record
        if plan.record.turn != record.turn:
            logging.getLogger(__name__).info("The %s is undone: %s", record.name, plan.record.ended)
            watch.turn = plan.record.turn
        return self._records.replace(plan.record, deadline)

    def _deadline(self) -> Deadline:
        return Deadline(self._sources.budget_seconds, began_at=self._sources.clock())
