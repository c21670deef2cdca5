"""The image, as far as it can be tried without an engine: its install steps, and what it starts.

The build stage's own commands run in a scratch directory, with a Python of this machine in place of the base image's.
"""

import ast
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from provider import __version__
from tests import ROOT
from tests.server import PATIENCE, bare_environment, free_port

NOBODY = 65534
PROBES = ("/livez", "/readyz")
OFFLINE = "after connection broken by"
"""What pip writes when it cannot reach its index."""

pytestmark = pytest.mark.timeout(900)  # a slow package index is not a failure


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, its lines joined."""

    name: str
    argument: str


def stages():
    """The instructions of each stage, build stage first."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    instructions = [Instruction(*line.split(maxsplit=1)) for line in lines if line.strip()]
    starts = [number for number, one in enumerate(instructions) if one.name == "FROM"]
    return [instructions[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def arguments(stage, name):
    """The arguments of all instructions of this name in a stage."""
    return [one.argument for one in stage if one.name == name]


def ignored():
    """What .dockerignore lets in, and what of it it keeps out, by the names of files and folders."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    let_in = {rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")}
    kept_out = {rule.removeprefix("**/").rstrip("/").rpartition("/")[2] for rule in rules if rule[0] != "!"} - {"*"}
    return let_in, kept_out


def unprivileged():
    """How to start a process as nobody where the tests run as root; otherwise the tests' own user is unprivileged."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def python_for_nobody():
    """A Python that fits pyproject.toml and that an unprivileged user may run: root's own may be in root's home."""
    wanted = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    names = [sys._base_executable]  # type: ignore[attr-defined] # what a virtual environment was made of
    names += [f"{folder}/python3" for folder in (*os.get_exec_path(), "/usr/local/bin", "/usr/bin")]
    for name in dict.fromkeys(os.path.realpath(name) for name in names):
        try:
            tried = subprocess.run(
                [name, "-c", wanted], cwd="/", stderr=subprocess.DEVNULL, check=False, **unprivileged()
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return name
    return pytest.skip("No Python 3.11 or newer with venv and ensurepip can be run by an unprivileged user.")


@dataclass(frozen=True)
class Image:
    """What the build stage made: a virtual environment in a directory that everybody may read."""

    directory: Path

    @property
    def venv(self) -> Path:
        """Where /opt/venv of the image is."""
        return self.directory / "venv"

    def environment(self, world, **more):
        """The variables of a container, and those that lead into the world."""
        path = f"{self.venv / 'bin'}:{os.defpath}"
        return bare_environment(world) | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | more

    def installed(self):
        """The distributions in the virtual environment, by name, with their versions."""
        listing = [sys.executable, "-m", "pip", "--python", str(self.venv / "bin" / "python"), "list", "--format=json"]
        done = subprocess.run(listing, capture_output=True, check=True, timeout=60)
        return {re.sub(r"[-_.]+", "-", load["name"].lower()): load["version"] for load in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def image():
    """The build stage, executed: the same files, the same commands, other directories."""
    with tempfile.TemporaryDirectory(prefix="alb-provider-image-") as made:
        directory = Path(made)
        directory.chmod(0o755)  # another user runs what is installed here
        source, python = directory / "src", directory / "python"
        source.mkdir()
        subprocess.run([python_for_nobody(), "-m", "venv", str(python)], check=True, timeout=120)
        build, _ = stages()
        places = {"/opt/venv": str(directory / "venv"), "/wheels": str(directory / "wheels")}
        environment = os.environ | {
            "PATH": f"{python / 'bin'}:{os.environ['PATH']}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        environment.pop("VIRTUAL_ENV", None)
        for step in build:
            if step.name == "COPY":
                copy(*step.argument.split(), into=source)
            if step.name == "RUN":
                command = re.sub("|".join(places), lambda found: places[found[0]], step.argument)
                run(command, source, environment)
        yield Image(directory)


def copy(*paths, into):
    """Copy as COPY does, without what .dockerignore keeps out."""
    let_in, kept_out = ignored()
    *origins, target = paths
    for origin in origins:
        assert origin.rstrip("/") in let_in
        if origin.endswith("/"):
            shutil.copytree(ROOT / origin, into / target, ignore=shutil.ignore_patterns(*kept_out))
        else:
            shutil.copy(ROOT / origin, into / target)


def run(command, directory, environment):
    """Run a command as RUN does; without a package index the tests of the image are skipped."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=directory, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode != 0 and OFFLINE in done.stderr:
        pytest.skip("No package index can be reached, so the image's packages cannot be installed.")
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_every_stage_has_the_same_pinned_base():
    """Both stages are of one slim Python image, named by its version and digest, so that the environment fits it."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    bases = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)

    assert [re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base) is not None for base in bases] == [
        True
    ]
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]


def test_the_final_stage_only_copies_what_was_built():
    """Nothing is installed in the final stage, pip itself is removed, and only the environment comes from the build."""
    _, final = stages()

    assert arguments(final, "COPY") == ["--from=build /opt/venv /opt/venv"]
    assert [command for command in arguments(final, "RUN") if "install" in command.replace("uninstall", "")] == []
    assert any(" uninstall " in command and command.endswith(" pip") for command in arguments(final, "RUN"))


def test_the_final_stage_says_what_runs():
    """The image runs `alb-provider serve` by a number that is not root, and tells its title, licence and version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    _, final = stages()

    (labels,) = [dict(part.split("=", 1) for part in shlex.split(argument)) for argument in arguments(final, "LABEL")]
    (user,) = arguments(final, "USER")
    (entry,), (command,) = arguments(final, "ENTRYPOINT"), arguments(final, "CMD")
    assert (json.loads(entry), json.loads(command)) == (["alb-provider"], ["serve"])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert (
        labels.items()
        >= {
            "org.opencontainers.image.title": project["name"],
            "org.opencontainers.image.description": project["description"],
            "org.opencontainers.image.version": __version__,
            "org.opencontainers.image.licenses": project["license"],
        }.items()
    )


def test_the_engine_gets_only_what_is_copied():
    """What .dockerignore lets in is what the Dockerfile copies, no more."""
    build, _ = stages()
    let_in, _ = ignored()

    copied = {path.rstrip("/") for argument in arguments(build, "COPY") for path in argument.split()[:-1]}

    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"
    assert let_in == copied


@pytest.mark.long
def test_exactly_the_locked_packages_are_installed(image):
    """The environment has the packages of requirements.lock in their versions, the provider, and nothing else."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    installed = image.installed()

    for_another_python = locked.keys() - installed.keys()
    assert installed == {name: version for name, version in locked.items() if name in installed} | {
        project["name"]: __version__
    }
    assert all(re.search(rf"^{name}==[^ ]+ ;", lock, re.MULTILINE) for name in for_another_python)


@pytest.mark.long
def test_nothing_that_builds_or_tests_is_installed(image):
    """Neither an installer nor what builds or tests the provider is in the environment."""
    assert image.installed().keys() & {"pip", "setuptools", "hatchling", "moto", "pytest", "hypothesis", "uv"} == set()
    assert list(image.venv.glob("lib/python3.*/site-packages/provider/http/app.py"))
    assert list(image.venv.glob("lib/python3.*/site-packages/tests")) == []


@pytest.mark.long
def test_it_serves_as_nobody_from_a_read_only_directory(image, world):
    """Started as the image starts it, by a user who may write nowhere there, it lives, is ready, and stops with 0."""
    _, final = stages()
    command = [part for name in ("ENTRYPOINT", "CMD") for part in json.loads(arguments(final, name)[0])]
    (check,) = [json.loads(argument[argument.index("[") :]) for argument in arguments(final, "HEALTHCHECK")]
    empty = image.directory / "srv"
    empty.mkdir(mode=0o555)
    port = free_port()
    environment = image.environment(
        world.environment(image.directory), PROVIDER_HOST="127.0.0.1", PROVIDER_PORT=str(port)
    )
    session = requests.Session()
    session.trust_env = False
    log = image.directory / "log"

    with log.open("wb") as written:
        started = [str(image.venv / "bin" / command[0]), *command[1:]]
        server = subprocess.Popen(started, env=environment, cwd=empty, stdout=written, stderr=written, **unprivileged())
    try:
        statuses = {path: status_within(session, f"http://127.0.0.1:{port}{path}", server) for path in PROBES}
        healthy = subprocess.run(
            [str(image.venv / "bin" / check[0]), *check[1:]],
            env=environment,
            cwd=empty,
            timeout=PATIENCE,
            check=False,
        )
        server.send_signal(signal.SIGTERM)
        code = server.wait(PATIENCE)
    finally:
        server.kill()
        server.wait()
        session.close()

    assert statuses == dict.fromkeys(PROBES, 200), log.read_text(encoding="utf-8")
    assert (healthy.returncode, code) == (0, 0), log.read_text(encoding="utf-8")
    assert list(empty.iterdir()) == []


def status_within(session, url, server):
    """The status of a path, asked again until it is 200, the server is gone, or it had its time to start."""
    status, give_up_at = 0, time.monotonic() + PATIENCE
    while status != 200 and server.poll() is None and time.monotonic() < give_up_at:
        try:
            status = session.get(url, timeout=2).status_code
        except requests.RequestException:
            time.sleep(0.1)
    return status


def test_the_healthcheck_asks_a_real_route():
    """HEALTHCHECK is a program that Python can parse; it asks /livez on the port that is set, and no proxy."""
    _, final = stages()
    (check,) = [json.loads(argument[argument.index("[") :]) for argument in arguments(final, "HEALTHCHECK")]

    assert check[:2] == ["python", "-c"]
    assert ast.parse(check[2])
    assert "'/livez'" in check[2]
    assert "PROVIDER_PORT" in check[2]
    assert "urllib" not in check[2]
