"""HTTP: what an answer looks like, what is refused and how, the probes, the metrics and the log line."""

import json
import logging
import logging.config
import re
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from provider import __version__
from provider.checks import QUESTIONS, body, target_health
from provider.checks.gate import PARTS
from provider.checks.question import parse, refuse_stale
from provider.http.app import RETRY_AFTER_SECONDS
from provider.http.openapi import describe
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import Kind, Verdict
from provider.sources.deadline import Deadline
from provider.telemetry import logging_config
from tests.each import each
from tests.records import NOW, evidence, group, pod, target
from tests.scene import Scene

SHOP_WEB = [("namespace", "shop"), ("rollout", "web")]
ASK = f"/v1/target-health?{urlencode(SHOP_WEB)}"
OF_TARGETS = {"target-health": [], "gate": [("checks", "replicas,target-health")]}
"""The questions about targets; the gate's without its other checks."""

PATHS = {
    "answer": (ASK, 200),
    "malformed question": ("/v1/gate?namespace=shop", 400),
    "absent Rollout": ("/v1/gate?namespace=shop&rollout=none", 404),
    "unknown route": ("/v2/gate", 404),
    "not ready": ("/readyz", 503),
    "livez": ("/livez", 200),
    "metrics": ("/metrics", 200),
    "description": ("/openapi.json", 200),
    "index": ("/", 200),
}


def json_object(fields):
    """Return the fields as JSON, including duplicate names."""
    return "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in fields) + "}"


def ask(client, method, question, fields):
    if method == "GET":
        return client.get(f"/v1/{question}?{urlencode(fields)}")
    return client.post(f"/v1/{question}", data=json_object(fields), content_type="application/json")


def problem_in(response, status):
    """The problem document that a refusal is."""
    document = response.get_json()
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert (document["type"], document["status"]) == ("about:blank", status)
    assert document["title"] == HTTPStatus(status).phrase
    assert document["detail"]
    return document


def everything_in(value):
    """The value itself and all that is nested in it."""
    yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything_in(one)


def is_sorted(pairs):
    assert [name for name, _ in pairs] == sorted(name for name, _ in pairs)
    return dict(pairs)


def without_ages(answer):
    """An answer without what differs from one second to the next, in its sentences too."""
    timeless = json.loads(re.sub(r"\b[0-9]+ s (so far|ago)", "… s", json.dumps(answer)))
    observed = {key: value for key, value in timeless["observed"].items() if not key.startswith("evidence")}
    return timeless | {"observed": observed}


@pytest.fixture
def log_line(caplog):
    """The log as the server would write it: one text per record of the questions' logger."""
    caplog.set_level(logging.INFO, logger="provider.answers")
    config = logging_config("INFO")
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["json"])
    return lambda: [formatter.format(record) for record in caplog.records if record.name == "provider.answers"]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scene")
def test_the_shape_of_an_answer(client, question):
    """An answer is a JSON object of five sorted keys, whose measurement repeats number, phase and message."""
    response = ask(client, "GET", question, SHOP_WEB)

    answer = json.loads(response.data, object_pairs_hook=is_sorted)
    number, *rest = answer["measurement"]
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert list(answer) == ["measurement", "message", "observed", "phase", "reason"]
    assert rest == [answer["phase"], answer["message"]]
    assert isinstance(number, float)
    assert 0 <= number <= 100
    assert (answer["phase"] in set(Phase), answer["reason"] in set(Reason)) == (True, True)
    assert None not in list(everything_in(answer))
    assert answer["observed"].keys() > {"desiredCount", "podTemplateHash", "replicaSet"}


