"""One upstream's address, with everything that can be wrong about reaching it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from tests.faults.certificates import Authority
from tests.world.server.deliveries import reset
from tests.world.server.http_server import HOST, HttpServer


class Resolver:
    """Stands in for `socket.getaddrinfo`: names below .test are this machine, unless they are out of order."""

    def __init__(self) -> None:
        """Know every name."""
        self._real = socket.getaddrinfo
        self.errors: dict[str, int] = {}
        self.silent: dict[str, threading.Event] = {}

    def __call__(self, host: Any, *more: Any, **options: Any) -> Any:
        """Look a name up."""
        if host in self.silent:
            self.silent[host].wait()
        if host in self.errors:
            raise socket.gaierror(self.errors[host], "no address")
        return self._real(HOST if str(host).endswith(".test") else host, *more, **options)


class Endpoint:
    """An application behind HTTPS at a name of its own."""

    def __init__(self, app: WSGIApplication, host: str, directory: Path, resolver: Resolver) -> None:
        """Serve it as it should be."""
        directory.mkdir()
        (directory / "unknown").mkdir()
        self.host = host
        self.authority = Authority(directory, host)
        self._app = app
        self._resolver = resolver
        self._server = HttpServer(app, tls=self.authority.good()).start()
        self.url = f"https://{host}:{self._server.port}"
        self._undo: Callable[[], object] = lambda: None

    def stop(self) -> None:
        """Close the port."""
        self._server.stop()

    def end(self) -> None:
        """Let everything be well again."""
        self._undo()
        self._undo = lambda: None
        self._server.start()

    def refuse(self) -> "Endpoint":
        """Nobody listens."""
        self._server.stop()
        return self

    def unknown_name(self, error: int) -> "Endpoint":
        """The name has no address, by this error of getaddrinfo."""
        self._cut()
        self._resolver.errors[self.host] = error
        self._undo = lambda: self._resolver.errors.pop(self.host)
        return self

    def silent_name(self) -> "Endpoint":
        """Nobody answers what the address is."""
        self._cut()
        over = self._resolver.silent[self.host] = threading.Event()

        def answer() -> None:
            del self._resolver.silent[self.host]
            over.set()

        self._undo = answer
        return self

    def otherwise(self, tls: ssl.SSLContext | None) -> "Endpoint":
        """Another server listens at the same port: with another certificate, or without TLS."""
        self._server.stop()
        other = HttpServer(self._app, self._server.port, tls).start()
        self._undo = other.stop
        return self

    def speechless(self, *, resets: bool) -> "Endpoint":
        """Somebody accepts connections and says nothing, or resets them."""
        self._server.stop()
        listener = socket.create_server((HOST, self._server.port))
        threading.Thread(target=_accept, args=(listener, resets), daemon=True).start()

        def close() -> None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

        self._undo = close
        return self

    def _cut(self) -> None:
        """Close the connections that a client keeps, so that it needs the name again."""
        self._server.stop()
        self._server.start()


def _accept(listener: socket.socket, resets: bool) -> None:  # noqa: FBT001 - a thread's only flag
    kept = []
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            if resets:
                reset(connection)
                connection.close()
            else:
                kept.append(connection)
    for connection in kept:
        connection.close()
