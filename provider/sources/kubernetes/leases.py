"""Leases in the provider's own namespace: the records of handovers, and which replica looks after them.

The only objects that the provider updates or deletes. Every write names the resourceVersion that it follows, so that a
replica never overwrites what another one has written since.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast

import msgspec

from provider.model.handovers import HandoverRecord, Key
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.kubernetes_errors import Absent, Conflict, well_formed
from provider.sources.kubernetes.resources import LEASES

NAME = "alb-provider-handover"
LABEL, ANNOTATION = "alb-provider/handover", "alb-provider/handover"
LEASE_SECONDS, RENEW_SECONDS = 5.0, 1.5
"""Time without a renewal after which another replica takes over; how often the holder renews."""


class Records:
    """The records of handovers, each in the annotation of a Lease. Thread-safe: it keeps nothing."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        """Store in this namespace."""
        self._server, self._namespace = server, namespace

    def all(self, deadline: Deadline) -> list[HandoverRecord]:
        """Return every record. Raises CannotTell."""
        return self._server.read_list(LEASES, self._namespace, shapes.Lease, deadline, f"{LABEL}=record")

    def find(self, key: Key, deadline: Deadline) -> HandoverRecord | None:
        """Return one record, None if there is none. Raises CannotTell."""
        return cast(
            HandoverRecord | None,
            self._server.read_one(LEASES, self._namespace, _name(key), shapes.Lease, deadline),
        )

    def create(self, record: HandoverRecord, deadline: Deadline) -> None:
        """Store a new record. Raises Conflict if there is one, and CannotTell."""
        self._server.write("create", LEASES, self._namespace, _name(record.key), _manifest(record), deadline)

    def replace(self, record: HandoverRecord, deadline: Deadline) -> HandoverRecord:
        """Store a changed record. Raises Conflict if it was changed or deleted since it was read, and CannotTell."""
        name = _name(record.key)
        try:
            body = self._server.write("update", LEASES, self._namespace, name, _manifest(record), deadline)
        except Absent:
            raise Conflict from None
        with well_formed(f"update {LEASES.rbac} {name}"):
            return cast(HandoverRecord, shapes.decoder(shapes.Lease).decode(body).record())

    def update(
        self, key: Key, change: Callable[[HandoverRecord], HandoverRecord], deadline: Deadline
    ) -> HandoverRecord | None:
        """Read a record and store what `change` makes of it, again if another write came between; None without one.

        Raises CannotTell.
        """
        while True:
            record = self.find(key, deadline)
            changed = change(record) if record else None
            if changed is None or changed == record:
                return record
            with suppress(Conflict):
                return self.replace(changed, deadline)
            deadline.require(f"a change of Lease {_name(key)}")

    def delete(self, record: HandoverRecord, deadline: Deadline) -> None:
        """Delete a record unless it was changed since it was read. Raises Conflict and CannotTell."""
        options = {"preconditions": {"resourceVersion": record.version}}
        with suppress(Absent):
            self._server.write("delete", LEASES, self._namespace, _name(record.key), options, deadline)


class Leadership:
    """Whether this replica looks after the handovers.

    Like client-go's leader election it compares no clocks: it counts the seconds for which the Lease does not change.
    """

    def __init__(self, server: ApiServer, namespace: str, identity: str, clock: Callable[[], datetime]) -> None:
        """Take part under this name; `clock` is never set."""
        self._server, self._namespace, self._identity, self._clock = server, namespace, identity, clock
        self._version, self._changed_at = "", clock()
        self._renewed_at = clock()

    def holds(self, deadline: Deadline) -> bool:
        """Take or renew the Lease; tell whether this replica holds it. Raises CannotTell."""
        lease: tuple[str, str] | None = self._server.read_one(
            LEASES, self._namespace, NAME, shapes.LeaderLease, deadline
        )
        (holder, version), now = lease or ("", ""), self._clock()
        if version != self._version:
            self._version, self._changed_at = version, now
        is_ours = holder == self._identity
        if holder and not is_ours and (now - self._changed_at).total_seconds() < LEASE_SECONDS:
            return False
        try:
            if not is_ours or (now - self._renewed_at).total_seconds() >= RENEW_SECONDS:
                self._write("update" if lease else "create", version, deadline)
                self._renewed_at = now
        except (Conflict, Absent):
            return False
        return True

    def _write(self, verb: str, version: str, deadline: Deadline) -> None:
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(LEASE_SECONDS),
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        manifest = _lease(NAME, version, {"labels": {LABEL: "leader"}}, spec)
        self._server.write(verb, LEASES, self._namespace, NAME, manifest, deadline)


def _name(key: Key) -> str:
    return f"{NAME}-{sha256('/'.join(key).encode()).hexdigest()[:20]}"


def _manifest(record: HandoverRecord) -> dict[str, Any]:
    stored = msgspec.json.encode(msgspec.structs.replace(record, version=""), enc_hook=str).decode()
    metadata = {"labels": {LABEL: "record"}, "annotations": {ANNOTATION: stored}}
    return _lease(_name(record.key), record.version, metadata, {"holderIdentity": "/".join(record.key)})


def _lease(name: str, version: str, metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a Lease; `version` is the resourceVersion that it follows, empty for a new one."""
    metadata = {"name": name, **metadata, **({"resourceVersion": version} if version else {})}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