@pytest.mark.parametrize(("question", "more"), OF_TARGETS.items(), ids=OF_TARGETS)
@pytest.mark.usefixtures("scene")
def test_a_healthy_green(client, question, more):
    """When every pod is a healthy target the answer is Successful, 100, with the numbers in its sentence."""
    answer = ask(client, "GET", question, SHOP_WEB + more).get_json()

    assert answer["measurement"] == [100.0, "Successful", answer["message"]]
    assert answer["message"].endswith("3 of 3 green targets healthy in k8s-shop-web-preview")
    assert answer["observed"].keys() > {"evidenceAgeSeconds", "evidenceJudgedAt"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(("DescribeTargetHealth", "AccessDenied", 403), id="forbidden"),
        pytest.param(("DescribeTargetHealth", "InternalFailure", 500), id="unavailable"),
    ],
)
def test_could_not_look_is_an_answer_too(client, scene, fault):
    """If AWS cannot be read, the answer is a 200 of the same shape, Inconclusive and without any null."""
    action, code, status = fault
    scene.world.aws.faults.aws_error(action, code, "no", status)

    response = client.get(ASK)

    answer = json.loads(response.data, object_pairs_hook=is_sorted)
    assert (response.status_code, answer["phase"]) == (200, "Inconclusive")
    assert answer["measurement"] == [0.0, "Inconclusive", answer["message"]]
    assert "elasticloadbalancing:DescribeTargetHealth" in answer["message"]
    assert answer["observed"]["desiredCount"] == 3
    assert None not in list(everything_in(answer))


@pytest.mark.parametrize(
    ("given_as_text", "given_as_json"),
    [
        pytest.param({}, {}, id="defaults"),
        pytest.param({"minHealthyPercent": "66.6"}, {"minHealthyPercent": 66.6}, id="number"),
        pytest.param({"minHealthyPercent": "67"}, {"minHealthyPercent": 67}, id="boundary"),
        pytest.param({"unhealthyGraceSeconds": "3600"}, {"unhealthyGraceSeconds": 3600}, id="integer"),
        pytest.param({"podTemplateHash": "0"}, {"podTemplateHash": "0"}, id="superseded"),
    ],
)
@pytest.mark.parametrize("question", OF_TARGETS)
def test_get_and_post_give_the_same_answer(client, scene, question, given_as_text, given_as_json):
    """GET and POST give the same answer, with numbers as JSON numbers or as strings."""
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")

    answers = [
        ask(client, method, question, SHOP_WEB + OF_TARGETS[question] + list(more.items())).get_json()
        for method, more in (("GET", given_as_text), ("POST", given_as_text), ("POST", given_as_json))
    ]

    first, *others = [without_ages(answer) for answer in answers]
    assert others == [first, first]


MALFORMED = {
    "nothing at all": ("gate", [], dict.fromkeys(("namespace", "rollout"), "is required")),
    "missing": ("gate", [("namespace", "shop")], {"rollout": "is required"}),
    "unknown": (
        "target-health",
        [*SHOP_WEB, ("minHealthPercent", "90"), ("checks", "replicas")],
        {
            "minHealthPercent": "Its parameters: anomalies, minHealthyPercent",
            "checks": "is not a parameter of target-health",
        },
    ),
    "python's name": ("gate", [*SHOP_WEB, ("pod_template_hash", "a")], {"pod_template_hash": "is not a"}),
    "wrong case": ("gate", [*SHOP_WEB, ("Service", "a")], {"Service": "is not a parameter"}),
    "empty": ("gate", [("namespace", ""), ("rollout", "web")], {"namespace": "must not be empty"}),
    "blank": (
        "gate",
        [("namespace", "shop"), ("rollout", " "), ("podTemplateHash", "\t"), ("minHealthyPercent", "")],
        dict.fromkeys(("rollout", "podTemplateHash", "minHealthyPercent"), "must not be empty"),
    ),
    "twice the same": ("gate", [*SHOP_WEB, ("rollout", "web")], {"rollout": "more than once"}),
    "twice": ("gate", [*SHOP_WEB, ("rollout", "api")], {"rollout": "more than once"}),
    "twice beside other faults": (
        "gate",
        [("namespace", "shop"), ("namespace", "shop"), ("rollouts", "web")],
        {"namespace": "more than once", "rollout": "is required", "rollouts": "is not a parameter"},
    ),
    "just below the bounds": (
        "gate",
        [*SHOP_WEB, ("minHealthyPercent", "0.9"), ("unhealthyGraceSeconds", "-1")],
        {"minHealthyPercent": "must be at least 1 (got 0.9)", "unhealthyGraceSeconds": "must be at least 0 (got -1)"},
    ),
    "just above the bounds": (
        "target-health",
        [*SHOP_WEB, ("minHealthyPercent", "100.1"), ("unhealthyGraceSeconds", "3601")],
        {
            "minHealthyPercent": "must be at most 100 (got 100.1)",
            "unhealthyGraceSeconds": "must be at most 3600 (got 3601)",
        },
    ),
    "part of a second": (
        "gate",
        [*SHOP_WEB, ("unhealthyGraceSeconds", "1.5")],
        {"unhealthyGraceSeconds": "whole number (got 1.5)"},
    ),
    "label selector and underscore": (
        "gate",
        [*SHOP_WEB, ("podTemplateHash", "a,b"), ("service", "web_preview")],
        {"podTemplateHash": "", "service": ""},
    ),
}
NOT_NUMBERS = ("most", "95%", "NaN", "Infinity", "-inf", "1e999")
NOT_NAMESPACES = ("Shop", "-shop", "shop-", "a.b", "a/b", "..", "sh\nop", "a" * 64, "café", "shop?x=1")
NOT_ROLLOUTS = ("Web", ".web", "web.", "a..b", "web/scale", "w\neb", "web\r\nX: y", "w\u2028b", "a" * 254)
NOT_CHECKS = ("replicas,", "replicas,replicas", "replicas, replicas", "replicas target-health", "Replicas", "gate", ",")
NAMED = {
    "minHealthyPercent": (NOT_NUMBERS, "must be a number"),
    "namespace": (NOT_NAMESPACES, "must "),
    "rollout": (NOT_ROLLOUTS, "must "),
    "checks": (NOT_CHECKS, f"must name some of {', '.join(part.name for part in PARTS)}, each once"),
}
for parameter, (texts, sentence) in NAMED.items():
    for text in texts:
        fields = list((dict(SHOP_WEB) | {parameter: text}).items())
        MALFORMED[f"{parameter} {text!r}"[:40]] = ("gate", fields, {parameter: sentence})


