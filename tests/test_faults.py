"""Every way in which Kubernetes or AWS fails a question: a named, Inconclusive answer, and a pass once it is over."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from provider.app import create_app
from provider.checks import replicas
from provider.checks.gate import gate_of
from provider.demo.aws_api import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from provider.demo.faults import Faults
from provider.demo.world import World
from provider.errors import CannotTell
from provider.question import Sources, answer, parse
from provider.reasons import Reason
from provider.records import Phase, Verdict
from tests.scene import GREEN

TOKEN = "token-of-the-provider"
GROUP = "k8s-shop-web-preview"
BOTH = "replicas,target-health"
QUESTION = {"namespace": "shop", "rollout": "web", "podTemplateHash": GREEN}
LONG = 30
"""Seconds of a delay that nobody waits for: clearing the faults ends it."""

pytestmark = pytest.mark.usefixtures("scene")

_PYTHON = re.compile(r"Traceback|Error\(|Exception\(|<class|object at 0x|\bNone\b|\{'|\\n|<html|urllib3|botocore")


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """A cluster that wants a token, so that one could leak."""
    world.kubernetes.bearer_token = TOKEN
    yield world
    world.kubernetes.bearer_token = None


@pytest.fixture
def sources(sources: Sources) -> Sources:
    """Readers that are never cut short by the question's budget: here each fault is to be named by its own reason."""
    return replace(sources, budget_seconds=6)


def ask(client: FlaskClient, question: str = "target-health", **parameters: str) -> dict[str, Any]:
    """Ask over HTTP; every answer is a 200 with a measurement, and gives away neither secrets nor internals."""
    response = client.get(f"/v1/{question}", query_string=QUESTION | parameters)
    text = response.get_data(as_text=True)
    assert response.status_code == 200, text
    assert not any(secret in text for secret in (TOKEN, ACCESS_KEY_ID, SECRET_ACCESS_KEY)), text
    found: dict[str, Any] = json.loads(text)
    assert _PYTHON.search(found["message"]) is None, found["message"]
    assert found["measurement"][1] == found["phase"]
    return found


def assert_blocked(found: dict[str, Any], reason: Reason, *names: str) -> None:
    assert (found["phase"], found["reason"]) == ("Inconclusive", reason.value), found["message"]
    assert [name for name in names if name not in found["message"]] == [], found["message"]


