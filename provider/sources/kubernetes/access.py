"""Asks the API server what the provider itself may do: a SelfSubjectAccessReview, which every client may create.

Source: Kubernetes, authorization.k8s.io/v1; granted to all authenticated clients by the ClusterRole system:basic-user.
"""

from collections.abc import Iterable
from functools import partial

from provider.sources.bulkheads import Read
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import (
    BINDING_APIS,
    NODES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    SLICES,
    Api,
)
from provider.sources.kubernetes.reader import Cluster

Right = tuple[str, Api]
"""A verb and what it is about."""

QUERIES_NEED: tuple[Right, ...] = (
    ("get", ROLLOUTS),
    ("list", REPLICA_SETS),
    ("get", SERVICES),
    ("get", PODS),
    ("list", PODS),
    ("list", SLICES),
)
INSTANCE_TARGETS_NEED: tuple[Right, ...] = (("get", NODES), ("list", NODES))


def rights_for(bindings_api: str, *, instance_targets: bool) -> tuple[Right, ...]:
    """Return what queries about a Rollout need whose bindings are of this API group (empty: the controller's own)."""
    apis = [one for one in BINDING_APIS if bindings_api in one.rbac] if bindings_api else BINDING_APIS[:1]
    more = INSTANCE_TARGETS_NEED if instance_targets else ()
    return (*QUERIES_NEED, *(("list", one) for one in apis), *more)


def denied(cluster: Cluster, namespace: str, rights: Iterable[Right], deadline: Deadline) -> list[str]:
    """Return a sentence for each right that the provider lacks. Raises CannotTell if the API server does not say."""
    wanted = tuple(rights)
    answers = cluster.read(
        deadline,
        *(
            Read(f"access to {api.rbac}", partial(cluster.server.may, namespace, verb, api, deadline))
            for verb, api in wanted
        ),
    )
    return [
        f"The provider may not {verb} {api.rbac}" + (f" in namespace {namespace}" if api.namespaced else "")
        for (verb, api), allowed in zip(wanted, answers, strict=True)
        if not allowed
    ]
