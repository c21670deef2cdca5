"""The command line: exit codes, what a person reads, and the same answer as over HTTP."""

import json
import re
import subprocess
import sys
from typing import cast

import pytest
from click import Context

from provider import __version__
from provider.checks import QUESTIONS
from provider.cli import main as cli
from provider.cli import readable
from provider.cli.asking import TOKEN_FILE
from provider.cli.check import check
from provider.http.access import TokenAccess
from provider.model.answer import Answer
from tests.app import create_app
from tests.server import PATIENCE
from tests.world.server.http_server import HttpServer

pytestmark = pytest.mark.usefixtures("environment")

ABOUT_WEB = ("--namespace", "shop", "--rollout", "web")
CHECK_WEB = ("check", "target-health", *ABOUT_WEB)
ANSWER = {
    "measurement": [100.0, "Successful", "3 of 3"],
    "message": "3 of 3",
    "observed": {},
    "phase": "Successful",
    "reason": "TargetsHealthy",
}


@pytest.fixture
def mixed(scene):
    """One target of each kind: healthy, initial, and unhealthy for long."""
    scene.pin(scene.addresses[0], "unhealthy", "Target.Timeout", "Request timed out")
    scene.pin(scene.addresses[1], "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
    return scene


@pytest.fixture
def provider(app):
    """A provider that answers over HTTP."""
    with HttpServer(app) as server:
        yield server


def serving(status, content, media_type="application/json", **headers):
    """A server that gives every request this answer."""

    def application(_, start_response):
        start_response(status, [("Content-Type", media_type), *headers.items()])
        return [content if isinstance(content, bytes) else json.dumps(content).encode()]

    return HttpServer(application)


def without_ages(answer):
    observed = {key: value for key, value in answer["observed"].items() if not key.startswith("evidence")}
    return answer | {"observed": observed}


def cells(line):
    return re.split(r"  +", line)


@pytest.mark.parametrize(
    ("state", "code", "headline", "row"),
    [
        pytest.param("healthy", 0, "Successful (TargetsHealthy)", ["100.0", "3"], id="Successful"),
        pytest.param("unhealthy", 1, "Failed (TargetsUnhealthy)", ["66.6", "2", "1"], id="Failed"),
        pytest.param("initial", 2, "Inconclusive (TargetsInitial)", ["66.6", "2", "1"], id="Inconclusive"),
    ],
)
def test_exit_code_and_headline(run, scene, state, code, headline, row):
    """The exit code is 0 for Successful, 1 for Failed, 2 for Inconclusive; first comes what it is about, then why."""
    scene.pin(scene.addresses[0], state)

    exited, out, err = run(*CHECK_WEB)

    about, first, sentence, empty, head, group = out.splitlines()[:6]
    assert about.startswith(
        "Rollout shop/web, green 6d9f7c, before the switch, Service web-preview, 3 pods wanted, evidence"
    )
    assert (exited, err, first, empty) == (code, "", headline, "")
    assert sentence.startswith(f"{row[1]} of 3 green targets healthy in k8s-shop-web-preview")
    assert cells(head) == ["TARGET GROUP", "HEALTHY %", "HEALTHY", state.upper()][: len(row) + 1]
    assert cells(group) == ["k8s-shop-web-preview", *row]


def test_an_answer_for_people(run, mixed, provider):
    """A person reads the sentence, a table of targets by state, and each example with AWS's own words."""
    _, out, _ = run("check", "gate", *ABOUT_WEB, "--checks", "target-health", "--url", provider.url)

    lines = out.splitlines()
    assert lines[1] == "Failed (TargetsUnhealthy)"
    assert lines[2].startswith("target-health: 1 of 3 green targets healthy in k8s-shop-web-preview; 1 unhealthy")
    assert [cells(line) for line in lines[4:]] == [
        ["TARGET GROUP", "HEALTHY %", "HEALTHY", "INITIAL", "UNHEALTHY"],
        ["k8s-shop-web-preview", "33.3", "1", "1", "1"],
        [""],
        ["TARGET", "ADDRESS", "PORT", "STATE", "AWS REASON", "DESCRIPTION"],
        [mixed.pods[0]["metadata"]["name"], "10.0.0.1", "8080", "unhealthy", "Target.Timeout", "Request timed out"],
        [
            mixed.pods[1]["metadata"]["name"],
            "10.0.0.2",
            "8080",
            "initial",
            "Elb.InitialHealthChecking",
            "Initial health checks in progress",
        ],
        [""],
        ["CHECK", "PHASE", "REASON"],
        ["target-health", "Failed", "TargetsUnhealthy"],
    ]


@pytest.mark.parametrize(
    ("ages", "shown"),
    [
        ({"pods": 161, "targetGroups": 250, "targetHealth": 0.4, "topology": 3}, "evidence 0.4 s old"),
        ({"metrics": 42, "targetHealth": 2, "topology": 3}, "evidence 2 s old"),
        ({"metrics": 42, "targetGroups": 250, "topology": 3}, "evidence 42 s old"),
        ({"pods": 161, "topology": 3}, "evidence 3 s old"),
        ({"targetGroups": 250}, ""),
    ],
    ids=["known pods", "a gate with errors", "errors", "replicas", "nothing that decides"],
)
def test_the_age_is_that_of_target_health(ages, shown):
    """The first line has the age of target health; without it, that of the oldest evidence that is read anew."""
    assert readable.subject(cast(Answer, ANSWER | {"observed": {"evidenceAgeSeconds": ages}}), "") == shown


HOSTILE = "web\n::error::forged\r\x1b[2J\x9b2J\u202e\u2028\x85"


def test_an_answer_forges_no_line(run):
    """Whatever a server answers, each text is in one line, without control characters, and columns stay aligned."""
    example = {"name": HOSTILE, "address": "10.0.0.1", "port": 80, "state": "unhealthy", "description": HOSTILE}
    observed = {"service": HOSTILE, "examples": [example, example | {"name": "short"}]}
    with serving("200 OK", ANSWER | {"message": HOSTILE, "observed": observed}) as server:
        _, out, _ = run(*CHECK_WEB, "--url", server.url)
    with serving("404 Not Found", {"detail": HOSTILE}) as server:
        _, _, err = run(*CHECK_WEB, "--url", server.url)

    lines = (out + err).split("\n")
    assert len(lines) == 9
    assert all(line.isprintable() for line in lines)
    assert lines[2] == r"web\n::error::forged\r\x1b[2J\x9b2J\u202e\u2028\x85"
    assert lines[4].index("ADDRESS") == lines[5].index("10.0.0.1") == lines[6].index("10.0.0.1")


@pytest.mark.usefixtures("mixed")
def test_json_is_the_answer_that_argo_gets(run, client, provider):
    """--json prints the HTTP answer, both with own credentials and with --url."""
    over_http = client.get("/v1/target-health?namespace=shop&rollout=web").get_json()

    code_here, here = run(*CHECK_WEB, "--json")[:2]
    code, there, _ = run(*CHECK_WEB, "--json", "--url", f"{provider.url}/")

    assert (code_here, code) == (1, 1)
    assert without_ages(json.loads(here)) == without_ages(over_http)
    assert without_ages(json.loads(there)) == without_ages(over_http)


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        ((), 1, "Failed (TargetsUnhealthy)"),
        (("--min-healthy-percent", "33"), 0, "minHealthyPercent=33 is met"),
        (("--unhealthy-grace-seconds", "3600"), 2, "Inconclusive (TargetsUnhealthyInGrace)"),
        (("--pod-template-hash", "old"), 4, "Inconclusive (Superseded)"),
        (("--service", "web-active"), 2, "Inconclusive (ServiceNotSwitched)"),
    ],
    ids=["no flag", "percent", "grace", "hash", "service"],
)
@pytest.mark.usefixtures("mixed")
def test_flags_are_the_parameters_in_kebab_case(run, provider, flags, code, sentence):
    """Each flag is sent as its parameter, and the exit code follows the answer."""
    exited, out, err = run(*CHECK_WEB, *flags, "--url", provider.url)

    assert (exited, err) == (code, "")
    assert sentence in out


