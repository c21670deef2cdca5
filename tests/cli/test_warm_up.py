"""`alb-provider warm-up`: real requests to a green that is slow, sick or somebody else's."""

import json
import time

import pytest

from provider.advice.warm_up.sending import MAX_PENDING
from tests.world.server.http_server import HttpServer

COMMAND = ("warm-up", "-n", "shop", "--rollout", "web", "--interval", "1", "--ramp-seconds", "0", "--rate", "100")
LOCAL = "127.0.0.1"

pytestmark = pytest.mark.usefixtures("environment")


class Version:
    """What answers as one version: slowly for its first requests, with a status."""

    def __init__(self, *, slow=0, status="200 OK"):
        self.slow, self.status, self.paths, self.headers = slow, status, [], []

    def __call__(self, environ, start_response):
        self.paths.append(environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"])
        self.headers.append((environ.get("HTTP_X_PREVIEW"), environ.get("HTTP_COOKIE")))
        time.sleep(0.1 if len(self.paths) <= self.slow else 0.001)
        start_response(self.status, [("Content-Type", "text/plain"), ("Set-Cookie", "a=b")])
        return [b"hello"]


@pytest.fixture
def serve():
    """Serve versions over HTTP."""
    servers = []

    def start(version):
        servers.append(HttpServer(version).start())
        return servers[-1].url

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def own_rule(world, scene):
    """A listener rule for this host to the green group."""
    world.aws.rule({scene.arn: 1}, host=LOCAL)


@pytest.mark.usefixtures("own_rule")
def test_green_is_warmed_until_it_is_as_fast_as_blue(run, serve):
    """The same requests go to both versions until green's newest answers are as fast; then it ends with 0."""
    green, blue = Version(slow=120), Version()

    code, out, err = run(
        "--url", serve(green), "--blue-url", serve(blue), "--path", "/a", "--header", "X-Preview: 1", "--json"
    )

    document = json.loads(out)
    assert (code, document["outcome"]) == (0, "Warm"), err
    assert len(green.paths) > 120
    assert set(green.paths) == set(blue.paths) == {"GET /a"}
    assert set(green.headers) == {("1", None)}
    assert len(green.paths) - MAX_PENDING <= document["green"]["requestCount"] <= len(green.paths)
    assert document["green"]["failedCount"] == 0
    assert "took longer than 1.5 times blue's" in err


@pytest.mark.usefixtures("own_rule")
def test_a_green_that_stays_cold_says_what_was_never_reached(run, serve):
    """When the time is over it ends with 2, and names the factor that was never reached."""
    code, out, _ = run("--url", serve(Version(slow=10**6)), "--blue-url", serve(Version()), "--max-seconds", "4")

    assert code == 2
    assert out.startswith("Cold: 1.5 times blue's 95th percentile was never reached in ")


@pytest.mark.usefixtures("own_rule")
def test_errors_end_it(run, serve):
    """More failed requests than allowed end it with 1, well before the time is over."""
    green = Version(status="503 Service Unavailable")

    code, out, _ = run("--url", serve(green), "--blue-url", serve(Version()))

    assert (code, out.split(":")[0]) == (1, "Failed")
    assert "requests failed, at last: HTTP 503" in out
    assert len(green.paths) < 1000


@pytest.mark.parametrize("status", ["404 Not Found", "301 Moved Permanently"])
@pytest.mark.usefixtures("own_rule")
def test_paths_that_green_does_not_serve(run, serve, status):
    """If every request is refused or redirected, perhaps by the load balancer itself, nothing is warmed: misuse, 3."""
    code, out, err = run("--url", serve(Version(status=status)), "--blue-url", serve(Version()))

    assert (code, out) == (3, "")
    assert f"requests were refused (HTTP {status[:3]}): give paths that green serves" in err


@pytest.mark.usefixtures("scene")
def test_other_peoples_hosts_are_not_sent_to(run, serve):
    """A host in none of the Rollout's listener rules gets no request, and the error names the hosts that would."""
    green = Version()

    code, out, err = run("--url", serve(green))

    assert (code, out, green.paths) == (3, "", [])
    assert f"{LOCAL} is not a host of the listener rules of Service web-preview" in err
    assert "elb.amazonaws.com" in err


@pytest.mark.usefixtures("scene")
def test_rules_that_may_not_be_read(run, serve, world):
    """Without the permission to read listener rules it says which one is missing, and sends nothing."""
    world.aws.faults.aws_error("DescribeListeners", "AccessDenied", "no", 403)
    green = Version()

    code, _, err = run("--url", serve(green))

    assert (code, green.paths) == (3, [])
    assert "elasticloadbalancing:DescribeListeners" in err
    assert "--any-host" in err


@pytest.mark.usefixtures("scene")
def test_any_host_on_request(run, serve):
    """With --any-host the rules are not read."""
    code, _, err = run("--url", serve(Version()), "--blue-url", serve(Version()), "--any-host")

    assert code == 0, err


def test_it_waits_for_targets(run, serve, scene):
    """Nothing is sent while the load balancer would answer 503 by itself: targets must be healthy first."""
    scene.pin(scene.addresses[0], "initial")
    green = Version()

    code, out, _ = run("--url", serve(green), "--max-seconds", "2")

    assert (code, green.paths) == (2, [])
    assert "1 initial" in out


@pytest.mark.usefixtures("scene")
def test_after_the_switch_there_is_nothing_to_warm(run, serve, scene):
    """A green that already takes production traffic needs a person: 4."""
    scene.switch()
    green = Version()

    code, out, _ = run("--url", serve(green))

    assert (code, green.paths) == (4, [])
    assert out.startswith("Needs a person: ")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--url", "localhost"), "the address needs http:// or https:// in front"),
        (("--url", "http://a", "--blue-url", "http://a/"), "--url and --blue-url are the same"),
        (("--url", "http://a", "--blue-url", ""), "--blue-url is empty"),
        (("--url", "http://a", "--provider", ""), "--provider is empty"),
        (("--url", "http://a/b"), "http://a/b has a path: give it with --path"),
        (("--url", "http://a", "--path", "b"), "--path: line 1"),
        (("--url", "http://a", "--requests", "/nowhere"), "Cannot read /nowhere: No such file"),
        (("--url", "http://a", "--path", "/", "--requests", "f"), "either --path or --requests"),
        (("--url", "http://a", "--header", "no colon"), "--header must be a name, a colon and a value"),
    ],
)
def test_misuse_is_named(run, flags, sentence):
    """A wrong flag ends it with 3 and a sentence before anything is asked or sent."""
    code, out, err = run(*flags)

    assert (code, out) == (3, "")
    assert sentence in err


@pytest.mark.usefixtures("scene")
def test_a_provider_knows_the_hosts_too(run, serve, app, world, scene):
    """With --provider both the verdicts and the hosts come from it."""
    world.aws.rule({scene.arn: 1}, host=LOCAL)
    with HttpServer(app) as server:
        code, _, err = run("--url", serve(Version()), "--blue-url", serve(Version()), "--provider", server.url)

    assert code == 0, err
