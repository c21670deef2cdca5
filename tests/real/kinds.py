"""The kinds of objects that the scenarios touch, and their paths."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of object."""

    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", part: str = "") -> str:
        """Return the path of one object, of a part of it, or of all of them."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        inside = f"namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(step for step in (root, inside, self.plural, name, part) if step)


KINDS = {
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "Node": Kind("v1", "nodes", namespaced=False),
    "Event": Kind("v1", "events"),
    "Pod": Kind("v1", "pods"),
    "Service": Kind("v1", "services"),
    "Secret": Kind("v1", "secrets"),
    "ConfigMap": Kind("v1", "configmaps"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "Deployment": Kind("apps/v1", "deployments"),
    "ReplicaSet": Kind("apps/v1", "replicasets"),
    "Job": Kind("batch/v1", "jobs"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Ingress": Kind("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Role": Kind("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": Kind("rbac.authorization.k8s.io/v1", "clusterroles", namespaced=False),
    "ClusterRoleBinding": Kind("rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False),
    "CustomResourceDefinition": Kind("apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False),
    "MutatingWebhookConfiguration": Kind(
        "admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", namespaced=False
    ),
    "Rollout": Kind("argoproj.io/v1alpha1", "rollouts"),
    "AnalysisTemplate": Kind("argoproj.io/v1alpha1", "analysistemplates"),
    "ClusterAnalysisTemplate": Kind("argoproj.io/v1alpha1", "clusteranalysistemplates", namespaced=False),
    "AnalysisRun": Kind("argoproj.io/v1alpha1", "analysisruns"),
    "TargetGroupBinding": Kind("elbv2.k8s.aws/v1beta1", "targetgroupbindings"),
}


def kind_of(manifest: dict[str, Any]) -> Kind:
    """Return the kind of a manifest. Raises KeyError for one that no scenario has used so far."""
    return KINDS[manifest["kind"]]
