"""Which targets this process has seen healthy, and since when each of them is not.

A target that was healthy before gets the grace period again; one that never was is judged by its pod's readiness. A
restart clears this memory.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from threading import Lock

from provider.model.records import PodTarget

MAX_TARGETS = 50_000
"""Targets, about 15 MB; those read longest ago are dropped first."""


class SeenHealthy:
    """The targets seen healthy, of all Rollouts. Thread-safe."""

    def __init__(self) -> None:
        """Start without targets."""
        self._lock = Lock()
        # When each was last read, and when it was first found not healthy since it was healthy.
        self._targets: OrderedDict[PodTarget, tuple[datetime, datetime | None]] = OrderedDict()

    def note(self, targets: Mapping[PodTarget, bool], read_at: datetime, now: datetime) -> dict[PodTarget, datetime]:
        """Keep which targets are healthy; return since when those are not that were healthy before.

        A reading counts once, however many queries share it, and an older one changes nothing. The time starts `now`,
        not when the request was sent: the target may have been healthy until the answer came.
        """
        since: dict[PodTarget, datetime] = {}
        with self._lock:
            for target, is_healthy in targets.items():
                known = self._targets.get(target)
                if known is None and not is_healthy:
                    continue
                last, first_unwell = known or (read_at, None)
                if not is_healthy:
                    since[target] = first_unwell or now
                if known is None or read_at > last:
                    self._targets[target] = (read_at, since.get(target))
                    self._targets.move_to_end(target)
            while len(self._targets) > MAX_TARGETS:
                self._targets.popitem(last=False)
        return since
