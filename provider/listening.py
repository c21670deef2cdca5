"""Stop listening without losing a connection.

Between the last look at the queue of new connections and the close, the system can accept one more for us, and the
close resets it: its client has sent a question by then. So before the last looks the system is told to drop what would
open another connection; its client tries again a second later, and finds nobody or our successor.
"""

import contextlib
import ctypes
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

_HANDSHAKE_SECONDS = 0.1
"""How long the handshakes have to end that are under way already: many round trips inside a cluster."""

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER and SO_DETACH_FILTER (asm-generic/socket.h)

_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x54, 0, 0, 0x12),  # of them SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone opens a connection:
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all else
)
"""Classic BPF, as (code, jump if true, jump if false, operand); see socket(7) and linux/filter.h."""


def stop(listener: socket.socket, accept: Callable[[], None]) -> None:
    """Accept, by calling `accept`, every connection that the system has accepted for us, then close the listener."""
    with _nobody_new(listener):
        until = time.monotonic() + _HANDSHAKE_SECONDS
        while (left := until - time.monotonic()) > 0 and select.select([listener], [], [], left)[0]:
            accept()
    listener.close()


@contextlib.contextmanager
def _nobody_new(listener: socket.socket) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _DROP_SYN))
    with contextlib.suppress(OSError):  # a sandbox may not have it: then the risk is what it was
        filtering = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, filtering)
    yield
    with contextlib.suppress(OSError):  # the socket may be another worker's as well, which goes on
        listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
