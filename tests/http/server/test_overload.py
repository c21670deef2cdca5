"""More callers than there is room for, clients that dawdle, and the server's end in the middle of it all."""

import contextlib
import os
import signal
import socket
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import requests

from provider.http.admission import Admission
from tests.app import create_app
from tests.server import PATIENCE, PATIENT, Server, bare_environment

WEB = {"namespace": "shop", "rollout": "web"}
HEAD = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/gate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
DAWDLERS = {
    "silent": b"",
    "half a head": HEAD + b"X: ",
    "half a body": POST + b'{"namespace": ',
    "does not hang up": HEAD + b"Connection: close\r\n\r\n",
    "does not read": b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 100,
}


def serving(world, directory, **settings):
    """A server in a world."""
    return Server(bare_environment(world.environment(directory)), directory, **PATIENT | settings)


def wait_until(holds):
    """Wait until a condition about another process holds."""
    give_up_at = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def ask(server):
    """Query on a new connection; None if the connection is refused."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"{server.url}/v1/target-health", params=WEB, timeout=PATIENCE)
        except requests.ConnectionError as error:
            if "Connection refused" in str(error):
                return None
            raise


def phase(response):
    return response.status_code, response.json().get("phase")


def dawdle(server, sent):
    """Open a connection, send this much, and then do nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", server.port))
    connection.settimeout(0)
    with contextlib.suppress(OSError):  # as much as fits, and the server may hang up on us
        connection.send(sent)
    return connection


@pytest.mark.usefixtures("scene")
def test_a_question_without_a_place_is_refused_after_it_was_checked(sources, metrics):
    """Without a free place a valid query is a counted 503 with Retry-After; a malformed one is still a 400."""
    client = create_app(sources, metrics, admission=Admission(0)).test_client()

    refused = client.get("/v1/target-health", query_string=WEB)

    assert (refused.status_code, refused.content_type) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    assert "PROVIDER_THREADS" in refused.get_json()["detail"]
    assert 'alb_provider_refused_requests_total{status="503"} 1.0' in client.get("/metrics").text
    assert client.get("/v1/target-health?typo=1").status_code == 400


@pytest.mark.usefixtures("scene")
def test_a_place_is_given_back(sources, metrics):
    """After any answer, and also after a defect, the place is free for the next query."""
    client = create_app(sources, metrics, admission=Admission(1)).test_client()

    statuses = [client.get("/v1/target-health", query_string=WEB | {"rollout": name}).status_code for name in "ab"]
    sources.gathering.shutdown()  # from now on every query of several checks is a defect
    statuses += [client.get("/v1/gate", query_string=WEB).status_code for _ in range(2)]

    assert statuses == [404, 404, 500, 500]


@pytest.fixture(scope="module")
def narrow(shared_world, tmp_path_factory):
    """A server that answers three queries at the same time."""
    with serving(shared_world, tmp_path_factory.mktemp("narrow"), PROVIDER_THREADS="3") as running:
        yield running


@pytest.mark.usefixtures("scene")
def test_others_are_answered_while_every_place_is_taken(world, narrow):
    """While all places wait for AWS, another query is refused, and probes and metrics are answered."""
    server = narrow
    with ThreadPoolExecutor(4) as callers:
        world.aws.faults.add("DescribeTargetHealth", delay_seconds=60)
        done, waiting = wait([callers.submit(ask, server) for _ in range(4)], PATIENCE, FIRST_COMPLETED)

        others = [server.session.get(server.url + path, timeout=PATIENCE) for path in ("/livez", "/readyz", "/metrics")]
        still_waiting = [not future.done() for future in waiting]
        world.aws.faults.clear()
        answers = [future.result() for future in waiting]

        refused = [future.result() for future in done]
        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in refused] == [(503, "5")]
        assert [answer.status_code for answer in others] == [200, 200, 200]
        assert 'alb_provider_refused_requests_total{status="503"}' in others[2].text
        assert still_waiting == [True, True, True]
        assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.fixture(scope="module")
def small(shared_world, tmp_path_factory):
    """A server for at most 34 connections, with a client timeout that no test reaches."""
    directory = tmp_path_factory.mktemp("small")
    room = {"PROVIDER_THREADS": "2", "PROVIDER_CONNECTIONS": "34", "PROVIDER_CLIENT_TIMEOUT_SECONDS": "60"}
    with Server(bare_environment(shared_world.environment(directory)), directory, **room) as running:
        yield running


@pytest.mark.parametrize("count", [30, 100], ids=["nearly full", "more than there is room for"])
@pytest.mark.parametrize("sent", DAWDLERS.values(), ids=DAWDLERS)
@pytest.mark.usefixtures("scene")
def test_clients_that_dawdle_keep_nobody_out(small, sent, count):
    """However many clients send too little, read nothing or never hang up, others get their answers."""
    with contextlib.ExitStack() as dawdling:
        for _ in range(count):
            dawdling.enter_context(dawdle(small, sent))
        small.session.close()  # so that every request below needs a new connection

        assert phase(ask(small)) == (200, "Successful")
        for path in ("/livez", "/readyz", "/metrics"):
            assert requests.get(small.url + path, timeout=PATIENCE).status_code == 200

    assert not [line for line in small.lines() if line["level"] in ("ERROR", "CRITICAL")]


