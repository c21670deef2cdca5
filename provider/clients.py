"""The socket of one client, which has only so long to send its request and to take its answer.

A thread serves a connection from the first byte of a request to the last of the answer, and gunicorn lets it wait for
the client in between for as long as the client likes. Here every wait has an end, and the one who waits can be told to
give up (`cut`), so that slow and silent clients cost no one else anything.
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
"""How long a client has to hang up after the last answer, so that its last bytes are not cut off (RFC 9112, 9.6)."""

_LINGER_BYTES = 64 * 1024


class TooSlow(ParseException):  # type: ignore[misc] # gunicorn has no types
    """The client did not send its whole request in time (408)."""


class Client:
    """A socket, for gunicorn to use as one; what is not here is the socket's own."""

    def __init__(self, connection: socket.socket, timeout_seconds: float) -> None:
        """`timeout_seconds` is for a whole request, however many pieces it comes in, and again for its answer."""
        self._socket = connection
        self._timeout_seconds = timeout_seconds
        self._deadline = 0.0
        self.is_waited_for = True
        """Whether the next step is this client's: then it may be cut. It is not while its question is answered."""
        self.got_answer = False
        """Whether anything was sent since `begin`: then an error must not become a second answer."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def begin(self) -> None:
        """Let the time for one request start now."""
        self._deadline = time.monotonic() + self._timeout_seconds
        self.is_waited_for = True
        self.got_answer = False

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Make the handshake, within the time for the first request. Raises TooSlow and ssl.SSLError."""
        self._socket = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        with self._waiting_until(self._deadline):
            self._socket.do_handshake()

    def recv(self, size: int) -> bytes:
        """Return what the client sends next. Raises TooSlow when the time for the request is over."""
        with self._waiting_until(self._deadline):
            return self._socket.recv(size)

    def sendall(self, content: bytes) -> None:
        """Send all of it within the client's time. Raises ConnectionResetError if the client does not take it."""
        self.got_answer = self.is_waited_for = True
        self._deadline = time.monotonic() + self._timeout_seconds
        try:
            with self._waiting_until(self._deadline):
                self._socket.sendall(content)
        except TooSlow as error:
            raise ConnectionResetError(errno.ECONNRESET, "The client does not take its answer") from error

    def linger(self) -> None:
        """Say that there is nothing more to come, and wait for the client to hang up, a little while."""
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
        """Wake the thread that waits for this client, and end the connection."""
        with contextlib.suppress(OSError):  # of the socket below TLS, which another thread is using
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
