"""The Kubernetes API server, and how its resources are read.

Raw requests through the client that connection.py makes, decoded into records by shapes. Nothing here knows which query
needs what. A read that fails raises CannotTell naming the verb, the resource and what to fix; an absent object is None;
a list is complete or an error.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from itertools import chain
from threading import Lock
from time import monotonic
from typing import Any

import msgspec
import urllib3

from provider.model.errors import CannotTell, NotConfigured
from provider.model.reasons import Reason
from provider.sources.clock import OtherClocks
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.connection import MAX_BODY_BYTES, Client
from provider.sources.kubernetes.kubernetes_errors import Absent, TooLarge, malformed, refused, unreachable, well_formed
from provider.sources.kubernetes.resources import Api
from provider.telemetry import Metrics

MAX_PAGES = 50
"""More pages than any namespace has; a longer list is malformed."""

RECONNECT_SECONDS = 1.0
"""Minimum time between two reads of the credentials, however many requests are rejected."""

JSON = "application/json"
METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{JSON}"
"""Content types to accept. Pods are listed without specs and statuses: half of the bytes."""

_METHODS = {"create": "POST", "update": "PUT", "delete": "DELETE"}

_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class ApiServer:
    """One API server, through the client that `connect` makes; a new one is made when the credentials are rejected.

    Each request has these timeouts, cut to what is left of the query's deadline.
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
        """Connect; `clocks` read the Date header of each answer."""
        self._client = connect()
        self._connect_again = connect
        self._reconnecting = Lock()
        self._reconnected_at = monotonic()
        self._clocks = clocks
        self._connect = connect_timeout_seconds
        self._read = read_timeout_seconds
        self._metrics = metrics
        self.answered = False
        """Whether the API server has ever answered, even with a refusal."""

    def ping(self, deadline: Deadline) -> None:
        """Ask for the version, which every authenticated client may. Raises CannotTell."""
        with self._metrics.upstream("kubernetes", "version"):
            self._get("/version", {}, "get the server's version", deadline)

    def read_one(self, api: Api, namespace: str, name: str, shape: type[Any], deadline: Deadline) -> Any:
        """Get one object's record, or None if it does not exist, or is a pod that has ended."""
        what = f"get {api.rbac} {name}" + api.scope(namespace)
        with self._metrics.upstream("kubernetes", f"get {api.plural}"):
            try:
                body = self._get(api.path(namespace, name), {}, what, deadline)
            except Absent:
                return None
            with well_formed(what):
                item = shapes.decoder(shape).decode(body)
                if item.metadata.name != name or (api.namespaced and item.metadata.namespace != namespace):
                    raise malformed(what)  # about another object
                return item.record()

    def read_list(
        self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, selector: str = ""
    ) -> list[Any]:
        """List the records of all objects that match."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            return self._records(api, namespace, shape, deadline, selector)

    def read_list_or_none(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline) -> list[Any] | None:
        """List the records of all objects; None if the API server says that it does not serve this API."""
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            try:
                return self._records(api, namespace, shape, deadline, "")
            except CannotTell as error:
                if error.reason is not Reason.KUBERNETES_API_MISSING:
                    raise
                return None

    def is_discovered(self, api: Api, deadline: Deadline) -> bool:
        """Tell whether the discovery of the API's group lists its version; False if the group may not be read."""
        what = f"get the API group {api.group}"
        with self._metrics.upstream("kubernetes", f"list {api.plural}"):
            try:
                body = self._get(f"/apis/{api.group}", {}, what, deadline)
            except Absent:
                return False
            except CannotTell as error:
                if error.reason in _UNKNOWN_GROUP:
                    return False
                raise
            with well_formed(what):
                group = msgspec.json.decode(body, type=shapes.ApiGroup)
        return api.version in {served.version for served in group.versions or ()}

    def whole(self, api: Api, namespace: str, name: str, deadline: Deadline) -> list[dict[str, Any]]:
        """Return one object, or without a name all of a kind, as the API has them. Raises CannotTell."""
        if not name:
            with self._metrics.upstream("kubernetes", f"list {api.plural}"):
                return list(
                    chain.from_iterable(self._pages(api, namespace, dict[str, Any], deadline, listing(api, namespace)))
                )
        what = f"get {api.rbac} {name}" + api.scope(namespace)
        with self._metrics.upstream("kubernetes", f"get {api.plural}"):
            try:
                body = self._get(api.path(namespace, name), {}, what, deadline)
            except Absent:
                return []
            with well_formed(what):
                return [msgspec.json.decode(body, type=dict[str, Any])]

    def may(self, namespace: str, verb: str, api: Api, deadline: Deadline) -> bool:
        """Tell whether the provider itself has a right, by the API server's own judgement. Raises CannotTell."""
        what = "create selfsubjectaccessreviews.authorization.k8s.io"
        attributes = {"verb": verb, "group": api.group, "resource": api.plural}
        attributes |= {"namespace": namespace} if api.namespaced else {}
        review = {"spec": {"resourceAttributes": attributes}}
        with self._metrics.upstream("kubernetes", "create selfsubjectaccessreviews"):
            body = self._request(what, deadline, HTTPStatus.CREATED, "POST", _ACCESS_REVIEWS, content=review)
            with well_formed(what):
                allowed: bool = shapes.decoder(shapes.AccessReview).decode(body).status.allowed
                return allowed

    def write(self, verb: str, api: Api, namespace: str, name: str, content: object, deadline: Deadline) -> bytes:
        """Create, update or delete one object, and return the answer's body. Raises CannotTell, Absent and Conflict."""
        what, expected = f"{verb} {api.rbac} {name}{api.scope(namespace)}", HTTPStatus.OK
        path = api.path(namespace, "" if verb == "create" else name)
        if verb == "create":
            expected = HTTPStatus.CREATED
        with self._metrics.upstream("kubernetes", f"{verb} {api.plural}"):
            return self._request(what, deadline, expected, _METHODS[verb], path, content=content)

    def _records(self, api: Api, namespace: str, shape: type[Any], deadline: Deadline, selector: str) -> list[Any]:
        """Return the records of a list but pods that have ended. Raises CannotTell."""
        what, records = listing(api, namespace), []
        for items in self._pages(api, namespace, shape, deadline, what, selector):
            with well_formed(what):
                if namespace and any(item.metadata.namespace != namespace for item in items):
                    raise malformed(what)  # about another object
                records += [record for item in items if (record := item.record()) is not None]
        return records

    def _pages(
        self, api: Api, namespace: str, shape: Any, deadline: Deadline, what: str, selector: str = ""
    ) -> Iterator[list[Any]]:
        """Yield the decoded objects of a list, page by page."""
        accept = METADATA_ONLY if shape is shapes.PodMetadata else JSON
        query = api.list_query(selector)
        for _ in range(MAX_PAGES):
            try:
                body = self._get_page(api.path(namespace), query, what, deadline, accept)
            except Absent as error:
                raise malformed(what) from error
            with well_formed(what):
                page = shapes.page_decoder(shape).decode(body)
            yield page.items or []
            if not page.metadata.continue_token:
                return
            query["continue"] = page.metadata.continue_token
        raise malformed(what)

    def _get_page(self, path: str, query: dict[str, str], what: str, deadline: Deadline, accept: str) -> bytes:
        """GET a page of a list; if it is too large, ask for a quarter of the objects, also in the pages after it."""
        while True:
            try:
                return self._get(path, query, what, deadline, accept)
            except TooLarge:
                limit = int(query.get("limit", 0)) // 4
                if not limit:
                    raise
                query["limit"] = str(limit)

    def _get(self, path: str, query: Mapping[str, str], what: str, deadline: Deadline, accept: str = JSON) -> bytes:
        return self._request(
            what,
            deadline,
            HTTPStatus.OK,
            "GET",
            path,
            query=query,
            accept=accept,
            compressed=accept == METADATA_ONLY,  # gzip costs more than it saves in other answers
        )

    def _request(
        self, what: str, deadline: Deadline, expected: HTTPStatus, method: str, path: str, **options: Any
    ) -> bytes:
        """Send a request and return the whole body of the expected status, with new credentials if they are rejected.

        Raises CannotTell for anything else, Absent for an object that does not exist. `options` are those of
        Client.send.
        """
        client = self._client
        send = partial(self._send, what=what, deadline=deadline, method=method, path=path, **options)
        try:
            status, body = send(client=client)
        except CannotTell as error:  # credentials that fit no header are never sent
            if error.reason is not Reason.KUBERNETES_UNAUTHORIZED or not self._has_reconnected(client):
                raise
            status, body = send(client=self._client)
        if status == HTTPStatus.UNAUTHORIZED and self._has_reconnected(client):
            status, body = send(client=self._client)
        self.answered = True
        if status != expected:
            raise refused(what, status, body)
        return body

    def _send(
        self, client: Client, *, what: str, deadline: Deadline, method: str, path: str, **options: Any
    ) -> tuple[int, bytes]:
        """Send one request; return the status and the whole body."""
        remaining = deadline.remaining_seconds()
        timeouts = min(self._connect, remaining), min(self._read, remaining)
        try:
            status, body = client.send(
                method, path, timeouts, on_headers=self._clocks.observer("kubernetes"), **options
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(what, error) from error
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(what, MAX_BODY_BYTES)
        return status, body

    def _has_reconnected(self, rejected: Client) -> bool:
        """Read the credentials again, at most once a second: the token may have been rotated."""
        with self._reconnecting:
            if self._client is rejected and monotonic() - self._reconnected_at >= RECONNECT_SECONDS:
                self._reconnected_at = monotonic()
                with suppress(NotConfigured):
                    self._client = self._connect_again()
            return self._client is not rejected


_UNKNOWN_GROUP = {Reason.KUBERNETES_API_MISSING, Reason.KUBERNETES_FORBIDDEN, Reason.KUBERNETES_MALFORMED}
"""The API server's answers about a group that it does not know, or that the provider may not read."""


def listing(api: Api, namespace: str) -> str:
    """Name the read of a list, for the operator."""
    return f"list {api.rbac}" + api.scope(namespace)
