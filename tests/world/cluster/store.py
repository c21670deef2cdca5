"""The objects of the embedded cluster, as etcd stores those of a real one."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tests.world.cluster.fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.world.cluster.selectors import Requirement

FIRST_RESOURCE_VERSION = 1000


@dataclass(frozen=True)
class Resource:
    """One kind the stand-in knows."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    custom: bool = False
    """From a CustomResourceDefinition: items of its lists carry kind and apiVersion, others do not."""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified_name(self) -> str:
        """The plural with its group, as error messages write it: `rollouts.argoproj.io`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


RESOURCES = (
    Resource("v1", "Namespace", "namespaces", namespaced=False),
    Resource("v1", "Node", "nodes", namespaced=False),
    Resource("v1", "Event", "events"),
    Resource("v1", "Secret", "secrets"),
    Resource("v1", "Pod", "pods"),
    Resource("v1", "Service", "services"),
    Resource("apps/v1", "Deployment", "deployments"),
    Resource("apps/v1", "ReplicaSet", "replicasets"),
    Resource("coordination.k8s.io/v1", "Lease", "leases"),
    Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Resource("argoproj.io/v1alpha1", "Rollout", "rollouts", custom=True),
    Resource("argoproj.io/v1alpha1", "AnalysisRun", "analysisruns", custom=True),
    Resource("argoproj.io/v1alpha1", "AnalysisTemplate", "analysistemplates", custom=True),
    Resource(
        "argoproj.io/v1alpha1", "ClusterAnalysisTemplate", "clusteranalysistemplates", namespaced=False, custom=True
    ),
    Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Resource("networking.k8s.io/v1", "Ingress", "ingresses"),
    Resource("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False),
    Resource(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        namespaced=False,
    ),
    Resource("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "targetgroupbindings", custom=True),
    Resource("elbv2.k8s.aws/v1beta1", "IngressClassParams", "ingressclassparams", namespaced=False, custom=True),
    Resource("eks.amazonaws.com/v1", "TargetGroupBinding", "targetgroupbindings", custom=True),
    Resource("eks.amazonaws.com/v1", "IngressClassParams", "ingressclassparams", namespaced=False, custom=True),
)


@dataclass(frozen=True)
class Stored:
    """One stored object, encoded when it is written, so that a long list only needs joining."""

    namespace: str
    name: str
    resource_version: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    """What field selectors compare."""
    encoded: bytes
    """The object as JSON without kind and apiVersion."""
    encoded_metadata: bytes
    resource: Resource = field(repr=False)

    def matches(self, labels: tuple[Requirement, ...], fields: tuple[Requirement, ...] = ()) -> bool:
        """Tell whether both selectors select this object."""
        return all(part.matches(self.labels) for part in labels) and all(part.matches(self.fields) for part in fields)

    def with_kind(self) -> bytes:
        """Return the whole object as JSON, with kind and apiVersion."""
        head = json.dumps({"apiVersion": self.resource.api_version, "kind": self.resource.kind})
        return head[:-1].encode() + b"," + self.encoded[1:]

    @cached_property
    def shared(self) -> dict[str, Any]:
        """The decoded object, the same one for every caller: for reading only."""
        decoded: dict[str, Any] = msgspec.json.decode(self.with_kind())
        return decoded


class KubernetesStore:
    """A thread-safe set of API objects, each identified by apiVersion, kind, namespace and name."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[Resource, dict[tuple[str, str], Stored]] = {kind: {} for kind in RESOURCES}
        self._resource_version = FIRST_RESOURCE_VERSION

    @property
    def resource_version(self) -> int:
        """The version of the last write; grows with each one."""
        with self._lock:
            return self._resource_version

    def put(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create or replace an object and return it as stored.

        Fills in uid, creationTimestamp and generation when absent, keeping those of the object it replaces,
        and always sets a new resourceVersion. A pod without a phase is Pending, as the API server makes a new one.
        Raises LookupError for a kind the stand-in does not know.
        """
        resource = self._resource(manifest["kind"], manifest["apiVersion"])
        metadata = dict(manifest["metadata"])
        if not resource.namespaced:
            metadata.pop("namespace", None)
        key = (metadata.get("namespace", ""), metadata["name"])
        with self._lock:
            old = self._objects[resource].get(key)
            kept = old.shared["metadata"] if old is not None else _fresh_metadata()
            for name in ("uid", "creationTimestamp", "generation"):
                metadata.setdefault(name, kept[name])
            self._resource_version += 1
            metadata["resourceVersion"] = str(self._resource_version)
            body = {name: part for name, part in manifest.items() if name not in ("kind", "apiVersion")}
            body["metadata"] = metadata
            if resource.kind == "Pod":
                status = body.get("status") or {}
                body["status"] = status | {"phase": status.get("phase") or "Pending"}
            self._objects[resource][key] = stored = Stored(
                namespace=key[0],
                name=key[1],
                resource_version=self._resource_version,
                labels=dict(metadata.get("labels") or {}),
                fields=fields_of(resource.kind, body),
                encoded=_encode(body),
                encoded_metadata=_encode(metadata),
                resource=resource,
            )
        decoded: dict[str, Any] = msgspec.json.decode(stored.with_kind())
        return decoded

    def delete(self, kind: str, namespace: str | None, name: str, api_version: str | None = None) -> None:
        """Remove an object; raises KeyError if there is none."""
        with self._lock:
            del self._objects[self._resource(kind, api_version)][(namespace or "", name)]
            self._resource_version += 1

    def get(self, kind: str, namespace: str | None, name: str, api_version: str | None = None) -> dict[str, Any]:
        """Return a copy of an object; raises KeyError if there is none."""
        with self._lock:
            stored = self._objects[self._resource(kind, api_version)][(namespace or "", name)]
        decoded: dict[str, Any] = msgspec.json.decode(stored.with_kind())
        return decoded

    def all(self, kind: str, namespace: str | None = None, api_version: str | None = None) -> list[dict[str, Any]]:
        """Return copies of all objects of a kind, in one namespace or all, ordered by namespace and name."""
        found = self.select(self._resource(kind, api_version), namespace)
        return [msgspec.json.decode(stored.with_kind()) for stored in found]

    def stored(self, kind: str, namespace: str | None = None, **labels: str) -> list[Stored]:
        """Return the stored form of the objects of a kind, in any group, with all these labels; for controllers."""
        return [
            stored
            for resource in RESOURCES
            if resource.kind == kind
            for stored in self.select(resource, namespace)
            if labels.items() <= stored.labels.items()
        ]

    def find(self, resource: Resource, namespace: str | None, name: str) -> Stored | None:
        """Return the stored form of one object, or None."""
        with self._lock:
            return self._objects[resource].get((namespace or "", name))

    def select(self, resource: Resource, namespace: str | None) -> list[Stored]:
        """Return the stored form of all objects of a resource, ordered by namespace and name."""
        with self._lock:
            found = list(self._objects[resource].items())
        return [stored for key, stored in sorted(found) if namespace in (None, key[0])]

    def clear(self) -> None:
        """Remove every object; resource versions keep growing."""
        with self._lock:
            for objects in self._objects.values():
                objects.clear()
            self._resource_version += 1

    def _resource(self, kind: str, api_version: str | None) -> Resource:
        for resource in RESOURCES:
            if resource.kind == kind and api_version in (None, resource.api_version):
                return resource
        message = f"the stand-in has no kind {kind} in {api_version or 'any group'}"
        raise LookupError(message)


def _fresh_metadata() -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
