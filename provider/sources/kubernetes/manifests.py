"""Reads the objects that a preflight inspects, whole and as the API has them.

Only the preflight reads them, so their rights are optional: it names what it may not read, and inspects the rest.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.reasons import Reason
from provider.sources.bulkheads import Read
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.reader import Cluster
from provider.sources.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    BINDING_APIS,
    CLUSTER_ANALYSIS_TEMPLATES,
    ROLLOUTS,
    SERVICES,
    Api,
)

_NETWORKING, _ADMISSION = "/apis/networking.k8s.io/v1", "/apis/admissionregistration.k8s.io/v1"
DEPLOYMENTS = Api("/apis/apps/v1", "deployments", "deployments.apps")
KINDS = (
    ("Rollout", ROLLOUTS),
    ("Service", SERVICES),
    ("Ingress", Api(_NETWORKING, "ingresses", "ingresses.networking.k8s.io")),
    ("IngressClass", Api(_NETWORKING, "ingressclasses", "ingressclasses.networking.k8s.io", namespaced=False)),
    ("AnalysisTemplate", ANALYSIS_TEMPLATES),
    ("ClusterAnalysisTemplate", CLUSTER_ANALYSIS_TEMPLATES),
    ("HorizontalPodAutoscaler", Api("/apis/autoscaling/v2", "horizontalpodautoscalers",
                                    "horizontalpodautoscalers.autoscaling")),
    ("Namespace", Api("/api/v1", "namespaces", "namespaces", namespaced=False)),
    ("MutatingWebhookConfiguration", Api(_ADMISSION, "mutatingwebhookconfigurations",
                                         "mutatingwebhookconfigurations.admissionregistration.k8s.io",
                                         namespaced=False)),
    *(("TargetGroupBinding", api) for api in BINDING_APIS),
    *(("IngressClassParams", Api(api.prefix, "ingressclassparams", f"ingressclassparams.{api.group}", namespaced=False))
      for api in BINDING_APIS),
)  # fmt: skip

Objects = Mapping[tuple[str, str, str], Mapping[str, Any]]
"""By kind, namespace (empty for kinds of the cluster) and name."""


_OF_CONTROLLER = {api.group for api in BINDING_APIS}
"""API groups of which clusters usually serve one."""


def read(cluster: Cluster, namespace: str, rollout: str, deadline: Deadline) -> tuple[Objects, dict[str, str]]:
    """Read a Rollout and what a preflight inspects, and return a sentence for each kind that could not be read.

    Raises RolloutNotFound, and CannotTell for the Rollout itself.
    """
    names = {"Rollout": rollout, "Namespace": namespace}
    objects, unread = _read_kinds(cluster, namespace, names, KINDS, deadline)
    if ("Rollout", namespace, rollout) not in objects:
        raise RolloutNotFound(f"There is no Rollout {rollout} in namespace {namespace}")
    spec = objects["Rollout", namespace, rollout].get("spec") or {}
    workload = spec.get("workloadRef") or {}
    if workload.get("kind") == "Deployment":
        names = {"Deployment": str(workload.get("name"))}
        deployment, unread_too = _read_kinds(cluster, namespace, names, (("Deployment", DEPLOYMENTS),), deadline)
        objects, unread = {**objects, **deployment}, {**unread, **unread_too}
    return objects, unread


def _read_kinds(
    cluster: Cluster,
    namespace: str,
    names: Mapping[str, str],
    kinds: tuple[tuple[str, Api], ...],
    deadline: Deadline,
) -> tuple[Objects, dict[str, str]]:
    """Read each kind whole, or the one object that is named. Raises CannotTell for a Rollout."""

    def read_kind(kind: str, api: Api) -> list[dict[str, Any]] | CannotTell:
        try:
            return cluster.server.whole(api, namespace, names.get(kind, ""), deadline)
        except CannotTell as error:
            return error

    results = cluster.objects.read(deadline, *(Read(api.rbac, partial(read_kind, kind, api)) for kind, api in kinds))
    objects: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    unread: dict[str, str] = {}
    for (kind, api), result in zip(kinds, results, strict=True):
        if not isinstance(result, CannotTell):
            for manifest in result:
                name = str(manifest.get("metadata", {}).get("name", ""))
                objects[kind, namespace if api.namespaced else "", name] = {**manifest, "kind": kind}
        elif kind == "Rollout":
            raise result
        elif api.group not in _OF_CONTROLLER or result.reason is not Reason.KUBERNETES_API_MISSING:
            unread[kind] = str(result)
    return objects, unread
