"""The ReplicaSet controller and the kubelets: they make the pods that ReplicaSets want, from pending to gone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.world.cluster import objects
from tests.world.cluster.naming import safe_letters
from tests.world.cluster.store import KubernetesStore

ADDRESS_SECONDS = 1.5
"""From the creation of a pod to its IP address."""
READY_SECONDS = (3.5, 5.0)
"""From the creation of a pod to its ready containers: the first and the last pod of a ReplicaSet."""
RAMP_SECONDS = 4.0
"""In which 250 pods are created; fewer take a part of it."""
TERMINATION_SECONDS = 2.0
"""From the deletion of a pod to its disappearance."""

_ZONES_COUNT = 3
_Key = tuple[str, str]


@dataclass
class Pod:
    """One pod; its moments are in the seconds of the controllers' clock."""

    name: str
    address: str
    create_at: float
    address_at: float
    ready_at: float
    created: datetime
    ready_since: datetime | None = None
    gone_at: float | None = None
    stage: str = "planned"
    """`planned`, `pending`, `addressed`, `ready`, `terminating` or `ended`."""

    @property
    def is_active(self) -> bool:
        """Whether its ReplicaSet counts it, or has ordered it."""
        return self.stage not in ("terminating", "ended")


class PodController:
    """Makes and removes pods.

    The beginning of the image's tag says how they do: of `one-sick` the first fails its health checks, of `sick` all.
    `now` is the clock of what objects say, `seconds` that of durations.
    """

    def __init__(self, kubernetes: KubernetesStore, now: Callable[[], datetime], seconds: Callable[[], float]) -> None:
        self._kubernetes, self._now, self._seconds = kubernetes, now, seconds
        self.pods: dict[_Key, list[Pod]] = {}
        """By namespace and name of the ReplicaSet."""
        self.held: set[str] = set()
        """Names of ReplicaSets whose readiness gates never become true: containers are ready and pods are not."""
        self.sick_addresses: set[str] = set()
        """Addresses of pods that answer the load balancer's health checks with 500."""
        self.reusable: list[str] = []
        """Addresses of pods that are gone, for the next ones."""
        self._numbers, self._addresses = itertools.count(), itertools.count()

    def put_namespace_and_nodes(self, namespace: str) -> None:
        """Create the namespace and one node per availability zone."""
        self._kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for zone in range(_ZONES_COUNT):
            node = objects.node(_node_name(zone), instance_id=f"i-0{zone:016x}", zone="eu-west-1" + "abc"[zone])
            self._kubernetes.put(node)

    def reconcile(self, *, at_once: bool = False) -> None:
        """Bring every pod to its state at this moment, or `at_once` to ready."""
        present = {(stored.namespace, stored.name): stored.shared for stored in self._kubernetes.stored("ReplicaSet")}
        for key in [key for key in self.pods if key not in present]:
            for pod in self.pods.pop(key):
                self._remove(key, pod)
        for key, replica_set in present.items():
            pods = self.pods.setdefault(key, [])
            self._order(key, replica_set, pods)
            for pod in list(pods):
                self._advance(key, replica_set, pod, at_once=at_once)
            self._write_status(key, replica_set, pods)

    def replace_first(self, replica_set: _Key, *, evicts: bool = False) -> None:
        """Delete the oldest pod, as when its node is drained, or let its node evict it, which leaves it as Failed."""
        pod = next(pod for pod in self.pods[replica_set] if pod.is_active and pod.stage != "planned")
        pod.gone_at = None if evicts else self._seconds() + TERMINATION_SECONDS
        self._put(self._kubernetes.get("ReplicaSet", *replica_set), pod, "ended" if evicts else "terminating")

    def addresses(self, replica_set: _Key) -> set[str]:
        """Return the addresses of a ReplicaSet's pods, terminating ones too."""
        pods = self.pods.get(replica_set, ())
        return {pod.address for pod in pods if pod.stage not in ("planned", "pending", "ended")}

    def _order(self, key: _Key, replica_set: dict[str, Any], pods: list[Pod]) -> None:
        """Plan the pods that are missing, and let go of those that are too many."""
        active = [pod for pod in pods if pod.is_active]
        wanted = replica_set["spec"]["replicas"]
        missing = range(wanted - len(active))
        for number in missing:
            share = number / max(1, len(missing) - 1)
            create_at = self._seconds() + share * RAMP_SECONDS * min(1.0, len(missing) / 250)
            pods.append(self._planned(key, replica_set, create_at, share))
        for pod in active[wanted:]:
            if pod.stage == "planned":
                pods.remove(pod)
            else:
                pod.gone_at = self._seconds() + TERMINATION_SECONDS
                self._put(replica_set, pod, "terminating")

    def _planned(self, key: _Key, replica_set: dict[str, Any], create_at: float, share: float) -> Pod:
        first, last = READY_SECONDS
        address, tag = self._next_address(), image_tag(replica_set)
        is_first = not any(pod.is_active for pod in self.pods[key])
        if tag.startswith("sick") or (tag.startswith("one-sick") and is_first):
            self.sick_addresses.add(address)
        return Pod(
            name=f"{key[1]}-{safe_letters(f'{key} {next(self._numbers)}', 5)}",
            address=address,
            create_at=create_at,
            address_at=create_at + ADDRESS_SECONDS,
            ready_at=create_at + first + share * (last - first),
            created=self._now(),
        )

    def _next_address(self) -> str:
        """Return an address that no current pod has; addresses repeat after 40,000 pods."""
        if self.reusable:
            return self.reusable.pop()
        number = next(self._addresses) % 40_000
        return f"10.0.{number // 250}.{4 + number % 250}"

    def _advance(self, key: _Key, replica_set: dict[str, Any], pod: Pod, *, at_once: bool) -> None:
        now, stage = self._seconds(), pod.stage
        if stage == "planned" and (at_once or now >= pod.create_at):
            pod.created, stage = self._now(), "pending"
        if stage == "pending" and (at_once or now >= pod.address_at):
            stage = "addressed"
        if stage == "addressed" and (at_once or now >= pod.ready_at):
            started = pod.created + timedelta(seconds=READY_SECONDS[0])
            pod.ready_since, stage = started if at_once else self._now(), "ready"
        if stage != pod.stage:
            self._put(replica_set, pod, stage)
        if pod.gone_at is not None and now >= pod.gone_at:
            self.pods[key].remove(pod)
            self._remove(key, pod)

    def _write_status(self, key: _Key, replica_set: dict[str, Any], pods: list[Pod]) -> None:
        count = sum(pod.is_active and pod.stage != "planned" for pod in pods)
        ready = 0 if key[1] in self.held else sum(pod.stage == "ready" for pod in pods)
        status = {"replicas": count, "fullyLabeledReplicas": count, "readyReplicas": ready, "availableReplicas": ready}
        if any(replica_set["status"].get(name) != number for name, number in status.items()):
            updated = self._kubernetes.get("ReplicaSet", *key)
            updated["status"] |= status
            self._kubernetes.put(updated)

    def _put(self, replica_set: dict[str, Any], pod: Pod, stage: str) -> None:
        pod.stage = stage
        manifest = objects.pod(
            replica_set,
            pod.name,
            ip=pod.address if stage != "pending" else None,
            created_at=pod.created,
            containers_ready_since=pod.ready_since,
            ready=False if replica_set["metadata"]["name"] in self.held else None,
            terminating=stage == "terminating",
            node_name=_node_name(int(pod.address.split(".")[2]) % _ZONES_COUNT),
        )
        self._kubernetes.put(objects.end(manifest) if stage == "ended" else manifest)

    def _remove(self, key: _Key, pod: Pod) -> None:
        self.sick_addresses.discard(pod.address)
        if pod.stage != "planned":
            self._kubernetes.delete("Pod", key[0], pod.name)


def image_tag(workload: dict[str, Any]) -> str:
    """Return the tag of a ReplicaSet's first container's image."""
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]


def _node_name(zone: int) -> str:
    return f"ip-10-0-{zone}-10.eu-west-1.compute.internal"
