"""The Kubernetes API server: what its resources are, and how they are read.

Raw requests through the client that connection.py makes, decoded into records by shapes.py. Nothing here knows what is
read for which question. A read that fails raises CannotTell naming the verb, the resource and what to fix; an absent
object is None; a list is complete or an error, never a guess.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3

from provider.model.errors import CannotTell, NotConfigured
from provider.model.reasons import Reason
from provider.sources.clock import OtherClocks
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.connection import MAX_BODY_BYTES, Client
from provider.sources.kubernetes.kubernetes_errors import Absent, TooLarge, malformed, refused, unreachable, well_formed
from provider.telemetry import Metrics

PAGE_SIZE = 1000
"""Objects per page of a list: every list we need fits one page but for the largest fleets."""

MAX_PAGES = 50
"""More pages than any namespace has; a list without an end is none."""

RECONNECT_SECONDS = 1.0
"""Between two looks at the credentials, however many requests are rejected."""

JSON = "application/json"
METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{JSON}"
"""Content types to accept: a list of pods is read without their specs and statuses, half of its bytes."""

_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


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
        """Return the path of one object, or of all of a namespace."""
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{self.prefix}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def list_query(self, label_selector: str = "") -> dict[str, str]:
        """Return the query of the first page of a list."""
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in query.items() if value}


ROLLOUTS = Api("/apis/argoproj.io/v1alpha1", "rollouts", "rollouts.argoproj.io")
ANALYSIS_RUNS = Api("/apis/argoproj.io/v1alpha1", "analysisruns", "analysisruns.argoproj.io")
REPLICA_SETS = Api("/apis/apps/v1", "replicasets", "replicasets.apps")
SERVICES = Api("/api/v1", "services", "services")
PODS = Api("/api/v1", "pods", "pods", field_selector=",".join(f"status.phase!={phase}" for phase in shapes.ENDED))
NODES = Api("/api/v1", "nodes", "nodes", namespaced=False)
SLICES = Api("/apis/discovery.k8s.io/v1", "endpointslices", "endpointslices.discovery.k8s.io")
BINDING_APIS = (
    Api("/apis/elbv2.k8s.aws/v1beta1", "targetgroupbindings", "targetgroupbindings.elbv2.k8s.aws"),
    Api("/apis/eks.amazonaws.com/v1", "targetgroupbindings", "targetgroupbindings.eks.amazonaws.com"),
)
"""The AWS Load Balancer Controller's own API, and that of EKS Auto Mode."""


