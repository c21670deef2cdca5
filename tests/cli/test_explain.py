"""`explain` and `--watch`: what holds a Rollout up, in a terminal."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from provider import DOCUMENTATION
from tests.scene import Scene
from tests.server import PATIENCE
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
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell without job control lets its background jobs ignore Ctrl-C, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread runs
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def read_until(process, word):
    """Read lines until one has this word."""
    lines, until = [], time.monotonic() + PATIENCE
    while time.monotonic() < until:
        lines.append(process.stdout.readline())
        if word in lines[-1]:
            return "".join(lines)
    raise AssertionError("".join(lines))


def test_one_screen(run, scene, provider, client):
    """One screen has the state, what to do, what Argo does, asks and was told, and where to read more."""
    scene.template()
    scene.analyse()
    name = scene.analysis_run("Failed", measurements=[("Failed", 0, "0 of 3: web-1 unhealthy (Target.Timeout)")])
    scene.rollout["status"] |= {"phase": "Degraded", "message": "too many failures", "abort": True}
    scene.put()

    done = run("explain", *ABOUT_WEB, "--url", provider.url)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (4, "")
    assert lines[0] == "shop/web: Aborted"
    assert f"metric alb-gate of AnalysisRun {name} measured Failed at" in lines[1]
    assert "0 of 3: web-1 unhealthy (Target.Timeout)" in lines[1]
    assert "What to do  A person must act" in lines
    assert "  kubectl argo rollouts retry rollout web -n shop" in lines
    assert "      starts this version again, and the gate is asked again" in lines
    assert "Argo        Degraded; too many failures" in lines
    assert "New         6d9f7c, revision 0, app:1, 3 of 3 pods available" in lines
    assert f"ASKED BY metric alb-gate of {name}" in lines
    assert any(line.startswith("Inconclusive (RolloutAborted): Argo aborted Rollout web") for line in lines)
    assert f"Read more  {provider.url}/reasons#rolloutaborted" in lines
    assert 'id="rolloutaborted"' in client.get("/reasons").text
    assert f"Page        {provider.url}/rollouts/shop/web" in lines
    assert lines[-1].endswith("alb-gate: Failed: 0 of 3: web-1 unhealthy (Target.Timeout)")
    assert "\x1b" not in done.stdout


def test_the_documentation_has_its_own_address(run, monkeypatch):
    """ALB_PROVIDER_DOCUMENTATION is the address of the documentation that the command names."""
    monkeypatch.setenv("ALB_PROVIDER_DOCUMENTATION", "https://docs.test/alb/")

    assert run("--help").stdout.endswith("Documentation (docs/): https://docs.test/alb\n")


@pytest.mark.usefixtures("scene")
def test_with_own_credentials(run):
    """Without --url it reads Kubernetes and AWS itself, and needs no provider."""
    done = run("explain", *ABOUT_WEB)

    assert done.returncode == 2
    assert done.stdout.startswith("shop/web: Progressing\n")
    assert "NOT ASKED BY ARGO" in done.stdout
    assert "Successful (AllChecksPassed): " in done.stdout
    assert f"Read more  {DOCUMENTATION}/reference.md#allcheckspassed" in done.stdout.splitlines()
    assert DOCUMENTATION.startswith("https://")
    assert "Page" not in done.stdout


def test_a_failing_green_is_not_told_to_be_fine(run, scene):
    """What the Rollout's gate asks decides: with the gate Failed the command exits with 1, whatever else is well."""
    scene.template(query="gate?checks=target-health&unhealthyGraceSeconds=0")
    scene.analyse()
    for address in scene.addresses:
        scene.pin(address, "unhealthy", "Target.Timeout")

    done = run("explain", *ABOUT_WEB)
    asked = run("check", "as-argo", *ABOUT_WEB)

    assert (done.returncode, asked.returncode) == (1, 1)
    assert "Failed (TargetsUnhealthy): target-health: 0 of 3 green targets healthy" in done.stdout
    assert "What to do  A person must act" in done.stdout
    assert asked.stdout.startswith("alb-gate: Rollout shop/web, green 6d9f7c")


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.usefixtures("scene")
def test_programs_read_it_too(run, output):
    """With -o it is the answer of /v1/explain."""
    done = run("explain", *ABOUT_WEB, "-o", output)

    told = yaml.safe_load(done.stdout)
    assert (told["state"], told["action"], told["phase"]) == ("Progressing", "wait", "Successful")


