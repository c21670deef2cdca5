"""No credential is ever shown or logged, and no line of the log can be forged."""

import json
import logging
import math
import sys
import time

import pytest
import requests

from provider.redaction import MAX_LINE, RedactingFormatter, redacted
from provider.telemetry import logging_config
from tests.server import PATIENCE, Server, bare_environment

SESSION_TOKEN = "IQoJb3JpZ2luX2VjEPlanted" + "9hZk3/Qw+x7R" * 12 + "=="
SECRET_KEY = "PlantedSecretKeyWJalrXUtnFEMIK7MDENG4567"
ACCESS_KEY_ID = "ASIAPLANTED000000001"
KUBERNETES_TOKEN = "eyJhbGciOiJSUzI1NiJ9.UGxhbnRlZFNlcnZpY2VBY2NvdW50.UGxhbnRlZFNpZ25hdHVyZQ"
VALID, OF_ANOTHER, INVALID = "PlantedValidToken00", "PlantedOtherTeams00", "PlantedInvalidToken"
IN_A_QUESTION = "PlantedInTheQuestion"
SECRETS = {
    SESSION_TOKEN,
    SECRET_KEY,
    ACCESS_KEY_ID,
    KUBERNETES_TOKEN,
    VALID,
    OF_ANOTHER,
    INVALID,
    IN_A_QUESTION,
}
FORGED = '\r\n{"level": "CRITICAL", "message": "forged"}\r\n\x1b[31m\u2028'

AWS_ECHO = (
    "The request signature we calculated does not match the signature you provided. The Canonical String for this "
    f"request should have been 'POST\n/\n\nhost:elasticloadbalancing\nx-amz-security-token:{SESSION_TOKEN}\n\n' with "
    f"Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20261124/eu-west-1, Signature=PlantedInTheQuestion, "
    f"and {SECRET_KEY}"
)
KUBERNETES_ECHO = f"<pre>GET /apis HTTP/1.1\nAuthorization: Bearer {KUBERNETES_TOKEN}\nCookie: {IN_A_QUESTION}</pre>"


@pytest.fixture(scope="module")
def server(shared_world, tmp_path_factory):
    """A server with a secret of every kind and DEBUG log."""
    directory = tmp_path_factory.mktemp("guarded")
    shared_world.kubernetes.bearer_token = KUBERNETES_TOKEN
    tokens = directory / "tokens"
    tokens.write_text(f"{VALID} shop\n{OF_ANOTHER} billing\n")
    environment = bare_environment(shared_world.environment(directory)) | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
    }
    with Server(environment, directory, PROVIDER_TOKENS_FILE=str(tokens), PROVIDER_LOG_LEVEL="DEBUG") as running:
        yield running


@pytest.fixture
def guarded(world, server):
    """The server, in a world that requires its token; and what it logs from now on."""
    world.kubernetes.bearer_token = KUBERNETES_TOKEN
    begin = server.log.stat().st_size
    yield server, lambda: server.log.read_bytes()[begin:].decode("ascii")
    world.kubernetes.bearer_token = None


def every_response(server):
    """Every kind of response of a server, headers and bodies."""
    responses = []
    for token in (VALID, OF_ANOTHER, INVALID, None):
        headers = {"X-Api-Key": IN_A_QUESTION} | ({"Authorization": f"Bearer {token}"} if token else {})
        for path, question in (
            ("/v1/gate", {"namespace": "shop", "rollout": "web"}),
            ("/v1/gate", {"namespace": "shop", "rollout": "web", "token": IN_A_QUESTION}),
            ("/v1/gate", {"namespace": "shop", "rollout": "web", "maxErrors": IN_A_QUESTION}),
            ("/v1/errors", {"namespace": IN_A_QUESTION, "rollout": FORGED}),
            (f"/v1/{IN_A_QUESTION}", {}),
            ("/", {}),
            ("/openapi.json", {}),
            ("/livez", {}),
            ("/readyz", {}),
            ("/metrics", {}),
        ):
            url = server.url + path
            responses.append(requests.get(url, params=question, headers=headers, timeout=PATIENCE))
            responses.append(requests.post(url, json=question, headers=headers, timeout=PATIENCE))
            responses.append(requests.post(url, data=f"not JSON {IN_A_QUESTION}", headers=headers, timeout=PATIENCE))
    return responses, "\n".join(f"{response.headers}\n{response.text}" for response in responses)


