"""The connection to the cluster: which kubeconfig it takes, and whom it acts as."""

from pathlib import Path

import pytest
import yaml

from provider import __version__
from provider.model.errors import NotConfigured
from provider.sources.kubernetes.connection import connect
from tests.world.server.http_server import HttpServer


@pytest.fixture
def seen():
    """Whom each request acts as: a list of headers, names and values."""
    return []


@pytest.fixture
def api(seen):
    """A server that answers everything, and keeps whom it was asked as."""

    def application(environ, start_response):
        seen.append(sorted((name, value) for name, value in environ.items() if name.startswith("HTTP_IMPERSONATE")))
        start_response("200 OK", [])
        return [b"{}"]

    with HttpServer(application) as server:
        yield server


@pytest.fixture
def as_user(environment, api, seen):
    """Connect with a kubeconfig whose user has these keys, and ask once."""

    def as_user(**user):
        kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
        kubeconfig["clusters"][0]["cluster"]["server"] = api.url
        kubeconfig["users"][0]["user"] = user
        Path(environment["KUBECONFIG"]).write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        connect(pool_size=1).send("GET", "/version", (1, 5))
        return seen[-1]

    return as_user


def test_the_user_that_a_kubeconfig_acts_as_is_sent(as_user):
    """`as`, `as-uid`, `as-groups` and `as-user-extra` become the headers that kubectl sends, each value its own."""
    plain = as_user(token="a")
    sent = as_user(
        token="a",
        **{
            "as": "viewer",
            "as-uid": "0-1",
            "as-groups": ["developers", "on-call"],
            "as-user-extra": {"acme.com/team": ["shop", "web"]},
        },
    )

    assert plain == []
    assert sent == [
        ("HTTP_IMPERSONATE_EXTRA_ACME.COM%2FTEAM", "shop,web"),  # a WSGI server joins headers that come twice
        ("HTTP_IMPERSONATE_GROUP", "developers,on-call"),
        ("HTTP_IMPERSONATE_UID", "0-1"),
        ("HTTP_IMPERSONATE_USER", "viewer"),
    ]


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ({"as-groups": ["admins"]}, "no `as`"),
        ({"as-uid": "1"}, "no `as`"),
        ({"as": "viewer\r\nX: y"}, "Impersonate-User"),
        ({"as": "viewer", "as-groups": ["é"]}, "Impersonate-Group"),
    ],
    ids=["groups alone", "uid alone", "line break", "not ASCII"],
)
def test_a_user_that_nobody_can_act_as_is_refused(as_user, user, sentence):
    """Impersonation that kubectl could not send is refused with a sentence, so that no other rights apply."""
    with pytest.raises(NotConfigured, match=sentence):
        as_user(token="a", **user)


@pytest.fixture
def asked():
    """What each request asks for, and as which program."""
    return []


@pytest.fixture
def asks(environment, asked):
    """Ask for the version with a kubeconfig whose cluster has these keys; `{url}` is the server's own address."""

    def application(environ, start_response):
        asked.append((environ.get("REQUEST_URI") or environ["PATH_INFO"], environ["HTTP_HOST"]))
        asked.append(environ["HTTP_USER_AGENT"])
        start_response("200 OK", [])
        return [b"{}"]

    def asks(**cluster):
        kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
        kubeconfig["clusters"][0]["cluster"] = {key: one.format(url=server.url) for key, one in cluster.items()}
        Path(environment["KUBECONFIG"]).write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        return connect(pool_size=1).send("GET", "/version", (1, 5), query={"a": "b c"})

    with HttpServer(application) as server:
        yield asks


def test_a_server_below_a_path(asks, asked):
    """A server such as Rancher's proxy has a path of its own, which stands before each request's; the query follows."""
    assert asks(server="{url}/k8s/clusters/c-1") == (200, b"{}")

    assert asked[0][0].endswith("/k8s/clusters/c-1/version?a=b%20c")


def test_a_server_behind_a_proxy(asks, asked):
    """A kubeconfig's `proxy-url` is asked, about the server that is meant."""
    assert asks(server="http://kubernetes.invalid:8001", **{"proxy-url": "{url}"}) == (200, b"{}")

    assert asked[0][1] == "kubernetes.invalid:8001"


def test_the_audit_log_shows_the_provider(asks, asked):
    """Requests name the program and its version, as the audit log and metrics of the API server show them."""
    asks(server="{url}")

    assert asked[1] == f"alb-provider/{__version__}"


@pytest.mark.parametrize("value", ["", " "], ids=["empty", "blank"])
def test_an_empty_kubeconfig_variable_is_unset(environment, api, monkeypatch, tmp_path, value):
    """An empty KUBECONFIG means ~/.kube/config, as for kubectl."""
    kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text(encoding="utf-8"))
    kubeconfig["clusters"][0]["cluster"]["server"] = api.url
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", value)

    assert connect(pool_size=1).configuration.host == api.url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Cannot use KUBECONFIG to reach Kubernetes: it is incomplete"),
        ("{:[", "Cannot use KUBECONFIG to reach Kubernetes: it is not valid YAML (line 1)"),
        ("users: []", "Cannot use KUBECONFIG to reach Kubernetes: it has no current-context"),
        ("current-context: a\ncontexts: []", "Cannot use KUBECONFIG to reach Kubernetes: it has no a"),
    ],
    ids=["empty", "no YAML", "no context", "another context"],
)
def test_a_kubeconfig_that_is_none(monkeypatch, tmp_path, text, sentence):
    """A file that is no kubeconfig is refused with a sentence that says what it lacks."""
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))

    with pytest.raises(NotConfigured) as refused:
        connect(pool_size=1)

    assert str(refused.value) == sentence
