"""Stands between Argo and the provider, and keeps every answer with AWS's own state at that moment."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import requests

from tests.world.server.http_server import HttpServer


@dataclass(frozen=True)
class Answer:
    """One question of Argo and what it was answered."""

    second: float
    """When, by time.monotonic()."""
    question: str
    parameters: dict[str, str]
    status: int
    """0 if the provider did not answer."""
    body: dict[str, Any]
    all_healthy: bool
    """Whether AWS's own state said, before or after the provider looked, that all of green was healthy."""

    @property
    def phase(self) -> str:
        """Successful, Failed, Inconclusive, or empty without an answer."""
        return str(self.body.get("phase", ""))

    @property
    def reason(self) -> str:
        """The reason, or empty without an answer."""
        return str(self.body.get("reason", ""))


class Recorder:
    """A proxy that only this repository needs: one provider for each namespace, or the common one."""

    def __init__(self, common_url: str, is_healthy: Callable[[str, str], bool]) -> None:
        self._common_url = common_url
        self._is_healthy = is_healthy
        self._own_urls: dict[str, str] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self.server = HttpServer(self._serve)

    def answers(self, namespace: str) -> list[Answer]:
        """Return what was answered about a namespace so far, oldest first."""
        with self._lock:
            return list(self._answers.get(namespace, ()))

    def lead_to(self, namespace: str, url: str) -> None:
        """Let a provider of its own answer for a namespace."""
        self._own_urls[namespace] = url

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        query, path = environ.get("QUERY_STRING", ""), environ["PATH_INFO"]
        sent = environ["wsgi.input"].read() if environ["REQUEST_METHOD"] == "POST" else b""
        parameters = json.loads(sent) if sent else {name: values[0] for name, values in parse_qs(query).items()}
        namespace, pod_hash = parameters.get("namespace", ""), parameters.get("podTemplateHash", "")
        before = self._is_healthy(namespace, pod_hash)
        url = f"{self._own_urls.get(namespace, self._common_url)}{path}?{query}".removesuffix("?")
        status, content = self._ask(url, sent, environ)
        healthy = before or self._is_healthy(namespace, pod_hash)
        body = json.loads(content) if status == requests.codes.ok else {}
        answer = Answer(time.monotonic(), path.rpartition("/")[2], parameters, status, body, healthy)
        with self._lock:
            self._answers.setdefault(namespace, []).append(answer)
        start_response(f"{status or 502} Answered", [("Content-Type", "application/json")])
        return [content]

    def _ask(self, url: str, sent: bytes, environ: WSGIEnvironment) -> tuple[int, bytes]:
        headers = {"Authorization": environ["HTTP_AUTHORIZATION"]} if "HTTP_AUTHORIZATION" in environ else {}
        try:
            with requests.Session() as session:
                session.trust_env = False
                method = environ["REQUEST_METHOD"]
                response = session.request(method, url, data=sent, headers=headers, timeout=12)
        except requests.RequestException:
            return 0, b'{"title": "no answer"}'
        return response.status_code, response.content
