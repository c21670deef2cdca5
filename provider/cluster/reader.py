"""Reads Kubernetes.

Raw GETs through the client library's ApiClient (connection.py makes it), decoded into records by shapes.py. Nothing
here judges. A read that fails raises CannotTell naming the verb, the resource and what to fix; an absent object is
None; a list is complete or an error, never a guess.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from itertools import chain
from threading import Lock
from time import monotonic
from typing import Any, cast
from urllib.parse import quote

import msgspec
import urllib3
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from provider.cluster import shapes
from provider.cluster.kubernetes_errors import Absent, malformed, refused, unreachable, well_formed
from provider.evidence.deadline import Deadline, Read
from provider.evidence.exceptions import CannotTell, NotConfigured, RolloutNotFound
from provider.evidence.reasons import Reason
from provider.evidence.records import (
    HASH_LABEL,
    Binding,
    Kind,
    MetricResult,
    PodAddress,
    PodState,
    Rollout,
    Service,
    Switch,
    Topology,
    same_address,
)
from provider.evidence.sharing import Known, Sharing, Wanted
from provider.telemetry import Metrics

PAGE_SIZE = 1000
"""Objects per page of a list: every list we need fits one page but for the largest fleets."""

MAX_PAGES = 50
"""More pages than any namespace has; a list without an end is none."""

RECONNECT_SECONDS = 1.0
"""Between two looks at the credentials, however many requests are rejected."""

FEW = 8
"""Up to so many objects are read one by one; more are cheaper as one list."""

_PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True)
class Api:
    """One resource of the API: where it is, and what RBAC calls it."""

    prefix: str
    plural: str
    rbac: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of one object, or of all of a namespace."""
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{self.prefix}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


ROLLOUTS = Api("/apis/argoproj.io/v1alpha1", "rollouts", "rollouts.argoproj.io")
ANALYSIS_RUNS = Api("/apis/argoproj.io/v1alpha1", "analysisruns", "analysisruns.argoproj.io")
REPLICA_SETS = Api("/apis/apps/v1", "replicasets", "replicasets.apps")
SERVICES = Api("/api/v1", "services", "services")
PODS = Api("/api/v1", "pods", "pods")
NODES = Api("/api/v1", "nodes", "nodes", namespaced=False)
SLICES = Api("/apis/discovery.k8s.io/v1", "endpointslices", "endpointslices.discovery.k8s.io")
BINDING_APIS = (
    Api("/apis/elbv2.k8s.aws/v1beta1", "targetgroupbindings", "targetgroupbindings.elbv2.k8s.aws"),
    Api("/apis/eks.amazonaws.com/v1", "targetgroupbindings", "targetgroupbindings.eks.amazonaws.com"),
)
"""The AWS Load Balancer Controller's own API, and that of EKS Auto Mode."""


Foresee = Callable[[tuple[Binding, ...]], None]
"""Is told early what a question will want next."""


def nothing(_: tuple[Binding, ...]) -> None:
    """Foresee nothing."""


