"""A stand-in for the scheduler and all kubelets: gives pods a node, an address and conditions, and lets them go."""

import itertools
import time
from typing import Any, Protocol

from tests.real.api import Api, Manifest
from tests.real.loop import Loop

START_SECONDS = 1.0
"""From a pod's creation to its running containers."""

NODES = {f"node-{letter}": f"i-0{number:016x}" for number, letter in enumerate("abc", 1)}
"""Name and EC2 instance id of the nodes, one per zone."""


class Runtime(Protocol):
    """Runs the containers of pods by address."""

    def start(self, pod: Manifest, address: str) -> None:
        """Start a pod's container."""

    def stop(self, address: str) -> None:
        """Stop it."""

    def exit_code(self, pod: Manifest) -> int | None:
        """Run the pod of a Job once, and return how it ended, None while it runs."""


class Kubelet(Loop):
    """Runs every pod of the cluster. The image's tag decides how: `crash` never starts.

    With a runtime the containers exist, and a pod that is deleted runs until its preStop hook has slept.
    """

    def __init__(self, api: Api, runtime: Runtime | None = None) -> None:
        super().__init__("kubelet", 0.25)
        self._api = api
        self._runtime = runtime
        self._addresses: dict[str, str] = {}
        self._ends_at: dict[str, float] = {}
        self._numbers = itertools.count(4)
        self._seen_at: dict[str, float] = {}

    def put_nodes(self) -> None:
        """Register the nodes, which are ready."""
        for letter, (name, instance) in zip("abc", NODES.items(), strict=True):
            zone = f"eu-west-1{letter}"
            labels = {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name}
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
            self._api.apply([node | {"spec": {"providerID": f"aws:///{zone}/{instance}"}}])
            self._api.patch("Node", "", name, {"status": {"conditions": [_condition("Ready", met=True)]}}, "status")

    def step(self) -> None:
        """Bring every pod one step further."""
        now = time.monotonic()
        for pod in self._api.list("Pod", cached=True):
            seen_at = self._seen_at.setdefault(pod["metadata"]["uid"], now)
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self._terminate(pod, now)
            elif not pod["spec"].get("nodeName"):
                node = list(NODES)[next(self._numbers) % len(NODES)]
                target = {"apiVersion": "v1", "kind": "Node", "name": node}
                binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
                self._api.create("Pod", namespace, binding, name, "binding")
            elif now - seen_at >= START_SECONDS:
                self._advance(pod)

    def _terminate(self, pod: Manifest, now: float) -> None:
        metadata = pod["metadata"]
        if self._runtime is not None and (address := self._addresses.get(metadata["uid"])):
            hook = pod["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {})
            if now < self._ends_at.setdefault(metadata["uid"], now + hook.get("sleep", {}).get("seconds", 0)):
                return
            self._runtime.stop(address)
            del self._addresses[metadata["uid"]]
        self._api.delete("Pod", metadata["namespace"], metadata["name"], grace_seconds=0)

    def _advance(self, pod: Manifest) -> None:
        if self._runtime is not None and pod["spec"].get("restartPolicy") == "Never":
            self._run_once(pod, self._runtime)
            return
        wanted = self._crashing(pod) if image_tag(pod) == "crash" else self._running(pod)
        present = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
        if any(present.get(one["type"]) != one["status"] for one in wanted["conditions"]):
            self._api.patch("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], {"status": wanted}, "status")

    def _run_once(self, pod: Manifest, runtime: Runtime) -> None:
        code = runtime.exit_code(pod)
        if code is not None and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            ended = {"terminated": {"exitCode": code, "finishedAt": _now()}}
            containers = [_container(pod, ended, ready=False)]
            status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers}
            self._api.patch("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], {"status": status}, "status")

    def _running(self, pod: Manifest) -> Manifest:
        gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]
        true = {one["type"] for one in pod["status"].get("conditions", ()) if one["status"] == "True"}
        address = self._start(pod)
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                _condition("Initialized", met=True),
                _condition("ContainersReady", met=True),
                _condition("Ready", met=true.issuperset(gates)),
            ],
            "containerStatuses": [_container(pod, {"running": {"startedAt": _now()}}, ready=True)],
        }

    def _crashing(self, pod: Manifest) -> Manifest:
        address = pod["status"].get("podIP") or self._next_address()
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [_condition("ContainersReady", met=False), _condition("Ready", met=False)],
            "containerStatuses": [_container(pod, waiting, ready=False, restarts=7)],
        }

    def _start(self, pod: Manifest) -> str:
        uid = pod["metadata"]["uid"]
        if uid not in self._addresses:
            self._addresses[uid] = self._next_address()
            if self._runtime is not None:
                self._runtime.start(pod, self._addresses[uid])
        return self._addresses[uid]

    def _next_address(self) -> str:
        number = next(self._numbers)
        return f"10.0.{number // 250 % 250}.{number % 250 + 4}"


def image_tag(pod: Manifest) -> str:
    """Return the tag of the first container's image, with which a scenario says how its pods behave."""
    return str(pod["spec"]["containers"][0]["image"]).rpartition(":")[2]


def _container(pod: Manifest, state: Manifest, *, ready: bool, restarts: int = 0) -> Manifest:
    container = pod["spec"]["containers"][0]
    image = container["image"]
    fixed: dict[str, Any] = {"name": container["name"], "image": image, "imageID": image}
    return fixed | {"ready": ready, "started": ready, "restartCount": restarts, "state": state}


def _condition(kind: str, *, met: bool) -> Manifest:
    return {"type": kind, "status": "True" if met else "False", "lastTransitionTime": _now()}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
