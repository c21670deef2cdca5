"""Leases (coordination.k8s.io/v1): the records of handovers, and who looks after them."""

import logging

import msgspec
from msgspec import field

from provider.model.handovers import HandoverRecord
from provider.sources.kubernetes.shapes.fields import Metadata, Name, Shape


class _RecordAnnotation(Shape):
    handover: str = field(default="", name="alb-provider/handover")


class _LeaseMetadata(Metadata):
    resource_version: str = ""
    annotations: _RecordAnnotation | None = None


class Lease(Shape):
    """A Lease that holds the record of a handover."""

    metadata: _LeaseMetadata

    def record(self) -> HandoverRecord | None:
        """Return the record with the version of the object that holds it; one that is not usable is in the log only."""
        stored = self.metadata.annotations.handover if self.metadata.annotations else ""
        try:
            record = msgspec.json.decode(stored, type=HandoverRecord)
        except msgspec.DecodeError as error:  # it must not hide the others
            logging.getLogger(__name__).warning(
                "Lease %s is not the record of a handover: %s", self.metadata.name, error
            )
            return None
        return msgspec.structs.replace(record, version=self.metadata.resource_version)


class _LeaseSpec(Shape):
    holder_identity: Name | None = None


class LeaderLease(Shape):
    """The Lease of the replica that looks after the handovers."""

    metadata: _LeaseMetadata
    spec: _LeaseSpec | None = None

    def record(self) -> tuple[str, str]:
        """Return its holder, empty without one, and the version of the object that says so."""
        return (self.spec.holder_identity if self.spec else "") or "", self.metadata.resource_version
