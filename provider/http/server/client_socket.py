"""The socket of one client, with a time limit for sending its request and for taking its answer.

gunicorn's gthread (27.0) has no timeout for the rest of a request, for the TLS handshake or for sending an answer. A
few hundred clients that send one byte a minute, or that do not read their answer (Slowloris), would occupy every
thread, and neither Argo nor the probes would get an answer. Here every wait has a time limit, and another thread can
end it early (`cut`) to make room.
"""

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

from gunicorn.http.errors import ParseException

LINGER_SECONDS = 2.0
"""Time for a client to hang up after the last answer. Closing at once could cut that answer off (RFC 9112, 9.6)."""

_LINGER_BYTES = 64 * 1024


class TooSlow(ParseException):  # type: ignore[misc] # gunicorn has no types
    """The client did not send its request in time (408)."""


class Client:
    """A socket with deadlines, for gunicorn; all other methods are the socket's."""

    def __init__(self, connection: socket.socket, timeout_seconds: float) -> None:
        """Allow `timeout_seconds` for each request, and again for its answer."""
        self._socket = connection
        self._timeout_seconds = timeout_seconds
        self._deadline = 0.0
        self.is_waited_for = True
        """Whether a thread waits for the client; only then may it be cut. False while its query is being answered."""
        self.got_answer = False
        """Whether anything was sent since `begin`; if so, an error must not become a second answer."""
        self.received = b""
        """The first bytes since `begin`, for the log if they are not valid HTTP."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def begin(self) -> None:
        """Start the time for one request."""
        self._deadline = time.monotonic() + self._timeout_seconds
        self.is_waited_for = True
        self.got_answer = False
        self.received = b""

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the handshake within the time for the first request. Raises TooSlow and ssl.SSLError."""
        self._socket = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        with self._waiting_until(self._deadline):
            self._socket.do_handshake()

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes. Raises TooSlow when the time for the request is over."""
        with self._waiting_until(self._deadline):
            received = self._socket.recv(size)
        self.received = self.received or received
        return received

    def sendall(self, content: bytes) -> None:
        """Send all of it in time. Raises ConnectionResetError if the client does not take it."""
        self.got_answer = self.is_waited_for = True
        self._deadline = time.monotonic() + self._timeout_seconds
        try:
            with self._waiting_until(self._deadline):
                self._socket.sendall(content)
        except TooSlow as error:
            raise ConnectionResetError(errno.ECONNRESET, "The client does not take its answer") from error

    def linger(self) -> None:
        """Stop sending, and wait up to LINGER_SECONDS for the client to hang up."""
        until = time.monotonic() + LINGER_SECONDS
        left = _LINGER_BYTES
        with contextlib.suppress(OSError, TooSlow, ValueError):
            self._socket.shutdown(socket.SHUT_WR)
            while left > 0:
                with self._waiting_until(until):
                    received = self._socket.recv(4096)
                if not received:
                    break
                left -= len(received)

    def cut(self) -> None:
        """End the connection, which wakes the thread that waits for this client."""
        with contextlib.suppress(OSError):  # socket.socket: another thread is using the TLS layer
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _waiting_until(self, deadline: float) -> Iterator[None]:
        remaining_seconds = deadline - time.monotonic()
        if remaining_seconds <= 0:
            raise TooSlow
        self._socket.settimeout(remaining_seconds)
        was_waited_for, self.is_waited_for = self.is_waited_for, True
        try:
            yield
        except TimeoutError as error:
            raise TooSlow from error
        finally:
            self.is_waited_for = was_waited_for