@pytest.mark.parametrize("method", ["GET", "POST"])
@each("question, fields, faults", MALFORMED)
def test_a_malformed_question_names_every_parameter_at_fault(client, method, question, fields, faults):
    """A malformed query is a 400 that names every parameter at fault with its fault, and no other parameter."""
    response = ask(client, method, question, fields)

    problem = problem_in(response, 400)
    details = {error["parameter"]: error["detail"] for error in problem["errors"]}
    assert details.keys() == faults.keys()
    assert {name: details[name] for name, part in faults.items() if part not in details[name]} == {}
    assert all(name in problem["detail"] for name in faults)


@pytest.mark.parametrize(
    ("name", "written", "means"),
    [
        ("maxErrors", "1e+06", 1_000_000),
        ("maxErrors", "1.00065e+08", 100_065_000),
        ("maxErrors", 1e6, 1_000_000),
        ("windowSeconds", " 1.8E2 ", 180),
        ("maxErrorPercent", "1e-01", 0.1),
        ("minHealthyPercent", " 95\n", 95),
        ("checks", " replicas, target-health ,errors\t", "replicas,target-health,errors"),
        ("namespace", "shop\n", "shop"),
        ("namespace", "1e6", "1e6"),
    ],
)
def test_numbers_and_lists_as_tools_write_them(name, written, means):
    """A whole number may be in the form of Helm and Argo, and blanks around a value or a list item do not count."""
    query = parse(QUESTIONS["gate"], (dict(SHOP_WEB) | {name: written}).items())

    assert query.model_dump(by_alias=True)[name] == means


@pytest.mark.parametrize("name", ["rollout", "minHealthyPercent", "unhealthyGraceSeconds", "checks"])
@each("value", {json.dumps(value): value for value in (True, False, None, [], ["web"], {}, {"name": "web"})})
def test_a_value_of_another_json_type_is_refused(client, name, value):
    """A parameter is a string or a number; a boolean, list, object or null is refused by name."""
    fields = dict(SHOP_WEB) | {name: value}

    problem = problem_in(client.post("/v1/gate", json=fields), 400)

    assert [error["parameter"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), 10**400, 0, 101], ids=lambda value: str(value)[:10]
)
def test_a_json_number_out_of_bounds_is_refused(client, value):
    """JSON numbers have the same bounds as strings, also NaN and infinity."""
    fields = dict(SHOP_WEB) | {"minHealthyPercent": value}

    problem = problem_in(client.post("/v1/gate", data=json.dumps(fields)), 400)

    assert [error["parameter"] for error in problem["errors"]] == ["minHealthyPercent"]


