"""Reads Kubernetes: the only importer of the `kubernetes` package.

Raw GETs through the client library's ApiClient, which keeps its kubeconfig, token refresh and TLS, decoded into
records by kubernetes_shapes. Nothing here judges. A read that fails raises CannotTell naming the verb, the resource
and what to fix; an absent object is None; a list is complete or an error, never a guess.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from itertools import chain
from os import environ
from threading import Lock
from time import monotonic
from typing import Any, cast
from urllib.parse import quote

import msgspec
import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from yaml import YAMLError

from provider import kubernetes_shapes as shapes
from provider.budget import Budget, Read
from provider.errors import CannotTell, NotConfigured, RolloutNotFound, first_line
from provider.kubernetes_errors import Absent, malformed, refused, unreachable, well_formed
from provider.reasons import Reason
from provider.records import HASH_LABEL, Binding, Kind, Rollout, Topology
from provider.sharing import Known, Sharing, Wanted
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
_TRIED_TWICE = urllib3.Retry(total=1, connect=1, read=1, redirect=0, status=0, other=0, raise_on_status=False)


@dataclass(frozen=True, slots=True)
class _Api:
    """One resource of the API: where it is, and what RBAC calls it."""

    prefix: str
    plural: str
    rbac: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{self.prefix}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


ROLLOUTS = _Api("/apis/argoproj.io/v1alpha1", "rollouts", "rollouts.argoproj.io")
REPLICA_SETS = _Api("/apis/apps/v1", "replicasets", "replicasets.apps")
SERVICES = _Api("/api/v1", "services", "services")
PODS = _Api("/api/v1", "pods", "pods")
NODES = _Api("/api/v1", "nodes", "nodes", namespaced=False)
SLICES = _Api("/apis/discovery.k8s.io/v1", "endpointslices", "endpointslices.discovery.k8s.io")
BINDING_APIS = (
    _Api("/apis/elbv2.k8s.aws/v1beta1", "targetgroupbindings", "targetgroupbindings.elbv2.k8s.aws"),
    _Api("/apis/eks.amazonaws.com/v1", "targetgroupbindings", "targetgroupbindings.eks.amazonaws.com"),
)
"""The AWS Load Balancer Controller's own API, and that of EKS Auto Mode."""


Foresee = Callable[[tuple[Binding, ...]], None]
"""Is told early what a question will want next."""


def nothing(_: tuple[Binding, ...]) -> None:
    """Foresee nothing."""


