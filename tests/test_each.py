"""One test over many cases fails by the name of each case that does."""

import os
import subprocess
import sys

from tests import ROOT

MODULE = """
from tests.each import each


@each("number, square", {"one": (1, 1), "two": (2, 5), "three": (3, 9), "four": (4, 15)})
def test_squares(number, square, tmp_path):
    assert tmp_path.is_dir()
    assert number**2 == square
"""


def test_every_failing_case_is_named(tmp_path):
    """All cases are tried, with the test's fixtures; those that fail are named, and the test fails."""
    (tmp_path / "test_squares.py").write_text(MODULE, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert [name for name in ("one", "two", "three", "four") if f" test_squares [{name}] " in done.stdout] == [
        "two",
        "four",
    ]
