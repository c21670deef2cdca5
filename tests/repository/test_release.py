"""A release has one version everywhere, workflows that a linter accepts, and a kubectl plugin that krew installs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provider import __version__
from tests import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
KREW = ROOT / "deploy" / "krew"


def tool(name):
    """Where a program is that not every machine has."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH.")
    return found


def run(*command, **environment):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def test_the_changelog_begins_with_this_version():
    """The newest release of the changelog is the package's version, and versions and dates fall from there."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)

    assert ".".join(headings[0][:3]) == __version__
    numbers = [tuple(map(int, heading[:3])) for heading in headings]
    assert (numbers, headings) == (
        sorted(numbers, reverse=True),
        sorted(headings, key=lambda one: one[3], reverse=True),
    )


def test_the_workflows_are_valid():
    """Actionlint knows every key and expression of the workflows, and shellcheck's errors would be told too."""
    done = run(tool("actionlint"), *map(str, sorted(WORKFLOWS.glob("*.yaml"))))

    assert (done.returncode, done.stdout) == (0, "")


def test_no_action_can_change_behind_our_back():
    """Actions are pinned to a commit with its version, images to a digest, and no workflow may write by default."""
    texts = [path.read_text(encoding="utf-8") for path in WORKFLOWS.glob("*.yaml")]
    used = [line.strip(" -") for text in texts for line in text.splitlines() if "uses:" in line]

    assert used
    assert [one for one in used if not re.fullmatch(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []
    images = [image for text in texts for image in re.findall(r"[\w-]+/[\w-]+:[\w.-]+\S*", text) if "@v" not in image]
    assert images
    assert [image for image in images if not re.search(r"@sha256:[0-9a-f]{64}$", image)] == []
    assert all("\npermissions:\n  contents: read\n" in text for text in texts)


@pytest.fixture
def packed(tmp_path):
    """The archive and the manifest for krew, as the release workflow packs them."""
    done = run(str(KREW / "pack"), "example/alb-provider", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "out"


def test_krew_installs_the_plugin(packed, tmp_path):
    """Krew accepts the manifest with the archive's sum, and afterwards `kubectl alb-gate` is the plugin."""
    done = run(
        tool("krew"),
        "install",
        f"--manifest={packed / 'alb-gate.yaml'}",
        f"--archive={packed / 'kubectl-alb_gate.tar.gz'}",
        KREW_ROOT=str(tmp_path / "krew"),
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "krew" / "bin" / "kubectl-alb_gate").exists()


@pytest.mark.parametrize(
    ("runner", "arguments"), [("uvx", "--quiet --from {}"), ("pipx", "run --quiet --spec {}"), (None, "")]
)
def test_the_plugin_runs_this_version(tmp_path, runner, arguments):
    """The plugin runs its own version with uv or pipx and passes every argument on; without both it says so, with 3."""
    if runner is not None:
        fake = tmp_path / runner
        fake.write_text('#!/bin/sh\necho "$@"\n')
        fake.chmod(0o755)

    done = run("/bin/sh", str(KREW / "kubectl-alb_gate"), "check", "two words", PATH=str(tmp_path))

    if runner is None:
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("kubectl alb-gate needs uv")
    else:
        wanted = arguments.format(f"alb-provider=={__version__}")
        assert done.stdout == f"{wanted} kubectl-alb_gate check two words\n"


def test_the_command_is_a_plugin_of_kubectl():
    """With the package's scripts on the PATH, kubectl finds `alb-gate`, whose help calls it so."""
    scripts = Path(sys.executable).parent

    done = run(tool("kubectl"), "alb-gate", "--help", PATH=f"{scripts}:{os.environ['PATH']}")

    assert done.stdout.startswith("Usage: kubectl alb-gate [OPTIONS] COMMAND")
