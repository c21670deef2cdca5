"""A secret at every place that a credential can come from, in every form that people give it: none is ever shown."""

import base64
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from provider import redaction
from provider.http.access import TokenAccess, Unauthorized
from provider.model.errors import CannotTell, NotConfigured
from provider.model.reasons import Reason
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.service import Account
from provider.sources.aws.session import client_config, open_session
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.connection import connect
from provider.telemetry import logging_config
from tests.faults.credentials_api import CredentialsApi
from tests.server import Server, bare_environment
from tests.world.server.http_server import HttpServer

HALVES = ("PlantedFirstHalf1", "PlantedSecondHalf2")
SECRET = "".join(HALVES)
AROUND = {"newline": f"{SECRET}\n", "CRLF": f"{SECRET}\r\n", "blanks": f" {SECRET}\t "}
WITHIN = {
    name: between.join(HALVES)
    for name, between in {"newline inside": "\n", "CR inside": "\r", "blank inside": " ", "not ASCII": "é…"}.items()
}
NOTHING = {"empty": "", "only blanks": " \n"}
FORMS = AROUND | WITHIN | NOTHING
OF_EACH_KIND = ("newline", "newline inside", "not ASCII", "empty")


def planted(places, in_every_form):
    """Each place with a secret of each kind, and one place with every form: what is done about them is done once."""
    return [(place, form) for place in places for form in (FORMS if place == in_every_form else OF_EACH_KIND)]


OK = "ok"
UNAUTHORIZED, CREDENTIALS = Reason.KUBERNETES_UNAUTHORIZED.value, Reason.AWS_CREDENTIALS.value
NOT_CONFIGURED = "not configured"


def leaked(*texts):
    return [line for half in HALVES for text in texts for line in text.splitlines() if half in line]


@pytest.fixture(autouse=True)
def _nothing_hidden_by_other_tests(monkeypatch):
    monkeypatch.setattr(redaction, "_hidden", ())


@pytest.fixture
def shown(capfd, caplog):
    """All that was printed and logged: each record as the server writes it."""
    caplog.set_level(logging.DEBUG)
    config = logging_config("DEBUG")
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["json"])
    ours = ("provider", "root")  # boto3 and urllib3 say nothing below WARNING, by logging_config

    def shown():
        records = [
            record for record in caplog.records if record.name.startswith(ours) or record.levelno >= logging.WARNING
        ]
        return "\n".join([*map(formatter.format, records), *capfd.readouterr()])

    return shown


def outcome(reader):
    """Connect and ask once; what came of it, and the sentence."""
    try:
        reader().ping(Deadline(20))
    except CannotTell as error:
        return error.reason.value, str(error)
    except NotConfigured as error:
        return NOT_CONFIGURED, str(error)
    return OK, ""


def as_file(directory: Path, content: str) -> str:
    path = directory / "planted"
    path.write_bytes(content.encode())
    return str(path)


def exec_credential(secret: str) -> str:
    status = {"token": secret}
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


def id_token(secret: str) -> str:
    """A JSON web token of this secret, if that is possible: the library reads its middle part."""
    middle = base64.urlsafe_b64encode(b'{"exp": 9999999999}').decode().rstrip("=")
    return f"a.{middle}.{secret}"


