"""What was seen of a switch: how long production had no healthy target, and whether a pass preceded it.

Pure. The looks are those that queries make anyway, and nothing is known between two of them. So production was without
a healthy target for at least the time between two consecutive looks that found none, and for at most the time between
any two of which one found none. Until the first look that finds a healthy green target, every such time may have been.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from provider.model.records import GroupHealth
from provider.rules.expected_targets import State

WATCHED = timedelta(minutes=5)
"""How long after a switch looks belong to it."""

NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Errors:
    """CloudWatch's counts in the minutes of a switch: production's target groups, and their load balancers."""

    minutes: int
    requests: int
    target_5xx: int
    load_balancer_5xx: int


@dataclass(frozen=True, slots=True)
class SwitchSeen:
    """One switch to the version `pod_hash`.

    `looked_at` is the last look at production, at first the switch itself; `is_empty` tells whether it found no healthy
    target, and `is_settled` whether a look has found a healthy green one. `errors` is None until the minutes of the
    switch are complete in CloudWatch, and for good if they could not be read then (`errors_tried`).
    """

    pod_hash: str
    switched_at: datetime
    pass_preceded: bool
    looked_at: datetime
    look_count: int = 0
    is_empty: bool = False
    is_settled: bool = False
    at_least: timedelta = NO_TIME
    at_most: timedelta = NO_TIME
    errors: Errors | None = None
    errors_tried: bool = False

    def observed(self) -> dict[str, Any]:
        """Return what the history shows of it, without what is not known."""
        shown: dict[str, Any] = {
            "podTemplateHash": self.pod_hash,
            "switchedAt": self.switched_at.isoformat(timespec="seconds"),
            "passPreceded": self.pass_preceded,
            "lookCount": self.look_count,
        }
        if self.look_count:
            shown["withoutHealthyTargetAtLeastSeconds"] = round(self.at_least.total_seconds(), 1)
        if self.look_count and self.is_settled and not self.is_empty:
            shown["withoutHealthyTargetAtMostSeconds"] = round(self.at_most.total_seconds(), 1)
        if self.errors is not None:
            shown["errors"] = {
                "minutes": self.errors.minutes,
                "requestCount": self.errors.requests,
                "target5xxCount": self.errors.target_5xx,
                "loadBalancer5xxCount": self.errors.load_balancer_5xx,
            }
        return shown


def begun(pod_hash: str, switched_at: datetime, *, pass_preceded: bool, is_settled: bool) -> SwitchSeen:
    """Return a switch of which nothing was seen yet; one that moves no target (ping-pong) is settled from the start."""
    return SwitchSeen(pod_hash, switched_at, pass_preceded, looked_at=switched_at, is_settled=is_settled)


def after_look(
    before: SwitchSeen, groups: tuple[GroupHealth, ...], at: datetime, *, is_green_healthy: bool
) -> SwitchSeen:
    """Return what is known after a look at every production group; the emptiest group counts."""
    if not groups or at <= before.looked_at or at - before.switched_at > WATCHED:
        return before
    is_empty = any(not any(target.state == State.HEALTHY for target in health.targets) for health in groups)
    passed = at - before.looked_at
    is_suspect = is_empty or before.is_empty or not before.is_settled
    return replace(
        before,
        looked_at=at,
        look_count=before.look_count + 1,
        is_empty=is_empty,
        is_settled=before.is_settled or is_green_healthy,
        at_least=before.at_least + (passed if is_empty and before.is_empty else NO_TIME),
        at_most=before.at_most + (passed if is_suspect else NO_TIME),
    )
