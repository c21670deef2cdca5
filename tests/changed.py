"""The tests of the files changed since the last commit: `make check`.

A test file that changed is run itself; for a module of `provider/` it is the test file of its name in the same room,
else the whole room's folder. Long tests are left out.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests import ROOT

LEFT_OUT = ("tests/bench/", "tests/faults/", "tests/stories/")
"""They ask the whole provider, and take minutes."""


def changed() -> list[str]:
    """Return the paths of files that differ from the last commit, new ones included."""
    listed = [
        subprocess.run([*command], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
        for command in (
            ("git", "diff", "--name-only", "HEAD"),
            ("git", "ls-files", "--others", "--exclude-standard"),
        )
    ]
    return sorted({path for paths in listed for path in paths})


def tests_of(paths: Iterable[str]) -> list[str]:
    """Return the test files and folders to run for changed files, without those that take minutes."""
    found: dict[str, None] = {}
    for path in map(Path, paths):
        if path.parts[0] == "tests" and path.name.startswith("test_"):
            found[str(path)] = None
        elif path.parts[0] == "provider" and path.suffix == ".py":
            room = Path("tests", *path.parts[1:-1])
            mirror = room / f"test_{path.stem}.py"
            found[str(mirror if (ROOT / mirror).is_file() else room)] = None
        elif path.suffix in {".md", ".yaml"}:
            found["tests/repository/test_docs.py"] = None
    return [
        manifest
        for manifest in found
        if (ROOT / manifest).exists() and manifest != "tests" and not manifest.startswith(LEFT_OUT)
    ]


if __name__ == "__main__":
    chosen = tests_of(changed())
    if not chosen:
        sys.stdout.write("No quick test belongs to the files changed since the last commit.\n")
        sys.exit(0)
    sys.exit(subprocess.run([sys.executable, "-m", "pytest", "-q", *chosen], cwd=ROOT, check=False).returncode)
