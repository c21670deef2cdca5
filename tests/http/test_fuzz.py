"""Every parameter, header and body with whatever anybody may send; the end of the run tells how much was tried."""

import json
import logging
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider.checks import QUESTIONS
from provider.redaction import RedactingFormatter
from tests import LONG

SETTINGS = settings(
    max_examples=150 if LONG else 30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SHOP_WEB = {"namespace": "shop", "rollout": "web"}
NASTY = (
    *(
        "",
        " ",
        "\0",
        "\r\nX-Forged: 1",
        "\n{}",
        "\x1b[31m",
        "\u2028",
        "é",
        "%00",
        "%2e%2e%2f",
        "../../secrets",
        "web?x=1",
    ),
    *("{{args.service}}", "${jndi:ldap://x}", "<script>", "'; DROP TABLE", "*", "shop,default", "kube-system"),
    *("arn:aws:iam::999999999999:role/admin", "http://169.254.169.254/latest/meta-data", "https://example.com/"),
    *(
        "nan",
        "NaN",
        "inf",
        "-inf",
        "-1",
        "1e309",
        "0x10",
        "\uff11\uff10\uff10",
        "100" * 100,
        "a" * 254,
        "0" * 5000,
        "true",
        "null",
    ),
    *("green", "Latest", "target-health", "replicas", "blue", "web-preview", "web-active", "90", "99.5"),
)
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=30), st.from_regex(r"[a-z0-9.-]{1,70}", fullmatch=True))
JSON = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=4,
)
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "Accept", "Content-Type", "X-Forwarded-For", "X-HTTP-Method-Override", "Cookie"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    max_size=2,
)
READS = re.compile(
    r"/(?:version|apis/eks.amazonaws.com|api(?:s/[a-z0-9.]+)?/v1(?:alpha1|beta1)?/namespaces/(?P<namespace>[a-z0-9-]+)/[a-z]+(?:/[a-z0-9.-]+)?)(?:\?.*)?"
)


def names_of(question):
    """The parameters of a question, and two that are none."""
    return [*(str(field.alias) for field in QUESTIONS[question].query.model_fields.values()), "Namespace", "roleArn"]


@pytest.fixture
def promise(world, caplog, tried):
    """What holds for every answer: its status and shape, a log of whole lines, reads of the asked namespace."""
    caplog.set_level(logging.DEBUG, logger="provider")
    answered = {None}
    written = RedactingFormatter("%(levelname)s %(name)s %(message)s")

    def check(response, namespace):
        tried("fuzzed requests")
        assert response.status_code in {200, 400, 404}, response.text
        expected = "application/json" if response.status_code == 200 else "application/problem+json"
        assert response.content_type == expected
        assert not [name for name, _ in response.headers if name.startswith("X-Forged")]
        assert isinstance(json.loads(response.data), dict)
        assert response.status_code != 200 or len(response.data) < 2048
        for record in caplog.records:
            assert record.levelno < logging.ERROR, record.getMessage()
            assert written.format(record).isprintable()
        calls = [call.name for call in world.kubernetes_faults.calls]
        reached = [READS.fullmatch(name) for name in calls]
        assert all(reached), calls
        if response.status_code != 400:
            answered.add(namespace)  # a read of the question before may still be in flight
        assert {found["namespace"] for found in reached if found} <= answered
        caplog.clear()
        world.kubernetes_faults.forget_calls()

    return check


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scene")
def test_a_url_may_hold_anything(client, question, promise):
    """Whatever a query string holds, for one parameter or for many, once or twice, the promise holds."""
    names = names_of(question)
    pairs = st.lists(st.tuples(st.sampled_from(names), TEXTS), min_size=1, max_size=4)

    @SETTINGS
    @given(st.booleans(), pairs, HEADERS)
    def ask(asks_well, more, headers):
        asked = (list(SHOP_WEB.items()) if asks_well else []) + more
        response = client.get(f"/v1/{question}", query_string=asked, headers=headers)
        promise(response, next((value for name, value in asked if name == "namespace"), None))

    ask()


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scene")
def test_each_parameter_may_hold_anything(client, question, promise):
    """Each parameter in turn takes every nasty value beside good ones, in a URL and in a body."""
    for name in names_of(question):
        for value in NASTY:
            asked = SHOP_WEB | {name: value}
            promise(client.get(f"/v1/{question}", query_string=asked), asked["namespace"])
            promise(client.post(f"/v1/{question}", json=asked), asked["namespace"])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scene")
def test_a_body_may_hold_anything(client, question, promise):
    """Whatever JSON a body holds, in one parameter or instead of all, the promise holds."""
    fields = st.dictionaries(st.sampled_from(names_of(question)), JSON, max_size=4)

    @SETTINGS
    @given(st.one_of(fields.map(lambda more: SHOP_WEB | more), fields, JSON), HEADERS)
    def ask(asked, headers):
        response = client.post(f"/v1/{question}", data=json.dumps(asked), headers=headers)
        promise(response, asked.get("namespace") if isinstance(asked, dict) else None)

    ask()


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scene")
def test_bytes_may_be_anything(client, question, promise):
    """Bytes that are no text, in a query string or as a body, are a refusal or an answer, and no defect."""

    @SETTINGS
    @given(st.binary(max_size=200), HEADERS)
    def ask(sent, headers):
        promise(client.post(f"/v1/{question}", data=sent, headers=headers), None)
        raw = "".join(f"%{byte:02x}" for byte in sent)
        promise(client.get(f"/v1/{question}?namespace=shop&rollout=web&service={raw}", headers=headers), "shop")
        as_gunicorn_gives_them = {"QUERY_STRING": sent.decode("latin-1")}
        for method in ("GET", "POST"):
            response = client.open(
                f"/v1/{question}", method=method, environ_overrides=as_gunicorn_gives_them, headers=headers
            )
            promise(response, None)

    ask()