def leaked(text):
    return {secret for secret in SECRETS if secret in text}


@pytest.mark.parametrize(
    ("upstream", "statuses"),
    [("well", {200}), ("AWS echoes", {200}), ("AWS's code is text", {200}), ("Kubernetes echoes", {200})],
)
@pytest.mark.usefixtures("scene")
def test_no_credential_is_said_or_logged(guarded, world, upstream, statuses):
    """No token, key or header appears in an answer, metric or log line, even if an upstream echoes it."""
    match upstream:
        case "AWS echoes":
            world.aws.faults.aws_error("", "SignatureDoesNotMatch", AWS_ECHO, status=403)
        case "AWS's code is text":
            world.aws.faults.aws_error("", AWS_ECHO, "", status=400)
        case "Kubernetes echoes":
            world.kubernetes_faults.add("", status=502, body=KUBERNETES_ECHO, content_type="text/html")

    server, log = guarded
    responses, text = every_response(server)

    logged = log()
    assert leaked(text) == set()
    assert leaked(logged) == set()
    assert {response.status_code for response in responses} >= statuses | {400, 401, 403, 404, 405}
    assert ("[removed]" in logged) == upstream.startswith("AWS")


@pytest.mark.usefixtures("scene")
def test_no_line_of_the_log_can_be_forged(guarded, world):
    """Line breaks and terminal codes from clients and upstreams are escaped: the log is printable ASCII."""
    world.aws.faults.aws_error("", f"Code{FORGED}", f"message{FORGED}")
    server, log = guarded
    every_response(server)

    lines = log().split("\n")

    assert lines.pop() == ""
    assert all(line.isprintable() for line in lines)
    assert all({"level", "logger", "message"} <= json.loads(line).keys() for line in lines)
    assert not any(json.loads(line)["level"] == "CRITICAL" for line in lines)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer [removed]"),
        ("{'X-Amz-Security-Token': 'IQoJb3JpZ2lu'}", "{'X-Amz-Security-Token': '[removed]'}"),
        ('{\\"password\\": \\"hunter22\\"}', '{\\"password\\": \\"[removed]\\"}'),
        ("?X-Amz-Signature=0123abcd&x=1", "?X-Amz-Signature=[removed]&x=1"),
        (f"token {KUBERNETES_TOKEN}!", "token [removed]!"),
        ("key AKIAIOSFODNN7EXAMPLE", "key [removed]"),
        (f"<{SECRET_KEY}>", "<[removed]>"),
        ("session-eyJhbGciOiJ.IUzI1.NiJ9-x y", "session-[removed] y"),
        ("my-token-bearer abcdefgh", "my-token-bearer [removed]"),
        ("password=https://user:hunter2222@db/x", "password=[removed]"),
        ("https://user:token=hunter22@db/x", "https://[removed]"),
        ("token=hunter2222, Signature = 'abcdefgh' x=12345678", "token=[removed], Signature = '[removed]' x=12345678"),
        (f"{SECRET_KEY}/Ab/_token=hunter22!x", "[removed]_token=[removed]"),
        (f"token: AWS4-HMAC-SHA256 {'Ab1/' * 12}", "token: AWS4-HMAC-SHA256 [removed]"),
        ("Invalid header value b'a b c'\nnext", "Invalid header value [removed]\nnext"),
    ],
)
def test_a_credential_is_taken_out(text, kept):
    """What follows a name such as token, and what looks like a credential, is removed; the rest stays."""
    assert redacted(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "A bearer token is required: 3 are valid",
        "This provider requires a bearer token in the Authorization header",
        "arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/k8s-shop-webprevi-659406d7c2/73e2d6bc24d8a067",
        "User: arn:aws:sts::000000000000:assumed-role/alb-provider/eks-alb-provider-0a1b2c3d is not authorized",
        "The Kubernetes API rejects the provider's credentials (401): get rollouts shop/web; renew its ServiceAccount",
        "There are no usable AWS credentials for elasticloadbalancing:DescribeTargetHealth: give the provider a role",
    ],
)
def test_what_operators_need_stays(text):
    """Sentences, ARNs and principals are kept."""
    assert redacted(text) == text


