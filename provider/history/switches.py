"""What only this process can see of Rollouts: switches without a pass, and seconds without a healthy target.

In memory and bounded; a restart forgets it, and each replica has its own. What Argo was told is in its AnalysisRuns
(argo_record.py).
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event, Lock

from provider.checks import target_health
from provider.checks.parameters import Query
from provider.checks.question import Look, Sources
from provider.history.last_looks import MOST_RECORDS, MOST_ROLLOUTS, Key, LastLooks
from provider.history.switch_errors import errors_of, is_complete
from provider.model.answer import UngatedSwitch
from provider.model.clocks import A_SECOND
from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.reasons import Action, Phase
from provider.model.records import Canary, Stage, TargetGroup, Verdict
from provider.rules.switch_seen import SwitchSeen, after_look, begun
from provider.rules.ungated import Seen, after_answer, serving
from provider.rules.ungated import after_look as after_production
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.events import Events, News
from provider.telemetry import Metrics

FORGET_AFTER = timedelta(hours=6)
"""After the last query about a Rollout."""

MOST_SWITCHES, MOST_QUERIES = 10, 16
"""Kept of one Rollout: switches, and distinct queries whose last answer is known."""

RECENT = timedelta(minutes=1)
"""A selector that was written longer ago is no switch that was seen."""

CHARTED = ("target-health", "gate")
"""Endpoints whose number is green's healthy percentage wherever target health could be read."""

SHORTEST_PAUSE_SECONDS = 0.25
"""Between two looks: at most four a second, of two small reads each."""


@dataclass(slots=True)
class _Entry:
    asked_at: datetime
    seen: Seen = field(default_factory=Seen)
    looked_at: datetime | None = None
    ungated_at: datetime | None = None
    switches: OrderedDict[str, SwitchSeen] = field(default_factory=OrderedDict)
    production: tuple[TargetGroup, ...] = ()
    told: OrderedDict[tuple[str, Query], tuple[object, ...]] = field(default_factory=OrderedDict)


