"""The resources of the Kubernetes API that are read or written: where each is, and what RBAC calls it."""

from dataclasses import dataclass
from urllib.parse import quote

from provider.sources.kubernetes import shapes

PAGE_SIZE = 1000
"""Objects per page of a list: nearly every list fits one page."""


@dataclass(frozen=True, slots=True)
class Api:
    """One resource of the API: where it is, what RBAC calls it, and the field selector of every list of it."""

    prefix: str
    plural: str
    rbac: str
    namespaced: bool = True
    field_selector: str = ""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.rbac.partition(".")[2]

    @property
    def version(self) -> str:
        """The version of the API group."""
        return self.prefix.rpartition("/")[2]

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of one object, or of all of a namespace; without a namespace of all in the cluster."""
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{self.prefix}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def scope(self, namespace: str) -> str:
        """Return where a request is made, for the operator; empty for a resource of the whole cluster."""
        if not self.namespaced:
            return ""
        return f" in namespace {namespace}" if namespace else " in every namespace"

    def list_query(self, label_selector: str = "") -> dict[str, str]:
        """Return the query of the first page of a list."""
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in query.items() if value}


ROLLOUTS = Api("/apis/argoproj.io/v1alpha1", "rollouts", "rollouts.argoproj.io")
ANALYSIS_RUNS = Api("/apis/argoproj.io/v1alpha1", "analysisruns", "analysisruns.argoproj.io")
ANALYSIS_TEMPLATES = Api("/apis/argoproj.io/v1alpha1", "analysistemplates", "analysistemplates.argoproj.io")
CLUSTER_ANALYSIS_TEMPLATES = Api(
    "/apis/argoproj.io/v1alpha1",
    "clusteranalysistemplates",
    "clusteranalysistemplates.argoproj.io",
    namespaced=False,
)
REPLICA_SETS = Api("/apis/apps/v1", "replicasets", "replicasets.apps")
SERVICES = Api("/api/v1", "services", "services")
PODS = Api("/api/v1", "pods", "pods", field_selector=",".join(f"status.phase!={phase}" for phase in shapes.ENDED))
NODES = Api("/api/v1", "nodes", "nodes", namespaced=False)
SLICES = Api("/apis/discovery.k8s.io/v1", "endpointslices", "endpointslices.discovery.k8s.io")
LEASES = Api("/apis/coordination.k8s.io/v1", "leases", "leases.coordination.k8s.io")
BINDING_APIS = (
    Api("/apis/elbv2.k8s.aws/v1beta1", "targetgroupbindings", "targetgroupbindings.elbv2.k8s.aws"),
    Api("/apis/eks.amazonaws.com/v1", "targetgroupbindings", "targetgroupbindings.eks.amazonaws.com"),
)
"""The AWS Load Balancer Controller's API, and that of EKS Auto Mode."""
