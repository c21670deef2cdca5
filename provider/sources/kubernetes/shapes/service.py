"""Where traffic goes: Services and nodes (v1), EndpointSlices (discovery.k8s.io/v1) and TargetGroupBindings."""

from sys import intern
from typing import Annotated

from msgspec import Meta, Raw, field

from provider.model import records
from provider.sources.kubernetes.shapes.fields import (
    MAX_ENTRIES,
    NO_ARN,
    NO_TEXT,
    Arn,
    Label,
    LabeledMetadata,
    Labels,
    Metadata,
    Moment,
    Name,
    Reference,
    Shape,
    usable_time,
)


class _ServicePort(Shape):
    port: int
    name: Label = ""
    node_port: int = 0
    target_port: int | Label = 0


class _ServiceSpec(Shape):
    selector: Labels | None = None
    ports: Annotated[list[_ServicePort], Meta(max_length=MAX_ENTRIES)] | None = None
    external_traffic_policy: Label = "Cluster"


class _OwnedFields(Shape):
    spec: dict[str, Raw] | None = field(default=None, name="f:spec")


class _ManagedFields(Shape):
    """Who last wrote which fields, and when; the fields are a tree of their names."""

    time: Moment | None = None
    fields: _OwnedFields | None = field(default=None, name="fieldsV1")

    @property
    def owns_selector(self) -> bool:
        """Whether this writer set `spec.selector`, which is one field: its parts have no owners of their own."""
        return self.fields is not None and "f:selector" in (self.fields.spec or {})


class _ServiceMetadata(Shape):
    name: Name
    namespace: Name = ""
    managed_fields: list[_ManagedFields] | None = None


class Service(Shape):
    """v1 Service."""

    metadata: _ServiceMetadata
    spec: _ServiceSpec

    def record(self) -> records.Service:
        """Return what we judge of it."""
        written = [
            usable_time(writer.time, self.metadata.name)
            for writer in self.metadata.managed_fields or ()
            if writer.owns_selector and writer.time
        ]
        return records.Service(
            name=self.metadata.name,
            selector=self.spec.selector or {},
            ports=tuple(
                records.ServicePort(port.name, port.port, port.node_port, port.target_port)
                for port in self.spec.ports or ()
            ),
            external_traffic_policy=self.spec.external_traffic_policy,
            selector_written_at=max(written, default=None),
        )


class _TargetRef(Shape):
    uid: Name = ""
    kind: str = ""


class _EndpointConditions(Shape):
    ready: bool | None = None
    terminating: bool | None = None


class _Endpoint(Shape):
    addresses: Annotated[list[Name], Meta(max_length=100)]  # the API's own limit, as is that of `endpoints`
    conditions: _EndpointConditions | None = None
    target_ref: _TargetRef | None = None
    node_name: Name | None = None


class _EndpointPort(Shape):
    name: Label | None = None
    port: int | None = None


class _SliceLabels(Shape):
    service: Label = field(default="", name="kubernetes.io/service-name")
    manager: Label = field(default="", name="endpointslice.kubernetes.io/managed-by")


class _SliceMetadata(Metadata):
    labels: _SliceLabels | None = None


class EndpointSlice(Shape):
    """discovery.k8s.io/v1 EndpointSlice. `endpoints` and `ports` can be null."""

    metadata: _SliceMetadata
    address_type: Label
    endpoints: Annotated[list[_Endpoint], Meta(max_length=1000)] | None = None
    ports: Annotated[list[_EndpointPort], Meta(max_length=MAX_ENTRIES)] | None = None

    def record(self) -> records.EndpointSlice:
        """Return what we judge of it, whatever the state of its endpoints."""
        labels, endpoints = self.metadata.labels or _SliceLabels(), self.endpoints or ()
        service = labels.service
        ports = tuple((port.name or "", port.port) for port in self.ports or () if port.port is not None)
        return records.EndpointSlice(
            service=service,
            manager=labels.manager,
            endpoints=tuple(
                records.Endpoint(
                    service=service,
                    family=self.address_type,
                    address=intern(endpoint.addresses[0]),
                    pod_uid=intern(endpoint.target_ref.uid),
                    ready=endpoint.conditions is None or endpoint.conditions.ready is not False,  # nil means ready
                    node_name=intern(endpoint.node_name or ""),
                    ports=ports,
                )
                for endpoint in endpoints
                if endpoint.target_ref is not None and endpoint.target_ref.kind == "Pod" and endpoint.addresses
            ),
            addresses=tuple(address for endpoint in endpoints for address in endpoint.addresses),
            has_terminating=any(
                endpoint.conditions is not None and endpoint.conditions.terminating for endpoint in endpoints
            ),
        )


class _NodeSpec(Shape):
    provider_id: Reference = field(default=NO_TEXT, name="providerID")


class Node(Shape):
    """v1 Node, for its EC2 instance id: the last part of `spec.providerID` (aws:///eu-west-1a/i-0abc)."""

    metadata: Metadata
    spec: _NodeSpec

    def record(self) -> tuple[str, str]:
        """Return its name and its EC2 instance id, which is empty while the cloud has not named the node."""
        return self.metadata.name, self.spec.provider_id.rpartition("/")[2]


class _ServiceReference(Shape):
    name: Reference
    port: int | str


class _BindingSpec(Shape):
    service_ref: _ServiceReference
    target_group_arn: Arn = field(default=NO_ARN, name="targetGroupARN")
    target_group_name: Reference = NO_TEXT
    ip_address_type: str = "ipv4"
    role_arn: Arn = field(default=NO_ARN, name="iamRoleArnToAssume")
    external_id: Arn = field(default=NO_ARN, name="assumeRoleExternalId")


class TargetGroupBinding(Shape):
    """TargetGroupBinding of elbv2.k8s.aws/v1beta1 and eks.amazonaws.com/v1."""

    metadata: LabeledMetadata
    spec: _BindingSpec

    def record(self) -> records.Binding:
        """Return what we judge of it; an unset address type is IPv4, as the controller reads it."""
        port = self.spec.service_ref.port  # msgspec does not support a custom type in a union
        return records.Binding(
            name=self.metadata.name,
            service=self.spec.service_ref.name,
            port=port if isinstance(port, int) else Reference.bounded(port),
            arn=self.spec.target_group_arn,
            group_name=self.spec.target_group_name,
            family="IPv6" if self.spec.ip_address_type == "ipv6" else "IPv4",
            role_arn=self.spec.role_arn,
            external_id=self.spec.external_id,
            stack=_stack(self.metadata.labels or {}),
        )


def _stack(labels: dict[str, str]) -> str:
    """Return which stack the controller made a binding for; the prefix of these labels differs by kind and controller.

    Source: aws-load-balancer-controller pkg/deploy/tracking/provider.go.
    """
    parts = {"stack", "stack-namespace", "stack-name"}
    return "/".join(value for key, value in sorted(labels.items()) if key.partition("/")[2] in parts)
