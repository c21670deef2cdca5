"""How far the clocks of other systems are from ours, as far as their answers prove it.

An answer's `Date` has whole seconds and was written at some time between the request and the answer. So it only gives
two bounds for how far the other clock is ahead of ours.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

A_SECOND = timedelta(seconds=1)
"""Kubernetes' timestamps have whole seconds: an event happened up to this much later."""

APART_SECONDS = 5
"""Clocks that are further apart are reported."""

TOO_FAR_SECONDS = 30
"""Times of clocks that are further apart are not compared."""


@dataclass(frozen=True, slots=True)
class Skew:
    """How far a system's clock is ahead of ours, in seconds between `least` and `most`; negative if it is behind.

    Both are 0 unless it is proven to be ahead or behind.
    """

    system: str
    least: float = 0.0
    most: float = 0.0

    @property
    def seconds(self) -> float:
        """How far it is ahead for certain: the bound that is nearer to 0."""
        return min(self.least, self.most, key=abs)

    @property
    def is_too_far(self) -> bool:
        """Whether times of this system and ours must not be compared."""
        return abs(self.seconds) > TOO_FAR_SECONDS

    def earliest(self, ours: datetime) -> datetime:
        """Return the earliest time that the other clock may show at a time of ours."""
        return ours + timedelta(seconds=self.least)

    def latest(self, ours: datetime) -> datetime:
        """Return the latest time that the other clock may show at a time of ours."""
        return ours + timedelta(seconds=self.most)

    def ours(self, theirs: datetime) -> datetime:
        """Return the latest time of our clock at which the other may have shown `theirs`."""
        return theirs - timedelta(seconds=self.least)

    def sentence(self, now: datetime) -> str:
        """Return a sentence with both clocks' times and what to do; `now` is ours."""
        return (
            f"The clock of {self.system} shows {self.earliest(now):%H:%M:%S} UTC and that of the provider "
            f"{now:%H:%M:%S} UTC, more than {TOO_FAR_SECONDS} s apart. Synchronize both with NTP, then restart the "
            "provider"
        )


SAME_CLOCK = Skew("Kubernetes")
"""Kubernetes' clock unless it is proven to be ahead or behind."""
