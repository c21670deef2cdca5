"""The container runtime of `tests/real/kubelet.py`: starts and stops the listeners of `tests/traffic/pods.py`."""

import http.client
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.real.api import Manifest
from tests.real.kubelet import NODES, image_tag
from tests.real.loop import Loop
from tests.world.cluster.endpoints import SERVICE_NAME_LABEL
from tests.world.cluster.store import KubernetesStore

BEHAVIOURS = ("sick", "cold", "broken", "hangup")
"""Image tags that say how a pod behaves; `tenth-sick` is one sick pod in ten, rounded up; all others are healthy."""

CHECK_SECONDS = 4.0
"""The timeout of health checks, of the embedded AWS's groups at an interval of 5 s."""

NODE_ADDRESSES = {instance: f"10.0.254.{number}" for number, instance in enumerate(NODES.values(), 1)}
"""By EC2 instance."""


class Containers:
    """All containers of the cluster, in one process. A context manager."""

    def __init__(self, directory: Path) -> None:
        self.environment: dict[str, str] = {}
        """The environment variables of the pods of Jobs."""
        self._node_ports: set[int] = set()
        self._jobs: dict[str, subprocess.Popen[bytes]] = {}
        self._directory = directory
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        with (self._directory / "pods.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.traffic.pods"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.communicate()
        for job in self._jobs.values():
            job.terminate()
            job.wait()

    def start(self, pod: Manifest, address: str) -> None:
        """Start a pod's container: it listens when this returns."""
        [port] = pod["spec"]["containers"][0].get("ports", [{"containerPort": 8080}])[:1]
        self._command(f"start {address} {port['containerPort']} {self._behaviour(pod)}")

    def stop(self, address: str) -> None:
        """Stop the container of an address, after its preStop hook."""
        self._command(f"stop {address}")

    def exit_code(self, pod: Manifest) -> int | None:
        """Run the command of a Job's pod as a process, once."""
        uid = pod["metadata"]["uid"]
        if uid not in self._jobs:
            with (self._directory / "jobs.log").open("ab") as log:
                command = pod["spec"]["containers"][0]["command"]
                self._jobs[uid] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        return self._jobs[uid].poll()

    def forward(self, port: int, endpoints: Iterable[str]) -> None:
        """Listen at a node port of every node, once, and forward its connections to these endpoints."""
        if port not in self._node_ports:
            self._node_ports.add(port)
            for address in NODE_ADDRESSES.values():
                self._command(f"node {address} {port}")
        self._command(f"endpoints {port} {' '.join(endpoints)}")

    def is_well(self, address: str, port: int) -> bool:
        """Check a target's health as the load balancer does: with a request."""
        connection = http.client.HTTPConnection(NODE_ADDRESSES.get(address, address), port, timeout=CHECK_SECONDS)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _behaviour(self, pod: Manifest) -> str:
        tag = image_tag(pod)
        if tag == "tenth-sick":
            version = f"{pod['metadata']['namespace']}/{pod['metadata'].get('generateName')}"
            self._counts[version] += 1
            return "sick" if self._counts[version] % 10 == 1 else "healthy"
        return tag if tag in BEHAVIOURS else "healthy"

    def _command(self, line: str) -> None:
        with self._lock:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            if self.process.stdout.readline() != "done\n":
                raise RuntimeError(f"The pods' process ended at {line!r}: see {self._directory / 'pods.log'}.")


class KubeProxy(Loop):
    """A stand-in for kube-proxy: node ports lead to the ready endpoints of their Services; connections stay."""

    def __init__(self, mirror: KubernetesStore, containers: Containers) -> None:
        super().__init__("kube-proxy", 0.25)
        self._mirror, self._containers = mirror, containers
        self._forwarded: dict[int, list[str]] = {}

    def step(self) -> None:
        """Follow the endpoints once."""
        for service in self._mirror.stored("Service"):
            for node_port in [port["nodePort"] for port in service.shared["spec"]["ports"] if "nodePort" in port]:
                endpoints = sorted(self._endpoints(service.namespace, service.name))
                if self._forwarded.get(node_port) != endpoints:
                    self._forwarded[node_port] = endpoints
                    self._containers.forward(node_port, endpoints)

    def _endpoints(self, namespace: str, service: str) -> Iterable[str]:
        for part in self._mirror.stored("EndpointSlice", namespace, **{SERVICE_NAME_LABEL: service}):
            for endpoint in part.shared["endpoints"] or ():
                if endpoint["conditions"].get("ready"):
                    for port in part.shared["ports"] or ():
                        yield f"{endpoint['addresses'][0]}:{port['port']}"
