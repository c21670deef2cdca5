"""`explain` and `--watch`: what holds a Rollout up, in a terminal."""

import json
import signal
import subprocess
import sys
import time

import pytest

from provider import DOCUMENTATION
from tests.world.server.http_server import HttpServer

ABOUT_WEB = ("--namespace", "shop", "--rollout", "web")


@pytest.fixture
def provider(app, environment):  # noqa: ARG001 - no proxy may stand in between
    """A provider that answers over HTTP."""
    with HttpServer(app) as server:
        yield server


@pytest.fixture
def run(environment):  # noqa: ARG001 - it is set in this process, which the other one inherits
    """Run the command to its end."""

    def run(*arguments):
        command = [sys.executable, "-m", "provider.cli.main", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def watch(environment):  # noqa: ARG001 - as above
    """Run a command that goes on until Ctrl-C, and return what it printed and its exit code."""
    running = []

    def begin(*arguments):
        command = [sys.executable, "-u", "-m", "provider.cli.main", *arguments, "--watch", "--interval", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def read_until(process, word):
    """Read lines until one has this word."""
    lines, until = [], time.monotonic() + 60
    while time.monotonic() < until:
        lines.append(process.stdout.readline())
        if word in lines[-1]:
            return "".join(lines)
    raise AssertionError("".join(lines))


def test_one_screen(run, scene, provider, client):
    """One screen has the cause, since when, what to do, what Argo does, green, and where to read more."""
    scene.rollout["status"] |= {"phase": "Degraded", "message": "too many failures", "abort": True}
    scene.put()
    client.get("/v1/gate?namespace=shop&rollout=web&checks=replicas,target-health")

    done = run("explain", *ABOUT_WEB, "--url", provider.url)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (4, "")
    assert lines[0].startswith("shop/web: Inconclusive (RolloutAborted) since ")
    assert lines[1].startswith("Argo aborted Rollout web (too many failures).")
    assert "What to do  Fix: a person must act. " in done.stdout
    assert f"Read more   {provider.url}/reasons#rolloutaborted" in lines
    assert 'id="rolloutaborted"' in client.get("/reasons").text
    assert "Argo        Degraded; too many failures; aborted" in lines
    assert "Green       6d9f7c, before the switch, Service web-preview, 3 pods wanted" in done.stdout
    assert f"Page        {provider.url}/rollouts/shop/web" in lines
    assert lines[-1].endswith("gate: Inconclusive (RolloutAborted)")
    assert all(len(line) < 400 for line in lines)


@pytest.mark.usefixtures("scene")
def test_with_own_credentials(run):
    """Without --url it reads Kubernetes and AWS itself, and needs no provider."""
    done = run("explain", *ABOUT_WEB)

    assert done.returncode == 0
    assert done.stdout.startswith("shop/web: Successful (AllChecksPassed) since ")
    assert f"Read more   {DOCUMENTATION}/reference.md#allcheckspassed" in done.stdout.splitlines()
    assert DOCUMENTATION.startswith("https://")
    assert "Page" not in done.stdout


def test_since_when_is_the_providers_memory(run, scene, provider, client, wall_clock):
    """The time is that of the first answer with this reason that the provider remembers, whoever asked."""
    wall_clock.advance(-3600)
    scene.pin(scene.addresses[0], "initial")
    client.get("/v1/target-health?namespace=shop&rollout=web")
    wall_clock.advance(3600)

    done = run("explain", *ABOUT_WEB, "--url", provider.url)

    assert "(1 h ago)" in done.stdout.splitlines()[0]


def test_changes_are_followed(watch, scene, provider):
    """--watch prints the screen again when the answer changes, and Ctrl-C ends it with the last answer's exit code."""
    process = watch("explain", *ABOUT_WEB, "--url", provider.url)
    first = read_until(process, "LAST CHANGES")
    scene.pin(scene.addresses[0], "initial", "Elb.InitialHealthChecking")
    second = read_until(process, "2 of 3 green targets healthy")
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 2
    assert "Successful (AllChecksPassed)" in first
    assert "Inconclusive (TargetsInitial)" in second


def test_check_follows_changes_in_single_lines(watch, scene, provider):
    """`check --watch` prints the whole answer once, then a line with the time for each change, JSON on request."""
    process = watch("check", "target-health", *ABOUT_WEB, "--url", provider.url)
    read_until(process, "k8s-shop-web-preview  100.0")
    scene.pin(scene.addresses[0], "initial")
    line = read_until(process, "TargetsInitial").splitlines()[-1]
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 2
    assert " UTC  Inconclusive (TargetsInitial): 2 of 3 green targets healthy" in line


def test_a_provider_that_goes_away_is_waited_for(watch, app, environment, scene):  # noqa: ARG001 - there is a Rollout
    """While a provider does not answer, --watch says so and goes on asking."""
    with HttpServer(app) as server:
        process = watch("check", "target-health", *ABOUT_WEB, "--url", server.url)
        read_until(process, "k8s-shop-web-preview  100.0")
    said = process.stderr.readline()
    process.send_signal(signal.SIGINT)

    assert "no answer: Cannot reach" in said
    assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--checks", "nothing"), "--checks must name some of replicas, target-health, errors"),
        (("--interval", "0"), "0.0 is not in the range"),
        (("--url", "localhost:8080"), "needs http://"),
    ],
)
def test_misuse(run, arguments, says):
    """What is wrong is a sentence, and the exit code is 3."""
    done = run("explain", *ABOUT_WEB, *arguments)

    assert done.returncode == 3
    assert says in " ".join(done.stderr.split())


def test_what_is_no_history_is_refused(run, environment):  # noqa: ARG001 - no proxy may stand in between
    """An older provider, or something else, that has no history is named."""
    answer = {
        "measurement": [100.0, "Successful", "x"],
        "message": "x",
        "observed": {},
        "phase": "Successful",
        "reason": "AllChecksPassed",
    }

    def application(_, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    with HttpServer(application) as server:
        done = run("explain", *ABOUT_WEB, "--url", server.url)

    assert (done.returncode, "not a history" in done.stderr) == (3, True)
