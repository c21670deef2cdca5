"""Requests per minute to each target group of the story, and the share that fails."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Users:
    """The users of one target group, at a constant rate."""

    requests_per_second: int = 0
    target_5xx: Fraction = Fraction(0)
    """The share of the answered requests that the targets answer with 5xx."""
    unconnected: Fraction = Fraction(0)
    """The share of those requests whose target cannot be connected to: the load balancer answers 502."""
    fast_seconds: float = 0.02
    """How long most requests take."""
    slower: tuple[tuple[float, Fraction], ...] = ((0.04, Fraction(40, 100)), (0.08, Fraction(8, 100)))
    """(seconds, share) of the others."""


NOBODY = Users()

USERS: dict[str, Users] = {
    "web-active": Users(20),
    "web-preview": Users(1),
    "broken-active": Users(10),
    # Its sick pod is never healthy, so the load balancer sends it nobody: no 5xx here.
    "broken-preview": Users(2),
    # Of each of the two, the weight of its Service decides how many really come.
    "pingpong-ping": Users(20),
    "pingpong-pong": Users(20),
    "retried-active": Users(10),
    "gated-active": Users(10),
    "big-active": Users(200),
    "big-preview": Users(2),
    "noisy-active": Users(50, target_5xx=Fraction(1, 1000)),
    "noisy-preview": Users(5, target_5xx=Fraction(8, 100)),
    "idle-active": Users(20),
    "cold-active": Users(20),
    "shared-active": Users(20),
    "shared-preview": Users(5),
    # Six of its 30 requests a second are 5xx of its targets, two more are 502 of the load balancer.
    "neighbour": Users(30, target_5xx=Fraction(20, 100), unconnected=Fraction(2, 30)),
}
"""By Service, or by target group where there is no Service."""
