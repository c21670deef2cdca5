"""`check --wait`: until consecutive passes, a failure, a person, or the timeout."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.scene import GREEN
from tests.world.server.http_server import HttpServer

COMMAND = ("check", "target-health", "--namespace", "shop", "--rollout", "web")
QUICK = ("--wait", "--interval", "1")


@pytest.fixture(autouse=True)
def provider(app, environment, monkeypatch):  # noqa: ARG001 - no proxy may stand in between
    """A provider that answers over HTTP; its address is in the environment."""
    with HttpServer(app) as server:
        monkeypatch.setenv("ALB_PROVIDER_URL", server.url)
        yield


@pytest.mark.usefixtures("scene")
def test_consecutive_passes_are_needed(run):
    """It ends with 0 after so many passes, tells each answer on standard error, and prints the last one."""
    code, out, err = run(*QUICK, "--passes", "2")

    assert code == 0
    assert [line[-8:] for line in err.splitlines()] == ["(1 of 2)", "(2 of 2)"]
    assert out.splitlines()[1] == "Successful (TargetsHealthy)"


@pytest.fixture
def once_waiting(metrics):
    """Do something once the provider has answered that targets are initial."""
    labels = {"question": "target-health", "phase": "Inconclusive", "reason": "TargetsInitial"}

    def then(act):
        while not metrics.registry.get_sample_value("alb_provider_answers_total", labels):
            time.sleep(0.05)
        act()

    with ThreadPoolExecutor(1) as threads:
        yield lambda act: threads.submit(then, act)


def test_it_waits_for_green(run, scene, once_waiting):
    """While green is not ready it goes on asking."""
    scene.pin(scene.addresses[0], "initial")
    once_waiting(lambda: scene.pin(scene.addresses[0], "healthy"))

    code, out, err = run(*QUICK, "--passes", "1", "-o", "json")

    assert code == 0
    assert "Inconclusive (TargetsInitial)" in err
    assert json.loads(out)["phase"] == "Successful"


@pytest.mark.parametrize(
    ("state", "flags", "code"),
    [("unhealthy", ("--unhealthy-grace-seconds", "0"), 1), ("initial", ("--timeout", "2"), 2)],
)
def test_it_ends_without_a_pass(run, scene, state, flags, code):
    """A failure ends it at once with 1, the timeout with 2."""
    scene.pin(scene.addresses[0], state, "Target.Timeout")

    assert run(*QUICK, *flags)[0] == code


def test_what_needs_a_person_ends_it(run, scene):
    """What waiting does not change ends it at once with 4."""
    scene.rollout["status"] |= {"abort": True}
    scene.put()

    assert run(*QUICK)[0] == 4


def test_too_few_passes_at_the_timeout_are_no_pass(run, scene):  # noqa: ARG001 - green is healthy
    """A pass at the end of the time is not enough if more were needed."""
    code, out, err = run(*QUICK, "--passes", "50", "--timeout", "2")

    assert code == 2
    assert "The time is over, with" in err
    assert "Successful (TargetsHealthy)" in out


def test_a_newer_version_is_not_waited_for(run, scene, once_waiting):
    """The version of the first answer is pinned: another one in its place is Superseded, which needs a person."""
    scene.pin(scene.addresses[0], "initial")

    def replace_green():
        scene.rollout["status"]["currentPodHash"] = "fffffff"
        scene.put()

    once_waiting(replace_green)
    code, out, err = run(*QUICK)

    assert (code, "Superseded" in err) == (4, True)
    assert GREEN in out


@pytest.mark.usefixtures("scene")
def test_a_wrong_flag_is_not_waited_for(run):
    """A first query that is refused ends it at once with 3: waiting does not mend it."""
    code, out, err = run(*QUICK, "--min-healthy-percent", "0")

    assert (code, "minHealthyPercent" in err, out) == (3, True, "")


@pytest.mark.usefixtures("scene")
def test_yaml(run):
    """-o yaml prints the same answer as YAML."""
    assert yaml.safe_load(run("-o", "yaml")[1])["reason"] == "TargetsHealthy"


def test_help_has_ranges_choices_and_defaults(run):
    """--help tells what a parameter may be, and what it is by default."""
    text = " ".join(run("--help")[1].split())

    for part in ("[1 to 100; default: 100", "[one of beforeSwitch, afterSwitch]", "ALB_PROVIDER_URL", "-n, "):
        assert part in text


@pytest.mark.usefixtures("scene")
def test_watch_and_wait_exclude_each_other(run):
    """Both at once are misuse."""
    assert run("--watch", "--wait")[0] == 3
