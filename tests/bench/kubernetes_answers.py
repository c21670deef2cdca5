"""The bytes of Kubernetes: made by the demo's API server when a request is first seen, and the same ones afterwards."""

import io
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import unquote

from tests.bench.subjects import Subject, manifests
from tests.bench.wire import Answer, Request, ok
from tests.world.cluster.api import KubernetesApi
from tests.world.server.http_server import call_application


class KubernetesAnswers:
    """Answers GETs. Each namespace has a store of its own, so that a large fleet is not searched for a small list."""

    def __init__(self, subjects: Iterable[Subject], created_at: str) -> None:
        self._namespaces: dict[str, KubernetesApi] = {"": KubernetesApi()}
        self._made: dict[tuple[str, str, str], tuple[Request, Answer]] = {}
        self._created_at = datetime.fromisoformat(created_at)
        self._subjects: dict[int, Subject] = {}
        for subject in subjects:
            self._subjects[subject.number] = subject
            self._put(subject, self._namespaces.setdefault(subject.namespace, KubernetesApi()))

    def change(self, subject: Subject) -> None:
        """Let the Rollout of this number be another one."""
        self._subjects[subject.number] = subject
        store = self._namespaces[subject.namespace] = KubernetesApi()
        for one in self._subjects.values():
            if one.namespace == subject.namespace:
                self._put(one, store)
        # What was asked for before is made now, and not while somebody is measured who waits for it.
        self._made = {key: (request, self._make(request)) for key, (request, _) in self._made.items()}

    def _put(self, subject: Subject, store: KubernetesApi) -> None:
        for manifest in manifests(subject, self._created_at):
            store.put(manifest)

    def __call__(self, request: Request) -> Answer:
        """Return the answer to a request; the same bytes for the same path, query, Accept and Accept-Encoding."""
        key = (request.target, request.accept, request.accept_encoding)
        if key not in self._made:
            self._made[key] = (request, self._make(request))
        return self._made[key][1]

    def _make(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        _, inside, below = path.partition("/namespaces/")
        namespace, _, rest = below.partition("/")
        environ = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "HTTP_ACCEPT": request.accept,
            "HTTP_ACCEPT_ENCODING": request.accept_encoding,
            "wsgi.input": io.BytesIO(),
        }
        store = self._namespaces.get(namespace, self._namespaces[""])
        status, headers, body = call_application(store, environ)
        code = int(status.partition(" ")[0])
        resource = rest.partition("/")[0] if inside else path
        told = dict(headers)
        content = ok(body, told["Content-Type"], code, told.get("Content-Encoding", ""))
        return Answer(code, content, f"{request.method} {resource}", namespace)
