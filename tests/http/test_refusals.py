"""Refused requests: what the log says of each, how often, and what it keeps to itself."""

import json
import socket

import pytest

from provider.http.refusals import MAX_CLIENTS, Refusals
from tests.server import PATIENCE, Server, bare_environment

TOKEN = "kWq3vX0m5TzR8bYc"


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refusals(metrics, clock):
    return Refusals(metrics, {"rollout", "checks", "unhealthyGraceSeconds"}, clock)


@pytest.fixture
def lines(caplog):
    """The refusals that were logged, as the server would write their fields."""
    return lambda: [record for record in caplog.records if record.name == "provider.http.refusals"]


def counted(metrics, status):
    return metrics.registry.get_sample_value("alb_provider_refused_requests_total", {"status": str(status)})


def test_a_refusal_is_a_line_and_a_count(client, lines, metrics):
    """A refused question is one WARNING with its sentence, status, client and request, and one count."""
    response = client.get("/v1/errors?namespace=shop&rollout=web&windowSeconds=90")

    (line,) = lines()
    assert response.get_json()["detail"] == "windowSeconds must be a multiple of 60 (got 90)"
    assert (line.getMessage(), line.levelname) == (response.get_json()["detail"], "WARNING")
    assert (line.status, line.client, line.leftOut) == (400, "127.0.0.1", 0)
    assert line.request == "/v1/errors?namespace=shop&rollout=web&windowSeconds=90"
    assert counted(metrics, 400) == 1


def test_a_client_has_one_line_a_second_for_each_status(refusals, metrics, clock, lines):
    """Every refusal counts; at most once a second a client and status get a line, which says how many it skips."""
    for seconds, status, client in [(0, 400, "a"), (0.9, 400, "a"), (0.9, 401, "a"), (0.9, 400, "b"), (1.1, 400, "a")]:
        clock.seconds = seconds
        refusals.refused(status, "no", client, "/")

    assert [(line.status, line.client, line.leftOut) for line in lines()] == [
        (400, "a", 0),
        (401, "a", 0),
        (400, "b", 0),
        (400, "a", 1),
    ]
    assert (counted(metrics, 400), counted(metrics, 401)) == (4, 1)


def test_many_clients_are_forgotten(refusals):
    """However many clients are refused, only the latest are remembered."""
    for number in range(3 * MAX_CLIENTS):
        refusals.refused(400, "no", str(number), "/")

    assert len(refusals._clients) == MAX_CLIENTS


@pytest.mark.parametrize(
    ("path", "query", "line"),
    [
        ("/v1/gate", "", "/v1/gate"),
        ("/v1/gate", "namespace=shop&rollout=web", "/v1/gate?namespace=shop&rollout=web"),
        ("/v1/gate", f"namespace=shop&token={TOKEN}", "/v1/gate?namespace=shop&token=..."),
        ("/v1/gate", f"{TOKEN}", "/v1/gate?..."),
        ("/v1/gate", f"rollout={TOKEN}", "/v1/gate?rollout=..."),
        ("/v1/gate", "unhealthyGraceSeconds=x", "/v1/gate?unhealthyGraceSeconds=x"),
        (f"/v1/{TOKEN}", "", "/v1/..."),
        ("/v1/gate", "a=b&" * 1000, "/v1/gate?" + ("a=b&" * 1000)[:491]),
    ],
)
def test_what_is_shown_of_a_request(refusals, path, query, line):
    """The log shows a path, names and values, cut to a line, and nothing that could be a token."""
    assert refusals.shown(path, query) == line


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (b"GET /v1/gate?namespace=shop&rollout=my web HTTP/1.1", "the value of rollout"),
        (b"GET /v1/gate?checks=replicas, errors&rollout=web HTTP/1.1", "the value of checks"),
        (b"GET /v1/gate?rollout= web&namespace=shop HTTP/1.1", "the value of rollout"),
        (b"GET /v1/ gate?rollout=web HTTP/1.1", "the path or a parameter"),
        (b"GET /v1/gate?my name=web HTTP/1.1", "the path or a parameter"),
        (b"GET /v1/gate?rollout=web HTTP/1.1", ""),
        (b"GET /v1/gate", ""),
        (b"\x16\x03\x01\x00", ""),
        (b"", ""),
    ],
)
def test_the_argument_with_a_blank_is_named(refusals, line, names):
    """Where a blank breaks the request line, the sentence names the parameter that it stands in."""
    said = refusals.blank_in(line + b"\r\nHost: a\r\n\r\n")

    assert names in said
    assert bool(said) == bool(names)


def test_a_line_that_is_no_http_is_not_shown(refusals):
    """Of bytes that do not begin like a request, the log shows nothing."""
    assert refusals.shown_line(b"\x16\x03\x01 /secret\r\n") == ""


REFUSED = {
    400: (b"GET /v1/gate?namespace=shop&rollout=my web HTTP/1.1\r\nHost: a\r\n\r\n", "the value of rollout"),
    404: (b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n", "not found"),
    405: (b"PUT /v1/gate HTTP/1.1\r\nHost: a\r\n\r\n", "not allowed"),
    408: (b"GET /v1/gate?namespace=shop HTTP/1.1\r\nHost: a\r\nX:", "did not arrive within 0.5 s"),
    413: (b"POST /v1/gate HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", "capacity limit"),
    414: (b"GET /v1/gate?rollout=" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", "longer than 4094 bytes"),
    417: (b"POST /v1/gate HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", "100-continue"),
    431: (b"GET /v1/gate HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n", "longer than 4096 bytes"),
}


def test_the_server_says_every_refusal(environment, tmp_path):
    """What the server refuses before the application is logged and counted like what the application refuses."""
    with Server(bare_environment(environment), tmp_path, PROVIDER_CLIENT_TIMEOUT_SECONDS="0.5") as server:
        answers = {}
        for status, (sent, _) in REFUSED.items():
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
                connection.sendall(sent)
                answers[status] = b""
                while not answers[status].endswith(b"}"):
                    answers[status] += connection.recv(65536)
        metrics = server.session.get(f"{server.url}/metrics", timeout=PATIENCE).text
        logged = {line["status"]: line for line in server.lines() if line["logger"] == "provider.http.refusals"}

    assert logged.keys() == REFUSED.keys()
    for status, (_, sentence) in REFUSED.items():
        problem = json.loads(answers[status].partition(b"\r\n\r\n")[2])
        assert (problem["status"], problem["detail"]) == (status, logged[status]["message"])
        assert sentence in problem["detail"]
        assert f'alb_provider_refused_requests_total{{status="{status}"}} 1.0' in metrics
    assert {logged[status]["client"] for status in REFUSED} == {"127.0.0.1"}
    assert logged[400]["request"] == "/v1/gate?namespace=shop&rollout=my web"
    assert logged[408]["request"] == "/v1/gate?namespace=shop"
