"""The requests of a warm-up, and their rate.

A file of requests has one per line, `[METHOD] PATH [WEIGHT]`, and `#` begins a comment:

    GET /                3      # three times as often as the next
    /products?page=1
    HEAD /healthz

Only GET and HEAD: a warm-up changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

METHODS = ("GET", "HEAD")

MAX_WEIGHT = 1000


class BadPlan(Exception):
    """The requests are malformed; the text names the line and the fault."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, which is sent in proportion to its weight."""

    path: str
    method: str = "GET"
    weight: int = 1


def requests_of(lines: Iterable[str]) -> tuple[Request, ...]:
    """Parse requests. Raises BadPlan naming the first malformed line, or if there is no request."""
    requests = []
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            requests.append(_request(words))
        except ValueError as error:
            raise BadPlan(f"line {number}: {error}") from error
    if not requests:
        raise BadPlan("there are no requests in it")
    return tuple(requests)


def _request(words: list[str]) -> Request:
    method = "GET" if words[0].startswith("/") else words.pop(0).upper()
    if method not in METHODS:
        raise ValueError(f"{method[:20]} is neither {' nor '.join(METHODS)}, and a path begins with /")
    if not words or not words[0].startswith("/"):
        raise ValueError("the path must begin with /")
    path, *weights = words
    weight = weights[0] if weights else "1"
    if len(weights) > 1 or not (weight.isdecimal() and 1 <= int(weight) <= MAX_WEIGHT):
        raise ValueError(f"after the path comes a weight between 1 and {MAX_WEIGHT}, or nothing")
    return Request(path, method, int(weight))


def in_turn(requests: tuple[Request, ...]) -> Iterator[Request]:
    """Yield requests without end, each in proportion to its weight and evenly mixed."""
    due = [0] * len(requests)
    total = sum(request.weight for request in requests)
    while True:
        due = [share + request.weight for share, request in zip(due, requests, strict=True)]
        next_ = max(range(len(requests)), key=due.__getitem__)
        due[next_] -= total
        yield requests[next_]


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests per second: from 1 up to `rate`, over `ramp_seconds`."""

    rate: float
    ramp_seconds: float

    def at(self, second: float) -> float:
        """Return the rate at this second."""
        first = min(1.0, self.rate)
        share = min(second / self.ramp_seconds, 1.0) if self.ramp_seconds else 1.0
        return first + (self.rate - first) * share
