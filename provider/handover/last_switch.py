"""What the last switch of each Rollout after a handover looked like: one look after another, as this replica saw it.

That a target which is registered once more stays healthy is what the handover rests on, and what users of the API rely
on; so every switch is measured, and the figures are shown. They decide nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from provider.checks.question import Sources
from provider.model import answer
from provider.model.handovers import Address, HandoverRecord
from provider.rules.expected_targets import State
from provider.rules.handover_plan import Facts
from provider.telemetry import Metrics

SHORTEST_SECONDS, LONGEST_SECONDS = 15, 120
"""How long a switch is watched: the load balancer controller acts within seconds of it, or is not watched for ever."""


@dataclass(frozen=True, slots=True)
class LastSwitch:
    """One switch: when, which version, its targets, and what was seen of them since.

    `least` is the least number of healthy targets in a production group at any look, None before the first; `reset`
    are green targets that had to start again; `healthy_at` is since when all of them are healthy, None if they are not.
    """

    pod_hash: str
    switched_at: datetime
    handed_over: frozenset[Address]
    least: int | None = None
    reset: frozenset[Address] = frozenset()
    healthy_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds from the switch until all of green was healthy; None while it is not."""
        if self.healthy_at is None:
            return None
        return max((self.healthy_at - self.switched_at).total_seconds(), 0.0)

    def is_over(self, now: datetime) -> bool:
        """Tell whether there is nothing more to watch."""
        lasted = (now - self.switched_at).total_seconds()
        return lasted > (LONGEST_SECONDS if self.healthy_at is None else SHORTEST_SECONDS)

    def observed(self) -> answer.LastSwitch:
        """Return what every answer shows of it."""
        shown: answer.LastSwitch = {
            "podTemplateHash": self.pod_hash,
            "switchedAt": self.switched_at.isoformat(timespec="seconds"),
            "resetCount": len(self.reset),
        }
        if self.seconds is not None:
            shown["secondsUntilHealthy"] = round(self.seconds, 1)
        if self.least is not None:
            shown["leastHealthyCount"] = self.least
        return shown


def after_look(before: LastSwitch, groups: Collection[Mapping[Address, str]], at: datetime) -> LastSwitch:
    """Return what is known after a look at the states of the production groups' targets."""
    least, reset, is_whole = before.least, set(before.reset), bool(groups)
    for states in groups:
        healthy = sum(state == State.HEALTHY for state in states.values())
        least = healthy if least is None else min(least, healthy)
        unwell = {address for address in before.handed_over if states.get(address) != State.HEALTHY}
        reset |= {address for address in unwell if states.get(address, State.MISSING) in (State.INITIAL, State.MISSING)}
        is_whole = is_whole and not unwell
    healthy_at = (before.healthy_at or at) if is_whole else None
    return replace(before, least=least, reset=frozenset(reset), healthy_at=healthy_at)


MAX_SWITCHES = 200
"""Rollouts whose last switch is remembered."""


class LastSwitches:
    """Remembers them in memory. Thread-safe."""

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
            metrics.handover_seconds.observe(after.seconds)
        metrics.handover_resets.inc(len(after.reset) - len(before.reset))
