"""Reads the objects that a preflight inspects, whole and as the API has them.

Only the preflight reads them, so their rights are optional: it names what it may not read, and inspects the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.reasons import Reason
from provider.sources.bulkheads import Read
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import (
    ANALYSIS_TEMPLATES,
    BINDING_APIS,
    CLUSTER_ANALYSIS_TEMPLATES,
    ROLLOUTS,
    SERVICES,
    Api,
)
from provider.sources.kubernetes.reader import Cluster

KINDS = {
    "Rollout": ROLLOUTS,
    "Service": SERVICES,
    "Ingress": Api("/apis/networking.k8s.io/v1", "ingresses", "ingresses.networking.k8s.io"),
    "AnalysisTemplate": ANALYSIS_TEMPLATES,
    "ClusterAnalysisTemplate": CLUSTER_ANALYSIS_TEMPLATES,
    "Namespace": Api("/api/v1", "namespaces", "namespaces", namespaced=False),
    "MutatingWebhookConfiguration": Api(
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        namespaced=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects by kind, and the kinds that could not be read, each with a sentence."""

    objects: Mapping[str, tuple[Mapping[str, Any], ...]]
    unread: Mapping[str, str]


def read(cluster: Cluster, namespace: str, rollout: str, deadline: Deadline) -> Manifests:
    """Read a Rollout and what a preflight inspects. Raises RolloutNotFound, and CannotTell for the Rollout itself."""
    names = {"Rollout": rollout, "Namespace": namespace}

    def read_kind(kind: str, api: Api) -> tuple[Mapping[str, Any], ...] | CannotTell:
        try:
            manifests = cluster.server.whole(api, namespace, names.get(kind, ""), deadline)
        except CannotTell as error:
            return error
        return tuple({**manifest, "kind": kind} for manifest in manifests)

    requested = [*KINDS.items(), *(("TargetGroupBinding", api) for api in BINDING_APIS)]
    results = cluster.read(deadline, *(Read(api.rbac, partial(read_kind, kind, api)) for kind, api in requested))
    objects: dict[str, tuple[Mapping[str, Any], ...]] = {}
    unread: dict[str, str] = {}
    for (kind, _), result in zip(requested, results, strict=True):
        if not isinstance(result, CannotTell):
            objects[kind] = (*objects.get(kind, ()), *result)
        elif kind == "Rollout":
            raise result
        elif kind != "TargetGroupBinding" or result.reason is not Reason.KUBERNETES_API_MISSING:
            unread[kind] = str(result)  # clusters usually serve one of the two binding APIs
    if not objects.get("Rollout"):
        raise RolloutNotFound(f"There is no Rollout {rollout} in namespace {namespace}")
    return Manifests(objects, unread)