class Switches:
    """The Rollouts queried lately. Thread-safe."""

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], datetime],
        *,
        events: Events | None = None,
        most_records: int = MOST_RECORDS,
    ) -> None:
        """Know nothing yet. Answers that change are written as Kubernetes Events, if there are `events`."""
        self._metrics, self._clock, self._events = metrics, clock, events
        self.looks = LastLooks(most_records)
        """The last evidence of each Rollout."""
        self._lock = Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._is_new = Event()
        self.began_at = clock()

    def answered(self, endpoint: str, query: Query, verdict: Verdict) -> Verdict:
        """Remember an answer to Argo; add to it the switch that no pass preceded, while that version serves."""
        key, now = (query.namespace, query.rollout), self._clock()
        pod_hash = str(verdict.observed.get("podTemplateHash", ""))
        stage = verdict.observed.get("stage") or query.asked_stage
        signature = (verdict.phase, verdict.reason, pod_hash, verdict.observed.get("stage"))
        with self._lock:
            entry = self._entry(key, now)
            if pod_hash:
                entry.seen = after_answer(entry.seen, pod_hash, verdict.phase, Stage(stage) if stage else None)
            has_changed = entry.told.pop((endpoint, query), None) != signature
            entry.told[endpoint, query] = signature
            while len(entry.told) > MOST_QUERIES:
                entry.told.popitem(last=False)
            if has_changed:
                self._metrics.decided(*key, endpoint, verdict)
                self._note_event(key, endpoint, verdict, now)
            ungated, at = entry.seen.ungated, entry.ungated_at
        if not ungated or at is None:
            return verdict
        switch: UngatedSwitch = {"podTemplateHash": ungated, "seenAt": at.isoformat(timespec="seconds")}
        return replace(verdict, observed={**verdict.observed, "ungatedSwitch": switch})

    def saw(self, look: Look) -> None:
        """Keep the evidence of an answer to Argo, and note what it says of a switch."""
        self.looks.keep(look)
        health = look.by_check.get("target-health")
        if not isinstance(health, target_health.Evidence) or health.service.stage is not Stage.AFTER_SWITCH:
            return
        with self._lock:
            self._note_health(self._entry((look.query.namespace, look.query.rollout), look.at), look, health)

    def of(self, key: Key) -> tuple[SwitchSeen, ...]:
        """Return the switches of a Rollout that were seen, the newest first."""
        with self._lock:
            entry = self._entries.get(key)
            return tuple(reversed(entry.switches.values())) if entry else ()

    def look(self, key: Key, sources: Sources) -> None:
        """Read which version a Rollout's production Service serves, and report a switch without a pass."""
        deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
        try:
            production = sources.cluster.production(*key, deadline)
            now_serving = serving(production)
        except RolloutNotFound:
            with self._lock:
                self._forget(key)
            return
        except CannotTell:
            return  # the reader has logged and counted it; the next look tries again
        written = production.service.selector_written_at if production.service else None
        written = sources.other_clocks.kubernetes().ours(written) if written else None
        strategy = production.rollout.strategy
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return
            before, entry.seen = entry.seen, after_production(entry.seen, now_serving)
            is_switch = entry.seen.serving != before.serving
            is_since = written is not None and entry.looked_at is not None and written >= entry.looked_at - A_SECOND
            entry.looked_at = self._clock()
            if not is_switch:
                return
            entry.ungated_at = entry.looked_at
            if before.serving:
                at = written if written and is_since else entry.looked_at
                moves_nothing = isinstance(strategy, Canary) and strategy.is_ping_pong
                self._note_switch(entry, now_serving, at, moves_nothing=moves_nothing)
            ungated = entry.seen.ungated
        if ungated:
            self._metrics.ungated_switches.labels(*key).inc()
            logging.getLogger(__name__).warning(
                "Rollout %s in namespace %s now serves %s, for which this replica gave no Successful answer before the "
                "switch (since its last Failed).",
                key[1],
                key[0],
                ungated,
            )

    def settle(self, sources: Sources) -> None:
        """Read the errors of switches whose minutes are complete by now; each is tried once."""
        now = self._clock()
        with self._lock:
            due = [
                (entry, switch, entry.production)
                for entry in self._entries.values()
                for switch in entry.switches.values()
                if not switch.errors_tried and entry.production and is_complete(switch, now)
            ]
        for entry, switch, groups in due:
            errors = errors_of(switch, groups, sources)
            with self._lock:
                if switch.pod_hash in entry.switches:
                    seen = entry.switches[switch.pod_hash]
                    entry.switches[switch.pod_hash] = replace(seen, errors=errors, errors_tried=True)

    def due(self, every_seconds: float) -> list[Key]:
        """Return the Rollouts to look at now, and forget those that nobody has queried for long."""
        now, every = self._clock(), timedelta(seconds=every_seconds)
        with self._lock:
            self._forget_old(now)
            return [
                key for key, entry in self._entries.items() if entry.looked_at is None or now - entry.looked_at >= every
            ]

    def run(self, every_seconds: float, sources: Sources, stopping: Event) -> None:
        """Look at each Rollout every so many seconds, and at a new one at once, until told to stop."""
        while not stopping.is_set():
            self._is_new.clear()
            for key in self.due(every_seconds):
                try:
                    self.look(key, sources)
                except Exception:  # a thread that dies would end the detector in silence
                    logging.getLogger(__name__).exception("The look at a switch has a defect")
                stopping.wait(SHORTEST_PAUSE_SECONDS)
            try:
                self.settle(sources)
            except Exception:  # as above
                logging.getLogger(__name__).exception("Reading the errors of a switch has a defect")
            self._is_new.wait(min(every_seconds, 1.0))

    def _note_event(self, key: Key, endpoint: str, verdict: Verdict, at: datetime) -> None:
        """Write the Event of a change; it is a warning if green failed or a person must act."""
        evidence = self.looks.of(key)
        if self._events is None or evidence is None:
            return
        rollout = evidence.look.topology.rollout
        is_warning = verdict.phase is Phase.FAILED or verdict.reason.action is Action.FIX
        message = f"{verdict.phase} ({endpoint}): {verdict.message}"
        reason = verdict.reason.value
        self._events.note(News(rollout.namespace, rollout.name, rollout.uid, reason, message, is_warning, at))

    def _note_health(self, entry: _Entry, look: Look, health: target_health.Evidence) -> None:
        rollout = health.green.rollout
        pod_hash, written = rollout.current_hash, health.service.service.selector_written_at
        written = health.kubernetes.ours(written) if written else None
        is_recent = written is not None and look.at - written < RECENT
        is_known = bool(entry.told) and pod_hash not in entry.switches
        if is_known and is_recent and written is not None:
            self._note_switch(entry, pod_hash, written, moves_nothing=rollout.is_ping_pong)
        if pod_hash in entry.switches:
            entry.production = tuple(group.group for group in health.groups)
            at = min(group.read_at for group in health.groups)
            is_healthy = look.check in CHARTED and look.verdict.number > 0
            entry.switches[pod_hash] = after_look(
                entry.switches[pod_hash], health.groups, at, is_green_healthy=is_healthy
            )

    def _note_switch(self, entry: _Entry, pod_hash: str, at: datetime, *, moves_nothing: bool) -> None:
        before = entry.switches.get(pod_hash)
        if before is not None and at - before.switched_at < RECENT:
            return
        entry.switches.pop(pod_hash, None)
        passed = pod_hash in entry.seen.passed
        entry.switches[pod_hash] = begun(pod_hash, at, pass_preceded=passed, is_settled=moves_nothing)
        while len(entry.switches) > MOST_SWITCHES:
            entry.switches.popitem(last=False)

    def _entry(self, key: Key, now: datetime) -> _Entry:
        entry = self._entries.pop(key, None)
        if entry is None:
            entry = _Entry(now)
            self._metrics.ungated_switches.labels(*key)  # starts at 0: Prometheus does not see a first 1 as an increase
            self._is_new.set()
        entry.asked_at = now
        self._entries[key] = entry
        self._forget_old(now)
        return entry

    def _forget_old(self, now: datetime) -> None:
        """Forget those queried longest ago; entries are in the order of their last query."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if len(self._entries) <= MOST_ROLLOUTS and now - entry.asked_at <= FORGET_AFTER:
                break
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self._entries.pop(key, None)
        self.looks.forget(key)
        self._metrics.forgets(*key)
        self._metrics.undecided(*key)
