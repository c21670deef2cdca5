"""The real server: gunicorn with our settings, in a process of its own."""

import json
import signal
import socket
import threading
import time

import pytest

from tests.scene import Scene
from tests.server import PATIENCE, PATIENT, Server, bare_environment

GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/gate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(shared_world, tmp_path_factory):
    """A shared server without HOME, in a read-only directory."""
    directory = tmp_path_factory.mktemp("server")
    with Server(bare_environment(shared_world.environment(directory)), directory, **PATIENT) as running:
        yield running


@pytest.fixture
def own_server(world, tmp_path):
    """A server that a test may stop."""
    with Server(bare_environment(world.environment(tmp_path)), tmp_path, **PATIENT) as running:
        yield running


def exchange(port, request):
    """Send these bytes, and return everything received until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


@pytest.mark.usefixtures("scene")
def test_it_answers_and_logs_json(server):
    """The server answers on PROVIDER_PORT, and each line it logs on standard error is a JSON object."""
    response = server.ask("target-health", namespace="shop", rollout="web")

    answers = [line for line in server.lines() if line["logger"] == "provider.answers"]
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.json()["measurement"][:2] == [100.0, "Successful"]
    assert answers[-1]["query"].items() >= {"namespace": "shop", "rollout": "web"}.items()
    assert answers[-1]["reason"] == "TargetsHealthy"
    assert all({"level", "logger", "message", "timestamp"} <= line.keys() for line in server.lines())


def test_it_needs_no_home_and_writes_no_file(server):
    """The server starts and serves without HOME and leaves its read-only working directory empty."""
    assert server.is_ready()
    assert list(server.written.iterdir()) == []


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        pytest.param(b"garbage\r\n\r\n", {400}, id="garbage"),
        pytest.param(b"GET\r\n\r\n", {400}, id="no path"),
        pytest.param(b"GET /v1/gate?namespace=\xa1 HTTP/1.1\r\nHost: a\r\n\r\n", {400}, id="query that is no text"),
        pytest.param(b"GET /livez\r\n\r\n", {400}, id="HTTP 0.9"),
        pytest.param(b"GET /livez HTTP/9.9\r\n\r\n", {400, 505}, id="HTTP 9.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}, id="HTTP 2"),
        pytest.param(bytes.fromhex("16030100ff0100") + bytes(range(1, 120)) + b"\r\n\r\n", {400}, id="TLS"),
        pytest.param(b"\0\0\0\0\r\n\r\n", {400}, id="zeros"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", {400}, id="path is no ASCII"),
        pytest.param(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", {414}, id="long request line"),
        pytest.param(GET + b"no colon\r\n\r\n", {400}, id="header without colon"),
        pytest.param(GET + b"X: a\r\n folded\r\n\r\n", {400}, id="folded header"),
        pytest.param(GET + b"X: " + b"y" * 9000 + b"\r\n\r\n", {431}, id="huge header"),
        pytest.param(GET + b"X: y\r\n" * 60 + b"\r\n", {431}, id="many headers"),
        pytest.param(POST + b"Content-Length: abc\r\n\r\n{}", {400}, id="length is no number"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n{}", {400}, id="negative length"),
        pytest.param(POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", {400}, id="two lengths"),
        pytest.param(POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", {400, 413}, id="enormous length"),
        pytest.param(POST + b"Content-Length: 20\r\n\r\n[", {400}, id="body shorter than its length"),
        pytest.param(POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}, id="smuggling"),
        pytest.param(POST + b"Transfer-Encoding: gzip\r\n\r\n{}", {400, 501}, id="unknown coding"),
        pytest.param(POST + b"Expect: magic\r\nContent-Length: 2\r\n\r\n{}", {417}, id="expectation"),
        pytest.param(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", {400}, id="chunk size is no number"),
        pytest.param(CHUNKED + b"2\r\n{}XX\r\n0\r\n\r\n", {400}, id="chunk longer than its size"),
        pytest.param(CHUNKED + b"0" * 9000, {400}, id="endless chunk size"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nno colon\r\n\r\n", {400}, id="bad trailer"),
        pytest.param(CHUNKED + b"5\r\n{", {400}, id="chunk that ends too soon"),
        pytest.param(CHUNKED + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 5 + b"0\r\n\r\n", {400, 413}, id="too large"),
    ],
)
def test_what_is_not_http_is_refused(server, request_bytes, statuses):
    """A request that is not valid HTTP gets a problem document, never HTML and never a 500."""
    received = exchange(server.port, request_bytes)

    head, _, content = received.partition(b"\r\n\r\n")
    protocol, status, *_ = head.split()
    assert protocol == b"HTTP/1.1"
    assert int(status) in statuses
    for header in (
        b"content-type: application/problem+json",
        b"cache-control: no-store",
        b"x-content-type-options: nosniff",
        b"referrer-policy: no-referrer",
        b"content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ):
        assert b"\r\n" + header + b"\r\n" in head.lower() + b"\r\n"
    assert json.loads(content)["status"] == int(status)
    assert server.is_ready()


@pytest.mark.parametrize("request_bytes", [b"", b"GET /liv", GET, GET + b"X: y\r\n"], ids=["", "line", "head", "more"])
def test_half_a_request_is_no_request(server, request_bytes):
    """A client that hangs up in the middle of a request gets a problem or nothing, and others are not affected."""
    received = exchange(server.port, request_bytes)

    assert received == b"" or b"application/problem+json" in received
    assert server.is_ready()


def test_sigterm_lets_a_question_under_way_finish(own_server, world):
    """After SIGTERM the query in flight is still answered; then the server ends with exit code 0."""
    Scene(world).build()
    world.aws.faults.add("DescribeTargetHealth", delay_seconds=1.0)
    answers = []
    asker = threading.Thread(
        target=lambda: answers.append(own_server.ask("target-health", namespace="shop", rollout="web"))
    )
    asker.start()
    give_up_at = time.monotonic() + PATIENCE
    while not any(call.name == "DescribeTargetHealth" for call in world.aws.calls) and time.monotonic() < give_up_at:
        time.sleep(0.02)

    own_server.process.send_signal(signal.SIGTERM)
    asker.join(PATIENCE)
    code = own_server.process.wait(PATIENCE)

    assert [(answer.status_code, answer.json()["phase"]) for answer in answers] == [(200, "Successful")]
    assert code == 0
    assert not own_server.is_ready()
    assert own_server.lines()[-1]["logger"] == "gunicorn.error"


def test_the_log_level_holds_for_gunicorn_too(world, tmp_path):
    """With PROVIDER_LOG_LEVEL=WARNING no line is below it, not even at start and stop."""
    with Server(bare_environment(world.environment(tmp_path)), tmp_path, PROVIDER_LOG_LEVEL="WARNING") as running:
        pass

    levels = {line["level"] for line in running.lines()}
    assert "WARNING" in levels
    assert not levels & {"DEBUG", "INFO"}
