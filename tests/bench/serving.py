"""`alb-provider serve` as a process on a core of its own."""

import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from tests import ROOT
from tests.bench import processes
from tests.bench.world import SERVER_CORE, pinned
from tests.server import free_port

SERVE = (sys.executable, "-m", "provider.cli.main", "serve")
STARTS_WITHIN_SECONDS = 30
LOOK_EVERY_SECONDS = 0.01


class Serving:
    """Started by entering, once it is ready."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        *,
        folder: Path = ROOT,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self._command = [*pinned(SERVER_CORE), *SERVE]
        self._environment = {
            **environment,
            "PROVIDER_HOST": "127.0.0.1",
            "PROVIDER_PORT": str(self.port),
            **(more or {}),
        }
        self._log, self._folder = log, folder

    def __enter__(self) -> Self:
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self._process: Any = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() - began > STARTS_WITHIN_SECONDS:
                self._process.kill()
                raise RuntimeError(f"The server did not start: {self._log.read_text()[-2000:]}")
            time.sleep(LOOK_EVERY_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask once, on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def memory_mib(self) -> float:
        """Return the resident memory of its worker."""
        return processes.memory_mib(self._process.pid)

    def cpu_seconds(self) -> float:
        """Return the CPU used so far, start included."""
        return processes.cpu_seconds(self._process.pid)