@pytest.mark.parametrize(
    ("data", "parameter"),
    [
        pytest.param(b"", "body", id="nothing"),
        pytest.param(b"namespace=shop&rollout=web", "body", id="a form"),
        pytest.param(b'{"namespace": "shop", "rollout": "web"', "body", id="half an object"),
        pytest.param(b'{"namespace": "shop", "rollout": "web"} {}', "body", id="two objects"),
        pytest.param(b'{"namespace": "\xff"}', "body", id="not UTF-8"),
        pytest.param(b"[" * 16 * 1024, "body", id="16 KiB of ["),
        pytest.param(b'{"a":' * 3 * 1024, "body", id="15 KiB of objects"),
        pytest.param(b"null", "body", id="null"),
        pytest.param(b'"web"', "body", id="a text"),
        pytest.param(b'[["namespace", "shop"], ["rollout", "web"]]', "body", id="a list of pairs"),
        pytest.param(b'{"namespace": "a", "rollout": "web", "namespace": "b"}', "namespace", id="duplicate key"),
        pytest.param(b'{"namespace": "\\ud800", "rollout": "web"}', "namespace", id="half a surrogate pair"),
    ],
)
def test_a_body_that_is_no_object_of_parameters(client, data, parameter):
    """A POST whose body is not one JSON object of parameters is a 400 that says so."""
    response = client.post("/v1/gate", data=data, content_type="application/json")

    assert [error["parameter"] for error in problem_in(response, 400)["errors"]] == [parameter]


def test_a_name_that_is_no_text_is_malformed_too(client):
    """A parameter whose name is not valid Unicode is a 400 and not a defect."""
    response = client.post("/v1/gate", data=b'{"namespace": "shop", "rollout": "web", "\\ud800": "a"}')

    assert problem_in(response, 400)["errors"]


def test_a_body_that_is_too_large(client):
    """A POST of more than 16 KiB is a 413 problem."""
    response = client.post("/v1/gate", data=b" " * 16 * 1024 + b"{")

    problem_in(response, 413)


@pytest.mark.usefixtures("scene")
def test_a_post_takes_no_parameters_from_its_url(client):
    """Parameters in the URL of a POST are refused: a parameter has one place."""
    response = client.post("/v1/gate?rollout=web", json=dict(SHOP_WEB))

    assert [error["parameter"] for error in problem_in(response, 400)["errors"]] == ["rollout"]


def test_an_absent_rollout(client):
    """A Rollout that does not exist is a 404 problem that names it."""
    problem = problem_in(client.get("/v1/gate?namespace=shop&rollout=none"), 404)

    assert problem["detail"] == "There is no Rollout none in namespace shop"


@pytest.mark.parametrize(
    "path", ["//v1/gate", "/v1/gate/", "/v1//gate", "/v1/GATE", "/v1/errors-of", "/v1", "/static/x", "/v1/gate%2F"]
)
def test_an_unknown_route_is_never_a_redirect(client, path):
    """A path that is almost right is a 404 and never a redirect, which Argo would follow."""
    response = client.get(f"{path}?{urlencode(SHOP_WEB)}")

    problem_in(response, 404)
    assert "Location" not in response.headers


@each("method", {method: method for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")})
@pytest.mark.parametrize(
    ("path", "allowed"), [("/v1/gate", {"GET", "HEAD", "POST"}), ("/livez", {"GET", "HEAD"}), ("/", {"GET", "HEAD"})]
)
def test_another_method_is_refused_with_those_that_are_allowed(client, method, path, allowed):
    """Another method is a 405 problem whose Allow header lists the right ones."""
    response = client.open(path, method=method)

    problem_in(response, 405)
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(("path", "status"), PATHS.values(), ids=PATHS)
@pytest.mark.usefixtures("scene")
def test_every_response_is_hardened(client, path, status):
    """No response is HTML, and the headers forbid to cache, sniff, frame, run or refer to any."""
    response = client.get(path)

    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert response.status_code == status
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert policy == dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert "html" not in response.content_type


def test_alive_without_any_upstream(client, world):
    """/livez depends on no upstream, so a broken one never restarts the provider."""
    response = client.get("/livez")

    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})
    assert [*world.kubernetes_faults.calls, *world.aws.calls] == []


