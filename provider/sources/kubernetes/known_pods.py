"""Pods that need not be listed again: a list of pods is the dearest read there is, and says little that is new.

Of a pod the list says two things that nothing cheaper says, its owner and its age. Neither changes for a uid, but that
an owner can let go of a pod. So while everything else accounts for each known pod, the last list still holds:

- the ReplicaSet is the same, its controller has seen its newest spec, and it wants, counts and had just these pods;
- in each Service that selects green, Kubernetes' own EndpointSlices have each of these pods, none of them terminating,
  and no other uid.

A pod that was deleted, relabelled, replaced or let go shows in the count, in the slices, or as an unknown uid. What is
left is the time that Kubernetes' controllers take to write these, usually tenths of a second, or as long as they are
down. That is why such a look only waits or watches: before a verdict decides about a switch, or aborts, the pods are
listed (`Cluster.confirmed`), and the list is never older than `PROVIDER_PODS_FRESH_SECONDS`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from provider.model.records import HASH_LABEL, EndpointSlice, Pod, ReplicaSet, Rollout, Service

MOST_AGE = timedelta(minutes=5)
"""Older lists are dropped: as long as `PROVIDER_PODS_FRESH_SECONDS` may be."""

MOST_PODS = 100_000
"""Pods that are remembered, of all Rollouts; the Rollout whose list is oldest goes first."""

ITS_CONTROLLER = "endpointslice-controller.k8s.io"
"""Who manages the EndpointSlices that count; anybody may write others for the same Service."""


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
        """Know nothing."""
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], PodList] = OrderedDict()
        self._size = 0

    def of(self, rollout: Rollout, now: datetime, seconds: float) -> PodList | None:
        """Return the last list of a Rollout's green, if it is that version's and no older than `seconds`."""
        with self._lock:
            known = self._known.get((rollout.namespace, rollout.name))
        if known is None or (known.rollout_uid, known.pod_hash) != (rollout.uid, rollout.current_hash):
            return None
        is_young = timedelta(0) <= now - known.read_at < timedelta(seconds=seconds)
        return known if known.services and is_young else None

    def note(self, rollout: Rollout, pods: tuple[Pod, ...], services: Mapping[str, Service], read_at: datetime) -> None:
        """Remember a list."""
        selecting = tuple(sorted(selecting_green(rollout, services.values())))
        with self._lock:
            self._drop((rollout.namespace, rollout.name))
            known = PodList(rollout.uid, rollout.current_hash, pods, selecting, read_at)
            self._known[rollout.namespace, rollout.name] = known
            self._size += len(pods)
            for key, oldest in list(self._known.items()):
                if self._size <= MOST_PODS and oldest.read_at >= read_at - MOST_AGE:
                    break
                self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        before = self._known.pop(key, None)
        self._size -= len(before.pods) if before else 0


def selecting_green(rollout: Rollout, services: Iterable[Service | None]) -> set[str]:
    """Return the names of the Services that select green's hash."""
    pod_hash = rollout.current_hash
    return {one.name for one in services if one is not None and pod_hash and one.selector.get(HASH_LABEL) == pod_hash}


def are_accounted_for(
    known: PodList, rollout: Rollout, replica_sets: Iterable[ReplicaSet], slices: Iterable[EndpointSlice]
) -> bool:
    """Tell whether the known pods are still exactly green's, by what was read now.

    `slices` are those of every Service that selects green, which are those of `known`.
    """
    owned = [one for one in replica_sets if one.owner_uid == rollout.uid]
    if len(owned) != 1:
        return False
    (green,) = owned
    listed = {pod.uid for pod in known.pods}
    ours = {pod.uid for pod in known.pods if pod.owner_uid == green.uid and not pod.terminating}
    counts = {green.replicas, green.counted, len(ours)}
    if green.observed_generation < green.generation or len(counts) != 1 or any(pod.terminating for pod in known.pods):
        return False
    behind: dict[str, set[str]] = {name: set() for name in known.services}
    for one in slices:
        if one.manager == ITS_CONTROLLER and one.service in behind:
            if one.has_terminating:
                return False
            behind[one.service].update(endpoint.pod_uid for endpoint in one.endpoints)
    return all(ours <= uids <= listed for uids in behind.values())