@pytest.mark.parametrize("question", QUESTIONS)
def test_help_lists_every_parameter(run, question):
    """Help lists every parameter in kebab-case with its description, the check's documentation and the exit codes."""
    code, out, _ = run("check", question, "--help")

    text = re.sub(r"\s", "", out)
    fields = QUESTIONS[question].query.model_fields.values()
    flags = {re.sub("[A-Z]", lambda one: f"-{one[0].lower()}", f"--{field.alias}") for field in fields}
    assert code == 0
    # click keeps a command's help option as it was first asked for: with -h before it, or without.
    listed = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", out, re.MULTILINE)) - {"--help"}
    more = {"--url", "--token-file", "--json", "--output", "--watch", "--wait", "--interval", "--timeout", "--passes"}
    assert listed == flags | more
    assert [field.description for field in fields if re.sub(r"\s", "", field.description or "?") not in text] == []
    assert re.sub(r"\s", "", QUESTIONS[question].about) in text
    assert re.findall(r"^    ([0-4])  ", out, re.MULTILINE) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((*CHECK_WEB, "--healthy-percent", "9"), "No such option '--healthy-percent'"),
        ((*CHECK_WEB, "--podTemplateHash", "a"), "No such option '--podTemplateHash'"),
        (("check", "target-health", "--namespace", "shop"), "Missing option '--rollout'"),
        ((*CHECK_WEB, "web"), "Got unexpected extra argument (web)"),
        ((*CHECK_WEB, "--service"), "Option '--service' requires an argument"),
        (("check", "health"), "No such command 'health'"),
        (("check",), "check [OPTIONS] COMMAND [ARGS]..."),
        ((), "[OPTIONS] COMMAND [ARGS]..."),
    ],
    ids=["unknown flag", "camelCase", "missing flag", "argument", "no value", "unknown question", "none", "nothing"],
)
def test_misuse(run, arguments, sentence):
    """Misuse exits with 3, because 2 means Inconclusive, and says what is wrong."""
    code, out, err = run(*arguments)

    assert code == 3
    assert sentence in out + err


