"""One way of answering, in a process of its own that waits for its turns."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tests import ROOT
from tests.bench.subjects import Subject
from tests.bench.world import SERVER_CORE, pinned


class Child:
    """A process of `child_process`."""

    def __init__(self, way: str, environment: Mapping[str, str], folder: Path = ROOT) -> None:
        self._way = way
        self._process: Any = subprocess.Popen(
            [*pinned(SERVER_CORE), sys.executable, "-m", "tests.bench.child_process", way],
            cwd=folder,  # Python looks for modules here first
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, subject: Subject) -> dict[str, Any]:
        """Let it ask about a subject; returns `cpu` and `wall` in seconds, `opinion`, `memory` in MiB."""
        self._process.stdin.write(json.dumps(asdict(subject)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The way {self._way} ended; its error is above")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
