"""Answers without evidence: without credentials, out of time, and in a gate."""

import json
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.loaders import Loader
from flask.testing import FlaskClient

from provider.checks import gate, replicas
from provider.checks.question import AnyCheck, Sources, answer
from provider.model.errors import CannotTell
from provider.model.reasons import Phase, Reason
from provider.model.records import Verdict
from provider.settings import Settings
from provider.sources.kubernetes.api_server import RECONNECT_SECONDS
from provider.start import sources_of
from tests.app import create_app
from tests.conftest import open_aws_session
from tests.scene import GREEN
from tests.world.aws.api import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from tests.world.world import World

TOKEN = "token-of-the-provider"
GROUP = "k8s-shop-web-preview"
BOTH = "replicas,target-health"
QUESTION = {"namespace": "shop", "rollout": "web", "podTemplateHash": GREEN}
LONG = 30
"""A delay in seconds that no test waits for: clearing the faults ends it."""

pytestmark = pytest.mark.usefixtures("scene")

_PYTHON = re.compile(r"Traceback|Error\(|Exception\(|<class|object at 0x|\bNone\b|\{'|\\n|<html|urllib3|botocore")


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """A cluster that requires a token, so that one could leak."""
    world.kubernetes.bearer_token = TOKEN
    yield world
    world.kubernetes.bearer_token = None


@pytest.fixture
def aws_session(aws_models: Loader) -> boto3.Session:
    """A session that has no credentials yet."""
    return open_aws_session(aws_models)


@pytest.fixture
def sources(sources: Sources) -> Sources:
    """Readers with enough time for every fault to be named by its own reason."""
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


# What no fault of a single call shows (tests/faults has the matrix of those)