def test_version(run):
    """--version prints name and version and exits with 0."""
    assert run("--version") == (0, f"alb-provider, version {__version__}\n", "")


def one_sentence(err):
    """The sentence of an error that is not a traceback."""
    last = err.splitlines()[-1]
    assert "Traceback" not in err
    assert last.startswith("Error: ")
    return last.removeprefix("Error: ")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        pytest.param(
            ("--min-healthy-percent", "0", "--service", ""),
            "--service must not be empty; --min-healthy-percent must be at least 1 (got 0)",
            id="malformed",
        ),
        pytest.param(("--rollout", "none"), "There is no Rollout none in namespace shop", id="absent Rollout"),
    ],
)
def test_a_question_that_cannot_be_answered(run, flags, sentence):
    """A malformed query and an absent Rollout exit with 3 and a sentence that names the flags or the Rollout."""
    code, out, err = run(*CHECK_WEB, *flags)

    assert (code, out) == (3, "")
    assert one_sentence(err) == sentence


@pytest.mark.parametrize(
    ("variable", "value", "content"),
    [
        pytest.param("KUBECONFIG", "absent.yaml", None, id="no kubeconfig"),
        pytest.param("KUBECONFIG", "bad.yaml", "{:[", id="kubeconfig is no YAML"),
        pytest.param("KUBECONFIG", "text.yaml", "a text", id="kubeconfig is no kubeconfig"),
        pytest.param("AWS_PROFILE", "absent", None, id="no such AWS profile"),
        pytest.param("PROVIDER_BUDGET_SECONDS", "0", None, id="bad setting"),
    ],
)
def test_an_environment_that_leads_nowhere(run, tmp_path, monkeypatch, variable, value, content):
    """An environment without a usable cluster or account exits with 3 and a sentence; 1 means that green is bad."""
    if content is not None:
        (tmp_path / value).write_text(content)

    monkeypatch.setenv(variable, str(tmp_path / value) if variable == "KUBECONFIG" else value)
    code, out, err = run(*CHECK_WEB)

    assert (code, out) == (3, "")
    assert one_sentence(err)


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("KUBECONFIG", "The Kubernetes API cannot be reached (cannot resolve nohost.invalid): "),
        ("AWS_ENDPOINT_URL", "AWS cannot be reached (cannot resolve nohost.invalid) for "),
    ],
)
@pytest.mark.usefixtures("scene")
def test_an_unknown_host_of_kubernetes_and_aws(run, tmp_path, world, monkeypatch, variable, sentence):
    """The name that cannot be resolved is in the sentence of the answer."""
    value = "http://nohost.invalid"
    if variable == "KUBECONFIG":
        text = (tmp_path / "kubeconfig.yaml").read_text().replace(world.kubernetes_server.url, value)
        value = str(tmp_path / "elsewhere.yaml")
        (tmp_path / "elsewhere.yaml").write_text(text)

    monkeypatch.setenv(variable, value)
    _, out, _ = run(*CHECK_WEB)

    assert sentence in out


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("check", "gate"), "To ask a running provider instead, use --url"),
        (("explain",), "To ask a running provider instead, use --url"),
        (("warm-up", "--url", "http://127.0.0.1:9"), "To ask a running provider instead, use --provider"),
        (("preflight", "--live"), "To read manifests instead, use --file"),
        (("forecast", "--live"), "To read manifests instead, use --file"),
        (("convert", "--live"), "To read manifests instead, use --file"),
    ],
    ids=["check", "explain", "warm-up", "preflight", "forecast", "convert"],
)
@pytest.mark.parametrize("variable", ["KUBECONFIG", "HOME"])
def test_without_a_kubeconfig(run, environment, tmp_path, monkeypatch, command, instead, variable):
    """Without a kubeconfig each command names its own flag that does without one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent") if variable in environment else "")

    code, out, err = run(*command, *ABOUT_WEB)

    assert (code, out) == (3, "")
    assert one_sentence(err).endswith(f". {instead}")


def test_a_provider_that_is_down(run, provider):
    """If the provider does not listen, the command exits with 3 and a sentence with its address."""
    provider.stop()

    code, out, err = run(*CHECK_WEB, "--url", provider.url)

    assert (code, out) == (3, "")
    assert one_sentence(err) == f"Cannot reach {provider.url}: the connection failed; is it running there?"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://nohost.invalid:8080/", "cannot resolve nohost.invalid"),
        ("https://nohost.invalid", "cannot resolve nohost.invalid"),
        ("http://bücher.invalid", "cannot resolve bücher.invalid"),
        ("http://256.0.0.1", "cannot resolve 256.0.0.1"),
        ("http://a..b", "this address, or that of the environment's proxy, is not valid"),
        (f"http://{'a' * 64}.b", "this address, or that of the environment's proxy, is not valid"),
        ("http://a b", "this address, or that of the environment's proxy, is not valid"),
        ("https://{plain}", "the TLS handshake failed; does it listen for http:// instead?"),
    ],
)
def test_an_address_that_leads_nowhere(run, monkeypatch, provider, url, why):
    """Why a provider cannot be reached is a sentence of its own for each cause."""
    monkeypatch.setenv("no_proxy", "*")
    url = url.format(plain=provider.url.removeprefix("http://"))

    code, _, err = run(*CHECK_WEB, "--url", url)

    assert code == 3
    assert one_sentence(err) == f"Cannot reach {url.rstrip('/')}: {why}"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/gate", "/v1/target-health/"])
@pytest.mark.usefixtures("scene")
def test_the_address_of_an_endpoint_is_understood(run, provider, path):
    """An address that ends in /v1 or in an endpoint is that of its provider."""
    code, out, _ = run(*CHECK_WEB, "--url", provider.url + path)

    assert (code, out.splitlines()[1]) == (0, "Successful (TargetsHealthy)")


@pytest.mark.usefixtures("scene")
def test_an_empty_address(run):
    """An empty --url, such as from an unset variable, exits with 3 and does not fall back to own credentials."""
    code, out, err = run(*CHECK_WEB, "--url", "")

    assert (code, out) == (3, "")
    assert one_sentence(err)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:8080", "Cannot reach localhost:8080: the address needs http:// or https:// in front"),
        ("http://", "Cannot reach http://: the address has no host name"),
        ("http://[::1", "--url is not a valid address"),
        ("http://127.0.0.1:99999", "--url is not a valid address"),
        ("ftp://a/", "Cannot reach ftp://a/: the address needs http:// or https:// in front"),
        ("http://a/v1/gate?x=1", "--url must end before ? or #: give an address such as http://localhost:8080"),
        ("http://a/#x", "--url must end before ? or #: give an address such as http://localhost:8080"),
        ("http://a/?", "--url must end before ? or #: give an address such as http://localhost:8080"),
        ("http://me:PlantedPassword@127.0.0.1", "--url must not contain a user name or password; use --token-file"),
    ],
)
def test_an_address_that_is_none(run, url, sentence):
    """A --url that is not an HTTP address, or that contains a login, exits with 3 and a sentence."""
    code, out, err = run(*CHECK_WEB, "--url", url)

    assert (code, out) == (3, "")
    assert one_sentence(err) == sentence


@pytest.mark.parametrize(
    ("phase", "observed", "code"),
    [
        ("Successful", {"action": "none"}, 0),
        ("Failed", {"action": "fix"}, 1),
        ("Inconclusive", {"action": "wait"}, 2),
        ("Inconclusive", {}, 2),
        ("Inconclusive", {"action": "fix"}, 4),
    ],
)
def test_an_answer_that_needs_a_person_has_a_code_of_its_own(run, phase, observed, code):
    """An Inconclusive answer exits with 2 while waiting can help, and with 4 when a person must act."""
    with serving("200 OK", ANSWER | {"phase": phase, "observed": observed}) as server:
        assert run(*CHECK_WEB, "--url", server.url)[0] == code


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        pytest.param(serving("404 Not Found", {"detail": "There is no Rollout web"}), "404: There is no", id="problem"),
        pytest.param(serving("404 Not Found", b"<html>", "text/html"), "404 without JSON", id="HTML 404"),
        pytest.param(serving("200 OK", b"<html>", "text/html"), "200 without JSON", id="HTML 200"),
        pytest.param(serving("204 No Content", b""), "204 without JSON", id="no content"),
        pytest.param(serving("302 Found", b"", Location="http://localhost/"), "302 without JSON", id="redirect"),
        pytest.param(serving("201 Created", ANSWER), "201: not an answer", id="another success"),
        pytest.param(serving("200 OK", []), "200: not an answer", id="list"),
        pytest.param(serving("200 OK", None), "200: not an answer", id="null"),
        pytest.param(serving("200 OK", {"status": "alive"}), "200: not an answer", id="another object"),
        pytest.param(serving("200 OK", {"phase": "Running"}), "200: not an answer", id="another phase"),
        pytest.param(serving("200 OK", ANSWER | {"phase": ["Failed"]}), "200: not an answer", id="list of phases"),
        pytest.param(serving("200 OK", {"phase": "Successful"}), "200: not an answer", id="phase alone"),
        pytest.param(serving("200 OK", ANSWER | {"observed": []}), "200: not an answer", id="nothing observed"),
        pytest.param(serving("200 OK", ANSWER | {"message": None}), "200: not an answer", id="no message"),
    ],
)
def test_what_is_not_an_answer(run, server, sentence):
    """A response that is not an answer exits with 3 and a sentence."""
    with server:
        code, out, err = run(*CHECK_WEB, "--url", server.url)

    assert (code, out) == (3, "")
    assert one_sentence(err).startswith(f"{server.url}/v1/target-health answered {sentence}")


def test_a_defect_is_no_failure_of_green(run):
    """A defect exits with 3: Python's own 1 would mean that green is bad."""
    with serving("200 OK", b"[" * 200_000) as server:
        code, out, _ = run(*CHECK_WEB, "--url", server.url)

    assert (code, out) == (3, "")