def _answer_well(_):
    pass


def _refuse(world):
    world.kubernetes_faults.kubernetes_error("", "Forbidden", "no", 403)
    world.aws.faults.aws_error("", "AccessDenied", "no", 403)


def _hang_up(world):
    world.kubernetes_faults.add("", drop=True)
    world.aws.faults.add("", drop=True)


@pytest.mark.parametrize(("upstreams", "counts"), [(_answer_well, True), (_refuse, True), (_hang_up, False)])
def test_ready_once_both_upstreams_have_answered(client, sources, world, upstreams, counts):
    """/readyz is a 503 problem until Kubernetes and AWS have each answered once, even with a refusal."""
    upstreams(world)
    readiness = [client.get("/readyz")]
    for reader in (sources.cluster.server, sources.load_balancers):
        try:
            reader.ping(Deadline(5))
        except CannotTell:
            assert upstreams is not _answer_well
        readiness.append(client.get("/readyz"))

    both = "kubernetes, aws"
    silent = [both, "aws", None] if counts else [both, both, both]
    assert [response.status_code for response in readiness] == [503 if names else 200 for names in silent]
    for response, names in zip(readiness, silent, strict=True):
        if names:
            assert problem_in(response, 503)["detail"].startswith(f"No answer yet from: {names}.")
            assert response.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
        else:
            assert response.get_json() == {"status": "ready", "kubernetes": True, "aws": True}


LABELS = {
    "question": set(QUESTIONS),
    "phase": {phase.value for phase in Phase},
    "reason": {reason.value for reason in Reason},
    "status": {str(status.value) for status in HTTPStatus if status >= 400},
    "upstream": {"kubernetes", "elbv2", "cloudwatch"},
    "operation": {
        "version",
        "get rollouts",
        "get services",
        "get pods",
        "get nodes",
        "list replicasets",
        "list pods",
        "list endpointslices",
        "list targetgroupbindings",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
        "GetMetricData",
    },
    "outcome": {"ok", "fresh", "joined", "read", *(reason.value for reason in Reason)},
    "version": {__version__},
    "kind": {kind.value for kind in Kind},
    "throttled": {"true", "false"},
    "retry": {"true", "false"},
}


def test_metrics_after_questions(client, scene):
    """/metrics has the documented names, and labels from closed lists only."""
    client.get(ASK)
    client.get("/v1/gate?namespace=shop&rollout=none-of-your-business")
    client.get("/v1/gate?namespace=shop")
    client.get("/not-a-route")
    scene.world.aws.faults.aws_error("DescribeTargetHealth", "AccessDenied", "no", 403)
    client.get(ASK)

    response = client.get("/metrics")

    text = response.get_data(as_text=True)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = [sample for family in families.values() for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}
    assert response.content_type.startswith("text/plain; version=")
    assert families.keys() >= {
        "alb_provider_answers",
        "alb_provider_answer_seconds",
        "alb_provider_refused_requests",
        "alb_provider_upstream_seconds",
        "alb_provider_build_info",
    }
    assert found["alb_provider_answers_total", "Successful", "TargetsHealthy", "target-health"] == 1
    assert found["alb_provider_answers_total", "AwsForbidden", "Inconclusive", "target-health"] == 1
    assert found["alb_provider_answer_seconds_count", "target-health"] == 2
    assert found["alb_provider_refused_requests_total", "400"] == 1
    assert found["alb_provider_refused_requests_total", "404"] == 2
    assert found["alb_provider_upstream_seconds_count", "AwsForbidden", "DescribeTargetHealth", "elbv2"] == 1
    about_rollouts = {
        "alb_provider_ungated_switches_total",
        "alb_provider_ungated_switches_created",
        "alb_provider_rollout_info",
    }
    closed = [sample.labels for sample in samples if sample.name not in about_rollouts]
    labels = {(name, value) for one in closed for name, value in one.items() if name != "le"}
    assert {label for label in labels if label[1] not in LABELS[label[0]]} == set()
    assert found["alb_provider_ungated_switches_total", "shop", "web"] == 0
    assert found["alb_provider_rollout_info", "AwsForbidden", "Inconclusive", "shop", "target-health", "web"] == 1
    assert found["alb_provider_evidence_age_seconds_count", "targetHealth"] == 1
    about = ("alb_provider_ungated_switches", "alb_provider_rollout_info")
    named = [line for line in text.splitlines() if not line.startswith(about)]
    assert not any(word in "".join(named) for word in ("shop", "web", "none-of-your-business"))
    assert "none-of-your-business" not in text


