"""The gunicorn worker: gthread, with a bound on what any client may take from the others.

What gthread does by itself: each connection gets a thread as soon as it is accepted, which waits for its bytes; a few
slow clients hold every thread, for as long as they like. And the loop that accepts waits up to 2 s for each client to
hang up. Here:

- a connection that sends nothing costs no thread, and is closed after the client's time;
- there is a thread for each connection there may be, so that none waits for another one's client; how many questions
  are answered at the same time is the application's business (admission.py);
- when there are as many connections as there may be, the one that has been idle or slow for longest is closed for the
  new one: a probe always gets in;
- a stop first takes in every connection that the system has accepted for us, then stops listening.
"""

import time
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any

from gunicorn import http, sock, util
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from provider import listening
from provider.clients import Client, TooSlow
from provider.problems import HEADERS, MEDIA_TYPE, problem

SPARE_THREADS = 32
"""More threads than there may be connections: for those that are being closed to make room."""

_STATUS = {
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}

_SENTENCES = {
    HTTPStatus.INTERNAL_SERVER_ERROR: "The provider has a defect.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time.",
}


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """One client's connection; its socket is a Client."""

    def init(self) -> None:
        """Prepare for the first request: with TLS make the handshake, with the certificate of this moment."""
        if self.initialized:  # type: ignore[has-type]
            return
        self.initialized = True
        if self.cfg.is_ssl:
            self.sock.start_tls(sock.ssl_context(self.cfg))
        self.parser = http.get_parser(self.cfg, self.sock, self.client)

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - gunicorn's signature
        """Close at once: who is worth waiting for was waited for in a thread, not in the loop that accepts."""
        util.close(self.sock)


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gthread, bounded; and what HTTP itself forbids is refused with a problem document instead of an HTML page."""

    client_timeout_seconds = 5.0
    """How long a client has to send a request, and again to take its answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Allow as many connections as there are threads but for the spare ones."""
        super().__init__(*args, **kwargs)
        self._max_connections = self.cfg.threads - SPARE_THREADS
        self.max_keepalived = self._max_connections
        self._served: dict[Connection, None] = {}  # those with a thread, the oldest first

    @classmethod
    def check_config(cls, cfg: object, log: object) -> None:
        """Accept a thread for every connection, of which gthread warns."""

    def accept(self, listener: Any) -> None:
        """Accept a connection; it gets a thread when its first byte is there."""
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
        """Close one connection: an idle one, else one that has sent nothing yet, else one whose client is slow."""
        for waiting in (self.keepalived_conns, self.pending_conns):
            if waiting:
                connection = waiting.popleft()
                self.poller.unregister(connection.sock)
                self.nr_conns -= 1
                connection.close()
                return
        slow = next((one for one in self._served if one.sock.is_waited_for), None)
        if slow is not None:
            del self._served[slow]  # so that the next one to be closed is another
            slow.sock.cut()

    def on_pending_socket_readable(self, conn: Connection, client: Client) -> None:
        """Serve a connection's first request, unless the connection was closed to make room a moment ago."""
        if conn in self.pending_conns:
            super().on_pending_socket_readable(conn, client)

    def on_client_socket_readable(self, conn: Connection, client: Client) -> None:
        """Serve a connection's next request, with the same exception."""
        if conn in self.keepalived_conns:
            super().on_client_socket_readable(conn, client)

    def enqueue_req(self, conn: Connection) -> None:
        """Give a connection a thread."""
        self._served[conn] = None
        super().enqueue_req(conn)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """Take its thread away again."""
        self._served.pop(conn, None)
        super().finish_request(conn, fs)

    def handle(self, conn: Connection) -> Any:
        """Serve one request of a connection, in a thread; return whether another one may follow."""
        conn.sock.begin()
        goes_on = super().handle(conn)
        if not goes_on:
            conn.sock.linger()
        return goes_on

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Let the application answer; from now until it sends something nobody waits for the client."""
        conn.sock.is_waited_for = False
        return super().handle_request(req, conn)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's signature
        """Begin or stop to accept; a stop for good takes in all that were accepted for us, then listens no more."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            listening.stop(listener, partial(self.accept, listener))

    def handle_error(self, req: object, client: Client, addr: object, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's signature
        """Answer a request that never reached the application."""
        status = next((one for kind, one in _STATUS.items() if isinstance(exc, kind)), HTTPStatus.BAD_REQUEST)
        if not isinstance(exc, errors.ParseException | OSError):
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            self.log.error("request failed outside the application", exc_info=exc)
        if client.got_answer:
            return
        content = problem(status, _SENTENCES.get(status, "This is not valid HTTP."))
        headers = {"Connection": "close", "Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), **HEADERS}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{''.join(lines)}\r\n"
        try:
            client.sendall(head.encode() + content)
        except OSError:
            self.log.debug("The client was gone before it could be refused.")
