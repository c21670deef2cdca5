"""A stand-in for the scheduler and all kubelets: gives pods a node, an address and conditions, and lets them go."""

import itertools
import time
from typing import Any

from tests.real.api import Api, Manifest
from tests.real.loop import Loop

START_SECONDS = 1.0
"""From a pod's creation to its running containers."""

NODES = {f"node-{letter}": f"i-0{number:016x}" for number, letter in enumerate("abc", 1)}
"""Name and EC2 instance id of the nodes, one per zone."""


class Kubelet(Loop):
    """Runs every pod of the cluster. The image's tag decides how: `crash` never starts."""

    def __init__(self, api: Api) -> None:
        super().__init__("kubelet", 0.25)
        self._api = api
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
        for pod in self._api.list("Pod"):
            seen_at = self._seen_at.setdefault(pod["metadata"]["uid"], now)
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self._api.delete("Pod", namespace, name, grace_seconds=0)
            elif not pod["spec"].get("nodeName"):
                node = list(NODES)[next(self._numbers) % len(NODES)]
                target = {"apiVersion": "v1", "kind": "Node", "name": node}
                binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
                self._api.create("Pod", namespace, binding, name, "binding")
            elif now - seen_at >= START_SECONDS:
                self._advance(pod)

    def _advance(self, pod: Manifest) -> None:
        wanted = self._crashing(pod) if image_tag(pod) == "crash" else self._running(pod)
        present = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
        if any(present.get(one["type"]) != one["status"] for one in wanted["conditions"]):
            self._api.patch("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], {"status": wanted}, "status")

    def _running(self, pod: Manifest) -> Manifest:
        gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]
        true = {one["type"] for one in pod["status"].get("conditions", ()) if one["status"] == "True"}
        address = pod["status"].get("podIP") or self._next_address()
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
