"""Faults on the wire: what a client sees when a stand-in misbehaves or goes away."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.world.server.deliveries import Wire
from tests.world.server.faults import Faults
from tests.world.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

BODY = b"0123456789"


def application(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer ten bytes."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY]


@pytest.fixture
def faults() -> Faults:
    return Faults(application)


@pytest.fixture
def server(faults: Faults) -> Iterator[HttpServer]:
    with HttpServer(faults) as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.mark.parametrize("drop", [True, False])
def test_broken_connections(faults: Faults, server: HttpServer, session: requests.Session, *, drop: bool) -> None:
    """A truncated or dropped answer is a connection error, and the next one is whole again."""
    faults.add("/path", times=1, drop=drop, truncate=not drop)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        session.get(f"{server.url}/path", timeout=5)

    assert session.get(f"{server.url}/path", timeout=5).content == BODY


def test_false_answers(faults: Faults, server: HttpServer, session: requests.Session) -> None:
    """A status, a body and headers of choice are sent as given; other paths are answered normally."""
    faults.add("a=b c", status=503, body="<html>", content_type="text/html", headers={"Retry-After": "7"})

    wrong = session.get(f"{server.url}/?a=b%20c", timeout=5)

    assert (wrong.status_code, wrong.text) == (503, "<html>")
    assert (wrong.headers["Content-Type"], wrong.headers["Retry-After"]) == ("text/html", "7")
    assert session.get(f"{server.url}/?a=c", timeout=5).content == BODY


def test_delay_ends_with_clear(faults: Faults, server: HttpServer, session: requests.Session) -> None:
    """A delayed call is answered normally afterwards, and at once when the faults are cleared."""
    faults.add("", delay_seconds=60.0)
    threading.Timer(0.2, faults.clear).start()
    started_at = time.monotonic()

    answer = session.get(server.url, timeout=10)

    assert answer.content == BODY
    assert 0.1 < time.monotonic() - started_at < 5.0


def test_connections_stay_open(faults: Faults, server: HttpServer, session: requests.Session) -> None:
    """One connection serves many requests, also when a request's body is not read."""
    faults.add("/fault", status=500)

    ports = set()
    for path in ("/fault", "/", "/fault", "/"):
        answer = session.post(server.url + path, data=b"x" * 100_000, timeout=5, stream=True)
        connection: Any = answer.raw.connection
        ports.add(connection.sock.getsockname()[1])
        assert answer.content in (BODY, b"")

    assert len(ports) == 1


def test_stop_and_start_again(server: HttpServer, session: requests.Session) -> None:
    """A stopped server closes its open connections, and starts again at the same address."""
    url = server.url
    session.get(url, timeout=5)

    server.stop()
    with pytest.raises(requests.ConnectionError):
        session.get(url, timeout=5)
    server.start()

    assert server.url == url
    assert session.get(url, timeout=5).content == BODY


@pytest.mark.parametrize("wire", [Wire.RESET, Wire.RESET_IN_BODY, Wire.CHUNKED_CUT, Wire.GARBAGE])
def test_answers_that_break_off(faults: Faults, server: HttpServer, session: requests.Session, wire: Wire) -> None:
    """An answer that is reset, cut between chunks or no HTTP is an error of the client's, and the next one is whole."""
    faults.add("/path", times=1, wire=wire)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as raised:
        session.get(f"{server.url}/path", timeout=5)

    assert ("reset by peer" in str(raised.value)) is (wire in (Wire.RESET, Wire.RESET_IN_BODY))
    assert session.get(f"{server.url}/path", timeout=5).content == BODY


@pytest.mark.parametrize("wire", [Wire.STALLED, Wire.TRICKLED, Wire.TRICKLED_HEAD])
def test_answers_that_never_come_to_an_end(
    faults: Faults, server: HttpServer, session: requests.Session, wire: Wire
) -> None:
    """A silent answer runs into a timeout, a trickling one never does; the end of the fault ends both."""
    fault = faults.add("", wire=wire, pause_seconds=0.2)
    threading.Timer(1.0, fault.end).start()

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as raised:
        session.get(server.url, timeout=0.6)

    assert ("timed out" in str(raised.value)) is (wire is Wire.STALLED)
    fault.end()
    assert session.get(server.url, timeout=5).content == BODY


def test_a_slow_answer_is_whole(faults: Faults, server: HttpServer, session: requests.Session) -> None:
    """A body in pieces arrives, on a connection that stays open."""
    faults.add("", times=1, wire=Wire.SLOW, pause_seconds=0.01)

    assert [session.get(server.url, timeout=5).content for _ in range(2)] == [BODY, BODY]


def test_a_fault_of_some_calls_only(faults: Faults, server: HttpServer, session: requests.Session) -> None:
    """A fault is about a text in a body or in the Accept header, changes an answer, and ends alone."""
    first = faults.add("", about="Accept: text/html\n", rewrite=bytes.upper, headers={"Content-Type": "x/y"})
    faults.add("", about="a b", status=418)

    def answers() -> list[int | str]:
        html = session.get(server.url, headers={"Accept": "text/html"}, timeout=5)
        return [html.headers["Content-Type"], session.post(server.url, data={"q": "a b"}, timeout=5).status_code]

    assert answers() == ["x/y", 418]
    first.end()
    assert answers() == ["text/plain", 418]
