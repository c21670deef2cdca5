"""The record of a handover: what may be registered in production, and how far it is.

It is stored in the cluster, so it outlives every process. Its times are seconds of its own: `age` grows only while a
replica looks after it, so that no wall clock, and no outage of all replicas, ends a handover.
"""

from datetime import datetime
from typing import Any

import msgspec

from provider.model.reasons import Reason
from provider.model.records import Place

Address = tuple[str, int]
"""An IP address and a port."""

Key = tuple[str, str, str]
"""Namespace and name of a Rollout, and a pod template hash."""


class RecordedTarget(msgspec.Struct, frozen=True, array_like=True):
    """One pod of green as a target of a production group."""

    ip: str
    port: int
    pod_uid: str

    @property
    def address(self) -> Address:
        """What tells it from the other targets of its group."""
        return self.ip, self.port


class RecordedGroup(msgspec.Struct, frozen=True, rename="camel"):
    """A production target group, and what may be registered in it."""

    arn: str
    name: str
    place: Place
    targets: frozenset[RecordedTarget] = frozenset()


class HandoverRecord(msgspec.Struct, frozen=True, rename="camel"):
    """The handover of one version of a Rollout.

    `service` is the production Service, `parameters` are those of the query that began it. `queried` and `passed` are
    the age at the latest query and at the first pass, `settled` that since which the groups hold what they should.
    `ended` says why green is not wanted in production any more (empty while it is); `turn` counts how often it ended or
    began again, so that no answer rests on what was read before.
    `is_proved`: a first batch was within maxErrorPercent. `refusal` is the reason and sentence of a write that fails.
    `version` is the stored object's resourceVersion.
    """

    namespace: str
    rollout: str
    pod_hash: str
    service: str
    parameters: dict[str, Any]
    begun_at: datetime
    groups: tuple[RecordedGroup, ...] = ()
    age: float = 0.0
    queried: float = 0.0
    passed: float | None = None
    settled: float | None = None
    ended: str = ""
    is_timed_out: bool = False
    is_proved: bool = False
    turn: int = 0
    refusal: tuple[Reason, str] | None = None
    version: str = ""

    @property
    def key(self) -> Key:
        """Which handover it is."""
        return self.namespace, self.rollout, self.pod_hash

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"handover of {self.rollout} ({self.pod_hash}) in namespace {self.namespace}"

    def end(self, why: str, *, is_timed_out: bool = False) -> "HandoverRecord":
        """Return the record of a handover whose version is not wanted in production any more."""
        return msgspec.structs.replace(self, ended=why, is_timed_out=is_timed_out, turn=self.turn + 1)

    def with_targets(self, groups: tuple[RecordedGroup, ...]) -> "HandoverRecord":
        """Return the record with these targets too."""
        merged = {group.arn: group for group in self.groups}
        for group in groups:
            before = merged[group.arn].targets if group.arn in merged else frozenset()
            merged[group.arn] = msgspec.structs.replace(group, targets=before | group.targets)
        return msgspec.structs.replace(self, groups=tuple(merged.values()))
