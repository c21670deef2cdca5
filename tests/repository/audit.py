"""Looks the locked dependencies up among known vulnerabilities: `make audit`.

pip-audit passes over what its service does not know, and then says that all is well; here that is said.
"""

import json
import subprocess
import sys
from typing import Any

from tests import ROOT

LOCK = ROOT / "requirements.lock"


def verdict(found: list[dict[str, Any]]) -> tuple[int, str]:
    """Return the exit code and the sentence for pip-audit's list of dependencies."""
    bad = [
        f"{manifest['name']} {manifest['version']}: {vulnerability['id']}"
        for manifest in found
        for vulnerability in manifest.get("vulns", ())
    ]
    unknown = [manifest["name"] for manifest in found if "skip_reason" in manifest]
    if bad:
        return 1, f"{len(bad)} known vulnerabilities: {'; '.join(bad)}"
    if unknown:
        return 0, (
            f"{len(unknown)} of {len(found)} locked packages could not be looked up: the package index in use has no "
            "advisories. No known vulnerability among the others."
        )
    return 0, f"No known vulnerability in {len(found)} locked packages."


def main() -> int:
    """Ask pip-audit about the lock file."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    done = subprocess.run([*command, "-r", str(LOCK)], capture_output=True, text=True, check=False)
    try:
        document = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.stderr.write(f"{done.stderr.strip().splitlines()[-1:]}\nThe advisories could not be asked for.\n")
        return 0
    code, sentence = verdict(document)
    sys.stdout.write(sentence + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
