"""What a handover has to do now: one pure function of its record, and of what Kubernetes and the group say.

There is no way back of its own. An abort, a pause, a time limit, a newer version and a switch are only different states
of the same record, for each of which it is known what production should hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from provider.model.analysis import PRE_PROMOTION
from provider.model.argo import ERROR, FAILED, INCONCLUSIVE
from provider.model.handovers import Address, HandoverRecord, RecordedGroup
from provider.model.records import PAUSED_BY_PERSON, Rollout, Service
from provider.rules.expected_targets import State
from provider.rules.green import selects
from provider.rules.handover import GONE
from provider.rules.rollout_state import INCONCLUSIVE_PAUSES

HOLD_SECONDS = 300.0
"""How long a pass keeps its handover while Argo neither switches nor says that it will not."""

WATCH_SECONDS = 330.0
"""How long its groups must have held what they should before a record ends.

The load balancer controller compares with a cache of targets of 5 minutes: until it expires it may take out what was
registered, or leave out what was taken out, without reading it again (LBC 3.5.0).
"""

States = Mapping[str, Mapping[Address, str] | None]
"""By the ARN of a group the state of each target; None for a group that does not exist."""

UNSUCCESSFUL = (FAILED, ERROR, INCONCLUSIVE)
"""Phases of an AnalysisRun after which Argo does not switch."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read of a handover, all of it after its latest write.

    `rollout` and `service` are None where they do not exist. `behind` are the addresses in the EndpointSlices of the
    production Service, `ready` those of its ready endpoints, `living` the uids of the hash's pods that are not
    terminating.
    """

    rollout: Rollout | None
    service: Service | None
    behind: frozenset[str]
    ready: frozenset[str]
    living: frozenset[str]
    states: States


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What to change in one group; `waiting` must leave it, but not yet."""

    group: RecordedGroup
    register: frozenset[Address]
    deregister: frozenset[Address]
    waiting: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to store, and what to write; nothing is left to do if `is_right`, and the record ends if `is_over`."""

    record: HandoverRecord
    groups: tuple[GroupPlan, ...]
    is_switched: bool
    is_right: bool
    is_over: bool

    @property
    def has_writes(self) -> bool:
        """Whether there is something to write now."""
        return any(group.register or group.deregister for group in self.groups)

    @property
    def left_behind(self) -> int:
        """How many targets are still to be taken out."""
        return sum(len(group.deregister) + len(group.waiting) for group in self.groups)


def desired(record: HandoverRecord, facts: Facts, age: float, idle_seconds: float, *, is_quiet: bool = True) -> Plan:
    """Return what to do now. `age` is the record's age, `idle_seconds` how long it may go without a query.

    `is_quiet`: no write that was sent earlier can still arrive, so that addresses may be forgotten.
    """
    is_switched = selects(facts.service, record.pod_hash)
    groups = tuple(_remembered(group, facts) for group in record.groups) if is_quiet else record.groups
    record = msgspec.structs.replace(record, age=age, groups=groups)
    if not is_switched and not record.ended:
        why, is_timed_out = why_ended(record, facts.rollout, age, idle_seconds)
        record = record.end(why, is_timed_out=is_timed_out) if why else record
    plans = tuple(
        _of_group(record, group, states, facts, is_switched=is_switched)
        for group in record.groups
        if (states := facts.states[group.arn]) is not None
    )
    is_right = not any(group.register or group.deregister or group.waiting for group in plans)
    settled = None
    if (is_switched or record.ended) and is_right:
        settled = age if record.settled is None else record.settled
    is_over = settled is not None and age - max(settled, record.queried) >= WATCH_SECONDS
    refusal = None if is_right else record.refusal
    record = msgspec.structs.replace(record, settled=settled, refusal=refusal)
    return Plan(record, plans, is_switched, is_right, is_over)


def why_ended(record: HandoverRecord, rollout: Rollout | None, age: float, idle_seconds: float) -> tuple[str, bool]:
    """Return why green is not wanted in production before a switch, empty while it is; and whether it took too long."""
    if rollout is None:
        return "the Rollout was deleted", False
    why = why_argo_ends(rollout, record.pod_hash)
    if why:
        return why, False
    most = float(record.parameters.get("maxHandoverSeconds", 0))
    if record.passed is not None and age - record.passed <= HOLD_SECONDS:
        return "", False
    if record.passed is not None and age > most:
        return f"Argo did not switch within {HOLD_SECONDS:g} s of the pass", True
    if age > most:
        return f"it took longer than maxHandoverSeconds={most:g}", True
    if age - record.queried > idle_seconds:
        return f"it was not queried for {idle_seconds:g} s", False
    return "", False


def why_argo_ends(rollout: Rollout, pod_hash: str) -> str:
    """Return what Argo does instead of switching to a version, empty while it may switch."""
    if rollout.current_hash != pod_hash:
        return f"{pod_hash} is not the current green any more"
    if not rollout.is_rolling:
        return ""
    if rollout.activity.is_aborted:
        return "Argo aborted the Rollout"
    if any(one in (*INCONCLUSIVE_PAUSES, PAUSED_BY_PERSON) for one in rollout.activity.pauses):
        return "the Rollout is paused"
    for run in rollout.activity.runs:
        is_before_switch = run.place == PRE_PROMOTION or run.place.startswith("steps[")
        if is_before_switch and run.phase in UNSUCCESSFUL and pod_hash in run.name:
            return f"AnalysisRun {run.name} ended with {run.phase}"
    return ""


def _remembered(group: RecordedGroup, facts: Facts) -> RecordedGroup:
    """Forget the addresses of pods that are gone and no targets any more: another application may get them next."""
    states = facts.states[group.arn] or {}
    present = {address for address, state in states.items() if state not in GONE}
    targets = frozenset(one for one in group.targets if one.pod_uid in facts.living or one.address in present)
    return group if targets == group.targets else msgspec.structs.replace(group, targets=targets)


def _of_group(
    record: HandoverRecord, group: RecordedGroup, states: Mapping[Address, str], facts: Facts, *, is_switched: bool
) -> GroupPlan:
    """Compare what one group holds with what it should hold of the recorded targets; nothing else is touched."""
    present = {address for address, state in states.items() if state not in GONE}
    recorded = {target.address for target in group.targets}
    living = {target.address for target in group.targets if target.pod_uid in facts.living}
    unwanted = recorded - living
    if is_switched:
        register = {address for address in living if address[0] in facts.ready} - present
    elif not record.ended:
        register = living - present
    else:
        register, unwanted = set(), recorded
    unwanted &= present
    waiting = {address for address in unwanted if address[0] in facts.behind}
    if facts.service is None and facts.rollout is not None:
        waiting |= unwanted & living  # nobody knows what the Service selected last
    healthy = {address for address, state in states.items() if state == State.HEALTHY}
    if not healthy - (unwanted - waiting):
        waiting |= unwanted & living & healthy  # the last healthy target: production must not be empty
    return GroupPlan(group, frozenset(register), frozenset(unwanted - waiting), frozenset(waiting))