User = Callable[[str, Path], dict[str, object]]
USERS: dict[str, tuple[User, set[str], set[str], set[str]]] = {
    # What a kubeconfig's user is, and what comes of a secret with blanks around it, with something within, and of none.
    "token": (lambda it, _: {"token": it}, {OK}, {UNAUTHORIZED}, {UNAUTHORIZED}),
    "tokenFile": (lambda it, at: {"tokenFile": as_file(at, it)}, {OK}, {UNAUTHORIZED}, {UNAUTHORIZED}),
    "exec": (
        lambda it, at: {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "cat",
                "args": [as_file(at, exec_credential(it))],
            }
        },
        {OK},
        {UNAUTHORIZED},
        {UNAUTHORIZED},
    ),
    "password": (
        lambda it, _: {"username": "ops", "password": it},
        {UNAUTHORIZED},
        {UNAUTHORIZED, NOT_CONFIGURED},
        {UNAUTHORIZED},
    ),
    "oidc id-token": (
        lambda it, _: {"auth-provider": {"name": "oidc", "config": {"id-token": id_token(it)}}},
        {UNAUTHORIZED, NOT_CONFIGURED},
        {UNAUTHORIZED, NOT_CONFIGURED},
        {UNAUTHORIZED, NOT_CONFIGURED},
    ),
    "gcp access-token": (
        lambda it, _: {"auth-provider": {"name": "gcp", "config": {"access-token": it}}},
        {OK},
        {UNAUTHORIZED},
        {UNAUTHORIZED, NOT_CONFIGURED},
    ),
}