def test_a_token_from_a_file_is_sent(run, sources, metrics, scene, tmp_path):  # noqa: ARG001 - there is a Rollout
    """With --token-file a provider that requires a token answers; without it or with another one the exit code is 3."""
    tokens, mine, other = tmp_path / "tokens", tmp_path / "mine", tmp_path / "other"
    tokens.write_text("kWq3vX0m5TzR8bYc\n")
    mine.write_text("kWq3vX0m5TzR8bYc\n")
    other.write_text("Zp7LdN2sHf4QjUe9\n")

    with HttpServer(create_app(sources, metrics, access=TokenAccess(tokens))) as server:
        asked = [*CHECK_WEB, "--url", server.url]
        codes = [
            run(*asked, *flags)[0] for flags in ((), *(("--token-file", str(one)) for one in (mine, other, tmp_path)))
        ]

    assert codes == [3, 0, 3, 3]


TOKEN = "kWq3vX0m5TzR8bYc"


def test_the_token_file_is_one_option():
    """--token-file is the same option in each command that has an option for a provider's address, and in no other."""
    names = ("preflight", "forecast", "convert", "explain", "warm-up", "handover", "serve")
    commands = [cli.cli.get_command(Context(cli.cli), name) for name in names]

    for command in [*commands, *check.commands.values()]:
        assert command is not None
        asks_a_provider = any(param.envvar == "ALB_PROVIDER_URL" for param in command.params)
        tokens = [param for param in command.params if "--token-file" in param.opts]
        assert tokens == ([TOKEN_FILE] if asks_a_provider else []), command.name


