"""Looks at the Rollouts that were queried lately, and reports a switch that no pass preceded.

Each replica knows only its own answers, so the metric is to be read over all replicas (docs/operations.md). A restart
forgets everything.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Lock

from provider.checks.parameters import Query
from provider.checks.question import Sources
from provider.history.journal import FORGET_AFTER, MOST_ROLLOUTS, Journal
from provider.model.answer import UngatedSwitch
from provider.model.clocks import A_SECOND
from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.records import Stage, Verdict
from provider.rules.ungated import Seen, after_answer, after_look, serving
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics

SHORTEST_PAUSE_SECONDS = 0.25
"""Between two looks: at most four a second, of two small reads each."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    seen: Seen
    asked_at: datetime
    looked_at: datetime | None = None
    switched_at: datetime | None = None


class Switches:
    """The Rollouts queried lately. Thread-safe."""

    def __init__(self, metrics: Metrics, clock: Callable[[], datetime], journal: Journal | None = None) -> None:
        """Know nothing yet. The journal is told of every switch."""
        self._metrics, self._clock = metrics, clock
        self.journal = journal or Journal(metrics, clock)
        self._lock = Lock()
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._is_new = Event()

    def answered(self, query: Query, verdict: Verdict) -> Verdict:
        """Remember an answer; add to it the switch that no pass preceded, while that version serves."""
        key, now = (query.namespace, query.rollout), self._clock()
        pod_hash = str(verdict.observed.get("podTemplateHash", ""))
        stage = verdict.observed.get("stage") or query.asked_stage
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                entry = _Entry(Seen(), now)
                self._metrics.watches(*key)
                self._is_new.set()
            if pod_hash:
                entry = replace(
                    entry, seen=after_answer(entry.seen, pod_hash, verdict.phase, Stage(stage) if stage else None)
                )
            self._entries[key] = replace(entry, asked_at=now)
            while len(self._entries) > MOST_ROLLOUTS:
                self._metrics.forgets(*self._entries.popitem(last=False)[0])
        if not entry.seen.ungated or entry.switched_at is None:
            return verdict
        found: UngatedSwitch = {
            "podTemplateHash": entry.seen.ungated,
            "seenAt": entry.switched_at.isoformat(timespec="seconds"),
        }
        return replace(verdict, observed={**verdict.observed, "ungatedSwitch": found})

    def look(self, key: _Key, sources: Sources) -> None:
        """Read which version a Rollout's production Service serves, and report a switch without a pass."""
        deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
        try:
            production = sources.cluster.production(*key, deadline)
            now_serving = serving(production)
        except RolloutNotFound:
            self._forget(key)
            self.journal.forget(key)
            return
        except CannotTell:
            return  # the reader has logged and counted it; the next look tries again
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return
            seen = after_look(entry.seen, now_serving)
            is_switch = seen.serving != entry.seen.serving
            self._entries[key] = replace(
                entry, seen=seen, looked_at=self._clock(), switched_at=self._clock() if is_switch else entry.switched_at
            )
        if is_switch and entry.seen.serving:
            written = production.service.selector_written_at if production.service else None
            written = sources.other_clocks.kubernetes().ours(written) if written else None
            is_since = written is not None and entry.looked_at is not None and written >= entry.looked_at - A_SECOND
            self.journal.switched(key, now_serving, written if written and is_since else self._clock())
        if is_switch and seen.ungated:
            self._metrics.ungated_switch(*key)
            logging.getLogger(__name__).warning(
                "Rollout %s in namespace %s now serves %s, for which this replica gave no Successful answer before the "
                "switch (since its last Failed).",
                key[1],
                key[0],
                seen.ungated,
            )

    def due(self, every_seconds: float) -> list[_Key]:
        """Return the Rollouts to look at now, and forget those that nobody has queried for long."""
        now = self._clock()
        with self._lock:
            old = [key for key, entry in self._entries.items() if now - entry.asked_at > FORGET_AFTER]
            every = timedelta(seconds=every_seconds)
            due = [
                key
                for key, entry in self._entries.items()
                if key not in old and (entry.looked_at is None or now - entry.looked_at >= every)
            ]
        for key in old:
            self._forget(key)
        return due

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
                self.journal.settle(sources)
            except Exception:  # as above
                logging.getLogger(__name__).exception("Reading the errors of a switch has a defect")
            self._is_new.wait(min(every_seconds, 1.0))

    def _forget(self, key: _Key) -> None:
        with self._lock:
            self._entries.pop(key, None)
        self._metrics.forgets(*key)
