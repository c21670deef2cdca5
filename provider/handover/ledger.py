"""What this replica registered in production, per Rollout: written down before AWS is asked to.

It is lost with the process; what is left behind then is recognised from evidence (`rules/handover.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from provider.model.errors import DeadlineExceeded
from provider.model.records import TargetGroup
from provider.sources.deadline import Deadline

Key = tuple[str, str]
"""Namespace and name of a Rollout."""

Address = tuple[str, int]
"""An IP address and a port."""

MOST_ROLLOUTS = 1_000
"""Rollouts whose last handover is remembered; beyond that one that nothing is registered for is forgotten."""


ANEW_AFTER = timedelta(seconds=60)
"""How long nobody must have asked before a version may be handed over again after it took too long."""


@dataclass(slots=True)
class Handover:
    """One Rollout's handover of one version, and the targets that were registered for it, by target group.

    `service` is the production Service. `begun_at` is when the first target was registered, None while none is. `turn`
    counts the undoings, so that an answer notices one that came after its evidence. `undo` is why the handover is to be
    undone, empty while it is not.
    """

    pod_hash: str
    asked_at: datetime
    service: str = ""
    most_seconds: float = 0.0
    begun_at: datetime | None = None
    timed_out: bool = False
    turn: int = 0
    undo: str = ""
    targets: dict[TargetGroup, set[Address]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def is_open(self) -> bool:
        """Whether something may be registered."""
        return any(tuple(self.targets.values()))

    @property
    def count(self) -> int:
        """How many targets may be registered."""
        return sum(len(some) for some in tuple(self.targets.values()))

    def forget(self, group: TargetGroup) -> None:
        """Strike out a group whose targets have been taken out, or have become production's."""
        self.targets.pop(group, None)
        if not self.is_open:
            self.targets.clear()
            self.begun_at, self.undo = None, ""

    @contextmanager
    def held(self, deadline: Deadline) -> Iterator[None]:
        """Keep a question and an undoing from writing at the same time. Raises DeadlineExceeded."""
        if not self._lock.acquire(timeout=deadline.remaining_seconds()):
            raise DeadlineExceeded("Another query, or an undoing, is still changing this Rollout's production targets")
        try:
            yield
        finally:
            self._lock.release()


class Ledger:
    """All handovers of this replica. Thread-safe."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Begin empty."""
        self._clock = clock
        self._lock = Lock()
        self._handovers: dict[Key, Handover] = {}

    def asked(self, key: Key, pod_hash: str, service: str, most_seconds: float) -> Handover:
        """Note that somebody asks, which keeps a handover from being undone, and return it.

        While another version still has registered targets, it is that one's which is returned. After a pause the same
        version begins afresh: it was retried.
        """
        now = self._clock()
        with self._lock:
            found = self._handovers.get(key)
            if found is None or (
                not found.is_open and (found.pod_hash != pod_hash or now - found.asked_at > ANEW_AFTER)
            ):
                self._make_room()
                found = self._handovers[key] = Handover(pod_hash, now)
            if found.pod_hash == pod_hash:
                found.asked_at, found.service, found.most_seconds = now, service, most_seconds
            return found

    def note(self, key: Key, handover: Handover, group: TargetGroup, addresses: frozenset[Address]) -> bool:
        """Write down what is registered, or is going to be; False if another version's handover has taken its place."""
        now = self._clock()
        with self._lock:
            if self._handovers.get(key) is not handover:
                return False
            if addresses:
                handover.begun_at = handover.begun_at or now
                handover.targets.setdefault(group, set()).update(addresses)
            return True

    def find(self, key: Key) -> Handover | None:
        """Return a Rollout's handover."""
        with self._lock:
            return self._handovers.get(key)

    def open(self) -> list[tuple[Key, Handover]]:
        """Return the handovers with registered targets."""
        with self._lock:
            return [(key, one) for key, one in self._handovers.items() if one.is_open]

    def _make_room(self) -> None:
        if len(self._handovers) >= MOST_ROLLOUTS:
            idle = next((key for key, one in self._handovers.items() if not one.is_open), None)
            if idle is not None:  # an open one is never forgotten: its targets would stay
                del self._handovers[idle]
