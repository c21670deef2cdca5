"""Looks after the handovers of this replica: undoes those that come to nothing, and watches the switches of the others.

Two small reads a second for each Rollout with registered targets, none for the rest.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from threading import Event, Lock

from provider.checks.parameters import Query
from provider.checks.question import Sources
from provider.handover.ledger import Handover, Key, Ledger
from provider.handover.undo import Undo
from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.records import Switch, Verdict
from provider.rules import handover as rules
from provider.rules.green import selects, service_not_found
from provider.rules.last_switch import LastSwitch, after_look
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics

PAUSE_SECONDS = 1.0
"""Between two looks."""

MOST_SWITCHES = 200
"""Rollouts whose last switch is remembered."""


class WayBack:
    """The background of the handovers. Thread-safe."""

    def __init__(
        self, ledger: Ledger, undo: Undo, sources: Sources, metrics: Metrics, *, most_idle_seconds: float
    ) -> None:
        """Undo a handover that was not queried for `most_idle_seconds`."""
        self._ledger, self._undo, self._sources, self._metrics = ledger, undo, sources, metrics
        self._most_idle_seconds = most_idle_seconds
        self._lock = Lock()
        self._last: dict[Key, LastSwitch] = {}

    def answered(self, query: Query, verdict: Verdict) -> Verdict:
        """Add to an answer the Rollout's last switch after a handover, and what waits to be undone."""
        key = (query.namespace, query.rollout)
        shown = verdict.observed.copy()
        with self._lock:
            last = self._last.get(key)
        if last is not None:
            shown["lastSwitch"] = last.observed()
        found = self._ledger.find(key)
        if found is not None and found.undo:
            shown["leftBehind"] = {"count": found.count, "why": found.undo}
        return replace(verdict, observed=shown) if shown != verdict.observed else verdict

    def run(self, stopping: Event) -> None:
        """Look every second until told to stop."""
        while not stopping.wait(PAUSE_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once at every handover with registered targets, and at every switch that is being watched."""
        for key, handover in self._ledger.open():
            self._carefully(partial(self._look_at, key, handover))
        with self._lock:
            watched = [key for key, one in self._last.items() if not one.is_over(self._clock())]
        for key in watched:
            self._carefully(partial(self._watch, key))
        self._metrics.left_behind(sum(one.count for _, one in self._ledger.open() if one.undo))

    @property
    def _clock(self) -> Callable[[], datetime]:
        return self._sources.clock

    def _carefully(self, look: Callable[[], None]) -> None:
        try:
            look()
        except (CannotTell, RolloutNotFound) as error:
            logging.getLogger(__name__).warning("A handover cannot be looked after, and is tried again: %s", error)
        except Exception:  # a thread that dies would leave green in production
            logging.getLogger(__name__).exception("The way back of a handover has a defect")

    def _look_at(self, key: Key, handover: Handover) -> None:
        deadline = self._deadline(key)
        try:
            switch = self._sources.cluster.production(*key, deadline)
        except RolloutNotFound:
            self._end(key, handover, "the Rollout was deleted", deadline)
            return
        if switch.service_name and switch.service is None:
            raise service_not_found(switch.rollout, switch.service_name)  # it may have switched before
        if selects(switch.service, handover.pod_hash):
            self._switched(key, handover, switch, deadline)
            return
        why = handover.undo or rules.why_undo(switch.rollout, handover.pod_hash)
        if not why and self._has_lasted_too_long(handover):
            handover.timed_out = True
            why = f"it took longer than maxHandoverSeconds={handover.most_seconds:g}"
        if why:
            self._end(key, handover, why, deadline)
        elif self._is_idle(handover):
            with handover.held(deadline):
                if self._is_idle(handover):  # nobody asked while this waited
                    why = f"it was not queried for {self._most_idle_seconds:g} s"
                    self._undo.handover(key[0], handover, why, deadline)

    def _is_idle(self, handover: Handover) -> bool:
        return (self._clock() - handover.asked_at).total_seconds() > self._most_idle_seconds

    def _has_lasted_too_long(self, handover: Handover) -> bool:
        begun_at = handover.begun_at
        return begun_at is not None and (self._clock() - begun_at).total_seconds() > handover.most_seconds

    def _end(self, key: Key, handover: Handover, why: str, deadline: Deadline) -> None:
        with handover.held(deadline):
            self._undo.handover(key[0], handover, why, deadline)

    def _switched(self, key: Key, handover: Handover, switch: Switch, deadline: Deadline) -> None:
        """Begin to watch a switch. Its targets are production's own from now on."""
        with handover.held(deadline):
            targets = frozenset(one for some in handover.targets.values() for one in some)
            for group in list(handover.targets):
                handover.forget(group)
            handover.turn += 1
        written_at = switch.service.selector_written_at if switch.service else None
        switched_at = self._sources.other_clocks.kubernetes().ours(written_at) if written_at else self._clock()
        with self._lock:
            self._last.pop(key, None)
            while len(self._last) >= MOST_SWITCHES:
                del self._last[next(iter(self._last))]
            self._last[key] = LastSwitch(handover.pod_hash, switched_at, targets)
        logging.getLogger(__name__).info("Rollout %s in namespace %s switched after a handover", key[1], key[0])

    def _watch(self, key: Key) -> None:
        """Look at the production groups of a Rollout that switched a moment ago."""
        deadline = self._deadline(key)
        topology = self._sources.cluster.topology(*key, deadline)
        production = topology.rollout.strategy.production_service
        bindings = tuple(one for one in topology.bindings if one.service == production)
        groups = self._sources.load_balancers.health(bindings, deadline)
        at = min((one.read_at for one in groups), default=self._clock())
        with self._lock:
            before = self._last[key]
            if at < before.switched_at:
                return  # shared evidence from before the switch
            self._last[key] = now = after_look(before, groups, at)
        if now.is_over(self._clock()) and now.seconds is not None:
            self._metrics.handed_over(now.seconds)
        self._metrics.reset_by_switch(len(now.reset) - len(before.reset))

    def _deadline(self, key: Key) -> Deadline:
        sources = self._sources
        return Deadline(sources.budget_seconds, rollout=f"{key[0]}/{key[1]}", began_at=sources.clock())
