"""The real server in a process of its own, for the tests of it and of the whole story."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import requests

from tests import ROOT

PATIENCE = 120
"""Seconds that a test waits for what must happen: longer than any pause of a busy machine."""

PATIENT = {
    "PROVIDER_CONNECT_TIMEOUT_SECONDS": "30",
    "PROVIDER_READ_TIMEOUT_SECONDS": "30",
    "PROVIDER_BUDGET_SECONDS": "60",
    "PROVIDER_GRACEFUL_TIMEOUT_SECONDS": "60",
}
"""Settings with which a busy machine does not change an answer."""

ALWAYS_ANEW = {
    f"PROVIDER_{kind}_FRESH_SECONDS": "0"
    for kind in ("TOPOLOGY", "TARGET_HEALTH", "TARGET_GROUPS", "METRICS", "FAILURES")
} | {"PROVIDER_ELBV2_CALLS_PER_SECOND": "1000"}
"""A test that changes the world sees the change at once, and waits for nobody's turn, unless it says otherwise."""


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`alb-provider serve` on a free port, started by entering and stopped by leaving; its log is a file."""

    def __init__(self, environment: dict[str, str], directory: Path, **more: str) -> None:
        self.port = int(more.get("PROVIDER_PORT") or free_port())
        certificate = more.get("PROVIDER_TLS_CERT_FILE")
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.log = directory / f"server-{self.port}.log"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = certificate or True
        address = {"PROVIDER_HOST": "127.0.0.1", "PROVIDER_PORT": str(self.port)}
        code = {"PYTHONPATH": str(ROOT)}  # the code beside the tests, wherever the package is installed from
        self._environment = environment | code | address | ALWAYS_ANEW | more
        self._directory = directory

    def __enter__(self) -> Self:
        working_directory = Path(tempfile.mkdtemp(prefix="empty-", dir=self._directory))  # a port may come again
        working_directory.chmod(0o555)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "provider.cli.main", "serve"],
                env=self._environment,
                cwd=working_directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.written = working_directory
        give_up_at = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > give_up_at:
                self.stop()
                raise AssertionError(f"The server did not start: {self.log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def is_ready(self) -> bool:
        try:
            return self.session.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def ask(self, question: str, **parameters: str) -> requests.Response:
        return self.session.get(f"{self.url}/v1/{question}", params=parameters, timeout=PATIENCE)

    def stop(self) -> int:
        """Tell it to stop as Kubernetes does, and return its exit code."""
        self.session.close()
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.communicate()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `alb-provider` where the server runs, as `kubectl exec` does."""
        program = [sys.executable, "-m", "provider.cli.main", *command]
        return subprocess.run(program, env=self._environment, capture_output=True, text=True, timeout=120, check=False)

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far, each line of it a JSON object."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


def bare_environment(world: dict[str, str]) -> dict[str, str]:
    """The variables of a world and no others but PATH: no home, no proxies, no settings of this machine."""
    return {"PATH": os.environ["PATH"]} | world