# Kubernetes


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the calls that match, and by which reason it is named."""

    put: Callable[[Faults, str], None]
    reason: Reason


def refusal(status: int, word: str, reason: Reason, **headers: str) -> Fault:
    """A Status object; its message has a secret that must stay out of the answer."""
    body = json.dumps({"kind": "Status", "status": "Failure", "reason": word, "code": status, "message": f"no {TOKEN}"})
    return Fault(
        lambda faults, match: faults.add(
            match, status=status, body=body, headers=headers, content_type="application/json"
        ),
        reason,
    )


def body(content: str | bytes, reason: Reason, status: int = 200, kind: str = "application/json") -> Fault:
    return Fault(lambda faults, match: faults.add(match, status=status, body=content, content_type=kind), reason)


HTML = f"<!doctype html><html><body>Sign in<br>{TOKEN} {ACCESS_KEY_ID}</body></html>"

KUBERNETES = {
    "401": refusal(401, "Unauthorized", Reason.KUBERNETES_UNAUTHORIZED),
    "403": refusal(403, "Forbidden", Reason.KUBERNETES_FORBIDDEN),
    "409": refusal(409, "Conflict", Reason.KUBERNETES_REJECTED),
    "410": refusal(410, "Expired", Reason.KUBERNETES_REJECTED),
    "429": refusal(429, "TooManyRequests", Reason.KUBERNETES_THROTTLED),
    "429 for a minute": refusal(429, "TooManyRequests", Reason.KUBERNETES_THROTTLED, **{"Retry-After": "60"}),
    "500": refusal(500, "InternalError", Reason.KUBERNETES_UNAVAILABLE),
    "503": refusal(503, "ServiceUnavailable", Reason.KUBERNETES_UNAVAILABLE),
    "503 for a minute": refusal(503, "ServiceUnavailable", Reason.KUBERNETES_UNAVAILABLE, **{"Retry-After": "60"}),
    "504": refusal(504, "Timeout", Reason.KUBERNETES_TIMEOUT),
    "dropped": Fault(lambda faults, match: faults.add(match, drop=True), Reason.KUBERNETES_UNAVAILABLE),
    "truncated": Fault(lambda faults, match: faults.add(match, truncate=True), Reason.KUBERNETES_UNAVAILABLE),
    "slow": Fault(lambda faults, match: faults.add(match, delay_seconds=LONG), Reason.KUBERNETES_TIMEOUT),
    "not JSON": body("ok", Reason.KUBERNETES_MALFORMED),
    "half JSON": body('{"metadata": {"name": "we', Reason.KUBERNETES_MALFORMED),
    "not UTF-8": body(
        b'{"metadata": {"name": "w\xff", "continue": "\xff"}, "spec": {}, "items": []}', Reason.KUBERNETES_MALFORMED
    ),
    "nothing": body("", Reason.KUBERNETES_MALFORMED),
    "null": body("null", Reason.KUBERNETES_MALFORMED),
    "{}": body("{}", Reason.KUBERNETES_MALFORMED),
    "[]": body("[]", Reason.KUBERNETES_MALFORMED),
    "items: {}": body('{"metadata": {}, "items": {}}', Reason.KUBERNETES_MALFORMED),
    "items: [{}]": body('{"metadata": {}, "items": [{}]}', Reason.KUBERNETES_MALFORMED),
    "no items": body('{"metadata": {}}', Reason.KUBERNETES_MALFORMED),
    "HTML with 200": body(HTML, Reason.KUBERNETES_MALFORMED, kind="text/html"),
    "HTML with 404": body(HTML, Reason.KUBERNETES_MALFORMED, status=404, kind="text/html"),
    "404 page not found": body("404 page not found\n", Reason.KUBERNETES_API_MISSING, status=404, kind="text/plain"),
}

EVERYWHERE = ("403", "429", "500", "slow", "{}")
"""Asked of every call; everything is asked of one object, and every malformed answer of one list too."""

SHAPES = [name for name, fault in KUBERNETES.items() if fault.reason is Reason.KUBERNETES_MALFORMED and name != "{}"]

READS = {
    "get Rollout": ("/rollouts/web", "get rollouts.argoproj.io web in namespace shop", KUBERNETES),
    "list pods": ("/pods?", "list pods in namespace shop", (*EVERYWHERE, *SHAPES, "404 page not found", "truncated")),
    "list ReplicaSets": ("/replicasets?", "list replicasets.apps in namespace shop", EVERYWHERE),
    "list EndpointSlices": ("/endpointslices?", "list endpointslices.discovery.k8s.io in namespace shop", EVERYWHERE),
    "list TargetGroupBindings": (
        "/elbv2.k8s.aws/v1beta1/",
        "list targetgroupbindings.elbv2.k8s.aws in namespace shop",
        EVERYWHERE,
    ),
    "list Auto Mode's TargetGroupBindings": (
        "/eks.amazonaws.com/v1/",
        "list targetgroupbindings.eks.amazonaws.com in namespace shop",
        ("403", "{}"),
    ),
    "get green Service": ("/services/web-preview", "get services web-preview in namespace shop", EVERYWHERE),
    "get other Service": ("/services/web-active", "get services web-active in namespace shop", ("403",)),
}


@pytest.mark.parametrize(
    ("match", "what", "fault"),
    [
        pytest.param(match, what, KUBERNETES[fault], id=f"{read}: {fault}")
        for read, (match, what, faults) in READS.items()
        for fault in faults
    ],
)
def test_a_kubernetes_read_that_fails_blocks_and_recovers(world, client, match, what, fault):
    """Each fault of each read has its own reason and names verb and resource; once it is over the question passes."""
    fault.put(world.kubernetes_faults, match)

    blocked = ask(client)
    world.kubernetes_faults.clear()
    recovered = ask(client)

    assert_blocked(blocked, fault.reason, what)
    assert (recovered["phase"], recovered["reason"]) == ("Successful", "TargetsHealthy")


@pytest.mark.parametrize(
    "fault", [pytest.param(KUBERNETES[name], id=name) for name in (*EVERYWHERE, "401", "truncated")]
)
def test_green_is_not_failed_by_a_pod_that_cannot_be_read(scene, world, client, fault):
    """Whether an unhealthy target is green's fault stands in the pod: unreadable is Inconclusive, read is Failed."""
    scene.pin(
        scene.addresses[0], "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]"
    )
    fault.put(world.kubernetes_faults, "/pods/")

    blocked = ask(client)
    world.kubernetes_faults.clear()
    recovered = ask(client)

    assert_blocked(blocked, fault.reason, f"get pods web-{GREEN}-0000 in namespace shop")
    assert blocked["observed"]["podTemplateHash"] == GREEN
    assert (recovered["phase"], recovered["reason"]) == ("Failed", "TargetsUnhealthy")


