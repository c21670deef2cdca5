"""Which tests `make check` runs."""

import pytest

from tests import changed


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (["provider/rules/green.py"], ["tests/rules/test_green.py"]),
        (["provider/sources/kubernetes/api_server.py"], ["tests/sources/kubernetes"]),
        (["tests/rules/test_green.py", "provider/rules/green.py"], ["tests/rules/test_green.py"]),
        (["tests/scene.py", "Makefile"], []),
        (["provider/settings.py"], ["tests/test_settings.py"]),
        (["README.md"], ["tests/repository/test_docs.py"]),
        (["tests/stories/test_story.py", "tests/gone/test_gone.py"], []),
    ],
)
def test_the_tests_of_changed_files(paths, chosen):
    """A module's tests are the file of its name, else its room; what takes minutes or is gone is left out."""
    assert changed.tests_of(paths) == chosen
