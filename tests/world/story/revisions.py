"""One revision of a Rollout in the story: its ReplicaSet and its pods' life cycle."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.world.cluster import objects
from tests.world.cluster.naming import safe_letters

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.world.cluster.store import KubernetesStore

ADDRESS_SECONDS = 1.5
"""From the creation of a pod to its IP address."""
READY_SECONDS = (3.5, 5.0)
"""From the creation of a pod to its ready containers: the first and the last pod of a ReplicaSet."""
TERMINATION_SECONDS = 2.0
"""From the deletion of a pod to its disappearance."""

_ZONES_COUNT = 3


class Cluster:
    """What all revisions share: the API and the pods' addresses."""

    def __init__(self, kubernetes: KubernetesStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.kubernetes = kubernetes
        self.now = now
        """The clock of what the objects say."""
        self.sick_addresses: set[str] = set()
        """Addresses of pods that answer their health check with 500."""
        self._addresses = itertools.count()

    def put_namespace_and_nodes(self, namespace: str) -> None:
        """Create the namespace and one node per availability zone."""
        self.kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for zone in range(_ZONES_COUNT):
            node = objects.node(node_name(zone), instance_id=f"i-0{zone:016x}", zone="eu-west-1" + "abc"[zone])
            self.kubernetes.put(node)

    def next_address(self) -> str:
        """Return an address that no current pod has; addresses repeat after 40,000 pods."""
        number = next(self._addresses) % 40_000
        return f"10.0.{number // 250}.{4 + number % 250}"


def node_name(zone: int) -> str:
    """Return the name of the node in a zone, counted from 0."""
    return f"ip-10-0-{zone}-10.eu-west-1.compute.internal"


@dataclass
class _Pod:
    """One pod; the moments are story seconds."""

    name: str
    address: str
    create_at: float
    address_at: float
    ready_at: float
    created: datetime
    gone_at: float | None = None
    stage: str = "planned"
    """`planned`, `pending`, `addressed`, `ready`, `terminating` or `ended`."""
    ready_since: datetime | None = None


class Revision:
    """A ReplicaSet and its pods, from pending to gone."""

    def __init__(self, cluster: Cluster, rollout: dict[str, Any], pod_hash: str, number: int) -> None:
        self.pod_hash = pod_hash
        self._cluster = cluster
        self._rollout = rollout
        self._number = number
        self._replicas = 0
        self._pods: list[_Pod] = []
        self._created: datetime | None = None
        self._published: tuple[object, ...] | None = None
        self._is_held = False
        self._replaced = 0
        self.scale_down_at: datetime | None = None
        """When Argo Rollouts is going to scale it down; None if it is not."""

    @property
    def pods_count(self) -> int:
        """How many pods exist, without those that are terminating or have ended."""
        return sum(pod.stage in ("pending", "addressed", "ready") for pod in self._pods)

    @property
    def ready_count(self) -> int:
        """How many pods are ready."""
        return 0 if self._is_held else sum(pod.stage == "ready" for pod in self._pods)

    def stand(self, replicas: int, *, since: timedelta = timedelta(minutes=10)) -> None:
        """Create the ReplicaSet and its pods as ready for this long: the story's initial state."""
        self._created = self._cluster.now() - since
        self.scale_up(replicas, now=0.0, ramp_seconds=0.0)
        for pod in self._pods:
            pod.created = self._created
            pod.ready_since = pod.created + timedelta(seconds=READY_SECONDS[0])
            self._put(pod, "ready")
        self.publish()

    def scale_up(self, replicas: int, *, now: float, ramp_seconds: float) -> None:
        """Start pods, spread over `ramp_seconds`."""
        self._replicas = replicas
        first, last = READY_SECONDS
        for number in range(replicas):
            share = number / max(1, replicas - 1)
            create_at = now + share * ramp_seconds
            self._pods.append(self._planned(number, create_at, first + share * (last - first)))

    def _planned(self, number: int, create_at: float, ready_seconds: float = READY_SECONDS[0]) -> _Pod:
        return _Pod(
            name=self._pod_name(number),
            address=self._cluster.next_address(),
            create_at=create_at,
            address_at=create_at + ADDRESS_SECONDS,
            ready_at=create_at + ready_seconds,
            created=self._cluster.now(),
        )

    def make_first_pod_sick(self) -> None:
        """Make the oldest pod answer its health checks with 500 for ever."""
        self._cluster.sick_addresses.add(self._oldest.address)

    def replace_first_pod(self, now: float) -> None:
        """Delete the oldest pod and create another one in its place, as when its node is drained."""
        old = self._oldest
        old.gone_at = now + TERMINATION_SECONDS
        self._put(old, "terminating")
        self._replace(now)

    def end_first_pod(self, now: float) -> None:
        """Let a node evict the oldest pod, which stays as Failed, and create another one in its place."""
        self._put(self._oldest, "ended")
        self._replace(now)

    @property
    def _oldest(self) -> _Pod:
        return next(pod for pod in self._pods if pod.stage != "ended")

    def _replace(self, now: float) -> None:
        self._replaced += 1
        self._pods.append(self._planned(self._replicas + self._replaced, now))

    def addresses(self) -> set[str]:
        """Return the addresses of all pods, terminating ones too."""
        return {pod.address for pod in self._pods if pod.stage not in ("planned", "pending", "ended")}

    def make_sick(self) -> None:
        """Make every pod answer the load balancer's health checks with 500 for ever."""
        self._cluster.sick_addresses.update(pod.address for pod in self._pods)

    def hold_by_readiness_gate(self) -> None:
        """Give the pods a readiness gate that never becomes true: their containers are ready and they are not."""
        self._is_held = True

    def scale_down(self, *, now: float) -> None:
        """Delete all pods but those that have ended; they are gone TERMINATION_SECONDS later."""
        self._replicas = 0
        self._pods = [pod for pod in self._pods if pod.stage != "planned"]
        for pod in self._pods:
            if pod.stage == "ended":
                continue
            pod.gone_at = now + TERMINATION_SECONDS
            self._put(pod, "terminating")

    def delete(self) -> None:
        """Remove the ReplicaSet, which must have no pods left but those that have ended."""
        for pod in [pod for pod in self._pods if pod.stage == "ended"]:
            self._remove(pod)
        namespace = self._rollout["metadata"]["namespace"]
        self._cluster.kubernetes.delete("ReplicaSet", namespace, self._replica_set()["metadata"]["name"])

    def tick(self, now: float) -> None:
        """Bring every pod to its state at this story second."""
        for pod in list(self._pods):
            if pod.stage == "planned" and now >= pod.create_at:
                pod.created = self._cluster.now()
                self._put(pod, "pending")
            if pod.stage == "pending" and now >= pod.address_at:
                self._put(pod, "addressed")
            if pod.stage == "addressed" and now >= pod.ready_at:
                pod.ready_since = self._cluster.now()
                self._put(pod, "ready")
            if pod.gone_at is not None and now >= pod.gone_at:
                self._remove(pod)
        self.publish()

    def publish(self) -> None:
        """Write the ReplicaSet if its numbers changed."""
        numbers = (self._replicas, self.pods_count, self.ready_count, self.scale_down_at)
        if numbers != self._published:
            self._published = numbers
            self._cluster.kubernetes.put(self._replica_set())

    def _replica_set(self) -> dict[str, Any]:
        built = objects.replica_set(self._rollout, self.pod_hash, replicas=self._replicas, available=self.ready_count)
        built["metadata"]["annotations"]["rollout.argoproj.io/revision"] = str(self._number)
        if self.scale_down_at is not None:
            deadline = objects.timestamp(self.scale_down_at)
            built["metadata"]["annotations"]["scale-down-deadline"] = deadline
        if self._created is not None:
            built["metadata"]["creationTimestamp"] = objects.timestamp(self._created)
        built["status"] |= {"replicas": self.pods_count, "fullyLabeledReplicas": self.pods_count}
        return built

    def _put(self, pod: _Pod, stage: str) -> None:
        pod.stage = stage
        zone = int(pod.address.split(".")[2]) % _ZONES_COUNT
        manifest = objects.pod(
            self._replica_set(),
            pod.name,
            ip=pod.address if stage != "pending" else None,
            created_at=pod.created,
            containers_ready_since=pod.ready_since,
            ready=False if self._is_held else None,
            terminating=stage == "terminating",
            node_name=node_name(zone),
        )
        self._cluster.kubernetes.put(objects.end(manifest) if stage == "ended" else manifest)

    def _remove(self, pod: _Pod) -> None:
        self._pods.remove(pod)
        self._cluster.sick_addresses.discard(pod.address)
        self._cluster.kubernetes.delete("Pod", self._rollout["metadata"]["namespace"], pod.name)

    def _pod_name(self, number: int) -> str:
        name = f"{self._rollout['metadata']['name']}-{self.pod_hash}"
        return f"{name}-{safe_letters(f'{name} {number}', 5)}"
