"""A pod as users see it: how fast it answers, how long its queue is, and what it answers."""

from dataclasses import dataclass

from provider.advice.simulation.situation import Green, Situation


@dataclass(slots=True)
class Pod:
    """One pod with a queue.

    `capacity` are its requests per second once it is warm; a cold one begins at a share of that and warms up with the
    seconds in which it serves. `sick`: it fails its health check, and every request.
    """

    capacity: float
    is_green: bool = False
    sick: bool = False
    cold_seconds: float = 0.0
    error_share: float = 0.0
    queue: float = 0.0
    served_seconds: float = 0.0

    def rate(self) -> float:
        """Return the requests per second that it can answer now."""
        if self.served_seconds >= self.cold_seconds:
            return self.capacity
        warm = self.served_seconds / self.cold_seconds
        return self.capacity * (COLD_SHARE + (1 - COLD_SHARE) * warm)

    def serve(self, requests: float, seconds: float, most_queued: float) -> tuple[float, float]:
        """Take requests for a moment; return how many fail, and the latency of the last one in seconds.

        What does not fit into the queue is refused, which the load balancer turns into a 502.
        """
        if self.sick:
            return requests, BASE_SECONDS
        rate = self.rate()
        if requests > 0:
            self.served_seconds += seconds
        waiting = self.queue + requests
        done = min(waiting, rate * seconds)
        self.queue = waiting - done
        refused = max(self.queue - most_queued, 0.0)
        self.queue -= refused
        return refused + (done * self.error_share), BASE_SECONDS + self.queue / rate


COLD_SHARE = 0.2
"""What a cold pod can do of its capacity with its first request."""

BASE_SECONDS = 0.02
"""Time of an answer without a queue."""

COLD_SECONDS = 20.0
"""Seconds of serving until a cold pod is warm."""

ERROR_SHARE = 0.08
"""Of a green that answers 5xx: the share of its requests."""

SICK_SHARE = 0.1
"""Of a green with sick pods: the share of its pods."""


def pods_of(situation: Situation, *, green: bool) -> list[Pod]:
    """Return the pods of one version; blue's are warm and well."""
    capacity = situation.requests_per_second / situation.pods * situation.headroom
    made = [Pod(capacity, is_green=green) for _ in range(situation.pods)]
    if not green:
        return made
    for number, pod in enumerate(made):
        if situation.green is Green.SICK and number < situation.pods * SICK_SHARE:
            pod.sick = True
        if situation.green is Green.COLD:
            pod.cold_seconds = COLD_SECONDS
        if situation.green is Green.ERRORS:
            pod.error_share = ERROR_SHARE
    return made