def test_the_description_and_the_index(client):
    """/openapi.json is the generated description, and / lists every endpoint."""
    description, index = client.get("/openapi.json"), client.get("/")

    assert description.get_json() == json.loads(json.dumps(describe()))
    assert index.get_json()["questions"].keys() == {f"/v1/{name}" for name in QUESTIONS}
    assert index.get_json()["version"] == __version__


@pytest.mark.usefixtures("scene")
def test_a_defect_is_a_problem_without_its_traceback(client, wall_clock, caplog):
    """A defect is a 500 problem, and its traceback is in the log only."""

    def broken_clock():
        raise ZeroDivisionError("the clock's secret")

    wall_clock.machine = broken_clock

    response = client.get(ASK)

    problem_in(response, 500)
    assert not any(word in response.text for word in ("secret", "Traceback", "ZeroDivisionError", ".py"))
    assert any(record.exc_info and "secret" in str(record.exc_info[1]) for record in caplog.records)


@pytest.mark.parametrize(("question", "more"), OF_TARGETS.items(), ids=OF_TARGETS)
@pytest.mark.usefixtures("scene")
def test_one_log_line_per_question(client, log_line, question, more):
    """Each answer is one JSON line with the query, the reason and the duration."""
    ask(client, "POST", question, [*SHOP_WEB, *more, ("minHealthyPercent", "90")])
    client.get(f"/v1/{question}?namespace=shop")

    [line] = [json.loads(text) for text in log_line()]

    assert line["question"] == question
    assert line["query"] == dict([*SHOP_WEB, *more]) | {"minHealthyPercent": 90.0}
    assert (line["phase"], line["level"]) == ("Successful", "INFO")
    assert line["reason"] in {"TargetsHealthy", "AllChecksPassed"}
    assert line["durationSeconds"] > 0
    assert all(age >= 0 for age in line["evidenceAgeSeconds"].values())
    assert line["message"].endswith("3 of 3 green targets healthy in k8s-shop-web-preview")


def test_what_aws_says_cannot_forge_a_log_line(client, scene, log_line):
    """Line breaks and quotes in AWS's messages are escaped within one line of the log."""
    forged = 'codes: [500]\n{"reason": "TargetsHealthy", "phase": "Successful"}\r\x1b[2J\u2028"'
    scene.pin(scene.addresses[0], "unhealthy", "Target.ResponseCodeMismatch", forged.replace("\x1b", ""))

    response = client.get(ASK)

    [text] = log_line()
    assert response.get_json()["reason"] == json.loads(text)["reason"] == "TargetsUnhealthy"
    assert "codes: [500]" in response.get_json()["message"]
    assert text.splitlines() == [text]
    assert text.isprintable()
    assert all(value.isprintable() for value in everything_in(response.get_json()) if isinstance(value, str))


