"""Pods that need not be listed again: the list of pods is the most expensive read, and rarely has anything new.

The list tells two things of a pod that no cheaper read tells: its owner and its age. For one uid neither changes,
except that an owner can release a pod. So the last list is still valid while the other reads account for each pod:

- the ReplicaSet is the same, its controller has processed the newest spec, and its `spec.replicas`, `status.replicas`
  and listed pods agree;
- in each Service that selects green, the EndpointSlices of Kubernetes' controller have each of these pods, none of them
  terminating, and no other uid.

A pod that was deleted, relabelled, replaced or released shows in the count, in the slices, or as an unknown uid. These
lag behind by what Kubernetes' controllers take to write them: usually tenths of a second, or as long as they are down.
Therefore such an answer only waits or watches: before a verdict decides about a switch, or aborts, the pods are listed
(`TopologyReader.confirmed`), and the list is never older than `PROVIDER_PODS_FRESH_SECONDS`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from provider.model.records import HASH_LABEL, EndpointSlice, Pod, ReplicaSet, Rollout, Service

MAX_AGE = timedelta(minutes=5)
"""Older lists are dropped. The maximum of `PROVIDER_PODS_FRESH_SECONDS`."""

MAX_PODS = 100_000
"""Pods in all lists; the oldest list is dropped first."""

SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
"""Manager of the EndpointSlices that count: anyone may write others for the same Service."""


@dataclass(frozen=True, slots=True)
class PodList:
    """A list of every pod with green's hash, when it was read, and the Services that selected green then."""

    rollout_uid: str
    pod_hash: str
    pods: tuple[Pod, ...]
    services: tuple[str, ...]
    read_at: datetime


class KnownPods:
    """The last list of each Rollout. Thread-safe."""

    def __init__(self) -> None:
        """Start without a list."""
        self._lock = Lock()
        self._lists: OrderedDict[tuple[str, str], PodList] = OrderedDict()
        self._size = 0

    def of(self, rollout: Rollout, now: datetime, seconds: float) -> PodList | None:
        """Return the last list of a Rollout's green, if it is of that version and no older than `seconds`."""
        with self._lock:
            known = self._lists.get((rollout.namespace, rollout.name))
        if known is None or (known.rollout_uid, known.pod_hash) != (rollout.uid, rollout.current_hash):
            return None
        is_young = timedelta(0) <= now - known.read_at < timedelta(seconds=seconds)
        return known if known.services and is_young else None

    def note(self, rollout: Rollout, pods: tuple[Pod, ...], services: Mapping[str, Service], read_at: datetime) -> None:
        """Keep a list."""
        selecting = tuple(sorted(selecting_green(rollout, services.values())))
        with self._lock:
            self._drop((rollout.namespace, rollout.name))
            known = PodList(rollout.uid, rollout.current_hash, pods, selecting, read_at)
            self._lists[rollout.namespace, rollout.name] = known
            self._size += len(pods)
            for key, oldest in list(self._lists.items()):
                if self._size <= MAX_PODS and oldest.read_at >= read_at - MAX_AGE:
                    break
                self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        before = self._lists.pop(key, None)
        self._size -= len(before.pods) if before else 0


def selecting_green(rollout: Rollout, services: Iterable[Service | None]) -> set[str]:
    """Return the names of the Services that select green's hash."""
    pod_hash = rollout.current_hash
    if not pod_hash:
        return set()
    return {service.name for service in services if service and service.selector.get(HASH_LABEL) == pod_hash}


def are_accounted_for(
    known: PodList, rollout: Rollout, replica_sets: Iterable[ReplicaSet], slices: Iterable[EndpointSlice]
) -> bool:
    """Tell whether the known pods are still exactly green's, by what was read now.

    `slices` are those of every Service that selects green; these are the Services of `known`.
    """
    owned = [replica_set for replica_set in replica_sets if replica_set.owner_uid == rollout.uid]
    if len(owned) != 1:
        return False
    (green,) = owned
    listed = {pod.uid for pod in known.pods}
    of_green = {pod.uid for pod in known.pods if pod.owner_uid == green.uid and not pod.terminating}
    counts = {green.replicas, green.counted, len(of_green)}
    if green.observed_generation < green.generation or len(counts) != 1 or any(pod.terminating for pod in known.pods):
        return False
    behind: dict[str, set[str]] = {name: set() for name in known.services}
    for endpoint_slice in slices:
        if endpoint_slice.manager == SLICE_CONTROLLER and endpoint_slice.service in behind:
            if endpoint_slice.has_terminating:
                return False
            behind[endpoint_slice.service].update(endpoint.pod_uid for endpoint in endpoint_slice.endpoints)
    return all(of_green <= uids <= listed for uids in behind.values())
