"""Which targets this process has seen healthy, and since which look each of them is not.

A target that was healthy a moment ago gets the grace period again; one that never was is judged by its pod's readiness.
Nothing is remembered over a restart.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from threading import Lock

from provider.model.records import PodTarget

MAX_TARGETS = 50_000
"""Targets remembered, about 15 MB; those seen longest ago go first."""


class SeenHealthy:
    """The targets seen healthy, of all Rollouts. Thread-safe."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self._lock = Lock()
        # When each was last read, and the first look since it was healthy at which it was not.
        self._targets: OrderedDict[PodTarget, tuple[datetime, datetime | None]] = OrderedDict()

    def note(self, targets: Mapping[PodTarget, bool], read_at: datetime, now: datetime) -> dict[PodTarget, datetime]:
        """Remember a reading: which targets are healthy; return since which look those are not that were so before.

        A reading that several queries share changes nothing after the first look at it, nor does one that is older. It
        is counted from `now`, not from when its request was sent: a target may have been healthy until the answer came.
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
