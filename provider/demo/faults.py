"""Makes a stand-in fail, dawdle or lie on request, and remembers what it was asked."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape

from provider.demo.http_server import call_application

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication

REMEMBERED_CALLS_COUNT = 10_000
"""How many calls are kept: the demo runs for hours and must not grow."""

_ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z0-9]+)")
_SIGNING_REGION = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")


@dataclass(frozen=True)
class Call:
    """One request that reached the stand-in."""

    method: str
    name: str
    """The AWS action, or for Kubernetes the decoded path with its query string."""
    region: str | None
    """The region the request was signed for; None if it was not signed."""
    authorization: str | None
    """The Authorization header as sent."""


@dataclass
class _Fault:
    match: str
    status: int | None
    body: bytes | None
    headers: dict[str, str]
    delay_seconds: float
    remaining: int | None
    truncate: bool
    drop: bool
    json_body: bytes | None = None
    cleared: threading.Event = field(default_factory=threading.Event)

    def hits(self, call: Call, *, is_action: bool) -> bool:
        if self.remaining == 0:
            return False
        return self.match in ("", call.name) or (not is_action and self.match in call.name)


class Faults:
    """WSGI middleware in front of a stand-in: normal answers until told otherwise."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._calls: deque[Call] = deque(maxlen=REMEMBERED_CALLS_COUNT)

    @property
    def calls(self) -> list[Call]:
        """The calls so far, oldest first, faulty ones included; at most the last 10,000."""
        with self._lock:
            return list(self._calls)

    def add(
        self,
        match: str,
        *,
        status: int | None = None,
        body: str | bytes | None = None,
        content_type: str | None = None,
        headers: dict[str, str] | None = None,
        delay_seconds: float = 0.0,
        times: int | None = None,
        truncate: bool = False,
        drop: bool = False,
    ) -> None:
        """Answer matching calls wrongly, `times` times or until `clear()`; the first fault added wins.

        `match` is part of the decoded path with query for Kubernetes, the whole action name for AWS, and ""
        for every call. With neither `status` nor `body` the real answer is given, after `delay_seconds`.
        `truncate` sends half of the answer and hangs up; `drop` hangs up without an answer.
        """
        all_headers = dict(headers or {})
        if content_type is not None:
            all_headers["Content-Type"] = content_type
        self._append(
            _Fault(
                match=match,
                status=status,
                body=body.encode() if isinstance(body, str) else body,
                headers=all_headers,
                delay_seconds=delay_seconds,
                remaining=times,
                truncate=truncate,
                drop=drop,
            )
        )

    def aws_error(self, action: str, code: str, message: str, status: int = 400, times: int | None = None) -> None:
        """Answer an AWS action with an error, as XML, or as JSON if the request has X-Amz-Target."""
        kind = "Sender" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Receiver"
        xml = (
            '<ErrorResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">\n  <Error>\n'
            f"    <Type>{kind}</Type>\n    <Code>{escape(code)}</Code>\n"
            f"    <Message>{escape(message)}</Message>\n  </Error>\n"
            "  <RequestId>00000000-0000-4000-8000-000000000000</RequestId>\n</ErrorResponse>\n"
        )
        self._append(
            _Fault(
                match=action,
                status=status,
                body=xml.encode(),
                headers={"Content-Type": "text/xml"},
                delay_seconds=0.0,
                remaining=times,
                truncate=False,
                drop=False,
                json_body=json.dumps({"__type": code, "message": message}).encode(),
            )
        )

    def kubernetes_error(self, match: str, reason: str, message: str, status: int, times: int | None = None) -> None:
        """Answer a path with a Status object, e.g. reason `Forbidden` and status 403."""
        answer: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        answer |= {"message": message, "reason": reason, "code": status}
        body = json.dumps(answer)
        self.add(match, status=status, body=body, content_type="application/json", times=times)

    def clear(self) -> None:
        """Answer normally again; calls that are being delayed continue at once."""
        with self._lock:
            for fault in self._faults:
                fault.cleared.set()
            self._faults.clear()

    def forget_calls(self) -> None:
        """Empty the list of calls."""
        with self._lock:
            self._calls.clear()

    def _append(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _next_fault(self, call: Call, *, is_action: bool) -> _Fault | None:
        with self._lock:
            self._calls.append(call)
            for fault in self._faults:
                if fault.hits(call, is_action=is_action):
                    if fault.remaining is not None:
                        fault.remaining -= 1
                    return fault
        return None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        action = _action_of(environ)
        call = _call_of(environ, action)
        fault = self._next_fault(call, is_action=action is not None)
        if fault is None:
            return self._app(environ, start_response)
        if fault.delay_seconds:
            fault.cleared.wait(fault.delay_seconds)
        if fault.drop:
            raise ConnectionAbortedError
        status, headers, body = self._answer(fault, environ)
        if fault.truncate:
            headers = [header for header in headers if header[0].lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
            body = body[: len(body) // 2]
        start_response(status, headers)
        return [body]

    def _answer(self, fault: _Fault, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        if fault.status is None and fault.body is None:
            status, headers, body = call_application(self._app, environ)
            return status, [*headers, *fault.headers.items()], body
        code = HTTPStatus(fault.status or HTTPStatus.OK)
        if fault.json_body is not None and "HTTP_X_AMZ_TARGET" in environ:
            headers = [("Content-Type", "application/x-amz-json-1.0")]
            return f"{code.value} {code.phrase}", headers, fault.json_body
        headers = list(({"Content-Type": "text/plain; charset=utf-8"} | fault.headers).items())
        return f"{code.value} {code.phrase}", headers, fault.body or b""


def _action_of(environ: dict[str, Any]) -> str | None:
    target: str | None = environ.get("HTTP_X_AMZ_TARGET")
    if target is not None:
        return target.rpartition(".")[2]
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = environ["wsgi.input"]
    found = _ACTION.search(body.read())
    body.seek(0)
    return found.group(1).decode() if found else None


def _call_of(environ: dict[str, Any], action: str | None) -> Call:
    query = environ.get("QUERY_STRING", "")
    path = environ.get("PATH_INFO", "") + (f"?{unquote_plus(query)}" if query else "")
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    region = _SIGNING_REGION.search(authorization or "")
    return Call(
        method=environ["REQUEST_METHOD"],
        name=action or path,
        region=region.group(1) if region else None,
        authorization=authorization,
    )
