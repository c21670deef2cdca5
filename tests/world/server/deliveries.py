"""Faults in the delivery of a response, whatever its content."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DELIVERY = "demo.delivery"
"""Where in a WSGI environ an application leaves its Delivery for the server."""

SLOW_PIECES_COUNT = 8


class Wire(Enum):
    """How a response reaches the client."""

    DROPPED = auto()
    """Nothing: the connection ends (FIN)."""
    RESET = auto()
    """Nothing: the connection is reset (RST)."""
    TRUNCATED = auto()
    """The head, half of the promised body, and the end (FIN)."""
    RESET_IN_BODY = auto()
    """The head, half of the promised body, and a reset (RST)."""
    CHUNKED_CUT = auto()
    """A chunked body whose last chunk never comes, and the end (FIN)."""
    STALLED = auto()
    """The head, half of the promised body, and silence until the fault is over."""
    SLOW = auto()
    """Everything, the body in 8 pieces with a pause before each."""
    TRICKLED = auto()
    """The head, and then one byte of the body per pause, until the fault is over."""
    TRICKLED_HEAD = auto()
    """One byte per pause from the status line on, until the fault is over."""
    GARBAGE = auto()
    """Bytes that are not HTTP, and the end (FIN)."""


@dataclass(frozen=True)
class Delivery:
    """How to deliver one response; `over` ends every delay."""

    wire: Wire
    pause_seconds: float = 0.1
    over: threading.Event = field(default_factory=threading.Event)

    def send(self, connection: socket.socket, head: bytes, body: bytes) -> bool:
        """Send a response, or what the client gets instead; return whether the connection can be reused.

        `head` ends with the empty line and promises the whole body.
        """
        half = body[: len(body) // 2]
        with contextlib.suppress(OSError):  # the client may have given up
            match self.wire:
                case Wire.DROPPED | Wire.RESET:
                    pass
                case Wire.TRUNCATED | Wire.RESET_IN_BODY:
                    connection.sendall(head + half)
                case Wire.CHUNKED_CUT:
                    connection.sendall(_chunked(head) + b"%x\r\n%b\r\n" % (len(half), half))
                case Wire.STALLED:
                    connection.sendall(head + half)
                    self.over.wait()
                case Wire.SLOW:
                    size = len(body) // SLOW_PIECES_COUNT + 1
                    connection.sendall(head)
                    self._trickle(connection, (body[start : start + size] for start in range(0, len(body), size)))
                    return True
                case Wire.TRICKLED:
                    connection.sendall(head)
                    self._trickle(connection, _bytes(body))
                case Wire.TRICKLED_HEAD:
                    self._trickle(connection, _bytes(head + body))
                case Wire.GARBAGE:
                    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x50SSH-2.0-not-http\r\n\r\n")
        return False

    @property
    def resets(self) -> bool:
        """Whether the connection ends with RST instead of FIN."""
        return self.wire in (Wire.RESET, Wire.RESET_IN_BODY)

    def _trickle(self, connection: socket.socket, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if self.over.wait(self.pause_seconds) and self.wire is not Wire.SLOW:
                return
            connection.sendall(piece)


def reset(connection: socket.socket) -> None:
    """Make the next close of this socket send RST and discard unsent data (SO_LINGER of 0 s)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _chunked(head: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    return b"\r\n".join([lines[0], b"Transfer-Encoding: chunked", *lines[1:]])


def _bytes(text: bytes) -> Iterable[bytes]:
    return (text[index : index + 1] for index in range(len(text)))