@pytest.fixture(scope="module")
def hasty(shared_world, tmp_path_factory):
    """A server with a client timeout of half a second."""
    directory = tmp_path_factory.mktemp("hasty")
    hurry = {"PROVIDER_CLIENT_TIMEOUT_SECONDS": "0.5"}
    with Server(bare_environment(shared_world.environment(directory)), directory, **hurry) as running:
        yield running


@pytest.mark.parametrize(
    ("sent", "drip"),
    [(HEAD + b"X: ", b"x"), (HEAD + b"X: ", b""), (POST + b"[", b" "), (POST + b"[", b""), (b"", b"")],
    ids=["head byte by byte", "half a head", "body byte by byte", "half a body", "silence"],
)
def test_a_request_has_a_time_to_arrive(hasty, sent, drip):
    """A request that does not arrive in time is a 408 and a closed connection, even if bytes keep coming."""
    received = b""
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=0.1) as connection:
        connection.sendall(sent)
        give_up_at = time.monotonic() + PATIENCE
        while time.monotonic() < give_up_at:
            try:
                part = connection.recv(65536)
            except TimeoutError:
                with contextlib.suppress(OSError):
                    connection.sendall(drip)
                continue
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
        else:
            pytest.fail("The server did not hang up.")

    assert received.startswith(b"HTTP/1.1 408 ") if sent else received == b""
    assert received.count(b"HTTP/1.1") == bool(sent)
    assert not [line for line in hasty.lines() if line["level"] in ("ERROR", "CRITICAL")]


def test_an_answer_has_a_time_to_be_taken(hasty):
    """A client that sends queries and reads no answer is disconnected."""
    with dawdle(hasty, b"") as connection:

        def is_hung_up_on():
            try:
                connection.send(DAWDLERS["does not read"])
            except BlockingIOError:
                return False
            except OSError:
                return True
            return False

        wait_until(is_hung_up_on)

    assert not [line for line in hasty.lines() if line["level"] in ("ERROR", "CRITICAL")]


@pytest.mark.usefixtures("scene")
def test_a_stop_loses_no_accepted_question(world, tmp_path):
    """After SIGTERM every query sent before is answered, and the exit code is 0."""
    request = b"GET /v1/target-health?namespace=shop&rollout=web HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(world, tmp_path) as server, contextlib.ExitStack() as opened:
        world.aws.faults.add("DescribeTargetHealth", delay_seconds=0.5)
        asking = [
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE)) for _ in range(24)
        ]
        for connection in asking:
            connection.sendall(request)
        wait_until(lambda: any(call.name == "DescribeTargetHealth" for call in world.aws.calls))
        server.process.send_signal(signal.SIGTERM)
        answers = [connection.recv(65536) for connection in asking]
        code = server.process.wait(PATIENCE)

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    assert code == 0


def children(pid):
    """The processes that a process started."""
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@pytest.mark.usefixtures("scene")
def test_a_reload_goes_on_listening(narrow):
    """After SIGHUP another process serves the same port, also once the first one has ended."""
    (worker,) = children(narrow.process.pid)
    narrow.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(children(narrow.process.pid)) == 1 and children(narrow.process.pid) != [worker])

    assert phase(ask(narrow)) == (200, "Successful")


def test_a_killed_worker_is_replaced(scene, world, narrow):
    """After SIGKILL of the worker under load another one takes its place and answers correctly."""
    server = narrow
    with ThreadPoolExecutor(8) as callers:
        world.aws.faults.add("DescribeTargetHealth", delay_seconds=60)
        asked = [callers.submit(ask, server) for _ in range(8)]
        wait_until(lambda: any(call.name == "DescribeTargetHealth" for call in world.aws.calls))
        (worker,) = children(server.process.pid)

        os.kill(worker, signal.SIGKILL)
        world.aws.faults.clear()
        wait_until(lambda: children(server.process.pid) not in ([], [worker]))

        errors = [future.exception() for future in asked]
        assert any(isinstance(error, requests.ConnectionError) for error in errors)
        # A caller without a place was refused, and one that connects only now is answered by the new worker.
        assert all(error is None or isinstance(error, requests.ConnectionError) for error in errors)
        wait_until(server.is_ready)
        assert phase(ask(server)) == (200, "Successful")
        scene.pin(scene.addresses[0], "initial")
        wait_until(lambda: phase(ask(server)) == (200, "Inconclusive"))


@pytest.mark.long
@pytest.mark.usefixtures("scene")
def test_a_killed_server_starts_again(world, tmp_path):
    """After SIGKILL of all processes under load a new server on the same port answers correctly."""
    with serving(world, tmp_path) as server, ThreadPoolExecutor(8) as callers:
        world.aws.faults.add("DescribeTargetHealth", delay_seconds=60)
        asked = [callers.submit(ask, server) for _ in range(8)]
        wait_until(lambda: any(call.name == "DescribeTargetHealth" for call in world.aws.calls))
        for pid in (*children(server.process.pid), server.process.pid):
            os.kill(pid, signal.SIGKILL)
        world.aws.faults.clear()
        assert all(isinstance(future.exception(), requests.ConnectionError) for future in asked)

    (tmp_path / "again").mkdir()
    with serving(world, tmp_path / "again", PROVIDER_PORT=str(server.port)) as again:
        assert phase(ask(again)) == (200, "Successful")
