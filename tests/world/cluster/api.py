"""A stand-in for the Kubernetes API server, over HTTP, with the real one's error responses.

Its responses were compared with those of API server 1.36. Over HTTP only Events and Leases can be written, as the
provider does; everything else is written through `put` and `delete` in the same process.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.world.cluster.fields import parse_field_selector
from tests.world.cluster.refusals import Absence, NoSuchPath, Refusal
from tests.world.cluster.selectors import Requirement, SelectorError, parse_label_selector
from tests.world.cluster.store import RESOURCES, KubernetesStore, Resource, Stored

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

VERSION: dict[str, str] = {"major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"}
UNSERVED_AT_FIRST = ("eks.amazonaws.com",)
"""Groups of CustomResourceDefinitions that few clusters have: not installed until `serve()` is called."""

_PARTIAL = {"as": "PartialObjectMetadata", "v": "v1", "g": "meta.k8s.io"}
_PARTIAL_LIST = _PARTIAL | {"as": "PartialObjectMetadataList"}
_JSON_TYPES = ("application/json", "application/*", "*/*")

COMPRESSED_FROM = 128 * 1024
"""The real server compresses larger answers for a client that accepts it (k8s.io/apiserver, `responsewriters`)."""


MOST_EVENT_MESSAGE = 1024


class _Created(Exception):
    """An object that a POST made: the answer is its JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


