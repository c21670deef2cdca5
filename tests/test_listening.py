"""The end of listening, with a client that comes in the middle of it."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from provider import listening


@pytest.mark.skipif(sys.platform != "linux", reason="the socket filter is Linux's")
def test_who_comes_while_the_queue_is_emptied_finds_nobody():
    """Who was connected before is accepted; who comes meanwhile is refused, and never connected and then cut off."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        address, accepted, later = listener.getsockname(), [], []

        def accept():
            accepted.append(listener.accept()[0])
            later.append(threads.submit(socket.create_connection, address, 10))

        with socket.create_connection(address, 5) as before:
            listening.stop(listener, accept)
            before.sendall(b"x")
            received = accepted[0].recv(1)
            accepted[0].close()

        assert (len(accepted), received) == (1, b"x")
        with pytest.raises(ConnectionRefusedError):
            later[0].result()
