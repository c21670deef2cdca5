"""What is simulated: the strategy, the green, and the numbers."""

from dataclasses import dataclass
from enum import StrEnum


class Strategy(StrEnum):
    """How a version goes into production."""

    UNGATED = "blue-green without a gate"
    GATED = "blue-green with the gate"
    HANDOVER = "blue-green with a handover"
    CANARY = "plain canary with the gate"
    BATCHES = "batches on ping-pong"
    PING_PONG = "ping-pong with the gate"
    INSTANCE = "instance targets with the gate"


class Green(StrEnum):
    """What green is like."""

    HEALTHY = "healthy"
    SICK = "10 % of its pods sick"
    COLD = "cold"
    ERRORS = "answers 8 % with 5xx"


@dataclass(frozen=True, slots=True)
class Situation:
    """One switch: the founding situation of this project unless changed.

    `headroom` is the capacity of a warm pod in multiples of its fair share. Times are in seconds.
    """

    strategy: Strategy
    green: Green = Green.HEALTHY
    pods: int = 250
    requests_per_second: float = 10_000.0
    interval_seconds: float = 15.0
    headroom: float = 2.0
    most_queued_per_pod: float = 200.0
    lasts_seconds: float = 60.0
    seed: int = 1

    @property
    def is_gated(self) -> bool:
        """Whether the load balancer's verdict about green decides before the switch."""
        return self.strategy is not Strategy.UNGATED