class Cluster:
    """The cluster's side of the evidence."""

    def __init__(
        self,
        connect: Callable[[], ApiClient],
        sharing: Sharing,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        metrics: Metrics,
    ) -> None:
        """Read through the client that `connect` makes; it makes another when the credentials are rejected.

        Each request has these timeouts, cut to what is left of its question.
        """
        self._client = connect()
        self._connect_again = connect
        self._reconnecting = Lock()
        self._reconnected_at = monotonic()
        self._sharing = sharing
        self._connect = connect_timeout_seconds
        self._read = read_timeout_seconds
        self._metrics = metrics
        self.answered = False
        """Whether the API server ever answered anything at all, a refusal included."""

    def ping(self, deadline: Deadline) -> None:
        """Ask for the version, which every authenticated client may. Raises CannotTell."""
        with self._metrics.upstream("kubernetes", "version"):
            self._get("/version", [], "get the server's version", deadline)

    def topology(
        self, namespace: str, name: str, deadline: Deadline, foresee: Foresee = nothing, *, anew: bool = False
    ) -> Topology:
        """Read a Rollout and everything that belongs to it: two round trips, none while the last read is fresh.

        `foresee` is called with the bindings of the strategy's Services after the first, so that what they lead to can
        be read during the second. With `anew` nothing read before the question counts. Raises RolloutNotFound, and
        CannotTell if anything else could not be read.
        """
        look = partial(self._topology, namespace, name, deadline, foresee)
        key, what = (namespace, name), f"Rollout {name}"
        return cast(Topology, self._sharing.look(Kind.TOPOLOGY, key, what, look, deadline, anew=anew).value)

    def switch(self, rollout: Rollout, deadline: Deadline) -> Switch:
        """Read the Rollout and its production Service, not older than the question: one round trip, one or two reads.

        Questions that are asked while it is read share it. Raises RolloutNotFound and CannotTell.
        """
        namespace, name = rollout.namespace, rollout.name
        service = rollout.strategy.production_service
        wanted = [self._anew(ROLLOUTS, namespace, name, lambda: self._rollout(namespace, name, deadline.anew()))]
        if service:
            wanted.append(
                self._anew(SERVICES, namespace, service, lambda: self._service(namespace, service, deadline.anew()))
            )
        found = self._sharing.read(*wanted, deadline=deadline)
        return Switch(
            rollout=found[ROLLOUTS.rbac, namespace, name].value,
            service=found[SERVICES.rbac, namespace, service].value if service else None,
        )

    def production(self, namespace: str, name: str, deadline: Deadline) -> Switch:
        """Read a Rollout and then its production Service: two small requests. Raises RolloutNotFound and CannotTell."""
        found = self._sharing.read(
            self._anew(ROLLOUTS, namespace, name, lambda: self._rollout(namespace, name, deadline.anew())),
            deadline=deadline,
        )
        rollout = found[ROLLOUTS.rbac, namespace, name].value
        service = rollout.strategy.production_service
        return Switch(rollout, self._service(namespace, service, deadline) if service else None)

    def _anew(self, api: Api, namespace: str, name: str, read: Callable[[], Any]) -> Wanted:
        key = (api.rbac, namespace, name)
        return Wanted(Kind.TOPOLOGY, f"{api.rbac} {name}", (key,), lambda _: {key: read()}, anew=True)

    def _service(self, namespace: str, name: str, deadline: Deadline) -> Service | None:
        return cast(Service | None, self._object(SERVICES, namespace, name, shapes.Service, deadline))

    def _topology(self, namespace: str, name: str, deadline: Deadline, foresee: Foresee) -> Known[Topology]:
        """Read the Rollout beside the namespace's bindings, then together what the Rollout leads to."""
        read_at = self._sharing.clock()
        begun = self._sharing.begin(
            *(self._bindings(api, namespace, deadline) for api in BINDING_APIS), deadline=deadline
        )
        (rollout,) = deadline.read(Read(f"Rollout {name}", lambda: self._rollout(namespace, name, deadline)))
        listed = begun.result(deadline)
        in_namespace = _served([listed[api.rbac, namespace].value for api in BINDING_APIS])
        bindings = tuple(one for one in in_namespace if one.service in rollout.strategy.services)
        groups = {(one.arn, one.group_name) for one in bindings}
        foresee(bindings)
        replica_sets, pods, slices, services = self._of_rollout(rollout, deadline)
        uids = {pod.uid for pod in pods}
        read_at = min(read_at, *(one.read_at for one in listed.values()))
        return Known(
            Topology(
                rollout=rollout,
                replica_sets=tuple(replica_sets),
                services={one.name: one for one in services if one is not None},
                pods=tuple(pods),
                endpoints=tuple(chain.from_iterable(one.endpoints_of(uids) for one in slices)),
                bindings=bindings,
                read_at=read_at,
                foreign_bindings=tuple(
                    one
                    for one in in_namespace
                    if (one.arn, one.group_name) in groups and one.service not in rollout.strategy.services
                ),
            ),
            read_at,
        )

    def _of_rollout(self, rollout: Rollout, deadline: Deadline) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Read green's ReplicaSets and pods, and the strategy's Services with their EndpointSlices."""
        namespace, names = rollout.namespace, rollout.strategy.services
        of_green = f"{HASH_LABEL}={rollout.current_hash}" if rollout.current_hash else ""
        of_services = f"kubernetes.io/service-name in ({','.join(names)})" if names else ""

        def listed(api: Api, shape: type[Any], selector: str) -> Read:
            """Nothing can match an empty selector here, while the API would read it as "everything"."""
            call = partial(self._list, api, namespace, shape, deadline, selector) if selector else list
            return Read(api.rbac, call)

        def service(name: str) -> Read:
            return Read(f"Service {name}", lambda: self._service(namespace, name, deadline))

        replica_sets, pods, slices, *services = deadline.read(
            listed(REPLICA_SETS, shapes.ReplicaSet, of_green),
            listed(PODS, shapes.PodMetadata, of_green),
            listed(SLICES, shapes.EndpointSlice, of_services),
            *(service(name) for name in names),
        )
        return replica_sets, pods, slices, services

    def _bindings(self, api: Api, namespace: str, deadline: Deadline) -> Wanted:
        """All bindings of a namespace, which its Rollouts share; None where the cluster does not serve this API."""
        key = (api.rbac, namespace)

        def call(_: object) -> Mapping[tuple[str, str], tuple[Binding, ...] | None]:
            found = self._list_if_served(api, namespace, shapes.TargetGroupBinding, deadline.anew())
            return {key: None if found is None else tuple(found)}

        return Wanted(Kind.TOPOLOGY, api.rbac, (key,), call)

    def containers_ready_since(
        self, namespace: str, pod_hash: str, names: Iterable[str], deadline: Deadline
    ) -> Mapping[str, datetime]:
        """Map pod uids to the time since when all their containers are ready; pods that are not are left out.

        These are full pods, the dearest read there is (10 KB each), so ask only for those that need explaining.
        """
        wanted = tuple(names)
        read = partial(self._few, PODS, namespace, shapes.Pod, f"{HASH_LABEL}={pod_hash}", wanted, deadline)
        key = ("ready since", namespace, pod_hash, wanted)
        pods = self._sharing.look(Kind.TOPOLOGY, key, PODS.rbac, read, deadline).value
        return {uid: since for uid, since in pods if since is not None}

    def metric_results(self, namespace: str, name: str, deadline: Deadline) -> tuple[MetricResult, ...]:
        """Return the counters of an AnalysisRun; empty if there is none of this name. Raises CannotTell."""

        def read() -> tuple[MetricResult, ...]:
            (found,) = deadline.read(
                Read(
                    f"AnalysisRun {name}",
                    lambda: self._object(ANALYSIS_RUNS, namespace, name, shapes.AnalysisRun, deadline),
                )
            )
            return cast(tuple[MetricResult, ...], found or ())

        key = ("analysis run", namespace, name)
        return cast(
            tuple[MetricResult, ...],
            self._sharing.look(Kind.TOPOLOGY, key, f"AnalysisRun {name}", read, deadline).value,
        )

    def pod_states(
        self, namespace: str, names: Iterable[str], deadline: Deadline, selector: str = ""
    ) -> tuple[PodState, ...]:
        """Read these pods whole, to explain why they are not ready; of many, everything that the selector finds."""
        wanted = tuple(names)
        read = partial(self._few, PODS, namespace, shapes.WholePod, selector, wanted, deadline)
        return tuple(
            self._sharing.look(Kind.TOPOLOGY, ("pod states", namespace, wanted), PODS.rbac, read, deadline).value
        )

    def behind(self, namespace: str, service: str, deadline: Deadline) -> tuple[Service | None, frozenset[str]]:
        """Return a Service as it is now, and every address behind it, whatever its state. Raises CannotTell."""
        (found,) = deadline.read(Read(f"Service {service}", lambda: self._service(namespace, service, deadline)))
        return found, self.addresses(namespace, service, deadline)

    def addresses(self, namespace: str, service: str, deadline: Deadline) -> frozenset[str]:
        """Return every address in the EndpointSlices of a Service now, whatever its state. Raises CannotTell."""
        selector = f"kubernetes.io/service-name={service}"
        read = partial(self._list, SLICES, namespace, shapes.EndpointSlice, deadline, selector)
        (slices,) = deadline.read(Read(f"{SLICES.rbac} of Service {service}", read))
        return frozenset(same_address(address) for one in slices for address in one.addresses)

    def addresses_of_version(self, namespace: str, pod_hash: str, deadline: Deadline) -> frozenset[str]:
        """Return the addresses of the pods of a pod template hash that have not ended. Raises CannotTell."""
        read = partial(self._list, PODS, namespace, shapes.AddressedPod, deadline, f"{HASH_LABEL}={pod_hash}")
        (pods,) = deadline.read(Read(PODS.rbac, read))
        return frozenset(same_address(address) for one in pods for address in one.addresses)

    def addresses_of_pods(self, rollout: Rollout, deadline: Deadline) -> tuple[PodAddress, ...]:
        """Return the pods of every version of a Rollout with their addresses; whole pods, so only where needed."""
        namespace, listed = rollout.namespace, partial(self._list, deadline=deadline, selector=HASH_LABEL)
        pods, replica_sets = deadline.read(
            Read(PODS.rbac, partial(listed, PODS, namespace, shapes.AddressedPod)),
            Read(REPLICA_SETS.rbac, partial(listed, REPLICA_SETS, namespace, shapes.ReplicaSet)),
        )
        own = {one.uid for one in replica_sets if one.owner_uid == rollout.uid}
        return tuple(one for one in pods if one.owner_uid in own)

    def instance_ids(self, names: Iterable[str], deadline: Deadline) -> Mapping[str, str]:
        """Map node names to EC2 instance ids."""
        wanted = tuple(sorted(names))
        read = partial(self._few, NODES, "", shapes.Node, "", wanted, deadline)
        return dict(self._sharing.look(Kind.TOPOLOGY, ("instance ids", wanted), NODES.rbac, read, deadline).value)

    def _few(
        self, api: Api, namespace: str, shape: type[Any], selector: str, names: tuple[str, ...], deadline: Deadline
    ) -> list[Any]:
        """Read named objects, one by one while they are few, else all that the selector finds."""
        if len(names) > FEW:
            listing = Read(api.rbac, partial(self._list, api, namespace, shape, deadline, selector))
            return list(chain.from_iterable(deadline.read(listing)))
        one = partial(self._object, api, namespace, shape=shape, deadline=deadline)
        found = deadline.read(*(Read(f"{api.rbac} {name}", partial(one, name)) for name in names))
        return [record for record in found if record is not None]

    def _rollout(self, namespace: str, name: str, deadline: Deadline) -> Rollout:
        shape = self._object(ROLLOUTS, namespace, name, shapes.Rollout, deadline)
        if shape is None:
            raise RolloutNotFound(f"There is no Rollout {name} in namespace {namespace}")
        return cast(Rollout, shape)

    def whole(self, api: Api, namespace: str, name: str, deadline: Deadline) -> list[dict[str, Any]]:
        """Return one object, or without a name all of a kind, as the API has them. Raises CannotTell."""
        verb = f"get {api.rbac} {name}" if name else f"list {api.rbac}"
        what = verb + (f" in namespace {namespace}" if api.namespaced else "")
        with self._metrics.upstream("kubernetes", f"{'get' if name else 'list'} {api.plural}"):
            found: list[dict[str, Any]] = []
            query = {} if name else {"limit": str(PAGE_SIZE)}
            for _ in range(MAX_PAGES):
                try:
                    body = self._get(api.path(namespace, name), list(query.items()), what, deadline)
                except Absent:
                    return []
                with well_formed(what):
                    if name:
                        return [msgspec.json.decode(body, type=dict[str, Any])]
                    page = msgspec.json.decode(body, type=shapes.WholePage)
                found += page.items or ()
                if not page.metadata.continue_token:
                    return found
                query["continue"] = page.metadata.continue_token
            raise malformed(what)

    def _object(self, api: Api, namespace: str, name: str, shape: type[Any], deadline: Deadline) -> Any:
        """Get one object's record, or None if it does not exist."""
        what = f"get {api.rbac} {name}" + (f" in namespace {namespace}" if api.namespaced else "")
        with self._metrics.upstream("kubernetes", f"get {api.plural}"):
            try:
                body = self._get(api.path(namespace, name), [], what, deadline)
            except Absent:
                return None
            with well_formed(what):
                found = msgspec.json.decode(body, type=shape)
                if found.metadata.name != name or (api.namespaced and found.metadata.namespace != namespace):
                    raise malformed(what)  # somebody else's evidence
                return found.record()

    def _list(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, selector: str = "") -> list[Any]:
        """List the records of all objects that match."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            return list(self._pages(api, namespace, shape, deadline, selector))

    def _list_if_served(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline) -> list[Any] | None:
        """List all records, or return None where the cluster does not serve this API."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            try:
                return list(self._pages(api, namespace, shape, deadline, ""))
            except CannotTell as error:
                if error.reason is Reason.KUBERNETES_API_MISSING:
                    return None
                raise

    def _pages(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, selector: str) -> Iterator[Any]:
        """Yield the records of a list, page by page."""
        what = f"list {api.rbac}" + (f" in namespace {namespace}" if api.namespaced else "")
        accept = _PARTIAL if shape is shapes.PodMetadata else "application/json"
        query = {"limit": str(PAGE_SIZE)} | ({"labelSelector": selector} if selector else {})
        decoder = msgspec.json.Decoder(shapes.Page[shape])  # type: ignore[valid-type] # the shape is chosen at run time
        for _ in range(MAX_PAGES):
            try:
                body = self._get(api.path(namespace), list(query.items()), what, deadline, accept)
            except Absent as error:
                raise malformed(what) from error
            with well_formed(what):
                page: Any = decoder.decode(body)
                by_uid = shape is shapes.PodMetadata  # joined with ours, whosever they are
                if not by_uid and any(item.metadata.namespace != namespace for item in page.items or ()):
                    raise malformed(what)  # somebody else's evidence
                records = [item.record() for item in page.items or ()]
            yield from records
            if not page.metadata.continue_token:
                return
            query["continue"] = page.metadata.continue_token
        raise malformed(what)

    def _get(
        self, path: str, query: list[tuple[str, str]], what: str, deadline: Deadline, accept: str = "application/json"
    ) -> bytes:
        """GET a path; raise CannotTell for anything but a whole 200, Absent for an object that does not exist."""
        client = self._client
        send = partial(self._send, path=path, query=query, what=what, deadline=deadline, accept=accept)
        try:
            status, body = send(client)
        except CannotTell as error:  # credentials that fit no header are never sent
            if error.reason is not Reason.KUBERNETES_UNAUTHORIZED or not self._has_reconnected(client):
                raise
            status, body = send(self._client)
        if status == HTTPStatus.UNAUTHORIZED and self._has_reconnected(client):
            status, body = send(self._client)
        self.answered = True
        if status != HTTPStatus.OK:
            raise refused(what, status, body)
        return body

    def _send(
        self, client: ApiClient, path: str, query: list[tuple[str, str]], what: str, deadline: Deadline, accept: str
    ) -> tuple[int, bytes]:
        """Send one request; return the status and the whole body."""
        method, url, headers, _, _ = client.param_serialize(
            "GET", path, query_params=query, header_params={"Accept": accept}, auth_settings=["BearerToken"]
        )
        left = deadline.remaining_seconds()
        try:
            response = client.call_api(
                method, url, headers, _request_timeout=(min(self._connect, left), min(self._read, left))
            )
            return response.status, bytes(response.read())
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(what, error) from error

    def _has_reconnected(self, rejected: ApiClient) -> bool:
        """Read the credentials again, at most once a second: a token may have been rotated before the client looked."""
        with self._reconnecting:
            if self._client is rejected and monotonic() - self._reconnected_at >= RECONNECT_SECONDS:
                self._reconnected_at = monotonic()
                with suppress(NotConfigured):
                    self._client = self._connect_again()
            return self._client is not rejected


def _served(bindings: list[tuple[Binding, ...] | None]) -> tuple[Binding, ...]:
    """Join what the binding APIs listed; one may be missing, not all."""
    if all(one is None for one in bindings):
        raise CannotTell(
            Reason.KUBERNETES_API_MISSING,
            f"The cluster serves neither {' nor '.join(api.rbac for api in BINDING_APIS)}: is the AWS Load Balancer "
            "Controller, or EKS Auto Mode, installed?",
        )
    return tuple(chain.from_iterable(one for one in bindings if one is not None))
