"""Makes a stand-in fail, delay or falsify responses, and records its requests."""

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

from tests.world.server.deliveries import DELIVERY, Delivery, Wire
from tests.world.server.http_server import call_application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

REMEMBERED_CALLS_COUNT = 10_000
"""How many calls are kept: the demo runs for hours and must not grow."""

_ACTION = re.compile(r"(?:^|&)Action=([A-Za-z0-9]+)")
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
    about: str = ""
    """The decoded body; for a GET its `Accept: …` line."""


@dataclass
class Fault:
    """One way to answer wrongly, until `end()`."""

    match: str
    about: str
    status: int | None
    body: bytes | None
    headers: dict[str, str]
    delay_seconds: float
    remaining: int | None
    wire: Wire | None
    pause_seconds: float
    rewrite: Callable[[bytes], bytes] | None
    json_body: bytes | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Answer normally again; a call that is being delayed continues at once."""
        self.over.set()

    def hits(self, call: Call, about: str, *, is_action: bool) -> bool:
        """Whether this fault answers the call; `about` is the call's decoded body."""
        if self.remaining == 0 or self.over.is_set() or self.about not in about:
            return False
        return self.match in ("", call.name) or (not is_action and self.match in call.name)


class Faults:
    """WSGI middleware in front of a stand-in. Without faults it passes requests on."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
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
        about: str = "",
        status: int | None = None,
        body: str | bytes | None = None,
        content_type: str | None = None,
        headers: dict[str, str] | None = None,
        delay_seconds: float = 0.0,
        times: int | None = None,
        truncate: bool = False,
        drop: bool = False,
        wire: Wire | None = None,
        pause_seconds: float = 0.1,
        rewrite: Callable[[bytes], bytes] | None = None,
    ) -> Fault:
        """Answer matching calls wrongly, `times` times, until `end()` of the fault or `clear()`; the first added wins.

        `match` is part of the decoded path with query for Kubernetes, the whole action name for AWS, and ""
        for every call; `about` is a text that must be in the request's decoded body, or for a GET in its
        `Accept: …` line, which ends with a newline. With neither `status` nor
        `body` the real answer is given, after `delay_seconds`, its body changed by `rewrite`, with these `headers`
        instead of its own. `wire` says what the client gets of the answer; `truncate` and `drop` are short for
        two of those.
        """
        all_headers = dict(headers or {})
        if content_type is not None:
            all_headers["Content-Type"] = content_type
        return self._append(
            Fault(
                match=match,
                about=about,
                status=status,
                body=body.encode() if isinstance(body, str) else body,
                headers=all_headers,
                delay_seconds=delay_seconds,
                remaining=times,
                wire=Wire.TRUNCATED if truncate else Wire.DROPPED if drop else wire,
                pause_seconds=pause_seconds,
                rewrite=rewrite,
            )
        )

    def aws_error(
        self,
        action: str,
        code: str,
        message: str,
        status: int = 400,
        times: int | None = None,
        *,
        about: str = "",
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """Answer an AWS action with an error, as XML, or as JSON if the request has X-Amz-Target."""
        xml, as_json = aws_error_bodies(code, message, status)
        fault = self.add(
            action, about=about, status=status, body=xml, content_type="text/xml", headers=headers, times=times
        )
        fault.json_body = as_json
        return fault

    def kubernetes_error(self, match: str, reason: str, message: str, status: int, times: int | None = None) -> Fault:
        """Answer a path with a Status object, e.g. reason `Forbidden` and status 403."""
        answer: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        answer |= {"message": message, "reason": reason, "code": status}
        body = json.dumps(answer)
        return self.add(match, status=status, body=body, content_type="application/json", times=times)

    def clear(self) -> None:
        """Answer normally again; calls that are being delayed continue at once."""
        with self._lock:
            for fault in self._faults:
                fault.end()
            self._faults.clear()

    def forget_calls(self) -> None:
        """Empty the list of calls."""
        with self._lock:
            self._calls.clear()

    def _append(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults = [one for one in self._faults if not one.over.is_set()]
            self._faults.append(fault)
        return fault

    def _next_fault(self, call: Call, about: str, *, is_action: bool) -> Fault | None:
        with self._lock:
            self._calls.append(call)
            for fault in self._faults:
                if fault.hits(call, about, is_action=is_action):
                    if fault.remaining is not None:
                        fault.remaining -= 1
                    return fault
        return None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        about = _about(environ)
        action = action_of(environ, about)
        call = _call_of(environ, action, about)
        fault = self._next_fault(call, about, is_action=action is not None)
        if fault is None:
            return self._app(environ, start_response)
        if fault.delay_seconds:
            fault.over.wait(fault.delay_seconds)
        if fault.wire is not None:
            environ[DELIVERY] = Delivery(fault.wire, fault.pause_seconds, fault.over)
        status, headers, body = self._answer(fault, environ)
        start_response(status, headers)
        return [body]

    def _answer(self, fault: Fault, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        if fault.status is None and fault.body is None:
            status, headers, body = call_application(self._app, environ)
            kept = [(name, value) for name, value in headers if name not in fault.headers]
            return status, [*kept, *fault.headers.items()], fault.rewrite(body) if fault.rewrite else body
        code = HTTPStatus(fault.status or HTTPStatus.OK)
        if fault.json_body is not None and "HTTP_X_AMZ_TARGET" in environ:
            as_json = fault.headers | {"Content-Type": "application/x-amz-json-1.0"}
            return f"{code.value} {code.phrase}", list(as_json.items()), fault.json_body
        headers = list(({"Content-Type": "text/plain; charset=utf-8"} | fault.headers).items())
        return f"{code.value} {code.phrase}", headers, fault.body or b""


def aws_error_bodies(code: str, message: str, status: int) -> tuple[bytes, bytes]:
    """Return an error of AWS in the query protocol's XML and in JSON."""
    kind = "Sender" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Receiver"
    xml = (
        '<ErrorResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">\n  <Error>\n'
        f"    <Type>{kind}</Type>\n    <Code>{escape(code)}</Code>\n"
        f"    <Message>{escape(message)}</Message>\n  </Error>\n"
        "  <RequestId>00000000-0000-4000-8000-000000000000</RequestId>\n</ErrorResponse>\n"
    )
    return xml.encode(), json.dumps({"__type": code, "message": message}).encode()


def _about(environ: dict[str, Any]) -> str:
    """Return what a fault can be `about`; the body can still be read afterwards. Only AWS's calls have one."""
    if environ["REQUEST_METHOD"] == "GET":
        return f"Accept: {environ.get('HTTP_ACCEPT', '')}\n"
    stream = environ["wsgi.input"]
    content = stream.read()
    stream.seek(0)
    return unquote_plus(content.decode("utf-8", "replace"))


def action_of(environ: dict[str, Any], body: str) -> str | None:
    """Return the AWS action of a request, or None if it has none."""
    target: str | None = environ.get("HTTP_X_AMZ_TARGET")
    if target is not None:
        return target.rpartition(".")[2]
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return None
    found = _ACTION.search(body)
    return found.group(1) if found else None


def _call_of(environ: dict[str, Any], action: str | None, about: str) -> Call:
    query = environ.get("QUERY_STRING", "")
    path = environ.get("PATH_INFO", "") + (f"?{unquote_plus(query)}" if query else "")
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    region = _SIGNING_REGION.search(authorization or "")
    return Call(
        method=environ["REQUEST_METHOD"],
        name=action or path,
        region=region.group(1) if region else None,
        authorization=authorization,
        about=about,
    )