@pytest.mark.parametrize(
    ("command", "flag"),
    [(("check", "gate"), "--url"), (("explain",), "--url"), (("warm-up", "--url", "http://127.0.0.1:9"), "--provider")],
    ids=["check", "explain", "warm-up"],
)
def test_a_token_without_a_provider(run, command, flag):
    """A --token-file that nothing would be sent to is misuse, and the sentence names the missing flag."""
    code, _, err = run(*command, *ABOUT_WEB, "--token-file", "token")

    assert code == 3
    assert one_sentence(err) == f"--token-file is for a provider: give its address with {flag}"


@pytest.mark.parametrize("login", ["machine 127.0.0.1", "default"])
@pytest.mark.parametrize(("flags", "sent"), [((), None), (("--token-file", "token"), f"Bearer {TOKEN}")])
def test_a_login_of_netrc_is_not_sent(run, monkeypatch, tmp_path, login, flags, sent):
    """Whatever ~/.netrc has for the host, the token of --token-file is sent, and without it nothing."""
    seen = []

    def application(environ, start_response):
        seen.append(environ.get("HTTP_AUTHORIZATION"))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(ANSWER).encode()]

    netrc = tmp_path / "netrc"
    netrc.write_text(f"{login} login me password PlantedPassword\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    with HttpServer(application) as server:
        code, *_ = run(*CHECK_WEB, "--url", server.url, *flags)

    assert (code, seen) == (0, [sent])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("PlantedFirst\nPlantedSecond", "The content of the file of --token-file is not one word of printable ASCII"),
        ("PlantedFirst\rPlantedSecond", "The content of the file of --token-file is not one word of printable ASCII"),
        ("Planted first", "The content of the file of --token-file is not one word of printable ASCII"),
        ("Planted…", "Cannot read the file of --token-file: it is not ASCII text"),
        (" \n", "The content of the file of --token-file is empty"),
        (None, "Cannot read the file of --token-file: No such file or directory"),
    ],
    ids=["newline inside", "CR inside", "blank inside", "not ASCII", "blank", "the token as the file's name"],
)
def test_a_token_that_cannot_be_sent(run, tmp_path, content, sentence):
    """A --token-file that holds no token exits with 3 and a sentence that quotes neither its content nor its name."""
    file = tmp_path / "PlantedToken"
    if content is not None:
        file.write_text(content)

    code, out, err = run(*CHECK_WEB, "--url", "http://127.0.0.1:9", "--token-file", str(file))

    assert (code, out) == (3, "")
    assert one_sentence(err).startswith(sentence)
    assert "Planted" not in err


