"""Reads the objects that a preflight inspects, whole and as the API has them.

Only the preflight reads them, so their rights are optional: what may not be read is said, and the rest is inspected.
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
class Found:
    """The objects by kind, and the kinds that could not be read, each with a sentence."""

    objects: Mapping[str, tuple[Mapping[str, Any], ...]]
    unread: Mapping[str, str]


def read(cluster: Cluster, namespace: str, rollout: str, deadline: Deadline) -> Found:
    """Read a Rollout and what a preflight inspects. Raises RolloutNotFound, and CannotTell for the Rollout itself."""
    names = {"Rollout": rollout, "Namespace": namespace}

    def one(kind: str, api: Api) -> tuple[Mapping[str, Any], ...] | CannotTell:
        try:
            found = cluster.server.whole(api, namespace, names.get(kind, ""), deadline)
        except CannotTell as error:
            return error
        return tuple({**each, "kind": kind} for each in found)

    wanted = [*KINDS.items(), *(("TargetGroupBinding", api) for api in BINDING_APIS)]
    results = cluster.read(deadline, *(Read(api.rbac, partial(one, kind, api)) for kind, api in wanted))
    objects: dict[str, tuple[Mapping[str, Any], ...]] = {}
    unread: dict[str, str] = {}
    for (kind, _), found in zip(wanted, results, strict=True):
        if not isinstance(found, CannotTell):
            objects[kind] = (*objects.get(kind, ()), *found)
        elif kind == "Rollout":
            raise found
        elif kind != "TargetGroupBinding" or found.reason is not Reason.KUBERNETES_API_MISSING:
            unread[kind] = str(found)  # one of the two APIs of bindings is nearly always missing
    if not objects.get("Rollout"):
        raise RolloutNotFound(f"There is no Rollout {rollout} in namespace {namespace}")
    return Found(objects, unread)
