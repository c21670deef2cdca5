"""What one replica knows: of a record, and when it looks at it again; and how each Rollout's last switch went.

That a target which is registered once more stays healthy is what the handover rests on, and what users of the API rely
on; so every switch is measured, and the figures are shown. They decide nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from provider.model import answer
from provider.model.handovers import Address, HandoverRecord
from provider.rules.expected_targets import State
from provider.rules.handover_plan import Plan, States
from provider.sources.aws.registrations import READS_PER_SECOND

PAUSE_SECONDS, RIGHT_SECONDS, SETTLED_SECONDS = 1.0, 2.0, 5.0
"""Between two looks at a record; at one whose groups hold what they should; once they have done so for a while.

A switch is watched with every look: what is known of it is no finer than the looks.
"""

SETTLED_AFTER_SECONDS = 15.0

ROUTINE_READS_PER_SECOND = READS_PER_SECOND * 2 / 3
"""Reads of AWS, of all records together, that only confirm what is known; the rest is for what changes."""

MAX_STEP_SECONDS = 15.0
"""By how much a record ages at most from one look to the next."""

QUIET_SECONDS = 15.0
"""After a write: longer than a call with its retries may take, and shorter than the 30 s for which Amazon's CNI gives
the address of a pod that is gone to no other (amazon-vpc-cni-k8s: IP_COOLDOWN_PERIOD)."""

SHORTEST_SECONDS, LONGEST_SECONDS = 15, 120
"""How long a switch is watched: the load balancer controller acts within seconds of it, or is not watched for ever."""

MAX_SWITCHES = 200
"""Rollouts whose last switch is remembered."""


@dataclass(slots=True)
class Watch:
    """A record's age at a time, and what was found at the last look."""

    turn: int
    age: float
    aged_at: datetime
    next_look_at: datetime
    is_busy: bool = False
    pause: float = PAUSE_SECONDS
    states: States | None = None
    read_at: datetime | None = None
    plan: Plan | None = None
    wrong_since: datetime | None = None
    written_at: datetime | None = None

    def pass_time(self, now: datetime) -> None:
        """Let the record grow older, but not by an outage in which nobody looked after it."""
        self.age += min((now - self.aged_at).total_seconds(), MAX_STEP_SECONDS)
        self.aged_at = now

    def is_quiet(self, now: datetime) -> bool:
        """Tell whether no write can still be in flight: of this replica, or of the one before it."""
        self.written_at = self.written_at or now
        return (now - self.written_at).total_seconds() >= QUIET_SECONDS

    def recent_states(self, record: HandoverRecord, now: datetime, wanted_per_second: float) -> States | None:
        """Return what was read of AWS, if it need not be read again yet.

        The more reads all records together want, the less often each is read.
        """
        if self.states is None or self.read_at is None or self.states.keys() != {group.arn for group in record.groups}:
            return None
        pause = self.pause * max(1.0, wanted_per_second / ROUTINE_READS_PER_SECOND)
        return self.states if now < self.read_at + timedelta(seconds=pause) else None

    def is_news(self, plan: Plan, record: HandoverRecord) -> bool:
        """Tell whether a plan does something, so that it may not rest on an earlier read, or shows a switch."""
        is_switch = self.plan is not None and plan.is_switched != self.plan.is_switched
        return plan.has_writes or plan.is_over or plan.record.groups != record.groups or is_switch

    def note(self, plan: Plan, now: datetime) -> None:
        """Remember what was found, for answers and metrics, and when to look again."""
        record = plan.record
        is_settled = record.settled is not None and record.age - record.settled > SETTLED_AFTER_SECONDS
        has_just_passed = record.passed is not None and record.age - record.passed <= SETTLED_AFTER_SECONDS
        is_at_switch = not is_settled and (plan.is_switched or has_just_passed)
        if is_at_switch or not plan.is_right:
            self.pause, self.next_look_at = PAUSE_SECONDS, now
        else:
            self.pause = SETTLED_SECONDS if is_settled else RIGHT_SECONDS
            self.next_look_at = now + timedelta(seconds=self.pause)
        is_wrong = not plan.is_right and (plan.is_switched or bool(record.ended))
        self.plan, self.wrong_since = plan, (self.wrong_since or now) if is_wrong else None

    def wrong_seconds(self, now: datetime) -> float:
        """Return for how long its groups have not held what they should, or could not be looked at."""
        seconds = (now - (self.wrong_since or self.aged_at)).total_seconds()
        return seconds if self.wrong_since or seconds > MAX_STEP_SECONDS else 0.0


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
        return None if self.healthy_at is None else max((self.healthy_at - self.switched_at).total_seconds(), 0.0)

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

    def after_look(self, groups: Collection[Mapping[Address, str]], at: datetime) -> "LastSwitch":
        """Return what is known after a look at the states of the production groups' targets."""
        healthy = [{address for address, state in states.items() if state == State.HEALTHY} for states in groups]
        counts = [len(addresses) for addresses in healthy] + ([] if self.least is None else [self.least])
        again = {
            address
            for states in groups
            for address in self.handed_over
            if states.get(address, State.MISSING) in (State.INITIAL, State.MISSING)
        }
        is_whole = bool(healthy) and all(self.handed_over <= addresses for addresses in healthy)
        healthy_at = (self.healthy_at or at) if is_whole else None
        return replace(self, least=min(counts, default=None), reset=self.reset | again, healthy_at=healthy_at)