@pytest.mark.parametrize(
    "between",
    ["", "\n", "\r", " "],
    ids=["plain", "newline", "CR", "blank"],
)
def test_a_proxys_password_is_not_printed(run, monkeypatch, between):
    """A proxy's address whose password is malformed, or that does not answer, exits with 3 and does not show it."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:Planted{between}Password@127.0.0.1:9")

    code, out, err = run(*CHECK_WEB, "--url", "http://provider.invalid")

    assert (code, out) == (3, "")
    assert one_sentence(err)
    assert "Planted" not in err
    assert "Password" not in err


def test_failed_requests_are_a_table(run):
    """For `errors` a table has the requests and failures of each target group."""
    counts = {"name": "k8s-shop-web", "requestCount": 900, "target5xxCount": 72, "connectionErrorCount": 1}
    observed = {"errorsByTargetGroup": [counts | {"errorPercent": 8.12}]}
    with serving("200 OK", ANSWER | {"observed": observed}) as server:
        _, out, _ = run("check", "errors", "--namespace", "shop", "--rollout", "web", "--url", server.url)

    head, row = out.splitlines()[-2:]
    assert cells(head) == ["TARGET GROUP", "REQUESTS", "TARGET 5XX", "CONNECTION ERRORS", "ERROR %"]
    assert cells(row) == ["k8s-shop-web", "900", "72", "1", "8.12"]


def test_serve_imports_nothing_that_it_does_not_need():
    """`serve` imports no library that is slow to import before gunicorn starts."""
    costly = "{'boto3', 'botocore', 'kubernetes', 'flask', 'gunicorn', 'pydantic', 'requests'}"
    program = f"import sys, provider.cli.main; print({costly} & sys.modules.keys())"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert done.stdout.strip() == "set()"
