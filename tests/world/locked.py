"""Print what `make run` installs beside requirements.lock: the world's part of requirements-dev.lock.

That is what the extra `world` and the build name, and all that these need by the comments ("via") in the lock. It runs
with Python alone.
"""

import re
import sys
import tomllib

from tests import ROOT

NAME = r"[a-z0-9][a-z0-9.-]*"


def packages(lock: str) -> list[tuple[str, str]]:
    """Return name and lines of every entry of a lock file."""
    entries = re.split(rf"^(?={NAME}==)", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [(entry.partition("==")[0], entry) for entry in entries]


def needed_by(entry: str) -> set[str]:
    """Return the packages that need this one."""
    return set(re.findall(rf"^    # +(?:via )?({NAME})", entry, re.MULTILINE))


def world() -> list[tuple[str, str]]:
    """Return name and lines of every entry that `make run` needs in addition to the run-time packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = (*project["build-system"]["requires"], *project["project"]["optional-dependencies"]["world"])
    entries, at_run_time = packages("requirements-dev.lock"), dict(packages("requirements.lock"))
    wanted: set[str] = set()
    more = {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
    while more:
        wanted |= more
        more = {name for name, entry in entries if needed_by(entry) & wanted} - wanted - at_run_time.keys()
    return [(name, entry) for name, entry in entries if name in wanted]


if __name__ == "__main__":
    sys.stdout.writelines(entry for _, entry in world())