def connect(*, pool_size: int) -> ApiClient:
    """Return a client for the cluster that KUBECONFIG, the pod's ServiceAccount or ~/.kube/config names, in this order.

    Raises NotConfigured when there is none.
    """
    configuration = Configuration()
    try:
        if "KUBECONFIG" not in environ and "KUBERNETES_SERVICE_HOST" in environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            # The library reads KUBECONFIG when it is imported, so it is handed over again.
            config.load_kube_config(environ.get("KUBECONFIG"), client_configuration=configuration, persist_config=False)
    except (config.ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
        # The last three are what the library makes of a file that is YAML but no kubeconfig.
        raise NotConfigured(f"No usable kubeconfig or ServiceAccount: {first_line(error)}") from error
    configuration.retries = _TRIED_TWICE  # the library's own default is three retries
    configuration.connection_pool_maxsize = pool_size
    configuration.keep_alive = True
    return ApiClient(configuration)


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

    def ping(self, budget: Budget) -> None:
        """Ask for the version, which every authenticated client may. Raises CannotTell."""
        with self._metrics.upstream("kubernetes", "version"):
            self._get("/version", [], "get the server's version", budget)

    def topology(self, namespace: str, name: str, budget: Budget, foresee: Foresee = nothing) -> Topology:
        """Read a Rollout and everything that hangs on it: two round trips, none while the last look is fresh.

        `foresee` is called with the bindings of the strategy's Services after the first, so that what they lead to can
        be read during the second. Raises RolloutNotFound, and CannotTell if anything else could not be read.
        """
        look = partial(self._topology, namespace, name, budget, foresee)
        return cast(
            Topology, self._sharing.look(Kind.TOPOLOGY, (namespace, name), f"Rollout {name}", look, budget).value
        )

    def _topology(self, namespace: str, name: str, budget: Budget, foresee: Foresee) -> Known[Topology]:
        """Read the Rollout beside the namespace's bindings, then together what the Rollout leads to."""
        read_at = self._sharing.clock()
        begun = self._sharing.begin(*(self._bindings(api, namespace, budget) for api in BINDING_APIS), budget=budget)
        (rollout,) = budget.read(Read(f"Rollout {name}", lambda: self._rollout(namespace, name, budget)))
        listed = begun.result(budget)
        in_namespace = _served([listed[api.rbac, namespace].value for api in BINDING_APIS])
        bindings = tuple(one for one in in_namespace if one.service in rollout.strategy.services)
        foresee(bindings)
        replica_sets, pods, slices, services = self._of_rollout(rollout, budget)
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
            ),
            read_at,
        )

    def _of_rollout(self, rollout: Rollout, budget: Budget) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Read green's ReplicaSets and pods, and the strategy's Services with their EndpointSlices."""
        namespace, names = rollout.namespace, rollout.strategy.services
        of_green = f"{HASH_LABEL}={rollout.current_hash}" if rollout.current_hash else ""
        of_services = f"kubernetes.io/service-name in ({','.join(names)})" if names else ""

        def listed(api: _Api, shape: type[Any], selector: str) -> Read:
            """Nothing can match an empty selector here, while the API would read it as "everything"."""
            call = partial(self._list, api, namespace, shape, budget, selector) if selector else list
            return Read(api.rbac, call)

        def service(name: str) -> Read:
            return Read(f"Service {name}", lambda: self._object(SERVICES, namespace, name, shapes.Service, budget))

        replica_sets, pods, slices, *services = budget.read(
            listed(REPLICA_SETS, shapes.ReplicaSet, of_green),
            listed(PODS, shapes.PodMetadata, of_green),
            listed(SLICES, shapes.EndpointSlice, of_services),
            *(service(name) for name in names),
        )
        return replica_sets, pods, slices, services

    def _bindings(self, api: _Api, namespace: str, budget: Budget) -> Wanted:
        """All bindings of a namespace, which its Rollouts share; None where the cluster does not serve this API."""
        key = (api.rbac, namespace)

        def call(_: object) -> Mapping[tuple[str, str], tuple[Binding, ...] | None]:
            found = self._list_if_served(api, namespace, shapes.TargetGroupBinding, budget.anew())
            return {key: None if found is None else tuple(found)}

        return Wanted(Kind.TOPOLOGY, api.rbac, (key,), call)

    def containers_ready_since(
        self, namespace: str, pod_hash: str, names: Iterable[str], budget: Budget
    ) -> Mapping[str, datetime]:
        """Map pod uids to the time since when all their containers are ready; pods that are not are left out.

        These are full pods, the dearest read there is (10 KB each), so ask only for those that need explaining.
        """
        wanted = tuple(names)
        read = partial(self._few, PODS, namespace, shapes.Pod, f"{HASH_LABEL}={pod_hash}", wanted, budget)
        key = ("ready since", namespace, pod_hash, wanted)
        pods = self._sharing.look(Kind.TOPOLOGY, key, PODS.rbac, read, budget).value
        return {uid: since for uid, since in pods if since is not None}

    def instance_ids(self, names: Iterable[str], budget: Budget) -> Mapping[str, str]:
        """Map node names to EC2 instance ids."""
        wanted = tuple(sorted(names))
        read = partial(self._few, NODES, "", shapes.Node, "", wanted, budget)
        return dict(self._sharing.look(Kind.TOPOLOGY, ("instance ids", wanted), NODES.rbac, read, budget).value)

    def _few(
        self, api: _Api, namespace: str, shape: type[Any], selector: str, names: tuple[str, ...], budget: Budget
    ) -> list[Any]:
        """Read named objects, one by one while they are few, else all that the selector finds."""
        if len(names) > FEW:
            listing = Read(api.rbac, partial(self._list, api, namespace, shape, budget, selector))
            return list(chain.from_iterable(budget.read(listing)))
        one = partial(self._object, api, namespace, shape=shape, budget=budget)
        found = budget.read(*(Read(f"{api.rbac} {name}", partial(one, name)) for name in names))
        return [record for record in found if record is not None]

    def _rollout(self, namespace: str, name: str, budget: Budget) -> Rollout:
        shape = self._object(ROLLOUTS, namespace, name, shapes.Rollout, budget)
        if shape is None:
            raise RolloutNotFound(f"There is no Rollout {name} in namespace {namespace}")
        return cast(Rollout, shape)

    def _object(self, api: _Api, namespace: str, name: str, shape: type[Any], budget: Budget) -> Any:
        """Get one object's record, or None if it does not exist."""
        what = f"get {api.rbac} {name}" + (f" in namespace {namespace}" if api.namespaced else "")
        with self._metrics.upstream("kubernetes", f"get {api.plural}"):
            try:
                body = self._get(api.path(namespace, name), [], what, budget)
            except Absent:
                return None
            with well_formed(what):
                found = msgspec.json.decode(body, type=shape)
                if found.metadata.name != name or (api.namespaced and found.metadata.namespace != namespace):
                    raise malformed(what)  # somebody else's evidence
                return found.record()

    def _list(self, api: _Api, namespace: str, shape: type[Any], budget: Budget, selector: str = "") -> list[Any]:
        """List the records of all objects that match."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            return list(self._pages(api, namespace, shape, budget, selector))

    def _list_if_served(self, api: _Api, namespace: str, shape: type[Any], budget: Budget) -> list[Any] | None:
        """List all records, or return None where the cluster does not serve this API."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            try:
                return list(self._pages(api, namespace, shape, budget, ""))
            except CannotTell as error:
                if error.reason is Reason.KUBERNETES_API_MISSING:
                    return None
                raise

    def _pages(self, api: _Api, namespace: str, shape: type[Any], budget: Budget, selector: str) -> Iterator[Any]:
        """Yield the records of a list, page by page."""
        what = f"list {api.rbac}" + (f" in namespace {namespace}" if api.namespaced else "")
        accept = _PARTIAL if shape is shapes.PodMetadata else "application/json"
        query = {"limit": str(PAGE_SIZE)} | ({"labelSelector": selector} if selector else {})
        decoder = msgspec.json.Decoder(shapes.Page[shape])  # type: ignore[valid-type] # the shape is chosen at run time
        for _ in range(MAX_PAGES):
            try:
                body = self._get(api.path(namespace), list(query.items()), what, budget, accept)
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
        self, path: str, query: list[tuple[str, str]], what: str, budget: Budget, accept: str = "application/json"
    ) -> bytes:
        """GET a path; raise CannotTell for anything but a whole 200, Absent for an object that does not exist."""
        client = self._client
        status, body = self._send(client, path, query, what, budget, accept)
        if status == HTTPStatus.UNAUTHORIZED and self._has_reconnected(client):
            status, body = self._send(self._client, path, query, what, budget, accept)
        self.answered = True
        if status != HTTPStatus.OK:
            raise refused(what, status, body)
        return body

    def _send(
        self, client: ApiClient, path: str, query: list[tuple[str, str]], what: str, budget: Budget, accept: str
    ) -> tuple[int, bytes]:
        """Send one request; return the status and the whole body."""
        method, url, headers, _, _ = client.param_serialize(
            "GET", path, query_params=query, header_params={"Accept": accept}, auth_settings=["BearerToken"]
        )
        left = budget.remaining_seconds()
        try:
            response = client.call_api(
                method, url, headers, _request_timeout=(min(self._connect, left), min(self._read, left))
            )
            return response.status, bytes(response.read())
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(what, error) from error

    def _has_reconnected(self, rejected: ApiClient) -> bool:
        """Read the credentials anew, once a second at most: a token may have been rotated before the client looked."""
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