@pytest.mark.parametrize("timeouts", [{"connect_timeout_seconds": 1, "read_timeout_seconds": 2}], ids=["patient"])
def test_a_thousand_unhealthy_targets_fit_two_kilobytes(client, world):
    """An answer about 1,000 targets with different reasons and the longest names stays under 2 KiB."""
    name = "checkout-of-the-international-storefront-of-the-shop-no"
    scene = Scene(world, name=name, replicas=1000).build()
    for number, address in enumerate(scene.addresses):
        scene.pin(address, "unhealthy", f"Target.Reason{number:04}{'x' * 60}", f"Codes: [{number}] {'é' * 200}")

    response = client.get(f"/v1/gate?namespace=shop&rollout={name}")

    answer = response.get_json()
    assert len(response.data) < 2048
    assert (answer["phase"], answer["reason"]) == ("Failed", "TargetsUnhealthy")
    assert "0 of 1000 green targets healthy" in answer["message"]
    assert answer["observed"]["targetGroups"][0]["unhealthyCount"] == 1000
    assert 1 <= len(answer["observed"]["examples"]) <= 5


def test_a_thousand_pods_with_the_longest_names_fit_too():
    """Names of 253 characters in ten target groups keep an answer under 2 KiB."""
    targets = [target(number, "unhealthy", f"Target.{number}" * 20, description='"' * 300) for number in range(1000)]
    found = evidence(*(group(*targets) for _ in range(10)), desired=1000)
    green = replace(found.green, pods=tuple(pod(number, name=f"{number:04}" + "y" * 249) for number in range(1000)))
    query = target_health.Query.model_validate(dict(SHOP_WEB))

    verdict = target_health.judge(query, replace(found, green=green), NOW)
    encoded = body.encode(refuse_stale(verdict, found.read_at, NOW, dict.fromkeys(Kind, 10.0)))

    answer = json.loads(encoded)
    assert len(encoded) < 2048
    assert (answer["phase"], answer["observed"]["desiredCount"]) == ("Failed", 1000)
    assert answer["message"].startswith("0 of 1000 green targets healthy in k8s-shop-web-1f9c; 1000 unhealthy")


TEXTS = st.one_of(
    st.text(max_size=2000),
    st.text(alphabet='"\\', min_size=100, max_size=2000),
    st.text(alphabet="\x00\x1b\n\x7f\x9b\u2028\ud7ff😀é", min_size=100, max_size=2000),
)
COUNTS = st.integers(min_value=0, max_value=10**6)
GROUPS = st.fixed_dictionaries(
    {"name": TEXTS, "healthyPercent": st.floats(0, 100)},
    optional={
        f"{state}Count": COUNTS for state in ("healthy", "initial", "missing", "draining", "unused", "unhealthy")
    },
)
EXAMPLES = st.fixed_dictionaries(
    {"name": TEXTS, "state": TEXTS},
    optional={"address": TEXTS, "port": COUNTS, "awsReason": TEXTS, "description": TEXTS},
)
OBSERVED = st.fixed_dictionaries(
    {},
    optional={
        "podTemplateHash": TEXTS,
        "replicaSet": TEXTS,
        "service": TEXTS,
        "stage": TEXTS,
        "desiredCount": COUNTS,
        "availableCount": COUNTS,
        "evidenceJudgedAt": TEXTS,
        "evidenceAgeSeconds": st.dictionaries(st.sampled_from(Kind), st.floats(0, 10**6)),
        "examples": st.lists(EXAMPLES, max_size=5),
        "targetGroups": st.lists(GROUPS, max_size=40),
        "checks": st.lists(
            st.sampled_from([{"check": part.name, "phase": "Inconclusive", "reason": max(Reason)} for part in PARTS]),
            max_size=len(PARTS),
        ),
    },
)


@given(
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(Reason),
    message=TEXTS,
    number=st.floats(0, 100),
    observed=OBSERVED,
)
def test_a_body_is_small_and_printable_whatever_is_in_it(phase, reason, message, number, observed):
    """Whatever Kubernetes and AWS say, a body is JSON under 2 KiB, without control characters, and keeps its reason."""
    encoded = body.encode(Verdict(phase, reason, message, number, observed))

    answer = json.loads(encoded)
    assert len(encoded) < 2048
    assert encoded.decode("ascii").isprintable()
    assert all(value.isprintable() for value in everything_in(answer) if isinstance(value, str))
    assert answer["measurement"] == [number, phase, answer["message"]]
    assert (answer["phase"], answer["reason"]) == (phase, reason)
    assert answer["message"][:100] == "".join(one if " " <= one <= "~" or one == "×" else "?" for one in message[:100])
