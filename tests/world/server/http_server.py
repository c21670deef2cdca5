"""Serves one WSGI application on 127.0.0.1 with keep-alive, as AWS and Kubernetes do."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import traceback
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tests.world.server.deliveries import DELIVERY, Delivery, reset

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType
    from wsgiref.types import WSGIApplication

HOST = "127.0.0.1"


class _KeepAliveHandler(WSGIRequestHandler):
    """Answers many requests on one connection.

    Werkzeug's own handler closes every connection and waits 10 ms after each request, so boto3 and the Kubernetes
    client would never reuse a connection in a test.
    """

    protocol_version = "HTTP/1.1"  # tests/upstream/werkzeug-connection-close.sh
    # Pieces of a slow answer are separate writes; Nagle's algorithm would hold the next back for 40 ms.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        _open_connections(self.server).add(self.connection)

    def finish(self) -> None:
        _open_connections(self.server).discard(self.connection)
        super().finish()

    def run_wsgi(self) -> None:
        """Answer one request, as the Delivery in the application's environ says, if there is one."""
        self.environ = environ = self.make_environ()
        # Read the body even if the application does not, or it would be taken for the next request.
        environ["wsgi.input"] = io.BytesIO(self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0)))
        try:
            status, headers, body = call_application(self.server.app, environ)
        except Exception:  # noqa: BLE001 - whatever the application did wrong, the client gets an answer
            status, headers = "500 Internal Server Error", [("Content-Type", "text/plain")]
            body = traceback.format_exc().encode()
        head = self._head(status, headers, len(body))
        delivery: Delivery | None = environ.get(DELIVERY)
        if delivery is None:
            self.wfile.write(head + (b"" if self.command == "HEAD" else body))
        elif not delivery.send(self.connection, head, body):
            self._hang_up(resets=delivery.resets)

    def _head(self, status: str, headers: list[tuple[str, str]], length: int) -> bytes:
        lines = [f"HTTP/1.1 {status}", f"Server: {self.version_string()}"]
        now: datetime | None = self.server.__dict__["now"]()
        if now is not None and not any(name.lower() == "date" for name, _ in headers):
            lines.append(f"Date: {format_datetime(now.astimezone(UTC), usegmt=True)}")
        lines += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode("latin-1")

    def _hang_up(self, *, resets: bool) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if resets:
                reset(self.connection)
                self.rfile.close()  # a socket with an open file is not closed
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the parent's name for it
        """Log nothing: the terminal shows the story."""


def call_application(app: WSGIApplication, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    """Run a WSGI application to its end and return its status line, headers and whole body."""
    answer: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        answer[:] = [(status, headers)]
        return chunks.append

    result = app(environ, start_response)
    try:
        chunks.extend(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    status, headers = answer[0]
    return status, headers, b"".join(chunks)


def _open_connections(server: Any) -> set[socket.socket]:
    connections: set[socket.socket] = server.__dict__.setdefault("open_connections", set())
    return connections


class HttpServer:
    """A context manager around one threaded server on 127.0.0.1.

    `port=0` takes a free port. `stop()` and `start()` keep the port, so that a test can make the same address
    unreachable and reachable again. `stop()` also closes the connections that clients keep open. With `tls` it
    speaks HTTPS. Every answer has the `Date` of `now`, unless that is None or the application gives its own.
    """

    def __init__(
        self,
        app: WSGIApplication,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime | None] = lambda: datetime.now(UTC),
    ) -> None:
        self._app = app
        self._now = now
        self._port = port
        self._tls = tls
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The TCP port; 0 until the first start if no port was given."""
        return self._port

    @property
    def url(self) -> str:
        """The address without a trailing slash."""
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self._port}"

    def start(self) -> Self:
        """Listen and answer in daemon threads; does nothing if it already runs."""
        if self._server is None:
            server = make_server(
                HOST,
                self._port,
                self._app,
                threaded=True,
                request_handler=_KeepAliveHandler,
                ssl_context=self._tls,
            )
            server.__dict__["now"] = self._now
            self._server, self._port = server, server.port
            self._thread = threading.Thread(
                target=server.serve_forever, args=(0.05,), name=f"http-{server.port}", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection; does nothing if it does not run."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(_open_connections(self._server)):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
