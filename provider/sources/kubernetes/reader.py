"""Reads what questions need of a Rollout and everything that belongs to it. Nothing here judges."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, cast

from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.reasons import Reason
from provider.model.records import (
    HASH_LABEL,
    Binding,
    Endpoint,
    EndpointSlice,
    Kind,
    MetricResult,
    Pod,
    PodAddress,
    PodState,
    ReplicaSet,
    Rollout,
    Service,
    Switch,
    Topology,
    same_address,
)
from provider.sources.bulkheads import KUBERNETES, Read
from provider.sources.cache import Reading
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.api_server import (
    ANALYSIS_RUNS,
    BINDING_APIS,
    NODES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    SLICES,
    Api,
    ApiServer,
)
from provider.sources.kubernetes.connection import Client
from provider.sources.kubernetes.known_pods import KnownPods, PodList, are_accounted_for, selecting_green
from provider.sources.kubernetes.served_apis import ServedApis
from provider.sources.shared import Request, Shared
from provider.telemetry import Metrics

FEW = 8
"""Up to so many objects are read one by one; more are cheaper as one list."""


class Cluster:
    """The cluster's side of the evidence."""

    def __init__(
        self,
        connect: Callable[[], Client],
        shared: Shared,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        metrics: Metrics,
    ) -> None:
        """Read through the client that `connect` makes, with these timeouts for each request."""
        self._shared = shared
        self._known_pods = KnownPods()
        self.server = ApiServer(
            connect,
            shared.other_clocks,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            metrics=metrics,
        )
        """What it reads from."""
        self._served_apis = ServedApis(self.server, lambda: shared.clock())  # noqa: PLW0108 - a benchmark sets the clock

    @property
    def answered(self) -> bool:
        """Whether the API server ever answered anything at all, a refusal included."""
        return self.server.answered

    def ping(self, deadline: Deadline) -> None:
        """Ask for the version, which every authenticated client may. Raises CannotTell."""
        self.server.ping(deadline)

    def topology(self, namespace: str, name: str, deadline: Deadline, *, anew: bool = False) -> Topology:
        """Read a Rollout and everything that belongs to it: two round trips, none while the last read is fresh.

        With `anew` nothing read before the query counts. Raises RolloutNotFound, and CannotTell if anything else could
        not be read.
        """
        pods_hold_seconds = 0 if anew else self._shared.freshness.pods
        look = partial(self._topology, namespace, name, deadline, pods_hold_seconds, decides=anew)
        key, what = (namespace, name), f"Rollout {name}"
        request: Request[Topology] = Request(Kind.TOPOLOGY, key, what, look, bypass_cache=anew)
        return self._shared.compose(request, deadline).value

    def switch(self, rollout: Rollout, deadline: Deadline) -> Switch:
        """Read the Rollout and its production Service, not older than the question: one round trip, one or two reads.

        Questions that are asked while it is read share it. Raises RolloutNotFound and CannotTell.
        """
        namespace, name = rollout.namespace, rollout.name
        service = rollout.strategy.production_service
        started = self._shared.start(self._newest_rollout(namespace, name, deadline), deadline)
        production = self._newest_service(namespace, service, deadline) if service else None
        pending = self._shared.start(production, deadline) if production else None
        newest = started.result(deadline).value
        return Switch(newest, pending.result(deadline).value if pending else None)

    def production(self, namespace: str, name: str, deadline: Deadline) -> Switch:
        """Read a Rollout and then its production Service: two small requests. Raises RolloutNotFound and CannotTell."""
        rollout = self._shared.read(self._newest_rollout(namespace, name, deadline), deadline).value
        service = rollout.strategy.production_service
        return Switch(rollout, self._service(namespace, service, deadline) if service else None)

    def _newest_rollout(self, namespace: str, name: str, deadline: Deadline) -> Request[Rollout]:
        key, call = (ROLLOUTS.rbac, namespace, name), partial(self._rollout, namespace, name, deadline.renewed())
        return Request(Kind.TOPOLOGY, key, f"{ROLLOUTS.rbac} {name}", call, bypass_cache=True)

    def _newest_service(self, namespace: str, name: str, deadline: Deadline) -> Request[Service | None]:
        key, call = (SERVICES.rbac, namespace, name), partial(self._service, namespace, name, deadline.renewed())
        return Request(Kind.TOPOLOGY, key, f"{SERVICES.rbac} {name}", call, bypass_cache=True)

    def read(self, deadline: Deadline, *reads: Read) -> list[Any]:
        """Run reads at the same time and return their results in order. Raises the first error in order."""
        return self._shared.threads.read(KUBERNETES, deadline, *reads)

    def _service(self, namespace: str, name: str, deadline: Deadline) -> Service | None:
        return cast(Service | None, self.server.read_one(SERVICES, namespace, name, shapes.Service, deadline))

    def _topology(
        self, namespace: str, name: str, deadline: Deadline, pods_hold_seconds: float, *, decides: bool
    ) -> Reading[Topology]:
        """Read the Rollout beside the namespace's bindings, then together what the Rollout leads to."""
        read_at = self._shared.clock()
        since = read_at if decides else None
        started = [
            self._shared.start(self._bindings(api, namespace, deadline, since), deadline) for api in BINDING_APIS
        ]
        (rollout,) = self.read(deadline, Read(f"Rollout {name}", lambda: self._rollout(namespace, name, deadline)))
        listed = [pending.result(deadline) for pending in started]
        in_namespace = _served([bindings.value for bindings in listed])
        bindings = tuple(one for one in in_namespace if one.service in rollout.strategy.services)
        groups = {(one.arn, one.group_name) for one in bindings}
        known = self._known_pods.of(rollout, read_at, pods_hold_seconds)
        found = self._of_known(rollout, known, deadline) if known else None
        found = found or self._of_rollout(rollout, deadline)
        read_at = min(read_at, *(bindings.read_at for bindings in listed))
        return Reading(
            Topology(
                rollout=rollout,
                replica_sets=found.replica_sets,
                services=found.services,
                pods=found.pods,
                endpoints=found.endpoints(),
                bindings=bindings,
                read_at=read_at,
                pods_read_at=min(read_at, found.pods_read_at),
                foreign_bindings=tuple(
                    one
                    for one in in_namespace
                    if (one.arn, one.group_name) in groups and one.service not in rollout.strategy.services
                ),
                unserved_apis=()
                if decides
                else tuple(api.rbac for api, one in zip(BINDING_APIS, listed, strict=True) if one.value is None),
            ),
            read_at,
        )

    def _of_rollout(self, rollout: Rollout, deadline: Deadline) -> "_OfRollout":
        """Read green's ReplicaSets and pods, and the strategy's Services with their EndpointSlices."""
        names, read_at = rollout.strategy.services, self._shared.clock()
        replica_sets, slices, pods, *services = self.read(
            deadline,
            self._of_green(REPLICA_SETS, shapes.ReplicaSet, rollout, deadline),
            self._slices(rollout, names, deadline),
            self._of_green(PODS, shapes.PodMetadata, rollout, deadline),
            *(self._read_service(rollout, name, deadline) for name in names),
        )
        found = _OfRollout(tuple(replica_sets), tuple(pods), tuple(slices), _by_name(services), read_at)
        self._known_pods.note(rollout, found.pods, found.services, read_at)
        return found

    def _of_known(self, rollout: Rollout, known: PodList, deadline: Deadline) -> "_OfRollout | None":
        """Read the same without the pods, and of EndpointSlices only those of Services that select green.

        If these do not account for every known pod, the pods are listed; None if other Services select green now.
        """
        replica_sets, slices, *services = self.read(
            deadline,
            self._of_green(REPLICA_SETS, shapes.ReplicaSet, rollout, deadline),
            self._slices(rollout, known.services, deadline),
            *(self._read_service(rollout, name, deadline) for name in rollout.strategy.services),
        )
        by_name = _by_name(services)
        if selecting_green(rollout, by_name.values()) != set(known.services):
            return None
        if are_accounted_for(known, rollout, replica_sets, slices):
            return _OfRollout(tuple(replica_sets), known.pods, tuple(slices), by_name, known.read_at)
        read_at = self._shared.clock()
        (pods,) = self.read(deadline, self._of_green(PODS, shapes.PodMetadata, rollout, deadline))
        self._known_pods.note(rollout, tuple(pods), by_name, read_at)
        return _OfRollout(tuple(replica_sets), tuple(pods), tuple(slices), by_name, read_at)

    def confirmed(self, topology: Topology, deadline: Deadline) -> Topology:
        """Return the topology that may decide; the same one if nothing of it has to be read again. Raises CannotTell.

        Pods that were listed before the rest are listed again, and an API of bindings that seemed not to be served is
        looked for again; if it is, everything is read again. Queries that ask at the same time share these reads.
        """
        rollout = topology.rollout
        apis = [api for api in BINDING_APIS if api.rbac in topology.unserved_apis]
        bindings = [
            self._shared.start(self._bindings(api, rollout.namespace, deadline, topology.read_at), deadline)
            for api in apis
        ]
        is_older = topology.pods_read_at < topology.read_at
        pods = self._shared.start(self._pods_again(topology, deadline), deadline) if is_older else None
        if any(pending.result(deadline).value is not None for pending in bindings):
            return self._topology(rollout.namespace, rollout.name, deadline, 0, decides=True).value
        if pods is None:
            return topology
        listed = pods.result(deadline)
        return replace(topology, pods=listed.value, pods_read_at=max(listed.read_at, topology.read_at))

    def _pods_again(self, topology: Topology, deadline: Deadline) -> Request[tuple[Pod, ...]]:
        rollout = topology.rollout
        key = (PODS.rbac, rollout.namespace, rollout.name, rollout.current_hash)

        def call() -> tuple[Pod, ...]:
            read_at, of = self._shared.clock(), deadline.renewed()
            pods = tuple(self._of_green(PODS, shapes.PodMetadata, rollout, of).call())
            self._known_pods.note(rollout, pods, topology.services, read_at)
            return pods

        return Request(Kind.PODS, key, PODS.rbac, call, bypass_cache=True)

    def _of_green(self, api: Api, shape: type[Any], rollout: Rollout, deadline: Deadline) -> Read:
        """List what has green's hash; nothing, where the API would read an empty selector as "everything"."""
        selector = f"{HASH_LABEL}={rollout.current_hash}"
        call = (
            partial(self.server.read_list, api, rollout.namespace, shape, deadline, selector)
            if rollout.current_hash
            else list
        )
        return Read(api.rbac, call)

    def _slices(self, rollout: Rollout, services: tuple[str, ...], deadline: Deadline) -> Read:
        """List the EndpointSlices of these Services."""
        selector = f"kubernetes.io/service-name in ({','.join(services)})"
        listing = partial(self.server.read_list, SLICES, rollout.namespace, shapes.EndpointSlice, deadline, selector)
        return Read(SLICES.rbac, listing if services else list)

    def _read_service(self, rollout: Rollout, name: str, deadline: Deadline) -> Read:
        return Read(f"Service {name}", lambda: self._service(rollout.namespace, name, deadline))

    def _bindings(
        self, api: Api, namespace: str, deadline: Deadline, decides_since: datetime | None
    ) -> Request[tuple[Binding, ...] | None]:
        """All bindings of a namespace, which its Rollouts share; None where the cluster does not serve this API.

        Where they decide, what is remembered of an API counts only from the time of that look on.
        """

        def call() -> tuple[Binding, ...] | None:
            listed = self._served_apis.read_list(
                api, namespace, shapes.TargetGroupBinding, deadline.renewed(), decides_since
            )
            return None if listed is None else tuple(listed)

        return Request(Kind.TOPOLOGY, (api.rbac, namespace, decides_since), api.rbac, call)

    def containers_ready_since(
        self, namespace: str, pod_hash: str, names: Iterable[str], deadline: Deadline
    ) -> Mapping[str, datetime]:
        """Map pod uids to the time since when all their containers are ready; pods that are not are left out.

        These are full pods, the dearest read there is (10 KB each), so ask only for those that need explaining.
        """
        wanted = tuple(names)
        read = partial(self._few, PODS, namespace, shapes.Pod, f"{HASH_LABEL}={pod_hash}", wanted, deadline)
        key = ("ready since", namespace, pod_hash, wanted)
        pods = self._shared.compose(Request(Kind.TOPOLOGY, key, PODS.rbac, read), deadline).value
        return {uid: since for uid, since in pods if since is not None}

    def metric_results(self, namespace: str, name: str, deadline: Deadline) -> tuple[MetricResult, ...]:
        """Return the counters of an AnalysisRun; empty if there is none of this name. Raises CannotTell."""

        def read() -> tuple[MetricResult, ...]:
            (found,) = self.read(
                deadline,
                Read(
                    f"AnalysisRun {name}",
                    lambda: self.server.read_one(ANALYSIS_RUNS, namespace, name, shapes.AnalysisRun, deadline),
                ),
            )
            return cast(tuple[MetricResult, ...], found or ())

        key = ("analysis run", namespace, name)
        return self._shared.compose(Request(Kind.TOPOLOGY, key, f"AnalysisRun {name}", read), deadline).value

    def pod_states(
        self, namespace: str, names: Iterable[str], deadline: Deadline, selector: str = ""
    ) -> tuple[PodState, ...]:
        """Read these pods whole, to explain why they are not ready; of many, everything that the selector finds."""
        wanted = tuple(names)
        read = partial(self._few, PODS, namespace, shapes.WholePod, selector, wanted, deadline)
        key = ("pod states", namespace, wanted)
        return tuple(self._shared.compose(Request(Kind.TOPOLOGY, key, PODS.rbac, read), deadline).value)

    def behind(self, namespace: str, service: str, deadline: Deadline) -> tuple[Service | None, frozenset[str]]:
        """Return a Service as it is now, and every address behind it, whatever its state. Raises CannotTell."""
        (found,) = self.read(deadline, Read(f"Service {service}", lambda: self._service(namespace, service, deadline)))
        return found, self.addresses(namespace, service, deadline)

    def addresses(self, namespace: str, service: str, deadline: Deadline) -> frozenset[str]:
        """Return every address in the EndpointSlices of a Service now, whatever its state. Raises CannotTell."""
        selector = f"kubernetes.io/service-name={service}"
        read = partial(self.server.read_list, SLICES, namespace, shapes.EndpointSlice, deadline, selector)
        (slices,) = self.read(deadline, Read(f"{SLICES.rbac} of Service {service}", read))
        return frozenset(same_address(address) for one in slices for address in one.addresses)

    def addresses_of_version(self, namespace: str, pod_hash: str, deadline: Deadline) -> frozenset[str]:
        """Return the addresses of the pods of a pod template hash that have not ended. Raises CannotTell."""
        read = partial(
            self.server.read_list, PODS, namespace, shapes.AddressedPod, deadline, f"{HASH_LABEL}={pod_hash}"
        )
        (pods,) = self.read(deadline, Read(PODS.rbac, read))
        return frozenset(same_address(address) for one in pods for address in one.addresses)

    def addresses_of_pods(self, rollout: Rollout, deadline: Deadline) -> tuple[PodAddress, ...]:
        """Return the pods of every version of a Rollout with their addresses; whole pods, so only where needed."""
        namespace, listed = rollout.namespace, partial(self.server.read_list, deadline=deadline, selector=HASH_LABEL)
        pods, replica_sets = self.read(
            deadline,
            Read(PODS.rbac, partial(listed, PODS, namespace, shapes.AddressedPod)),
            Read(REPLICA_SETS.rbac, partial(listed, REPLICA_SETS, namespace, shapes.ReplicaSet)),
        )
        own = {one.uid for one in replica_sets if one.owner_uid == rollout.uid}
        return tuple(one for one in pods if one.owner_uid in own)

    def instance_ids(self, names: Iterable[str], deadline: Deadline) -> Mapping[str, str]:
        """Map node names to EC2 instance ids."""
        wanted = tuple(sorted(names))
        read = partial(self._few, NODES, "", shapes.Node, "", wanted, deadline)
        request = Request(Kind.TOPOLOGY, ("instance ids", wanted), NODES.rbac, read)
        return dict(self._shared.compose(request, deadline).value)

    def _few(
        self, api: Api, namespace: str, shape: type[Any], selector: str, names: tuple[str, ...], deadline: Deadline
    ) -> list[Any]:
        """Read named objects, one by one while they are few, else all that the selector finds."""
        if len(names) > FEW:
            listing = Read(api.rbac, partial(self.server.read_list, api, namespace, shape, deadline, selector))
            return list(chain.from_iterable(self.read(deadline, listing)))
        one = partial(self.server.read_one, api, namespace, shape=shape, deadline=deadline)
        found = self.read(deadline, *(Read(f"{api.rbac} {name}", partial(one, name)) for name in names))
        return [record for record in found if record is not None]

    def _rollout(self, namespace: str, name: str, deadline: Deadline) -> Rollout:
        shape = self.server.read_one(ROLLOUTS, namespace, name, shapes.Rollout, deadline)
        if shape is None:
            raise RolloutNotFound(f"There is no Rollout {name} in namespace {namespace}")
        return cast(Rollout, shape)


@dataclass(frozen=True, slots=True)
class _OfRollout:
    """What a Rollout leads to in its namespace; the pods may have been listed earlier than the rest was read."""

    replica_sets: tuple[ReplicaSet, ...]
    pods: tuple[Pod, ...]
    slices: tuple[EndpointSlice, ...]
    services: Mapping[str, Service]
    pods_read_at: datetime

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of the pods."""
        uids = {pod.uid for pod in self.pods}
        return tuple(one for some in self.slices for one in some.endpoints if one.pod_uid in uids)


def _by_name(services: Iterable[Service | None]) -> dict[str, Service]:
    return {one.name: one for one in services if one is not None}


def _served(bindings: list[tuple[Binding, ...] | None]) -> tuple[Binding, ...]:
    """Join what the binding APIs listed; one may be missing, not all."""
    if all(one is None for one in bindings):
        raise CannotTell(
            Reason.KUBERNETES_API_MISSING,
            f"The cluster serves neither {' nor '.join(api.rbac for api in BINDING_APIS)}: is the AWS Load Balancer "
            "Controller, or EKS Auto Mode, installed?",
        )
    return tuple(chain.from_iterable(one for one in bindings if one is not None))