@pytest.mark.parametrize("path", [pytest.param("/pods?", id="pods"), pytest.param("/elbv2.k8s.aws/", id="bindings")])
def test_a_list_that_is_not_found_is_malformed(world, client, path):
    """A list has no single object that could be absent, so the API server never answers one with Status NotFound."""
    world.kubernetes.serve("eks.amazonaws.com")
    world.kubernetes_faults.kubernetes_error(path, "NotFound", "the server could not find the requested resource", 404)

    assert_blocked(ask(client), Reason.KUBERNETES_MALFORMED)


def test_a_time_without_a_zone_is_malformed(scene, client):
    """A pod's creation time without a zone cannot be compared with the clock: malformed, not a defect of ours."""
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    scene.pods[0]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00"
    scene.put()

    assert_blocked(ask(client), Reason.KUBERNETES_MALFORMED, "list pods in namespace shop")


def test_a_kubernetes_that_is_gone_and_comes_back(world, client):
    """A refused connection is KubernetesUnavailable; when the API server is back, so is the answer."""
    world.kubernetes_server.stop()
    try:
        blocked = ask(client)
    finally:
        world.kubernetes_server.start()

    assert_blocked(blocked, Reason.KUBERNETES_UNAVAILABLE, "get rollouts.argoproj.io web in namespace shop")
    assert ask(client)["phase"] == "Successful"


# AWS


def aws(code: str, reason: Reason, status: int = 400) -> Fault:
    """An AWS error; its message has a secret that must stay out of the answer."""
    message = f"User arn:aws:iam::123456789012:user/{ACCESS_KEY_ID} with {SECRET_ACCESS_KEY}"
    return Fault(lambda faults, action: faults.aws_error(action, code, message, status), reason)


def xml(template: str, reason: Reason = Reason.AWS_MALFORMED) -> Fault:
    """An XML answer; `{action}` in it is the action that was asked for."""
    return Fault(
        lambda faults, action: faults.add(action, body=template.replace("{action}", action), content_type="text/xml"),
        reason,
    )


def answering(result: str) -> str:
    return f"<{{action}}Response><{{action}}Result>{result}</{{action}}Result></{{action}}Response>"


NO_PORT = (
    "<TargetHealthDescriptions><member><Target><Id>10.0.0.1</Id><Port>http</Port></Target><TargetHealth>"
    "<State>healthy</State></TargetHealth></member></TargetHealthDescriptions>"
)
NO_STATE = NO_PORT.replace("http", "8080").replace("<State>healthy</State>", "")

