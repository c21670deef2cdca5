"""Both stand-ins as processes, the variables that lead a program to them, and what they were asked."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import requests
import yaml

from tests import ROOT
from tests.bench.stand_in import Call
from tests.bench.subjects import Subject

GREEN_IS_OLD = timedelta(minutes=15)
"""Old enough for any grace and for a whole CloudWatch window."""

SERVER_CORE, REST_CORE = 0, 1


def pinned(core: int) -> list[str]:
    """Return the beginning of a command that keeps to one core, where there are two."""
    return ["taskset", "--cpu-list", str(core)] if (os.cpu_count() or 1) > 1 and _has_taskset() else []


def _has_taskset() -> bool:
    return any((Path(folder) / "taskset").exists() for folder in os.environ["PATH"].split(os.pathsep))


class StandInProcess:
    """One stand-in; it ends when it is closed, or when this process does."""

    def __init__(self, kind: str, settings: dict[str, Any]) -> None:
        command = [*pinned(REST_CORE), sys.executable, "-m", "tests.bench.stand_in", kind, json.dumps(settings)]
        self._process: Any = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._session = requests.Session()
        self._session.trust_env = False

    def wait(self) -> None:
        """Wait until it serves."""
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("A stand-in did not start")
        self.url = f"http://127.0.0.1:{int(line)}"

    def calls(self) -> list[Call]:
        """What was asked since `forget`."""
        return [Call(**one) for one in self._session.get(f"{self.url}/bench/calls", timeout=60).json()]

    def change(self, subject: Subject) -> None:
        """Let a Rollout be another one."""
        told = quote(json.dumps(asdict(subject)))
        self._session.get(f"{self.url}/bench/change={told}", timeout=60).raise_for_status()

    def forget(self) -> None:
        """Drop the calls."""
        self._session.get(f"{self.url}/bench/forget", timeout=60).raise_for_status()

    def close(self) -> None:
        self._session.close()
        self._process.terminate()
        self._process.communicate()


@dataclass(frozen=True)
class Latencies:
    """Seconds from a request to its answer."""

    kubernetes: float
    aws: float


class BenchWorld:
    """A cluster and an account with these Rollouts, as a context manager."""

    def __init__(self, subjects: Iterable[Subject], latencies: Latencies) -> None:
        created_at = (datetime.now(UTC) - GREEN_IS_OLD).replace(microsecond=0)
        common = {"subjects": [asdict(one) for one in subjects], "created_at": created_at.isoformat()}
        self.kubernetes = StandInProcess("kubernetes", common | {"latency_seconds": latencies.kubernetes})
        self.aws = StandInProcess("aws", common | {"latency_seconds": latencies.aws})
        self._directory = tempfile.TemporaryDirectory(prefix="alb-provider-bench-")

    @property
    def environment(self) -> dict[str, str]:
        """The variables for a program to live here, and none of this machine but PATH."""
        kubeconfig = Path(self._directory.name) / "kubeconfig.yaml"
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(kubeconfig),
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCHB",
            "AWS_SECRET_ACCESS_KEY": "only-the-stand-in-accepts-this-key",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def directory(self) -> Path:
        """A folder for files that belong to this world; gone with it."""
        return Path(self._directory.name)

    def change(self, subject: Subject) -> None:
        """Let a Rollout be another one, in the cluster and in the account."""
        self.kubernetes.change(subject)
        self.aws.change(subject)

    def forget(self) -> None:
        """Forget every call."""
        self.kubernetes.forget()
        self.aws.forget()

    def __enter__(self) -> Self:
        for one in (self.kubernetes, self.aws):
            one.wait()
        name = "bench"
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.kubernetes.url}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        (self.directory / "kubeconfig.yaml").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self.kubernetes.close()
        self.aws.close()
        self._directory.cleanup()
