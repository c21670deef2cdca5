"""Lines and bars as points for SVG: drawn in the template, described in words for those who cannot see them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from provider.checks.traffic import Traffic
from provider.model.argo import AnalysisRun
from provider.model.records import Metric
from provider.rules.counts import CONNECTION_ERRORS, REQUESTS, TARGET_5XX, dimension
from provider.rules.progress import number_of

WIDTH, HEIGHT = 600, 120
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis: its place in percent of the width, and whether it is a switch."""

    at: datetime
    percent: float
    is_switch: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The numbers that a metric pairs Argo, over time: points of an SVG of WIDTH x HEIGHT, its axis, and a sentence."""

    metric: str
    points: str
    most: float
    ticks: tuple[Tick, ...]
    sentence: str


def numbers_over_time(metric: str, runs: Iterable[AnalysisRun], switched_at: Iterable[datetime]) -> Line | None:
    """Return what a metric measured in these AnalysisRuns; None before its second number."""
    pairs = [
        (measurement.at, number_of(measurement))
        for run in runs
        for result in run.results
        if result.name == metric
        for measurement in result.measurements
    ]
    samples = sorted((at, number) for at, number in pairs if at is not None and number is not None)[-MOST_POINTS:]
    if len(samples) < 2:
        return None
    (first, start), (last, end) = samples[0], samples[-1]
    span = max((last - first).total_seconds(), 1)
    most = max(100.0, *(number for _, number in samples)) if max(number for _, number in samples) > 1 else 1.0
    places: list[str] = []
    before: float | None = None
    for at, number in samples:
        x, y = (at - first).total_seconds() * WIDTH / span, HEIGHT - max(number, 0) * HEIGHT / most
        if before is not None:  # a step: nothing is known between two measurements
            places.append(f"{x:.0f},{before:.0f}")
        places.append(f"{x:.0f},{y:.0f}")
        before = y
    middle = first + (last - first) / 2
    switches = [at for at in switched_at if first <= at <= last]
    ticks = [Tick(at, round((at - first).total_seconds() * 100 / span, 1)) for at in (first, middle, last)]
    ticks += [Tick(at, round((at - first).total_seconds() * 100 / span, 1), is_switch=True) for at in switches]
    sentence = f"{metric}: from {start:g} at {first:%H:%M:%S} to {end:g} at {last:%H:%M:%S} UTC"
    sentence += "".join(f"; switched at {at:%H:%M:%S} UTC" for at in switches)
    return Line(metric, " ".join(places), most, tuple(ticks), sentence)


@dataclass(frozen=True, slots=True)
class Minute:
    """Green's requests and failures in one minute; `height` and `bad` are their bars in percent."""

    at: datetime
    requests: int
    errors: int
    height: float
    bad: float


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