class KubernetesApi(KubernetesStore):
    """The stored objects, served as a WSGI application.

    With `bearer_token` every request needs it. A list is sorted by namespace and name and may be read in
    pages. Unlike with the real server, a later page shows the current objects and not those of the first page's
    moment.
    """

    def __init__(self, bearer_token: str | None = None) -> None:
        super().__init__()
        self.bearer_token = bearer_token
        self._groups_lock = threading.Lock()
        self._unserved = dict.fromkeys(UNSERVED_AT_FIRST, Absence.TEXT)
        self.largest_page: int | None = None
        """The most objects in one page, as a server decides that is short of memory; None for no limit."""
        self.denied: set[tuple[str, str]] = set()
        """Verbs and plurals that a SelfSubjectAccessReview denies."""

    def serve(self, group: str) -> None:
        """Serve an API group, as after its CustomResourceDefinitions were installed."""
        with self._groups_lock:
            self._unserved.pop(group, None)

    def unserve(self, group: str, absence: Absence = Absence.TEXT) -> None:
        """Serve an API group no longer, as while its CustomResourceDefinitions are missing; objects stay stored."""
        with self._groups_lock:
            self._unserved[group] = absence

    def reset(self) -> None:
        """Go back to an empty cluster that serves the default groups."""
        self.clear()
        self.denied.clear()
        self.largest_page = None
        with self._groups_lock:
            self._unserved = dict.fromkeys(UNSERVED_AT_FIRST, Absence.TEXT)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, content_type = HTTPStatus.OK, "application/json"
        headers = [("Cache-Control", "no-cache, private")]
        try:
            body = self._answer(environ)
        except Refusal as refusal:
            status, body = refusal.status, json.dumps(refusal.body).encode() + b"\n"
            headers += refusal.headers
        except _Created as created:
            status, body = HTTPStatus.CREATED, created.body
        except NoSuchPath:
            status, body, content_type = (
                HTTPStatus.NOT_FOUND,
                b"404 page not found\n",
                "text/plain; charset=utf-8",
            )
        headers.append(("Content-Type", content_type))
        if len(body) > COMPRESSED_FROM and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> bytes:
        if self.bearer_token is not None and environ.get("HTTP_AUTHORIZATION") != f"Bearer {self.bearer_token}":
            raise Refusal(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")
        path = environ.get("PATH_INFO", "")
        if path == "/version":
            return json.dumps(VERSION).encode()
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            raise _Created(self._review(environ))
        if path.startswith("/apis/") and path.count("/") == len(("apis", "group")):
            return self._discover(path.rpartition("/")[2])
        resource, namespace, name = self._route(path)
        if environ["REQUEST_METHOD"] == "POST" and resource.plural == "events" and namespace and name is None:
            raise _Created(self._create_event(resource, namespace, environ))
        if resource.plural == "leases" and namespace and environ["REQUEST_METHOD"] != "GET":
            return self._write_lease(resource, namespace, name, environ)
        query = {key: values[-1] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        if environ["REQUEST_METHOD"] != "GET" or query.get("watch", "false") not in ("false", "0"):
            message = "the server does not allow this method on the requested resource"
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        partial = _accepts_metadata_only(environ.get("HTTP_ACCEPT", ""), is_list=name is None)
        if name is None:
            return self._list(resource, namespace, query, partial=partial)
        return self._get(resource, namespace, name, partial=partial)

    def _discover(self, group: str) -> bytes:
        """Answer for an API group with its versions, as the aggregator does from its APIServices."""
        with self._groups_lock:
            absence = self._unserved.get(group)
        names = {resource.api_version for resource in RESOURCES if resource.group == group}
        if absence not in (None, Absence.NOT_ESTABLISHED):
            raise absence.error()
        if not names:
            raise NoSuchPath
        versions = [{"groupVersion": name, "version": name.rpartition("/")[2]} for name in sorted(names)]
        found = {"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions}
        return json.dumps(found | {"preferredVersion": versions[0]}).encode() + b"\n"

    def _review(self, environ: dict[str, Any]) -> bytes:
        """Answer a SelfSubjectAccessReview: everything is allowed but what is `denied`."""
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        about = asked["spec"]["resourceAttributes"]
        allowed = (about["verb"], about["resource"]) not in self.denied
        return json.dumps(
            {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
            | {"metadata": {}, "spec": asked["spec"], "status": {"allowed": allowed}}
        ).encode()

    def _create_event(self, resource: Resource, namespace: str, environ: dict[str, Any]) -> bytes:
        """Store an Event under a generated name; like the real server refuse one about another namespace's object."""
        event = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if event["involvedObject"]["namespace"] != namespace or len(event["message"].encode()) > MOST_EVENT_MESSAGE:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", "Event is invalid")
        number = len(list(self.select(resource, namespace)))
        event["metadata"]["name"] = f"{event['metadata'].pop('generateName')}{number:05}"
        self.put(event)
        return json.dumps(event).encode()

    def _write_lease(self, resource: Resource, namespace: str, name: str | None, environ: dict[str, Any]) -> bytes:
        """Create, replace or delete a Lease, unless it has another resourceVersion than the one that is named."""
        sent = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
        method = environ["REQUEST_METHOD"]
        if method == "DELETE":
            named = (sent.get("preconditions") or {}).get("resourceVersion")
        else:
            named = sent["metadata"].get("resourceVersion")
        with self._lock:
            stored = self.find(resource, namespace, name or sent["metadata"]["name"])
            if method == "POST":
                if stored is not None:
                    message = f'{resource.qualified_name} "{stored.name}" already exists'
                    raise Refusal(HTTPStatus.CONFLICT, "AlreadyExists", message)
                sent["metadata"]["namespace"] = namespace
                raise _Created(json.dumps(self.put(sent)).encode())
            found = self._get(resource, namespace, name or "", partial=False)
            if stored is not None and named not in (None, str(stored.resource_version)):
                message = f'Operation cannot be fulfilled on {resource.qualified_name} "{name}": it was modified'
                raise Refusal(HTTPStatus.CONFLICT, "Conflict", message)
            if method == "DELETE":
                self.delete("Lease", namespace, name or "")
                return found
            sent["metadata"]["namespace"] = namespace
            return json.dumps(self.put(sent)).encode()

    def _route(self, path: str) -> tuple[Resource, str | None, str | None]:
        """Split a path into resource, namespace and name; the last two may be None."""
        match path.strip("/").split("/"):
            case ["api", version, *rest]:
                api_version = version
            case ["apis", group, version, *rest]:
                api_version = f"{group}/{version}"
            case _:
                raise NoSuchPath
        namespace = None
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        with self._groups_lock:
            absence = self._unserved.get(api_version.rpartition("/")[0])
        if absence is not None:
            raise absence.error()
        for resource in RESOURCES:
            if (resource.api_version, resource.plural) == (api_version, rest[0] if rest else ""):
                named = len(rest) > 1
                misplaced = (namespace is None and named) if resource.namespaced else namespace is not None
                if misplaced or len(rest) > 2:
                    break
                return resource, namespace, rest[1] if named else None
        raise NoSuchPath

    def _get(self, resource: Resource, namespace: str | None, name: str, *, partial: bool) -> bytes:
        stored = self.find(resource, namespace, name)
        if stored is None:
            details = {"name": name} | ({"group": resource.group} if resource.group else {})
            message = f'{resource.qualified_name} "{name}" not found'
            raise Refusal(HTTPStatus.NOT_FOUND, "NotFound", message, **details, kind=resource.plural)
        return (_partial_item(stored) if partial else stored.with_kind()) + b"\n"

    def _list(self, resource: Resource, namespace: str | None, query: dict[str, str], *, partial: bool) -> bytes:
        labels, fields = _selectors(resource, query)
        version, start = _continue_token(query.get("continue", ""))
        version = version or str(self.resource_version)
        found = [
            stored
            for stored in self.select(resource, namespace)
            if (stored.namespace, stored.name) > start and stored.matches(labels, fields)
        ]
        limit = min(_limit(query) or len(found), self.largest_page or len(found))
        page, left = found[:limit], len(found) - limit
        metadata: dict[str, Any] = {"resourceVersion": version}
        if left > 0:
            metadata["continue"] = _new_continue_token(version, page[-1])
            if not labels and not fields:  # the real server does not count what a selector would drop
                metadata["remainingItemCount"] = left
        if partial:
            kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            items = [_partial_item(stored) for stored in page]
        else:
            kind, api_version = f"{resource.kind}List", resource.api_version
            items = [stored.with_kind() if resource.custom else stored.encoded for stored in page]
        head = json.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
        return head[:-1].encode() + b',"items":[' + b",".join(items) + b"]}\n"


def _accepts_metadata_only(accept: str, *, is_list: bool) -> bool:
    """Tell whether the first acceptable type that is served is the metadata only, and not the whole object."""
    for offer in accept.split(",") if accept else ["*/*"]:
        media_type, *parts = (part.strip() for part in offer.split(";"))
        parameters = dict(part.split("=", 1) for part in parts if "=" in part and not part.startswith("q="))
        if media_type in _JSON_TYPES and "as" not in parameters:
            return False
        if media_type in _JSON_TYPES and parameters == (_PARTIAL_LIST if is_list else _PARTIAL):
            return True
    message = "only the following media types are accepted: application/json"
    raise Refusal(HTTPStatus.NOT_ACCEPTABLE, "NotAcceptable", message)


def _partial_item(stored: Stored) -> bytes:
    head = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":'
    return head + stored.encoded_metadata + b"}"


def _selectors(resource: Resource, query: dict[str, str]) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
    try:
        return (
            parse_label_selector(query.get("labelSelector", "")),
            parse_field_selector(resource.kind, query.get("fieldSelector", "")),
        )
    except SelectorError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "BadRequest", str(error)) from error


def _limit(query: dict[str, str]) -> int:
    """Return the page size; 0 means everything."""
    text = query.get("limit", "0")
    if not text.isdigit():
        message = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise Refusal(HTTPStatus.BAD_REQUEST, "BadRequest", message)
    return int(text)


def _new_continue_token(version: str, last: Stored) -> str:
    token = {"v": "meta.k8s.io/v1", "rv": version, "start": [last.namespace, last.name]}
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode()


def _continue_token(text: str) -> tuple[str, tuple[str, str]]:
    """Return the first page's resource version and the key after which to continue."""
    if not text:
        return "", ("", "")
    try:
        token = json.loads(base64.urlsafe_b64decode(text))
        namespace, name = token["start"]
        return str(token["rv"]), (namespace, name)
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        message = f"continue key is not valid: {error}"
        raise Refusal(HTTPStatus.BAD_REQUEST, "BadRequest", message) from error
