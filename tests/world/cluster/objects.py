"""Builders of the Kubernetes objects that the provider reads, as plain dicts.

Names and uids are deterministic: the same arguments give the same object, except for times left to "now".
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.world.cluster.endpoints import endpoint_slices
from tests.world.cluster.naming import HASH_LABEL, condition, deterministic_uid, pod_template_hash, timestamp
from tests.world.cluster.workloads import Manifest, analysis_run, end, is_active, pod, replica_set, rollout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "HASH_LABEL",
    "Manifest",
    "analysis_run",
    "deterministic_uid",
    "end",
    "endpoint_slices",
    "is_active",
    "managed",
    "node",
    "pod",
    "pod_template_hash",
    "replica_set",
    "rollout",
    "service",
    "target_group_binding",
    "timestamp",
]


def service(
    name: str,
    *,
    selector: Mapping[str, str],
    namespace: str = "shop",
    ports: Sequence[Mapping[str, Any]] = ({"name": "http", "port": 80, "targetPort": "http"},),
    selector_written_at: datetime | None = None,
    **spec: Any,
) -> Manifest:
    """Build a ClusterIP Service; `spec` overrides parts of its spec.

    `selector_written_at` is when Argo Rollouts last wrote the selector; None if it never did.
    """
    entries = [managed("kubectl-client-side-apply", datetime(2026, 1, 5, 9, 30, tzinfo=UTC))]
    annotations: dict[str, str] = {}
    if selector_written_at is not None:
        entries.append(managed("rollouts-controller", selector_written_at))
        annotations["argo-rollouts.argoproj.io/managed-by-rollouts"] = selector.get("app", name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": deterministic_uid("Service", namespace, name),
            "annotations": annotations,
            "managedFields": entries,
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": f"172.20.{zlib.crc32(name.encode()) % 250}.10",
            "ipFamilies": ["IPv4"],
            "ports": [{"protocol": "TCP"} | dict(port) for port in ports],
            "selector": dict(selector),
        }
        | spec,
    }


def target_group_binding(
    name: str,
    *,
    service: str,
    namespace: str = "shop",
    port: int | str = 80,
    arn: str | None = None,
    target_group_name: str | None = None,
    group: str = "elbv2.k8s.aws",
    version: str = "v1beta1",
    target_type: str | None = "ip",
    ip_address_type: str | None = None,
    **spec: Any,
) -> Manifest:
    """Build a TargetGroupBinding; what is None is absent, `spec` overrides parts of its spec."""
    fields = {
        "targetGroupARN": arn,
        "targetGroupName": target_group_name,
        "targetType": target_type,
        "ipAddressType": ip_address_type,
    }
    present = {field: value for field, value in fields.items() if value is not None}
    return {
        "apiVersion": f"{group}/{version}",
        "kind": "TargetGroupBinding",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": deterministic_uid("TargetGroupBinding", group, namespace, name),
            "labels": {"ingress.k8s.aws/stack-name": service, "ingress.k8s.aws/stack-namespace": namespace},
        },
        "spec": {"serviceRef": {"name": service, "port": port}} | present | spec,
        "status": {"observedGeneration": 1},
    }


def node(name: str, *, instance_id: str, zone: str = "eu-west-1a", ready: bool = True) -> Manifest:
    """Build a Node of an EKS cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": deterministic_uid("Node", name),
            "labels": {
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": zone,
                "topology.kubernetes.io/region": zone[:-1],
            },
        },
        "spec": {"providerID": f"aws:///{zone}/{instance_id}"},
        "status": {"conditions": [condition("Ready", met=ready, since=datetime(2026, 1, 5, tzinfo=UTC))]},
    }


def managed(manager: str, moment: datetime) -> Manifest:
    """Build the entry of managedFields that says who wrote a Service's selector, and when."""
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": timestamp(moment),
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:selector": {}}},  # the whole selector is one field (an atomic map)
    }
