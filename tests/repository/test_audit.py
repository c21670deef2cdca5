"""What the audit makes of pip-audit's answer."""

import pytest

from tests.repository.audit import verdict

GOOD = {"name": "flask", "version": "3.1.3", "vulns": []}
BAD = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "own", "version": "1.0", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("found", "code", "sentence"),
    [
        ([GOOD], 0, "No known vulnerability in 1 locked packages."),
        ([GOOD, BAD, UNKNOWN], 1, "1 known vulnerabilities: old 1.0: PYSEC-2026-1"),
        ([GOOD, UNKNOWN], 0, "1 of 2 locked packages could not be looked up"),
    ],
    ids=["good", "vulnerable", "not looked up"],
)
def test_what_could_not_be_looked_up_is_not_called_good(found, code, sentence):
    """A vulnerability fails the audit, and a package that could not be looked up is reported."""
    assert (verdict(found)[0], verdict(found)[1].startswith(sentence)) == (code, True)