def test_a_time_without_a_zone_is_malformed(scene, client):
    """A creation time without a zone cannot be compared with the clock: malformed, not a defect of ours."""
    scene.replica_set["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00"
    scene.put(scene.replica_set)

    assert_blocked(ask(client), Reason.KUBERNETES_MALFORMED, "list replicasets.apps in namespace shop")


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


@pytest.mark.parametrize(
    ("in_a_pod", "remedy"),
    [
        (True, "give the provider's ServiceAccount a role (EKS Pod Identity or IRSA)"),
        (False, "choose a profile (AWS_PROFILE) and sign in (aws sso login)"),
    ],
)
def test_no_credentials_are_named(no_keys, client, in_a_pod, remedy):
    """Without credentials the answer says so, and what to do: in a pod, and on a person's own machine."""
    if in_a_pod:
        no_keys.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

    assert_blocked(ask(client), Reason.AWS_CREDENTIALS, "elasticloadbalancing:Describe", remedy)


PROFILES = {
    "sso": """
        [profile me]
        sso_session = corp
        sso_account_id = 123456789012
        sso_role_name = Reader
        [sso-session corp]
        sso_start_url = https://corp.example/start
        sso_region = eu-west-1
        """,
    "sso without a session": """
        [profile me]
        sso_start_url = https://corp.example/start
        sso_region = eu-west-1
        sso_account_id = 123456789012
        sso_role_name = Reader
        """,
    "login": """
        [profile me]
        login_session = arn:aws:iam::123456789012:user/me
        """,
    "a source without keys": """
        [profile base]
        region = eu-west-1
        [profile me]
        role_arn = arn:aws:iam::123456789012:role/reader
        source_profile = base
        """,
    "a circle": """
        [profile base]
        role_arn = arn:aws:iam::123456789012:role/base
        source_profile = me
        [profile me]
        role_arn = arn:aws:iam::123456789012:role/reader
        source_profile = base
        """,
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_that_must_sign_in_is_named(no_keys, tmp_path, profile, request):
    """A profile whose sign-in has expired, or that leads to no keys, is AwsCredentials."""
    (tmp_path / "config").write_text(textwrap.dedent(profile))
    no_keys.setenv("HOME", str(tmp_path))
    no_keys.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    no_keys.setenv("AWS_PROFILE", "me")

    assert_blocked(ask(request.getfixturevalue("client")), Reason.AWS_CREDENTIALS, "AWS_PROFILE")


def test_a_role_without_its_token_is_named(no_keys, client, tmp_path):
    """A role whose token file is not mounted is AwsCredentials too."""
    role_of_service_account(no_keys.setenv, tmp_path / "not-mounted")

    assert_blocked(ask(client), Reason.AWS_CREDENTIALS, "elasticloadbalancing:Describe")


# The question's own deadline


@pytest.mark.parametrize(
    ("question", "match", "sentence", "knows_green"),
    [
        pytest.param("target-health", "/rollouts/web", "Rollout web", False, id="Rollout"),
        pytest.param("target-health", "DescribeTargetGroups", "target groups", True, id="target groups"),
        pytest.param("gate", "DescribeTargetHealth", f"target health of {GROUP}", True, id="gate"),
    ],
)
def test_the_deadline_is_kept_and_names_what_was_read(
    world, client, impatient, metrics, question, match, sentence, knows_green
):
    """At the deadline the answer comes, names the read in flight, and keeps what is known of green."""
    hurried = create_app(impatient, metrics).test_client()
    assert ask(client)["phase"] == "Successful"  # connections are open, as in a process that has answered before
    for faults in (world.kubernetes_faults, world.aws.faults):
        faults.add(match, delay_seconds=LONG)
    started = time.monotonic()

    found = ask(hurried, question)

    seconds = time.monotonic() - started
    world.kubernetes_faults.clear()
    world.aws.faults.clear()
    assert_blocked(
        found, Reason.DEADLINE_EXCEEDED, f"Reading {sentence} did not finish within the query's time limit of 5 s"
    )
    assert seconds < LONG
    assert (found["observed"].get("podTemplateHash") == GREEN) is knows_green
    assert ask(client)["phase"] == "Successful"


# The gate


def test_a_gate_needs_only_what_it_is_asked_for(world, client):
    """While AWS is down the gate blocks and shows which check lacks evidence; with replicas alone it passes."""
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


def query_of(chosen: tuple[AnyCheck, ...]) -> gate.Query:
    """A query of the gate for these checks."""

    class Chosen(gate.Query):
        @property
        def parts(self) -> tuple[AnyCheck, ...]:
            return chosen

    return Chosen(**QUESTION)


@pytest.mark.parametrize("step", ["gather", "judge"])
def test_in_a_gate_what_cannot_be_seen_does_not_hide_a_failure(sources, step):
    """A check without usable evidence leaves the others' verdicts alone: a Failed among them decides, in any order."""

    def blind(*_: Any) -> Any:
        raise CannotTell(Reason.AWS_THROTTLED, "AWS throttles")

    unseen = replace(replicas.CHECK, name="unseen")
    object.__setattr__(unseen, step, blind)
    bad = replace(
        replicas.CHECK, name="bad", judge=lambda *_: Verdict(Phase.FAILED, Reason.TARGETS_UNHEALTHY, "green is bad")
    )
    for parts in ((unseen, bad), (bad, unseen)):
        found = answer(gate.CHECK, query_of(parts), sources)

        assert (found.phase, found.reason, found.message) == (
            Phase.FAILED,
            Reason.TARGETS_UNHEALTHY,
            "bad: green is bad",
        )
        assert {"check": "unseen", "phase": "Inconclusive", "reason": "AwsThrottled"} in found.observed["checks"]


def test_one_failed_check_fails_the_gate(scene, client):
    """A failing target-health fails the gate although replicas only waits."""
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout")
    scene.replica_set["status"]["availableReplicas"] = 2
    scene.put()

    found = ask(client, "gate", checks=BOTH)

    assert (found["phase"], found["reason"]) == ("Failed", "TargetsUnhealthy")
    assert found["message"].startswith("target-health: 2 of 3 green targets healthy")
    assert [check["phase"] for check in found["observed"]["checks"]] == ["Inconclusive", "Failed"]


def test_another_rollouts_json_is_no_evidence(scene, world, client):
    """A response about another Rollout is malformed, however healthy that one is."""
    other = {**scene.rollout, "metadata": {**scene.rollout["metadata"], "name": "other"}}
    world.kubernetes_faults.add("/rollouts/web", body=json.dumps(other), content_type="application/json")

    assert_blocked(ask(client), Reason.KUBERNETES_MALFORMED, "get rollouts.argoproj.io web in namespace shop")


@pytest.mark.parametrize(("at_first", "reason"), [("old", "TargetsHealthy"), ("o\nld", "KubernetesUnauthorized")])
@pytest.mark.usefixtures("scene")
def test_a_token_that_was_rotated_is_read_again(world, environment, metrics, tmp_path, monkeypatch, at_first, reason):
    """After a token is rejected, or fits no header, the file is read again: the next query needs no restart."""
    kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
    kubeconfig["users"][0]["user"] = {"tokenFile": str(tmp_path / "token")}
    (tmp_path / "rotating.yaml").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    (tmp_path / "token").write_text(at_first, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "rotating.yaml"))
    world.kubernetes.bearer_token = "old"
    try:
        sources = sources_of(Settings(topology_fresh_seconds=0, failures_fresh_seconds=0), metrics)
        app = create_app(sources, metrics).test_client()
        before = ask(app)
        world.kubernetes.bearer_token = "new"
        (tmp_path / "token").write_text("new", encoding="utf-8")
        time.sleep(RECONNECT_SECONDS)
        after = ask(app)
    finally:
        world.kubernetes.bearer_token = None

    assert (before["reason"], after["reason"]) == (reason, "TargetsHealthy")