AWS = {
    "AccessDenied": aws("AccessDenied", Reason.AWS_FORBIDDEN, 403),
    "AccessDeniedException": aws("AccessDeniedException", Reason.AWS_FORBIDDEN),
    "Throttling": aws("Throttling", Reason.AWS_THROTTLED),
    "ThrottlingException": aws("ThrottlingException", Reason.AWS_THROTTLED),
    "ExpiredToken": aws("ExpiredToken", Reason.AWS_CREDENTIALS, 403),
    "InvalidClientTokenId": aws("InvalidClientTokenId", Reason.AWS_CREDENTIALS, 403),
    "SignatureDoesNotMatch": aws("SignatureDoesNotMatch", Reason.AWS_CREDENTIALS, 403),
    "TargetGroupNotFound": aws("TargetGroupNotFound", Reason.TARGET_GROUP_NOT_FOUND),
    "ValidationError": aws("ValidationError", Reason.AWS_REJECTED),
    "InternalFailure": aws("InternalFailure", Reason.AWS_UNAVAILABLE, 500),
    "HealthUnavailable": aws("HealthUnavailable", Reason.AWS_UNAVAILABLE, 500),
    "503": body("<html>busy</html>", Reason.AWS_UNAVAILABLE, status=503, kind="text/html"),
    "dropped": Fault(lambda faults, action: faults.add(action, drop=True), Reason.AWS_UNAVAILABLE),
    "truncated": Fault(lambda faults, action: faults.add(action, truncate=True), Reason.AWS_MALFORMED),
    "slow": Fault(lambda faults, action: faults.add(action, delay_seconds=LONG), Reason.AWS_TIMEOUT),
    "HTML with 200": body(HTML, Reason.AWS_MALFORMED, kind="text/html"),
    "not XML": body("ok", Reason.AWS_MALFORMED, kind="text/plain"),
    "nothing": body("", Reason.AWS_MALFORMED, kind="text/xml"),
    "XHTML with 200": xml("<html><body>Sign in</body></html>"),
    "another root": xml("<a/>"),
    "no result": xml("<{action}Response/>"),
    "no list": xml(answering("")),
    "a number that is none": xml(answering(NO_PORT)),
    "no state": xml(answering(NO_STATE)),
}

OF_GROUPS = ("AccessDenied", "Throttling", "InternalFailure", "slow", "TargetGroupNotFound", "another root", "no list")


@pytest.mark.parametrize(
    ("action", "name", "fault"),
    [
        pytest.param(action, name, AWS[name], id=f"{action}: {name}")
        for action, names in (("DescribeTargetHealth", AWS), ("DescribeTargetGroups", OF_GROUPS))
        for name in names
    ],
)
def test_an_aws_read_that_fails_blocks_and_recovers(world, client, action, name, fault):
    """Each fault of each read has its own reason and names IAM action or group; once it is over the question passes."""
    fault.put(world.aws.faults, action)

    blocked = ask(client)
    world.aws.faults.clear()
    recovered = ask(client)

    assert_blocked(blocked, fault.reason, GROUP if name == "TargetGroupNotFound" else f"elasticloadbalancing:{action}")
    assert blocked["observed"]["podTemplateHash"] == GREEN, "what Kubernetes said is still told"
    assert (recovered["phase"], recovered["reason"]) == ("Successful", "TargetsHealthy")


def test_an_aws_that_is_gone_and_comes_back(world, client):
    """A refused connection is AwsUnavailable; when AWS is back, so is the answer."""
    world.aws._server.stop()
    try:
        blocked = ask(client)
    finally:
        world.aws._server.start()

    assert_blocked(blocked, Reason.AWS_UNAVAILABLE, "elasticloadbalancing:Describe", GROUP)
    assert ask(client)["phase"] == "Successful"


@pytest.fixture
def no_keys(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process without any AWS credentials; a test may add a role."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert environment[name]
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    return monkeypatch


def role_of_service_account(setenv: Callable[[str, str], None], token: Path) -> None:
    setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/provider")
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))


@pytest.mark.usefixtures("no_keys")
def test_no_credentials_are_named(client):
    """A pod to which nobody gave a role says so, and says what to do."""
    assert_blocked(ask(client), Reason.AWS_CREDENTIALS, "elasticloadbalancing:Describe", "Pod Identity or IRSA")


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidIdentityToken", "ExpiredTokenException"])
def test_a_role_that_cannot_be_assumed_is_named(no_keys, world, client, tmp_path, code):
    """STS refusing the ServiceAccount's role is a fault of the role, not of its permissions: AwsCredentials."""
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    role_of_service_account(no_keys.setenv, tmp_path / "token")
    world.aws.faults.aws_error("AssumeRoleWithWebIdentity", code, f"Not authorized: {TOKEN}", 403)

    assert_blocked(ask(client), Reason.AWS_CREDENTIALS, "elasticloadbalancing:Describe")


def test_a_role_without_its_token_is_named(no_keys, client, tmp_path):
    """A role whose token file is not mounted is AwsCredentials too."""
    role_of_service_account(no_keys.setenv, tmp_path / "not-mounted")

    assert_blocked(ask(client), Reason.AWS_CREDENTIALS, "elasticloadbalancing:Describe")