@pytest.mark.usefixtures("scene")
def test_own_checks_replace_those_of_the_gate(run):
    """--checks asks the gate with these checks instead."""
    done = run("explain", *ABOUT_WEB, "--checks", "replicas")

    assert "gate?namespace=shop&rollout=web&checks=replicas" in done.stdout
    assert "target-health" not in done.stdout.partition("ASKED BY")[2]


def test_changes_are_followed(watch, scene, provider):
    """--watch prints the screen again when the answer changes, and Ctrl-C ends it with 130."""
    process = watch("explain", *ABOUT_WEB, "--url", provider.url)
    first = read_until(process, "AllChecksPassed")
    scene.rollout["status"] |= {"abort": True}
    scene.put()
    second = read_until(process, "shop/web: Aborted")
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 130
    assert "shop/web: Progressing" in first
    assert second


def test_every_rollout_is_listed(run, scene, world, provider):
    """`list` has a line for each Rollout, those that need a person first, of one namespace or with words on request."""
    other = Scene(world, name="pay", namespace="bank").build()
    other.rollout["status"] |= {"abort": True, "phase": "Degraded"}
    other.put()
    scene.analysis_run()

    done = run("list")
    shop = run("list", "-n", "shop", "--url", provider.url)
    words = run("list", "aborted", "-o", "json")

    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [line[:4] for line in lines[1:]] == [
        ["bank", "pay", "fix", "Aborted"],
        ["shop", "web", "wait", "AnalysisRunning"],
    ]
    assert lines[2][-3:] == ["app:1", "prePromotionAnalysis", "Running"]
    assert "pay" not in shop.stdout
    assert [one["rollout"] for one in json.loads(words.stdout)["rollouts"]] == ["pay"]


@pytest.mark.usefixtures("scene")
def test_names_are_completed(environment):
    """A shell completes the names of Rollouts and the values of a parameter."""

    def complete(*words):
        variables = environment | {"_ALB_PROVIDER_COMPLETE": "bash_complete", "COMP_CWORD": str(len(words))}
        variables |= {"COMP_WORDS": " ".join(["alb-provider", *words]), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "provider.cli.main"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=variables).stdout

    assert "plain,web" in complete("explain", "-n", "shop", "--rollout", "w")
    assert "plain,afterSwitch" in complete("check", "gate", "--stage", "after")
    assert "plain,as-argo" in complete("check", "as")


def test_no_help_is_cut(run):
    """The list of commands has whole sentences."""
    said = run("--help").stdout

    assert "..." not in said.partition("Commands:")[2]
    assert "List Rollouts, a line each: those that need a person first" in " ".join(said.split())


def test_check_follows_changes_in_single_lines(watch, scene, provider):
    """`check --watch` prints the whole answer once, then a line with the time for each change, JSON on request."""
    process = watch("check", "target-health", *ABOUT_WEB, "--url", provider.url)
    read_until(process, "k8s-shop-web-preview  100.0")
    scene.pin(scene.addresses[0], "initial")
    line = read_until(process, "TargetsInitial").splitlines()[-1]
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 130
    assert " UTC  Inconclusive (TargetsInitial): 2 of 3 green targets healthy" in line


def test_a_provider_that_goes_away_is_waited_for(watch, app, environment, scene):  # noqa: ARG001 - there is a Rollout
    """While a provider does not answer, --watch says so and goes on asking."""
    with HttpServer(app) as server:
        process = watch("check", "target-health", *ABOUT_WEB, "--url", server.url)
        read_until(process, "k8s-shop-web-preview  100.0")
    said = process.stderr.readline()
    process.send_signal(signal.SIGINT)

    assert "no answer: Cannot reach" in said
    assert process.wait(30) == 130


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


def test_what_is_no_explanation_is_refused(run, environment):  # noqa: ARG001 - no proxy may stand in between
    """Something else that answers with JSON is named."""

    def application(_, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]

    with HttpServer(application) as server:
        done = run("explain", *ABOUT_WEB, "--url", server.url)

    assert (done.returncode, "not an explanation" in done.stderr) == (3, True)
