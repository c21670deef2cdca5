"""Reads a Rollout and everything that belongs to it, in two round trips and without listing pods where it can."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, Endpoint, EndpointSlice, Kind, Pod, ReplicaSet, Rollout, Service, Topology
from provider.sources.bulkheads import Read
from provider.sources.cache import Reading
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.known_pods import KnownPods, PodList, are_accounted_for, selecting_green
from provider.sources.kubernetes.objects import Objects
from provider.sources.kubernetes.resources import BINDING_APIS, PODS, REPLICA_SETS, Api
from provider.sources.kubernetes.served_apis import ServedApis
from provider.sources.shared import Request, Shared


class TopologyReader:
    """Reads topologies, and remembers which pods and APIs there were. Thread-safe."""

    def __init__(self, server: ApiServer, objects: Objects, shared: Shared) -> None:
        """Read these objects, and share the namespace's bindings."""
        self._objects, self._shared = objects, shared
        self._known_pods = KnownPods()
        self._served_apis = ServedApis(server, shared.clock)

    def read(self, namespace: str, name: str, deadline: Deadline, *, decides: bool) -> Reading[Topology]:
        """Read the Rollout and the namespace's bindings at the same time, then what the Rollout leads to.

        If it `decides`, nothing read before counts. Raises RolloutNotFound and CannotTell.
        """
        read_at = self._shared.clock()
        since = read_at if decides else None
        started = [
            self._shared.start(self._bindings(api, namespace, deadline, since), deadline) for api in BINDING_APIS
        ]
        (rollout,) = self._objects.read(
            deadline, Read(f"Rollout {name}", lambda: self._objects.rollout(namespace, name, deadline))
        )
        listed = [pending.result(deadline) for pending in started]
        bindings, foreign_bindings = _divided(_served([bindings.value for bindings in listed]), rollout)
        known = self._known_pods.of(rollout, read_at, 0 if decides else self._shared.freshness.pods)
        parts = (self._parts_but_pods(rollout, known, deadline) if known else None) or self._parts(rollout, deadline)
        unserved = [api.rbac for api, reading in zip(BINDING_APIS, listed, strict=True) if reading.value is None]
        read_at = min(read_at, *(reading.read_at for reading in listed))
        return Reading(
            Topology(
                rollout=rollout,
                replica_sets=parts.replica_sets,
                services=parts.services,
                pods=parts.pods,
                endpoints=parts.endpoints(),
                bindings=bindings,
                read_at=read_at,
                pods_read_at=min(read_at, parts.pods_read_at),
                foreign_bindings=foreign_bindings,
                unserved_apis=() if decides else tuple(unserved),
            ),
            read_at,
        )

    def confirmed(self, topology: Topology, deadline: Deadline) -> Topology:
        """Return the topology that may decide; the same one if nothing of it has to be read again. Raises CannotTell.

        Pods that were listed before the rest are listed again, and so are the binding APIs that were not served; if one
        is served now, everything is read again. Concurrent queries share these reads.
        """
        rollout = topology.rollout
        bindings = [
            self._shared.start(self._bindings(api, rollout.namespace, deadline, topology.read_at), deadline)
            for api in BINDING_APIS
            if api.rbac in topology.unserved_apis
        ]
        is_older = topology.pods_read_at < topology.read_at
        pods = self._shared.start(self._pods_again(topology, deadline), deadline) if is_older else None
        if any(pending.result(deadline).value is not None for pending in bindings):
            return self.read(rollout.namespace, rollout.name, deadline, decides=True).value
        if pods is None:
            return topology
        listed = pods.result(deadline)
        return replace(topology, pods=listed.value, pods_read_at=max(listed.read_at, topology.read_at))

    def _parts(self, rollout: Rollout, deadline: Deadline) -> "_Parts":
        """Read green's ReplicaSets and pods, and the strategy's Services with their EndpointSlices."""
        names, read_at = rollout.strategy.services, self._shared.clock()
        replica_sets, slices, pods, *services = self._objects.read(
            deadline,
            self._objects.of_green(REPLICA_SETS, shapes.ReplicaSet, rollout, deadline),
            self._objects.slices(rollout.namespace, names, deadline),
            self._objects.of_green(PODS, shapes.PodMetadata, rollout, deadline),
            *(self._objects.service_read(rollout.namespace, name, deadline) for name in names),
        )
        parts = _Parts(tuple(replica_sets), tuple(pods), tuple(slices), _by_name(services), read_at)
        self._known_pods.note(rollout, parts.pods, parts.services, read_at)
        return parts

    def _parts_but_pods(self, rollout: Rollout, known: PodList, deadline: Deadline) -> "_Parts | None":
        """Read the same without the pods, and of EndpointSlices only those of Services that select green.

        If these do not account for every known pod, the pods are listed; None if other Services select green now.
        """
        namespace = rollout.namespace
        replica_sets, slices, *services = self._objects.read(
            deadline,
            self._objects.of_green(REPLICA_SETS, shapes.ReplicaSet, rollout, deadline),
            self._objects.slices(namespace, known.services, deadline),
            *(self._objects.service_read(namespace, name, deadline) for name in rollout.strategy.services),
        )
        by_name = _by_name(services)
        if selecting_green(rollout, by_name.values()) != set(known.services):
            return None
        if are_accounted_for(known, rollout, replica_sets, slices):
            return _Parts(tuple(replica_sets), known.pods, tuple(slices), by_name, known.read_at)
        read_at = self._shared.clock()
        (pods,) = self._objects.read(deadline, self._objects.of_green(PODS, shapes.PodMetadata, rollout, deadline))
        self._known_pods.note(rollout, tuple(pods), by_name, read_at)
        return _Parts(tuple(replica_sets), tuple(pods), tuple(slices), by_name, read_at)

    def _pods_again(self, topology: Topology, deadline: Deadline) -> Request[tuple[Pod, ...]]:
        rollout = topology.rollout
        key = (PODS.rbac, rollout.namespace, rollout.name, rollout.current_hash)

        def call() -> tuple[Pod, ...]:
            read_at = self._shared.clock()
            pods = tuple(self._objects.of_green(PODS, shapes.PodMetadata, rollout, deadline.renewed()).call())
            self._known_pods.note(rollout, pods, topology.services, read_at)
            return pods

        return Request(Kind.PODS, key, PODS.rbac, call, bypass_cache=True)

    def _bindings(
        self, api: Api, namespace: str, deadline: Deadline, decides_since: datetime | None
    ) -> Request[tuple[Binding, ...] | None]:
        """All bindings of a namespace, which its Rollouts share; None where the cluster does not serve this API.

        If they decide, what is cached about the API counts only from `decides_since` on.
        """

        def call() -> tuple[Binding, ...] | None:
            listed = self._served_apis.read_list(
                api, namespace, shapes.TargetGroupBinding, deadline.renewed(), decides_since
            )
            return None if listed is None else tuple(listed)

        return Request(Kind.TOPOLOGY, (api.rbac, namespace, decides_since), api.rbac, call)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a Rollout leads to in its namespace; the pods may have been listed earlier than the rest was read."""

    replica_sets: tuple[ReplicaSet, ...]
    pods: tuple[Pod, ...]
    slices: tuple[EndpointSlice, ...]
    services: Mapping[str, Service]
    pods_read_at: datetime

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of the pods."""
        uids = {pod.uid for pod in self.pods}
        return tuple(endpoint for part in self.slices for endpoint in part.endpoints if endpoint.pod_uid in uids)


def _by_name(services: Iterable[Service | None]) -> dict[str, Service]:
    return {service.name: service for service in services if service is not None}


def _divided(in_namespace: tuple[Binding, ...], rollout: Rollout) -> tuple[tuple[Binding, ...], tuple[Binding, ...]]:
    """Return the bindings of the strategy's Services, and those of other Services to the same target groups."""
    services = rollout.strategy.services
    bindings = tuple(binding for binding in in_namespace if binding.service in services)
    groups = {binding.target_group for binding in bindings}
    foreign = tuple(
        binding for binding in in_namespace if binding.target_group in groups and binding.service not in services
    )
    return bindings, foreign


def _served(listed: list[tuple[Binding, ...] | None]) -> tuple[Binding, ...]:
    """Join what the binding APIs listed. Raises CannotTell if the cluster serves none of them."""
    if all(bindings is None for bindings in listed):
        raise CannotTell(
            Reason.KUBERNETES_API_MISSING,
            f"The cluster serves neither {' nor '.join(api.rbac for api in BINDING_APIS)}: is the AWS Load Balancer "
            "Controller, or EKS Auto Mode, installed?",
        )
    return tuple(chain.from_iterable(bindings for bindings in listed if bindings is not None))
