"""The TargetGroupBinding (elbv2.k8s.aws/v1beta1 and eks.amazonaws.com/v1)."""

from msgspec import field

from provider.model import records
from provider.sources.kubernetes.shapes.fields import NO_ARN, NO_TEXT, Arn, LabeledMetadata, Reference, Shape


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
