"""The clocks of other systems: how far they are from ours, as far as their answers prove it.

An answer's `Date` has whole seconds and was written some time between the request and the answer. So it only proves
that the other clock is ahead of ours by something between two bounds. Nothing is corrected that is not proven.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

A_SECOND = timedelta(seconds=1)
"""Kubernetes keeps whole seconds: what it says happened at a time happened up to this much later."""

IN_STEP_SECONDS = 0.1
"""Clocks that are no further apart than this agree: NTP keeps them no better, and times are told in whole seconds."""

APART_SECONDS = 5
"""Clocks that are further apart are reported."""

TOO_FAR_SECONDS = 30
"""Clocks that are further apart than this decide nothing."""


@dataclass(frozen=True, slots=True)
class Skew:
    """The clock of one system: ahead of ours by at least `least` and at most `most` seconds; negative if it is behind.

    Both are 0 while nothing proves that it is ahead or behind.
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
        """Whether nothing may be decided by comparing a time of this system with ours."""
        return abs(self.seconds) > TOO_FAR_SECONDS

    def earliest(self, ours: datetime) -> datetime:
        """Return the earliest time that the other clock may show at a moment of ours."""
        return ours + timedelta(seconds=self.least)

    def latest(self, ours: datetime) -> datetime:
        """Return the latest time that the other clock may show at a moment of ours."""
        return ours + timedelta(seconds=self.most)

    def ours(self, theirs: datetime) -> datetime:
        """Return the latest moment of our clock at which the other one may have shown a time."""
        return theirs - timedelta(seconds=self.least)

    def sentence(self, now: datetime) -> str:
        """Name both clocks with their times, and what to do; `now` is ours."""
        return (
            f"The clock of {self.system} shows {self.earliest(now):%H:%M:%S} UTC and that of the provider "
            f"{now:%H:%M:%S} UTC, more than {TOO_FAR_SECONDS} s apart. Synchronize both with NTP, then restart the "
            "provider"
        )


SAME_CLOCK = Skew("Kubernetes")
"""Kubernetes' clock while nothing proves that it is ahead or behind."""


def proven(system: str, least: float, most: float) -> Skew:
    """Return what the bounds of a clock prove."""
    return Skew(system) if least <= IN_STEP_SECONDS and most >= -IN_STEP_SECONDS else Skew(system, least, most)
