"""Lines and bars as points for SVG: drawn in the template, described in words for those who cannot see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from provider.checks.traffic import Traffic
from provider.history.remembered import Sample
from provider.model.records import Metric
from provider.rules.counts import CONNECTION_ERRORS, REQUESTS, TARGET_5XX, dimension

WIDTH, HEIGHT = 600, 120
MOST_POINTS = 120


@dataclass(frozen=True, slots=True)
class Line:
    """A line of healthy targets over time: points of an SVG of WIDTH x HEIGHT, its ends, and a sentence."""

    points: str
    first: datetime
    last: datetime
    most: int
    says: str


@dataclass(frozen=True, slots=True)
class Minute:
    """Green's requests and failures in one minute; `height` and `bad` are their bars in percent."""

    at: datetime
    requests: int
    errors: int
    height: float
    bad: float


def healthy_over_time(samples: Sequence[Sample], pod_hash: str) -> Line | None:
    """Return the healthy targets of one version over time; None before the second sample."""
    own = [one for one in samples if one.pod_hash == pod_hash]
    if len(own) < 2:
        return None
    first, last = own[0], own[-1]
    span = max((last.at - first.at).total_seconds(), 1)
    most = max(max(one.desired, one.healthy) for one in own) or 1
    # Of a long series every nth is enough for so few pixels, and always the newest.
    shown = [*own[: -1 : -(-len(own) // MOST_POINTS)], last]
    places, before = [], None
    for one in shown:
        x = (one.at - first.at).total_seconds() * WIDTH / span
        y = HEIGHT - one.healthy * HEIGHT / most
        if before is not None:  # a step: nothing is known between two samples
            places.append(f"{x:.0f},{before:.0f}")
        places.append(f"{x:.0f},{y:.0f}")
        before = y
    says = (
        f"From {first.healthy} of {first.desired} at {first.at:%H:%M:%S} "
        f"to {last.healthy} of {last.desired} healthy at {last.at:%H:%M:%S} UTC"
    )
    return Line(" ".join(places), first.at, last.at, most, says)


def errors_per_minute(traffic: Traffic) -> list[Minute]:
    """Return green's requests and failures (5xx, refused connections) by minute, over all of its target groups."""
    counted = []
    for minute in traffic.window.minutes:
        requests = errors = 0.0
        for group in traffic.groups:
            balancer, name = dimension(group.load_balancer_arns[0]), dimension(group.arn)
            value = {
                metric: traffic.points.get(Metric(metric, balancer, name), {}).get(minute, 0.0)
                for metric in (REQUESTS, TARGET_5XX, CONNECTION_ERRORS)
            }
            errors += value[TARGET_5XX] + value[CONNECTION_ERRORS]
            requests += max(value[REQUESTS], value[TARGET_5XX] + value[CONNECTION_ERRORS])
        counted.append((minute, int(requests), int(errors)))
    most = max((requests for _, requests, _ in counted), default=0) or 1
    return [
        Minute(minute, requests, errors, round(requests * 100 / most, 1), round(errors * 100 / most, 1))
        for minute, requests, errors in counted
    ]
