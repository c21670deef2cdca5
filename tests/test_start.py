"""What the server is built of, and when it refuses to be."""

import json
import subprocess
import sys
from typing import Any

import pytest

from provider.redaction import redacted
from provider.start import _warm
from tests.scene import Scene
from tests.server import Server, bare_environment, free_port
from tests.sources.aws.other_account import ROLE, OtherAccount
from tests.world.cluster import objects


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("KUBECONFIG", "The file that KUBECONFIG names does not exist"),
        ("AWS_PROFILE", "No usable AWS configuration"),
        ("PROVIDER_TOKENS_FILE", "PROVIDER_TOKENS_FILE cannot be used: No such file"),
    ],
)
def test_a_server_that_cannot_be_built_says_why_and_ends(environment, variable, says):
    """Without a usable cluster, account or tokens file the server ends at once with one CRITICAL line that says why."""
    variables = bare_environment(environment) | {variable: "/none/of/this", "PROVIDER_PORT": str(free_port())}

    done = subprocess.run(
        [sys.executable, "-m", "provider.cli.main", "serve"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    critical = [line for line in map(json.loads, done.stderr.splitlines()) if line["level"] == "CRITICAL"]
    assert done.returncode != 0
    assert len(critical) == 1
    assert says in critical[0]["message"]


class Broken:
    """A reader whose first call ends in an error that nobody foresaw, and quotes a token."""

    answered = False

    def ping(self, _):
        self.answered = True
        raise ValueError("Invalid header value b'Bearer Planted'")


def test_a_defect_of_a_thread_is_logged(sources, caplog):
    """An unforeseen error of a start-up thread is in the log, and not on standard error past its redaction."""
    reader: Any = Broken()

    _warm("kubernetes", reader, sources)

    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.getMessage() == "kubernetes: the provider has a defect"
    assert "Planted" not in redacted(record.exc_text or str(record.exc_info))


def test_a_server_assumes_the_roles_of_its_setting(world, environment, tmp_path):
    """With PROVIDER_ASSUME_ROLE_ARNS the real server reads a group of another account as the listed role."""
    other, scene = OtherAccount(world), Scene(world).build()
    arn = other.target_group("theirs")
    scene.put(
        objects.target_group_binding(
            "k8s-shop-web-preview", service="web-preview", arn=arn, iamRoleArnToAssume=ROLE, assumeRoleExternalId="shop"
        )
    )

    with Server(bare_environment(environment), tmp_path, PROVIDER_ASSUME_ROLE_ARNS=ROLE) as server:
        found = server.ask("target-health", namespace="shop", rollout="web").json()
    sessions = other.sessions
    other.clear()

    assert (found["reason"], found["observed"]["targetGroups"][0]["name"]) == ("TargetsMissing", "theirs")
    assert [(one.role_arn, one.external_id) for one in sessions] == [(ROLE, "shop")]


def test_a_server_with_tokens_wants_one(environment, tmp_path):
    """With PROVIDER_TOKENS_FILE the server refuses a query without a token, and its start-up log says so."""
    tokens = tmp_path / "tokens"
    tokens.write_text("kWq3vX0m5TzR8bYc\n")

    with Server(bare_environment(environment), tmp_path, PROVIDER_TOKENS_FILE=str(tokens)) as server:
        refused = server.ask("gate", namespace="shop", rollout="web")
        server.session.headers["Authorization"] = "Bearer kWq3vX0m5TzR8bYc"
        asked = server.ask("gate", namespace="shop", rollout="web")

    assert (refused.status_code, asked.status_code) == (401, 404)
    assert "A bearer token is required: 1 are valid" in [line["message"] for line in server.lines()]