class ApiServer:
    """One API server, by the client that `connect` makes; another is made when the credentials are rejected.

    Each request has these timeouts, cut to what is left of its question.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        clocks: OtherClocks,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        metrics: Metrics,
    ) -> None:
        """Connect; `clocks` are told what each answer says of the time."""
        self._client = connect()
        self._connect_again = connect
        self._reconnecting = Lock()
        self._reconnected_at = monotonic()
        self._clocks = clocks
        self._connect = connect_timeout_seconds
        self._read = read_timeout_seconds
        self._metrics = metrics
        self.answered = False
        """Whether the API server ever answered anything at all, a refusal included."""

    def ping(self, deadline: Deadline) -> None:
        """Ask for the version, which every authenticated client may. Raises CannotTell."""
        with self._metrics.upstream("kubernetes", "version"):
            self._get("/version", {}, "get the server's version", deadline)

    def read_one(self, api: Api, namespace: str, name: str, shape: type[Any], deadline: Deadline) -> Any:
        """Get one object's record, or None if it does not exist, or is a pod that has ended."""
        what = f"get {api.rbac} {name}" + (f" in namespace {namespace}" if api.namespaced else "")
        with self._metrics.upstream("kubernetes", f"get {api.plural}"):
            try:
                body = self._get(api.path(namespace, name), {}, what, deadline)
            except Absent:
                return None
            with well_formed(what):
                found = shapes.decoder(shape).decode(body)
                if found.metadata.name != name or (api.namespaced and found.metadata.namespace != namespace):
                    raise malformed(what)  # somebody else's evidence
                return found.record()

    def read_list(
        self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, selector: str = ""
    ) -> list[Any]:
        """List the records of all objects that match."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            return list(self._pages(api, namespace, shape, deadline, selector))

    def read_list_or_none(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline) -> list[Any] | None:
        """List the records of all objects; None if the API server says that it does not serve this API."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            try:
                return list(self._pages(api, namespace, shape, deadline, ""))
            except CannotTell as error:
                if error.reason is not Reason.KUBERNETES_API_MISSING:
                    raise
                return None

    def is_discovered(self, api: Api, deadline: Deadline) -> bool:
        """Tell whether the discovery of the API's group has its version; a group that may not be read has not."""
        what = f"get the API group {api.group}"
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            try:
                body = self._get(f"/apis/{api.group}", {}, what, deadline)
            except Absent:
                return False
            except CannotTell as error:
                if error.reason in _KNOWS_NO_GROUP:
                    return False
                raise
            with well_formed(what):
                found = msgspec.json.decode(body, type=shapes.ApiGroup)
        return api.version in {one.version for one in found.versions or ()}

    def whole(self, api: Api, namespace: str, name: str, deadline: Deadline) -> list[dict[str, Any]]:
        """Return one object, or without a name all of a kind, as the API has them. Raises CannotTell."""
        verb = f"get {api.rbac} {name}" if name else f"list {api.rbac}"
        what = verb + (f" in namespace {namespace}" if api.namespaced else "")
        with self._metrics.upstream("kubernetes", f"{'get' if name else 'list'} {api.plural}"):
            found: list[dict[str, Any]] = []
            query = {} if name else api.list_query()
            for _ in range(MAX_PAGES):
                try:
                    body = self._get_page(api.path(namespace, name), query, what, deadline)
                except Absent as error:
                    if name:
                        return []
                    raise malformed(what) from error
                with well_formed(what):
                    if name:
                        return [msgspec.json.decode(body, type=dict[str, Any])]
                    page = msgspec.json.decode(body, type=shapes.WholePage)
                found += page.items or ()
                if not page.metadata.continue_token:
                    return found
                query["continue"] = page.metadata.continue_token
            raise malformed(what)

    def may(self, namespace: str, verb: str, api: Api, deadline: Deadline) -> bool:
        """Tell whether the provider itself has a right, by the API server's own judgement. Raises CannotTell."""
        what = "create selfsubjectaccessreviews.authorization.k8s.io"
        about = {"verb": verb, "group": api.group, "resource": api.plural}
        about |= {"namespace": namespace} if api.namespaced else {}
        with self._metrics.upstream("kubernetes", "create selfsubjectaccessreviews"):
            body = self._get(_ACCESS_REVIEWS, {}, what, deadline, review=about)
            with well_formed(what):
                allowed: bool = shapes.decoder(shapes.AccessReview).decode(body).status.allowed
                return allowed

    def _pages(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, selector: str) -> Iterator[Any]:
        """Yield the records of a list, page by page."""
        what = listing(api, namespace)
        accept = METADATA_ONLY if shape is shapes.PodMetadata else JSON
        query = api.list_query(selector)
        for _ in range(MAX_PAGES):
            try:
                body = self._get_page(api.path(namespace), query, what, deadline, accept)
            except Absent as error:
                raise malformed(what) from error
            with well_formed(what):
                page = shapes.page_decoder(shape).decode(body)
                records = _records(page.items, namespace, what)
            yield from records
            if not page.metadata.continue_token:
                return
            query["continue"] = page.metadata.continue_token
        raise malformed(what)

    def _get_page(self, path: str, query: dict[str, str], what: str, deadline: Deadline, accept: str = JSON) -> bytes:
        """GET a page of a list; if it is too large, ask for a quarter of the objects, also in the pages after it."""
        while True:
            try:
                return self._get(path, query, what, deadline, accept)
            except TooLarge:
                limit = int(query.get("limit", 0)) // 4
                if not limit:
                    raise
                query["limit"] = str(limit)

    def _get(
        self,
        path: str,
        query: Mapping[str, str],
        what: str,
        deadline: Deadline,
        accept: str = JSON,
        review: Mapping[str, str] | None = None,
    ) -> bytes:
        """GET a path; raise CannotTell for anything but a whole 200, Absent for an object that does not exist.

        `review` asks about a right instead: a POST that stores nothing, answered with 201.
        """
        client = self._client
        send = partial(self._send, path=path, query=query, what=what, deadline=deadline, accept=accept, review=review)
        try:
            status, body = send(client)
        except CannotTell as error:  # credentials that fit no header are never sent
            if error.reason is not Reason.KUBERNETES_UNAUTHORIZED or not self._has_reconnected(client):
                raise
            status, body = send(self._client)
        if status == HTTPStatus.UNAUTHORIZED and self._has_reconnected(client):
            status, body = send(self._client)
        self.answered = True
        if status != (HTTPStatus.OK if review is None else HTTPStatus.CREATED):
            raise refused(what, status, body)
        return body

    def _send(
        self,
        client: Client,
        path: str,
        query: Mapping[str, str],
        what: str,
        deadline: Deadline,
        accept: str,
        review: Mapping[str, str] | None,
    ) -> tuple[int, bytes]:
        """Send one request; return the status and the whole body."""
        left = deadline.remaining_seconds()
        timeouts = min(self._connect, left), min(self._read, left)
        asked = {"spec": {"resourceAttributes": review}} if review else None
        try:
            status, body = client.send(
                "POST" if review else "GET",
                path,
                timeouts,
                accept=accept,
                query=query,
                content=asked,
                compressed=accept == METADATA_ONLY,  # elsewhere it costs more than it spares
                on_headers=self._clocks.asked("kubernetes"),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(what, error) from error
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(what, MAX_BODY_BYTES)
        return status, body

    def _has_reconnected(self, rejected: Client) -> bool:
        """Read the credentials again, at most once a second: a token may have been rotated before the client looked."""
        with self._reconnecting:
            if self._client is rejected and monotonic() - self._reconnected_at >= RECONNECT_SECONDS:
                self._reconnected_at = monotonic()
                with suppress(NotConfigured):
                    self._client = self._connect_again()
            return self._client is not rejected


_KNOWS_NO_GROUP = {Reason.KUBERNETES_API_MISSING, Reason.KUBERNETES_FORBIDDEN, Reason.KUBERNETES_MALFORMED}
"""How the API server answers about a group that it does not know, or that the provider may not ask about."""


def listing(api: Api, namespace: str) -> str:
    """Name the read of a list, for the operator."""
    return f"list {api.rbac}" + (f" in namespace {namespace}" if api.namespaced else "")


def _records(items: Iterable[Any] | None, namespace: str, what: str) -> list[Any]:
    """Return the records of decoded objects but pods that have ended. Raises CannotTell, and what records raise."""
    if any(item.metadata.namespace != namespace for item in items or ()):
        raise malformed(what)  # somebody else's evidence
    return [record for item in items or () if (record := item.record()) is not None]
