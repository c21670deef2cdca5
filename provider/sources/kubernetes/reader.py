"""Reads a Rollout and everything that belongs to it. Nothing here judges."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

from provider.model.records import (
    HASH_LABEL,
    EndpointSlice,
    Kind,
    Pod,
    PodState,
    Rollout,
    Service,
    Switch,
    Topology,
)
from provider.sources.bulkheads import Read
from provider.sources.cache import Value
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.argo import ArgoReader
from provider.sources.kubernetes.objects import Objects
from provider.sources.kubernetes.resources import NODES, PODS, ROLLOUTS, SERVICES, Api
from provider.sources.kubernetes.topology import TopologyReader
from provider.sources.shared import Request, Shared


class Cluster:
    """The cluster's side of the evidence."""

    def __init__(self, server: ApiServer, shared: Shared) -> None:
        """Read from this API server."""
        self.server, self._shared = server, shared
        self.argo = ArgoReader(server, shared)
        """What Argo says of Rollouts, for people."""
        self.objects = Objects(server, shared.threads)
        self.topologies = TopologyReader(server, self.objects, shared)

    def topology(self, namespace: str, name: str, deadline: Deadline, *, bypass_cache: bool = False) -> Topology:
        """Read a Rollout and everything that belongs to it: two round trips, none while the last read is fresh.

        With `bypass_cache` nothing read before the query counts. Raises RolloutNotFound, and CannotTell if anything
        else could not be read.
        """
        call = partial(self.topologies.read, namespace, name, deadline, decides=bypass_cache)
        request: Request[Topology] = Request(
            Kind.TOPOLOGY, (namespace, name), f"Rollout {name}", call, bypass_cache=bypass_cache
        )
        return self._shared.compose(request, deadline).value

    def switch(self, rollout: Rollout, deadline: Deadline) -> Switch:
        """Read the Rollout and its production Service at the same time, not older than the query.

        Concurrent queries share these reads. Raises RolloutNotFound and CannotTell.
        """
        service = rollout.strategy.production_service
        newest = self._shared.start(self._newest_rollout(rollout.namespace, rollout.name, deadline), deadline)
        production = None
        if service:
            request = self._uncached(SERVICES, rollout.namespace, service, self.objects.service, deadline)
            production = self._shared.start(request, deadline)
        return Switch(newest.result(deadline).value, production.result(deadline).value if production else None)

    def production(self, namespace: str, name: str, deadline: Deadline) -> Switch:
        """Read a Rollout and then its production Service: two small requests. Raises RolloutNotFound and CannotTell."""
        rollout = self._shared.read(self._newest_rollout(namespace, name, deadline), deadline).value
        service = rollout.strategy.production_service
        return Switch(rollout, self.objects.service(namespace, service, deadline) if service else None)

    def containers_ready_since(
        self, namespace: str, pod_hash: str, names: Iterable[str], deadline: Deadline
    ) -> Mapping[str, datetime]:
        """Map the uids of these pods to the time since when all their containers are ready; others are left out."""
        states = self.pod_states(namespace, names, deadline, f"{HASH_LABEL}={pod_hash}")
        return {state.uid: state.ready_since for state in states if state.ready_since is not None}

    def pod_states(
        self, namespace: str, names: Iterable[str], deadline: Deadline, selector: str = ""
    ) -> tuple[PodState, ...]:
        """Read these pods whole; if they are many, everything that the selector finds. Raises CannotTell.

        Whole pods are the most expensive read (10 KB each), so ask only for those that need explaining.
        """
        requested = tuple(names)
        read = partial(self.objects.named, PODS, namespace, shapes.Pod, selector, requested, deadline)
        request = Request(Kind.TOPOLOGY, ("pod states", namespace, selector, requested), PODS.rbac, read)
        return tuple(self._shared.compose(request, deadline).value)

    def instance_ids(self, names: Iterable[str], deadline: Deadline) -> Mapping[str, str]:
        """Map node names to EC2 instance ids."""
        requested = tuple(sorted(names))
        read = partial(self.objects.named, NODES, "", shapes.Node, "", requested, deadline)
        request = Request(Kind.TOPOLOGY, ("instance ids", requested), NODES.rbac, read)
        return dict(self._shared.compose(request, deadline).value)

    def behind(
        self, namespace: str, service: str, deadline: Deadline
    ) -> tuple[Service | None, tuple[EndpointSlice, ...]]:
        """Return a Service and its EndpointSlices as they are now. Raises CannotTell."""
        current, slices = self.objects.read(
            deadline,
            self.objects.service_read(namespace, service, deadline),
            self.objects.slices(namespace, (service,), deadline),
        )
        return current, tuple(slices)

    def rollout_and_pods(
        self, namespace: str, name: str, pod_hash: str, deadline: Deadline
    ) -> tuple[Rollout | None, tuple[Pod, ...]]:
        """Return a Rollout, None if it was deleted, and every pod of a hash, as they are now. Raises CannotTell."""
        rollout = partial(self.server.read_one, ROLLOUTS, namespace, name, shapes.Rollout, deadline)
        current, pods = self.objects.read(
            deadline,
            Read(f"Rollout {name}", rollout),
            self.objects.list_read(PODS, namespace, shapes.PodMetadata, f"{HASH_LABEL}={pod_hash}", deadline),
        )
        return current, tuple(pods)

    def _newest_rollout(self, namespace: str, name: str, deadline: Deadline) -> Request[Rollout]:
        return self._uncached(ROLLOUTS, namespace, name, self.objects.rollout, deadline)

    def _uncached(
        self, api: Api, namespace: str, name: str, read: Callable[[str, str, Deadline], Value], deadline: Deadline
    ) -> Request[Value]:
        call = partial(read, namespace, name, deadline.renewed())
        return Request(Kind.TOPOLOGY, (api.rbac, namespace, name), f"{api.rbac} {name}", call, bypass_cache=True)
