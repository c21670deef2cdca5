"""What the server is built of, and when it refuses to be."""

import json
import subprocess
import sys
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter

from provider.redaction import redacted
from provider.start import _warm, served_app
from tests.scene import Scene
from tests.server import PATIENCE, PATIENT, Server, bare_environment, free_port
from tests.sources.aws.other_account import ROLE, OtherAccount
from tests.world.cluster import objects


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("KUBECONFIG", "The file that KUBECONFIG names does not exist"),
        ("AWS_PROFILE", "No usable AWS configuration"),
        ("PROVIDER_TOKENS_FILE", "PROVIDER_TOKENS_FILE cannot be used: No such file"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_a_server_that_cannot_be_built_says_why_and_ends(monkeypatch, caplog, variable, sentence):
    """Without a usable cluster, account or tokens file the server ends at once with one CRITICAL line that says why."""
    monkeypatch.setenv(variable, "/none/of/this")

    with pytest.raises(SystemExit) as ended:
        served_app()

    (critical,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert ended.value.code == Arbiter.APP_LOAD_ERROR
    assert sentence in critical.getMessage()


def test_the_process_of_such_a_server_ends(environment):
    """Such a server is not started again by gunicorn: its process ends with an error."""
    variables = bare_environment(environment) | {"KUBECONFIG": "/none/of/this", "PROVIDER_PORT": str(free_port())}
    serve = [sys.executable, "-m", "provider.cli.main", "serve"]

    done = subprocess.run(serve, env=variables, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert done.returncode != 0
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()].count("CRITICAL") == 1


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

    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "kubernetes: the provider has a defect"
    assert "Planted" not in redacted(record.exc_text or str(record.exc_info))


def test_a_server_takes_its_settings(world, environment, tmp_path):
    """The real server requires a token of its file, and reads a group of another account as the role of its setting."""
    tokens = tmp_path / "tokens"
    tokens.write_text("kWq3vX0m5TzR8bYc\n")
    given = PATIENT | {"PROVIDER_TOKENS_FILE": str(tokens), "PROVIDER_ASSUME_ROLE_ARNS": ROLE}
    other, scene = OtherAccount(world), Scene(world).build()
    arn = other.target_group("theirs")
    scene.put(
        objects.target_group_binding(
            "k8s-shop-web-preview", service="web-preview", arn=arn, iamRoleArnToAssume=ROLE, assumeRoleExternalId="shop"
        )
    )

    with Server(bare_environment(environment), tmp_path, **given) as server:
        refused = server.ask("target-health", namespace="shop", rollout="web")
        server.session.headers["Authorization"] = "Bearer kWq3vX0m5TzR8bYc"
        answer = server.ask("target-health", namespace="shop", rollout="web").json()
    sessions = other.sessions
    other.clear()

    assert refused.status_code == 401
    assert (answer["reason"], answer["observed"]["targetGroups"][0]["name"]) == ("TargetsMissing", "theirs")
    assert [(session.role_arn, session.external_id) for session in sessions] == [(ROLE, "shop")]
    assert "A bearer token is required: 1 are valid" in [line["message"] for line in server.lines()]
