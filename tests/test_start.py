"""What the server is built of, and when it refuses to be."""

import json
import subprocess
import sys

import pytest

from provider.demo import objects
from tests.other_account import ROLE, OtherAccount
from tests.scene import Scene
from tests.server import Server, bare_environment, free_port


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("KUBECONFIG", "No usable kubeconfig or ServiceAccount"),
        ("AWS_PROFILE", "No usable AWS configuration"),
        ("PROVIDER_TOKENS_FILE", "PROVIDER_TOKENS_FILE /none/of/this cannot be used: No such file"),
    ],
)
def test_a_server_that_cannot_be_built_says_why_and_ends(environment, variable, says):
    """Without a cluster, an account or its tokens the server ends at once, with one CRITICAL line that says why."""
    variables = bare_environment(environment) | {variable: "/none/of/this", "PROVIDER_PORT": str(free_port())}

    done = subprocess.run(
        [sys.executable, "-m", "provider.cli", "serve"],
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
    """With PROVIDER_TOKENS_FILE the real server refuses a question without a token, and says so at its start."""
    tokens = tmp_path / "tokens"
    tokens.write_text("kWq3vX0m5TzR8bYc\n")

    with Server(bare_environment(environment), tmp_path, PROVIDER_TOKENS_FILE=str(tokens)) as server:
        refused = server.ask("gate", namespace="shop", rollout="web")
        server.session.headers["Authorization"] = "Bearer kWq3vX0m5TzR8bYc"
        asked = server.ask("gate", namespace="shop", rollout="web")

    assert (refused.status_code, asked.status_code) == (401, 404)
    assert "Access is by bearer token: 1 are valid" in [line["message"] for line in server.lines()]
