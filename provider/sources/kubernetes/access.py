"""Asks the API server what the provider may do: a SelfSubjectAccessReview, which every client may create.

Source: Kubernetes, authorization.k8s.io/v1; granted to all authenticated clients by the ClusterRole system:basic-user.
"""

from collections.abc import Iterable
from functools import partial

from provider.sources.bulkheads import Read
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import resources
from provider.sources.kubernetes.reader import Cluster
from provider.sources.kubernetes.resources import Api

Right = tuple[str, Api]
"""A verb and what it is about."""

QUERIES_NEED: tuple[Right, ...] = (
    ("get", resources.ROLLOUTS),
    ("list", resources.REPLICA_SETS),
    ("get", resources.SERVICES),
    ("get", resources.PODS),
    ("list", resources.PODS),
    ("list", resources.SLICES),
)
PEOPLE_NEED: tuple[Right, ...] = (
    ("list", resources.ROLLOUTS),
    ("list", resources.ANALYSIS_RUNS),
    ("get", resources.ANALYSIS_TEMPLATES),
    ("get", resources.CLUSTER_ANALYSIS_TEMPLATES),
)
EVENTS_NEED: tuple[Right, ...] = (("create", Api("/api/v1", "events", "events")),)
HANDOVER_NEEDS: tuple[Right, ...] = tuple(
    (verb, resources.LEASES) for verb in ("get", "list", "create", "update", "delete")
)
INSTANCE_TARGETS_NEED: tuple[Right, ...] = (("get", resources.NODES), ("list", resources.NODES))


def rights_for(bindings_api: str, *, instance_targets: bool) -> tuple[Right, ...]:
    """Return the rights that queries about a Rollout need.

    `bindings_api` is the API group of its bindings; empty for the AWS Load Balancer Controller's.
    """
    apis = [api for api in resources.BINDING_APIS if bindings_api in api.rbac]
    bindings = tuple(("list", api) for api in (apis if bindings_api else apis[:1]))
    return (*QUERIES_NEED, *bindings, *(INSTANCE_TARGETS_NEED if instance_targets else ()))


def review(cluster: Cluster, namespace: str, rights: Iterable[Right], deadline: Deadline) -> list[bool]:
    """Tell of each right whether the provider has it. Raises CannotTell if the API server does not tell."""
    return cluster.objects.read(
        deadline,
        *(
            Read(f"access to {api.rbac}", partial(cluster.server.may, namespace, verb, api, deadline))
            for verb, api in rights
        ),
    )


def denied(cluster: Cluster, namespace: str, rights: Iterable[Right], deadline: Deadline) -> list[str]:
    """Return a sentence for each right that the provider lacks. Raises as `review`."""
    rights = tuple(rights)
    return [
        f"The provider may not {verb} {api.rbac}" + api.scope(namespace)
        for (verb, api), allowed in zip(rights, review(cluster, namespace, rights, deadline), strict=True)
        if not allowed
    ]
