"""The last switch of each Rollout after a handover, as this replica saw it."""

from threading import Lock

from provider.checks.question import Sources
from provider.model.handovers import HandoverRecord
from provider.rules.handover_plan import Facts
from provider.rules.last_switch import LastSwitch, after_look
from provider.telemetry import Metrics

MAX_SWITCHES = 200
"""Rollouts whose last switch is remembered."""


class LastSwitches:
    """Remembers them in memory: they are shown, and decide nothing. Thread-safe."""

    def __init__(self) -> None:
        """Start without any."""
        self._lock = Lock()
        self._last: dict[tuple[str, str], LastSwitch] = {}

    def of(self, namespace: str, rollout: str) -> LastSwitch | None:
        """Return the last switch of a Rollout."""
        return self._last.get((namespace, rollout))

    def see(self, record: HandoverRecord, facts: Facts, sources: Sources, metrics: Metrics) -> None:
        """Note what a look after the switch to a record's version found, and measure it once it is over."""
        now, key = sources.clock(), record.key[:2]
        with self._lock:
            before = self._last.get(key)
            if before is None or before.pod_hash != record.pod_hash:
                written_at = facts.service.selector_written_at if facts.service else None
                at = sources.other_clocks.kubernetes().ours(written_at) if written_at else now
                targets = frozenset(target.address for group in record.groups for target in group.targets)
                before = LastSwitch(record.pod_hash, at, targets)
                self._last.pop(key, None)
                while len(self._last) >= MAX_SWITCHES:
                    del self._last[next(iter(self._last))]
            elif before.is_over(now):
                return
            self._last[key] = after = after_look(before, [one for one in facts.states.values() if one is not None], now)
        if after.is_over(now) and after.seconds is not None:
            metrics.handed_over(after.seconds)
        metrics.reset_by_switch(len(after.reset) - len(before.reset))
