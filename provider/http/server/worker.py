"""The gunicorn worker: gthread, with limits for each client.

gthread (27.0) stops accepting at `worker_connections`, even if all of them are idle: a few hundred idle, slow or silent
connections make the probes fail, and Kubernetes restarts a healthy pod. Its accept loop also waits up to 2 s for each
client to hang up. No setting changes that. Here:

- A connection gets a thread when its first byte arrives; one that sends nothing is closed after the client timeout.
- There is a thread for every connection, so none waits for another client. The number of queries answered at the same
  time is limited in the application (admission.py).
- At the maximum number of connections the one that has been idle or slow for longest is closed for a new one, so a
  probe always gets in.
- A stop first accepts every connection in the system's queue, then closes the listener. A client that connects between
  these two is reset; in a cluster `preStop` has ended new connections by then.
- Requests that are not valid HTTP are refused with a problem document, counted and logged; gunicorn sends an HTML page.
"""

import select
import ssl
import time
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any

from gunicorn import http, sock, util
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from provider.http.problems import HEADERS, MEDIA_TYPE, problem
from provider.http.refusals import REFUSALS, Refusals
from provider.http.server.client_socket import Client, TooSlow

SPARE_THREADS = 32
"""Threads beyond the maximum number of connections, for those that are being closed to make room."""

_STATUS = {
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """One client's connection; its socket is a Client."""

    def init(self) -> None:
        """Prepare for the first request. With TLS, do the handshake with the current certificate."""
        if self.initialized:  # type: ignore[has-type]
            return
        self.initialized = True
        if self.cfg.is_ssl:
            self.sock.start_tls(sock.ssl_context(self.cfg))
        self.parser = http.get_parser(self.cfg, self.sock, self.client)

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - gunicorn's signature
        """Close at once: `linger` has already waited for the client, in a thread and not in the accept loop."""
        util.close(self.sock)


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gthread with limits, and with problem documents for what is not valid HTTP."""

    client_timeout_seconds = 5.0
    """Time for a client to send a request, and again to take its answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Allow as many connections as there are threads, except the spare ones."""
        super().__init__(*args, **kwargs)
        self._max_connections = self.cfg.threads - SPARE_THREADS
        self.max_keepalived = self._max_connections
        self._served: dict[Connection, None] = {}  # connections with a thread, oldest first

    @classmethod
    def check_config(cls, cfg: object, log: object) -> None:
        """Skip gthread's check, which warns of a thread for every connection."""

    def accept(self, listener: Any) -> None:
        """Accept a connection; it gets a thread when its first byte arrives."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if self.nr_conns >= self._max_connections:
            self._make_room()
        self.nr_conns += 1
        client = Client(accepted, self.client_timeout_seconds)
        connection = Connection(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + self.client_timeout_seconds
        self.pending_conns.append(connection)
        self.poller.register(connection.sock, EVENT_READ, partial(self.on_pending_socket_readable, connection))

    def _make_room(self) -> None:
        """Close one connection to make room: idle first, then silent, then slow."""
        for waiting in (self.keepalived_conns, self.pending_conns):
            if waiting:
                connection = waiting.popleft()
                self.poller.unregister(connection.sock)
                self.nr_conns -= 1
                connection.close()
                return
        slow = next((connection for connection in self._served if connection.sock.is_waited_for), None)
        if slow is not None:
            del self._served[slow]  # so that the next call closes another one
            slow.sock.cut()

    def on_pending_socket_readable(self, conn: Connection, client: Client) -> None:
        """Serve a connection's first request, unless it was just closed to make room."""
        if conn in self.pending_conns:
            super().on_pending_socket_readable(conn, client)

    def on_client_socket_readable(self, conn: Connection, client: Client) -> None:
        """Serve a connection's next request, unless it was just closed to make room."""
        if conn in self.keepalived_conns:
            super().on_client_socket_readable(conn, client)

    def enqueue_req(self, conn: Connection) -> None:
        """Give a connection a thread."""
        self._served[conn] = None
        super().enqueue_req(conn)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Forget that the connection has a thread."""
        self._served.pop(conn, None)
        super().finish_request(conn, fs)

    def handle(self, conn: Connection) -> Any:
        """Serve one request of a connection, in a thread; return whether another one may follow."""
        conn.sock.begin()
        keep_alive = super().handle(conn)
        if not keep_alive:
            conn.sock.linger()
        return keep_alive

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Let the application answer; the client may not be cut until it sends the answer."""
        conn.sock.is_waited_for = False
        return super().handle_request(req, conn)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's signature
        """Start or stop accepting. When the worker stops, accept what is queued, then close the listener."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            while select.select([listener], [], [], 0)[0]:
                self.accept(listener)
            listener.close()

    def handle_error(self, req: object, client: Client, addr: object, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's signature
        """Refuse a request that never reached the application."""
        status = next((status for kind, status in _STATUS.items() if isinstance(exc, kind)), HTTPStatus.BAD_REQUEST)
        if not isinstance(exc, errors.ParseException | OSError):
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            self.log.error("request failed outside the application", exc_info=exc)
        if client.got_answer:
            return
        refusals: Refusals = self.wsgi.extensions[REFUSALS]
        sentence = self._sentence(status, exc) or refusals.blank_in(client.received) or "This is not valid HTTP."
        address = str(addr[0]) if isinstance(addr, tuple) else ""
        refusals.refused(status.value, sentence, address, refusals.shown_line(client.received))
        content = problem(status, sentence)
        headers = {"Connection": "close", "Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), **HEADERS}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{''.join(lines)}\r\n"
        try:
            client.sendall(head.encode() + content)
        except OSError:
            self.log.debug("The client hung up before it could be refused.")

    def _sentence(self, status: HTTPStatus, exc: BaseException) -> str:
        """Say why a request is refused, and what to change; empty if it is simply not valid HTTP."""
        match status:
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                return "The provider has a defect."
            case HTTPStatus.REQUEST_TIMEOUT:
                return f"The request did not arrive within {self.client_timeout_seconds:g} s."
            case HTTPStatus.REQUEST_URI_TOO_LONG:
                return f"The request line is longer than {self.cfg.limit_request_line} bytes."
            case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                count, size = self.cfg.limit_request_fields, self.cfg.limit_request_field_size
                return f"The request has more than {count} header fields, or a field longer than {size} bytes."
            case HTTPStatus.EXPECTATION_FAILED:
                return "The only supported expectation is 100-continue."
        if isinstance(exc, ssl.SSLError):
            is_plain = exc.reason == "HTTP_REQUEST"
            return "This port speaks HTTPS: the address needs https://." if is_plain else "The TLS handshake failed."
        return ""