UNITS = [
    *("a", "A", "0", "-", "_", "aB", "Ab1+", "+", "=", "/", "a/", ".", "a.", " ", "\n", "\\", "'", '"', "é", "@", "a@"),
    *(
        "token",
        "token ",
        "token-",
        "token=",
        "token: ",
        "api_key",
        "token='\\",
        "token=AWS4-HMAC-SHA256 ",
        "x=y ",
        "a:",
    ),
    *("bearer", "bearer ", "basic\n", "://", "://a", "://a@", "eyJ", "eyJ-", "eyJ.", "eyJabcdefgh.", "AKIA", "ASIA-"),
    *("Invalid header value ", "Invalid header value \n"),
]
BEGINNINGS = ["", "https://", "token", "token= ", "token=", "bearer ", "eyJ", "AKIA", "Invalid header value "]
LENGTH = 4_000


def cpu_seconds(text):
    """The CPU that redacting takes this thread."""
    begin = time.thread_time()
    redacted(text)
    return time.thread_time() - begin


@pytest.mark.parametrize("end", ["", "!"])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_redaction_takes_time_in_proportion_to_the_text(beginning, end):
    """Of any text, twice as many letters take at most three times the time: one tenant's text freezes nobody."""
    slow = {}
    for unit in UNITS:
        once, twice = (beginning + unit * (length // len(unit)) + end for length in (LENGTH, 2 * LENGTH))
        least = [math.inf, math.inf]
        for _ in range(20):  # other processes disturb a measurement: only the least of each is compared
            least = [min(seconds, cpu_seconds(text)) for seconds, text in zip(least, (once, twice), strict=True)]
            if least[1] <= 3 * least[0]:
                break
        else:
            slow[unit] = least

    assert slow == {}


def line_of(message, **more):
    """A log line as the server writes it."""
    config = logging_config("INFO")
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["json"])
    assert isinstance(formatter, RedactingFormatter)
    record = logging.makeLogRecord({"name": "provider.x", "levelname": "ERROR", "msg": message, **more})
    return formatter.format(record)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"detail": "y" * 1_000_000},
        {"targets": [{"Id": "10.0.0.1", "Port": number} for number in range(10_000)]},
        {"note": "\U0001f600" * 10_000},
    ],
)
def test_a_line_of_the_log_has_a_length(more):
    """However long a message and its details are, a line is whole JSON, and what runs containers does not split it."""
    line = line_of("\U0001f600 one long word: " + "x" * 1_000_000, **more)

    assert len(line) <= MAX_LINE
    assert json.loads(line)["message"].startswith("\U0001f600 one long word: xxx")
    assert {"level": "ERROR", "logger": "provider.x"}.items() <= json.loads(line).items()


def test_a_long_traceback_keeps_its_end():
    """Of a traceback the end is kept, which names the error."""

    def deep(number):
        return deep(number - 1) + 1 if number else [].pop()

    try:
        for nested in (deep, lambda number: deep(number) and 0):
            nested(200)
    except IndexError:
        line = line_of("defect", exc_info=sys.exc_info())
    traceback = json.loads(line)["exc_info"]

    assert "pop from empty list" in traceback
    assert len(line) <= MAX_LINE
