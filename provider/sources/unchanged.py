"""What was made of something is made once: of the same bytes, or of the very same records, again the same.

Argo asks the same question every few seconds, and nearly always nothing has changed since. Nothing here can be stale:
other bytes, or other records, are other keys. When the evidence was read is not a part of it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence, Sized
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

MOST_RECORDS = 100_000
"""Records that are kept; what was used longest ago goes first."""

IDLE_SECONDS = 30.0
"""What was not used for so long goes with the next thing that is made: a question asked less often costs little."""

Made = TypeVar("Made")


@dataclass(slots=True)
class _Kept:
    """What was made, how many records it is, and what it was made of, for as long as its ids must stay theirs."""

    made: Any
    size: int
    of: Sequence[object]
    used_at: float


class Unchanged:
    """What was made before, at most so many records of it. Thread-safe.

    Nothing that is kept here may be changed by whoever gets it.
    """

    def __init__(self, most_records: int = MOST_RECORDS, seconds: Callable[[], float] = monotonic) -> None:
        """Know nothing. `seconds` is a clock that never goes back."""
        self._most, self._seconds = most_records, seconds
        self._lock = Lock()
        self._made: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._size = 0

    def of_bytes(
        self, content: bytes | memoryview, kind: Hashable, make: Callable[[], Made], size: Callable[[Made], int]
    ) -> Made:
        """Return what `make` makes of this content, `size` records; the very same if it did before.

        `kind` tells apart what else is made of the same bytes. Raises what `make` raises.
        """
        return self._of((kind, hashlib.sha256(content).digest()), (), make, size)

    def of_records(self, records: tuple[Sized, ...], kind: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` makes of these very records and of what `kind` says; the very same if it did before."""
        # Their ids are theirs for as long as they are kept here.
        key = (kind, tuple(map(id, records)))
        return self._of(key, records, make, lambda _: sum(map(len, records)))

    def _of(self, key: Hashable, kept: Sequence[object], make: Callable[[], Made], size: Callable[[Made], int]) -> Made:
        now = self._seconds()
        with self._lock:
            known = self._made.get(key)
            if known is not None:
                known.used_at = now
                self._made.move_to_end(key)
                found: Made = known.made
                return found
        made = make()
        with self._lock:
            self._drop(key)
            self._made[key] = _Kept(made, size(made), kept, now)
            self._size += self._made[key].size
            while len(self._made) > 1:
                oldest = next(iter(self._made))
                if self._size <= self._most and now - self._made[oldest].used_at <= IDLE_SECONDS:
                    break
                self._drop(oldest)
        return made

    def _drop(self, key: Hashable) -> None:
        dropped = self._made.pop(key, None)
        self._size -= dropped.size if dropped else 0