@pytest.fixture
def kubeconfig(world, environment):
    """The kubeconfig of the world, whose API server wants the secret as its token."""
    world.kubernetes.bearer_token = SECRET
    yield yaml.safe_load(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
    world.kubernetes.bearer_token = None


@pytest.fixture
def kubernetes(sources, metrics):
    """Connect as the environment says."""

    def kubernetes(**more):
        return ApiServer(
            lambda: connect(pool_size=1, **more),
            sources.shared.other_clocks,
            connect_timeout_seconds=1,
            read_timeout_seconds=1,
            metrics=metrics,
        )

    return kubernetes


@pytest.mark.parametrize(("place", "form"), planted(USERS, "token"))
def test_a_secret_of_a_kubeconfig(kubernetes, environment, kubeconfig, tmp_path, shown, tried, place, form):
    """A kubeconfig's secret is sent without blanks around it; one that fits no header is KubernetesUnauthorized."""
    user, around, within, nothing = USERS[place]
    kubeconfig["users"] = [{"name": "demo", "user": user(FORMS[form], tmp_path)}]
    Path(environment["KUBECONFIG"]).write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")

    came, sentence = outcome(kubernetes)

    tried("credentials planted")
    assert came in (around if form in AROUND else within if form in WITHIN else nothing)
    assert leaked(sentence, shown()) == []


MISPLACED = {
    "the token beside `user`": ("users: [{name: demo, token: %s}]", None),
    "the token as a YAML alias": ("users: [{name: demo, user: {token: *%s}}]", None),
    "the token as a YAML tag": ("users: [{name: demo, user: {token: !%s x}}]", None),
    "the login of the server": ("users: []", "http://ops:%s@127.0.0.1:9"),
    "the login of proxy-url": ("users: []", "http://127.0.0.1:9\n    proxy-url: 'foo://ops:%s@127.0.0.1:9'"),
    "client-key-data": (
        "users: [{name: demo, user: {client-certificate-data: '%s', client-key-data: '%s'}}]",
        "https://127.0.0.1:9",
    ),
}


@pytest.mark.parametrize("secret", [SECRET, WITHIN["newline inside"], WITHIN["not ASCII"]], ids=["plain", "line", "é"])
@pytest.mark.parametrize(("users", "server"), MISPLACED.values(), ids=MISPLACED)
def test_a_secret_in_a_kubeconfigs_wrong_place(
    kubernetes, environment, kubeconfig, shown, tried, users, server, secret
):
    """A secret that stands in the wrong place of a kubeconfig is in no sentence, and no error escapes."""
    text = f"""apiVersion: v1
kind: Config
current-context: demo
contexts: [{{name: demo, context: {{cluster: demo, user: demo}}}}]
clusters:
- name: demo
  cluster:
    server: {server or kubeconfig["clusters"][0]["cluster"]["server"]}
{users}
"""
    Path(environment["KUBECONFIG"]).write_text(text.replace("%s", secret), encoding="utf-8")

    came, sentence = outcome(kubernetes)

    tried("credentials planted")
    assert came != OK
    assert leaked(sentence, shown()) == []


@pytest.mark.parametrize("form", ["plain", *OF_EACH_KIND])
def test_a_secret_in_the_variable_kubeconfig(kubernetes, monkeypatch, shown, tried, form):
    """Where KUBECONFIG holds a kubeconfig instead of its path, the sentence does not quote it."""
    monkeypatch.setenv("KUBECONFIG", f"users: [{{user: {{token: {FORMS.get(form, SECRET)}}}}}]")

    came, sentence = outcome(kubernetes)

    tried("credentials planted")
    assert (came, sentence) == (NOT_CONFIGURED, "The file that KUBECONFIG names does not exist")
    assert leaked(shown()) == []


@pytest.mark.parametrize("form", FORMS)
def test_the_token_of_a_service_account(kubernetes, world, monkeypatch, tmp_path, shown, tried, form):
    """The pod's token is sent without what stands around it; one that fits no header is KubernetesUnauthorized."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", world.kubernetes_server.url.rpartition(":")[2])
    (tmp_path / "token").write_bytes(FORMS[form].encode())
    (tmp_path / "ca.crt").write_text("not read before the first TLS handshake")

    came, sentence = outcome(lambda: kubernetes(service_account=tmp_path))

    tried("credentials planted")
    if form in AROUND:
        client = connect(pool_size=1, service_account=tmp_path)
        assert client.configuration.auth_settings()["BearerToken"]["value"] == f"bearer {SECRET}"
        assert came == Reason.KUBERNETES_UNAVAILABLE  # HTTPS is expected in a cluster, and the world speaks HTTP
    else:
        assert came in {UNAUTHORIZED, NOT_CONFIGURED}
    assert leaked(sentence, shown()) == []


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAPLAIN", "AWS_SECRET_ACCESS_KEY": "plain"}


def keys_file(secret: str, at: Path) -> dict[str, str]:
    lines = ["[default]", "aws_access_key_id = AKIAPLAIN", "aws_secret_access_key = plain", "aws_session_token = "]
    return {"AWS_SHARED_CREDENTIALS_FILE": as_file(at, "\n".join(lines) + secret)}


def process(secret: str, at: Path) -> dict[str, str]:
    answer = {"Version": 1, "AccessKeyId": "AKIAPLAIN", "SecretAccessKey": "plain", "SessionToken": secret}
    (at / "config").write_text(f"[default]\ncredential_process = cat {as_file(at, json.dumps(answer))}\n")
    return {"AWS_CONFIG_FILE": str(at / "config")}


ANY = {OK, CREDENTIALS, NOT_CONFIGURED}
_REASONS = {reason.value for reason in Reason}
ANYTHING = (_REASONS, _REASONS, _REASONS)
FROM_API = ({OK}, {OK, CREDENTIALS}, {OK, CREDENTIALS})
AWS: dict[str, tuple[Callable[[str, Path], dict[str, str]], set[str], set[str], set[str]]] = {
    "AWS_ACCESS_KEY_ID": (lambda it, _: KEYS | {"AWS_ACCESS_KEY_ID": it}, {OK}, {OK, CREDENTIALS}, {CREDENTIALS}),
    "AWS_SECRET_ACCESS_KEY": (lambda it, _: KEYS | {"AWS_SECRET_ACCESS_KEY": it}, {OK}, ANY, {CREDENTIALS}),
    "AWS_SESSION_TOKEN": (lambda it, _: KEYS | {"AWS_SESSION_TOKEN": it}, {OK}, {OK, CREDENTIALS}, {OK}),
    "credentials file": (keys_file, {OK}, ANY, {OK}),
    "credential_process": (process, ANY, ANY, {OK, CREDENTIALS}),
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": (
        lambda it, _: {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "%s", "AWS_CONTAINER_AUTHORIZATION_TOKEN": it},
        *FROM_API,
    ),
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": (
        lambda it, at: {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "%s",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": as_file(at, it),
        },
        *FROM_API,
    ),
    "AWS_WEB_IDENTITY_TOKEN_FILE": (
        lambda it, at: {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/a",
            "AWS_WEB_IDENTITY_TOKEN_FILE": as_file(at, it),
            "AWS_ENDPOINT_URL_STS": "%s",
        },
        *FROM_API,
    ),
    "the login of AWS_ENDPOINT_URL": (
        lambda it, _: KEYS | {"AWS_ENDPOINT_URL": f"http://ops:{it}@127.0.0.1:9"},
        *ANYTHING,
    ),
    "the login of HTTP_PROXY": (
        lambda it, _: KEYS | {"HTTP_PROXY": f"http://ops:{it}@127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""},
        *ANYTHING,
    ),
}


class Generous(CredentialsApi):
    """Gives credentials to anyone: botocore asks three times, with pauses of a second, where they are refused."""

    def _accepts(self, lane: str, token: str) -> bool:  # noqa: ARG002 - what CredentialsApi needs
        return True


@pytest.fixture
def aws(sources, metrics, aws_models, environment):
    """Connect as the environment says."""

    def aws():
        session = open_session(environment["AWS_REGION"], client_config(1, 1))
        session._session.register_component("data_loader", aws_models)
        account = Account(session, connect_timeout_seconds=1, read_timeout_seconds=1, pool_size=1)
        return LoadBalancers(account, sources.shared, metrics, calls_per_second=1000)

    return aws


@pytest.mark.parametrize(("place", "form"), planted(AWS, "AWS_SESSION_TOKEN"))
def test_a_secret_of_aws(aws, monkeypatch, tmp_path, shown, tried, place, form):
    """AWS's secret is used without what stands around it; one that fits no header is AwsCredentials."""
    variables, around, within, nothing = AWS[place]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with HttpServer((CredentialsApi if form in AROUND else Generous)(SECRET)) as api:
        for name, value in variables(FORMS[form], tmp_path).items():
            monkeypatch.setenv(name, value.replace("%s", f"{api.url}/v1/credentials/a"))
        came, sentence = outcome(aws)

    tried("credentials planted")
    assert came in (around if form in AROUND else within if form in WITHIN else nothing)
    assert leaked(sentence, shown()) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_line_of_the_tokens_file(tmp_path, shown, tried, form):
    """A token of PROVIDER_TOKENS_FILE is known without what stands around it; no sentence quotes one."""
    file = tmp_path / "tokens"
    file.write_bytes(FORMS[form].encode())
    said = ""
    try:
        access = TokenAccess(file)
        access.grant(f"Bearer {SECRET}")
    except (NotConfigured, Unauthorized) as error:
        said = str(error)

    tried("credentials planted")
    assert (said == "") == (form in AROUND)
    assert leaked(said, shown()) == []


def test_a_server_whose_secrets_all_end_in_a_newline(scene, world, tmp_path):
    """A server whose every secret ends in a newline gets ready, answers, and shows none of them."""
    world.kubernetes.bearer_token = SECRET
    variables = bare_environment(world.environment(tmp_path))
    kubeconfig = yaml.safe_load(Path(variables["KUBECONFIG"]).read_text(encoding="utf-8"))
    kubeconfig["users"][0]["user"] = {"tokenFile": as_file(tmp_path, AROUND["newline"])}
    Path(variables["KUBECONFIG"]).write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    variables |= dict.fromkeys((*KEYS, "AWS_SESSION_TOKEN"), AROUND["newline"])

    try:
        with Server(variables, tmp_path, PROVIDER_LOG_LEVEL="DEBUG") as server:
            answer = server.ask("target-health", namespace=scene.namespace, rollout=scene.name)
    finally:
        world.kubernetes.bearer_token = None
    logged = server.log.read_text()

    assert answer.json()["phase"] == "Successful"
    assert leaked(answer.text, logged) == []


def test_no_secret_is_left_in_the_environment_of_this_test():
    """The secrets above are planted for one test each, so that none finds what another one left."""
    assert not [name for name, value in os.environ.items() if leaked(value)]
