"""The states of registered targets over time, as a real Application Load Balancer reports them.

It depends on no clock and no HTTP: a test can move its time. The embedded AWS installs it into moto,
for which every target is `healthy` at once, a deregistered one is gone, and two ports of one IP address are one target.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REGISTRATION_SECONDS = 1.0
"""How long `Elb.RegistrationInProgress` lasts; AWS does not document it, and this is short."""


@dataclass(frozen=True)
class Health:
    """The state of a target in AWS's words; reason and description are None when healthy.

    `anomaly` and `override` are what AWS says beside the state, if it is asked for that.
    """

    state: str
    reason: str | None = None
    description: str | None = None
    anomaly: str = "normal"
    override: str = "no_override"


HEALTHY = Health("healthy")
REGISTERING = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
INITIAL = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
UNHEALTHY = Health("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")
DRAINING = Health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
NOT_IN_USE = Health(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
NOT_REGISTERED = Health("unused", "Target.NotRegistered", "Target is not registered to the target group")


@dataclass(frozen=True)
class Group:
    """The settings of a target group that decide its targets' states. Times in seconds."""

    arn: str
    in_use: bool = True
    """Whether a listener rule forwards to it, with whatever weight."""
    interval_seconds: float = 15.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 2
    deregistration_delay_seconds: float = 300.0


@dataclass
class _Target:
    """One (id, port) of a group; the times are in model seconds."""

    registered_at: float
    next_check_at: float
    checked: Health = INITIAL
    passes_in_a_row: int = 0
    failures_in_a_row: int = 0
    deregistered_at: float | None = None
    idle: bool = False
    """True while the group was not in use: nobody checks, and a later use starts afresh."""

    def check(self, group: Group, *, passed: bool) -> None:
        """Apply the result of one health check."""
        if passed:
            self.failures_in_a_row, self.passes_in_a_row = 0, self.passes_in_a_row + 1
            # A new target needs one pass whatever the threshold says; the threshold is for recovering.
            if self.checked is not UNHEALTHY or self.passes_in_a_row >= group.healthy_threshold:
                self.checked = HEALTHY
        else:
            self.failures_in_a_row, self.passes_in_a_row = self.failures_in_a_row + 1, 0
            if self.failures_in_a_row >= group.unhealthy_threshold:
                self.checked = UNHEALTHY


@dataclass
class LoadBalancers:
    """All targets of all groups, by (group ARN, id, port).

    `clock` returns seconds; a faster clock shortens every duration. `passes(id, port)` tells whether a target passes
    its health check. Checks are computed when the state is read, so `passes` is called with the present state and
    not with that of the moment at which the check was due.
    """

    clock: Callable[[], float]
    passes: Callable[[str, int], bool] = field(default=lambda _id, _port: True)
    _targets: dict[str, dict[tuple[str, int], _Target]] = field(default_factory=dict, init=False)
    _pinned: dict[tuple[str, str, int], Health] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def register(self, group: Group, targets: Iterable[tuple[str, int]]) -> None:
        """Register targets. A draining one starts again; a registered one is left as it is."""
        with self._lock:
            registered = self._of(group)
            for key in targets:
                old = registered.get(key)
                if old is None or old.deregistered_at is not None:
                    registered.pop(key, None)  # so that the order stays the order of registration
                    registered[key] = self._new_target(group, *key)

    def deregister(self, group: Group, targets: Iterable[tuple[str, int]]) -> None:
        """Start draining; a target that is not registered is no error, as AWS documents."""
        with self._lock:
            registered = self._of(group)
            for key in targets:
                target = registered.get(key)
                if target is not None and target.deregistered_at is None:
                    target.deregistered_at = self.clock()
            self._of(group)

    def health(self, group: Group, targets: Iterable[tuple[str, int]] | None = None) -> list[tuple[str, int, Health]]:
        """Return the state of the targets asked for, or of every registered and draining one."""
        with self._lock:
            registered = self._of(group)
            if targets is None:
                pinned = [(id_, port) for arn, id_, port in self._pinned if arn == group.arn]
                targets = list(dict.fromkeys([*registered, *pinned]))
            return [(id_, port, self._health(group, id_, port)) for id_, port in targets]

    def settle(self) -> None:
        """Treat every registered target as one that passed its first checks long ago."""
        with self._lock:
            for targets in self._targets.values():
                for (id_, port), target in targets.items():
                    target.registered_at -= REGISTRATION_SECONDS
                    target.checked = HEALTHY if self.passes(id_, port) else UNHEALTHY

    def pin(
        self,
        arn: str,
        id_: str,
        port: int,
        state: str,
        reason: str | None = None,
        description: str | None = None,
        *,
        anomaly: str = "normal",
        override: str = "no_override",
    ) -> None:
        """Force a state, also for a target that was never registered, until `unpin` or `reset`."""
        with self._lock:
            self._pinned[arn, id_, port] = Health(state, reason, description, anomaly, override)

    def unpin(self, arn: str, id_: str, port: int) -> None:
        """End `pin`: the model decides the state again."""
        with self._lock:
            self._pinned.pop((arn, id_, port), None)

    def reset(self) -> None:
        """Forget all targets and pins and let every health check pass."""
        with self._lock:
            self._targets.clear()
            self._pinned.clear()
            self.passes = lambda _id, _port: True

    def _of(self, group: Group) -> dict[tuple[str, int], _Target]:
        """Return the targets of a group without those that have finished draining."""
        # A group that takes no traffic has nothing to drain.
        delay = group.deregistration_delay_seconds if group.in_use else 0.0
        now = self.clock()
        targets = self._targets.setdefault(group.arn, {})
        for key in [
            key
            for key, target in targets.items()
            if target.deregistered_at is not None and now >= target.deregistered_at + delay
        ]:
            del targets[key]
        return targets

    def _new_target(self, group: Group, id_: str, port: int) -> _Target:
        now = self.clock()
        # Real first checks are spread over the interval; a digest spreads them evenly, and the same way in every run.
        # (CRC-32 does not: neighbouring addresses get regular distances, which made a switch's hole a quarter shorter.)
        digest = hashlib.blake2b(f"{group.arn} {id_} {port}".encode(), digest_size=4).digest()
        share = int.from_bytes(digest) / 2**32
        first_check_at = now + REGISTRATION_SECONDS + share * group.interval_seconds
        return _Target(registered_at=now, next_check_at=first_check_at, idle=not group.in_use)

    def _health(self, group: Group, id_: str, port: int) -> Health:
        pinned = self._pinned.get((group.arn, id_, port))
        if pinned is not None:
            return pinned
        target = self._targets[group.arn].get((id_, port))
        if target is None:
            return NOT_REGISTERED
        if not group.in_use:
            target.idle = True
            return NOT_IN_USE
        if target.idle:
            target = self._targets[group.arn][id_, port] = self._new_target(group, id_, port)
        if target.deregistered_at is not None:
            return DRAINING
        now = self.clock()
        if now < target.registered_at + REGISTRATION_SECONDS:
            return REGISTERING
        self._make_up_checks(group, id_, port, target)
        return target.checked

    def _make_up_checks(self, group: Group, id_: str, port: int, target: _Target) -> None:
        due = int((self.clock() - target.next_check_at) // group.interval_seconds) + 1
        if due <= 0:
            return
        passed = self.passes(id_, port)
        # More checks with the same result than the larger threshold change nothing.
        for _ in range(min(due, max(group.healthy_threshold, group.unhealthy_threshold))):
            target.check(group, passed=passed)
        target.next_check_at += due * group.interval_seconds