# The question's own deadline


@pytest.mark.parametrize(
    ("question", "match", "says", "knows_green"),
    [
        pytest.param("target-health", "/rollouts/web", "Rollout web", False, id="Rollout"),
        pytest.param("target-health", "/pods?", "pods", False, id="pods"),
        pytest.param("target-health", "/services/web-preview", "Service web-preview", False, id="Service"),
        pytest.param("target-health", "DescribeTargetGroups", "target groups", True, id="target groups"),
        pytest.param("target-health", "DescribeTargetHealth", f"target health of {GROUP}", True, id="target health"),
        pytest.param("gate", "DescribeTargetHealth", f"target health of {GROUP}", True, id="gate"),
    ],
)
def test_the_deadline_is_kept_and_names_what_was_read(
    world, client, impatient, metrics, question, match, says, knows_green
):
    """When the time is up the answer comes, names the read under way, and keeps what is known of green."""
    hurried = create_app(impatient, metrics).test_client()
    assert ask(client)["phase"] == "Successful"  # connections are open, as in a process that has answered before
    for faults in (world.kubernetes_faults, world.aws.faults):
        faults.add(match, delay_seconds=LONG)
    started = time.monotonic()

    found = ask(hurried, question)

    seconds = time.monotonic() - started
    world.kubernetes_faults.clear()
    world.aws.faults.clear()
    assert_blocked(found, Reason.DEADLINE_EXCEEDED, f"Reading {says} did not finish within the question's 0.3 s")
    assert seconds < impatient.budget_seconds + 0.5
    assert (found["observed"].get("podTemplateHash") == GREEN) is knows_green
    assert ask(client)["phase"] == "Successful"


# The gate


def test_a_gate_needs_only_what_it_is_asked_for(world, client):
    """While AWS is down the gate blocks and shows which check could not look; asked for replicas alone it passes."""
    world.aws.faults.add("", status=503)
    world.aws.faults.forget_calls()

    passed = ask(client, "gate", checks="replicas")
    calls = world.aws.calls
    blocked = ask(client, "gate", checks=BOTH)

    assert_blocked(blocked, Reason.AWS_UNAVAILABLE, "target-health: AWS has an error (503")
    assert blocked["observed"]["checks"] == [
        {"check": "replicas", "phase": "Successful", "reason": "ReplicasAvailable"},
        {"check": "target-health", "phase": "Inconclusive", "reason": "AwsUnavailable"},
    ]
    assert (passed["phase"], passed["reason"]) == ("Successful", "AllChecksPassed")
    assert calls == []


def test_in_a_gate_what_cannot_be_seen_does_not_hide_a_failure(sources):
    """A check that could not look leaves the others' verdicts alone: a Failed among them decides, in any order."""

    def blind(*_: Any) -> Any:
        raise CannotTell(Reason.AWS_THROTTLED, "AWS throttles")

    unseen = replace(replicas.CHECK, name="unseen", gather=blind)
    bad = replace(
        replicas.CHECK, name="bad", judge=lambda *_: Verdict(Phase.FAILED, Reason.TARGETS_UNHEALTHY, "green is bad")
    )
    for parts in ((unseen, bad), (bad, unseen)):
        check = gate_of(parts)

        found = answer(check, parse(check, QUESTION.items()), sources)

        assert (found.phase, found.reason, found.message) == (
            Phase.FAILED,
            Reason.TARGETS_UNHEALTHY,
            "bad: green is bad",
        )
        assert {"check": "unseen", "phase": "Inconclusive", "reason": "AwsThrottled"} in found.observed["checks"]


def test_one_failed_check_fails_the_gate(scene, client):
    """A failing target-health fails the gate although the replicas only ask to wait."""
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    scene.replica_set["status"]["availableReplicas"] = 2
    scene.put()

    found = ask(client, "gate", checks=BOTH)

    assert (found["phase"], found["reason"]) == ("Failed", "TargetsUnhealthy")
    assert found["message"].startswith("target-health: 2 of 3 green targets healthy")
    assert [check["phase"] for check in found["observed"]["checks"]] == ["Inconclusive", "Failed"]
