"""From the switch to the abort: seeded switches with a virtual clock, and CloudWatch's minutes published in parts.

The judge is the product's, the numbers of the analysis are those of a shipped template. CloudWatch is read as the
service reads it: once for all who ask between two moves of the finished minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from provider.checks import errors
from provider.checks.question import parse
from provider.checks.traffic import Traffic
from provider.model.errors import CannotTell
from provider.model.reasons import Phase
from provider.model.records import Metric, Points, Stage, Window
from provider.rules.counts import REQUESTS, TARGET_5XX, dimension
from provider.rules.window import MINUTE, Minutes, early_minutes, minutes_of, open_window
from tests import ROOT
from tests.records import ARN, BALANCER, GREEN_GROUP, evidence
from tests.world.aws.publication import Part, parts, published

BLUE_MINUTES, GREEN_MINUTES = 32, 10
RISE = (0.85, 1.2)
"""How many times as many requests each minute has as the mean."""


@dataclass(frozen=True)
class Template:
    """When a metric of an analysis asks, and how many failures it tolerates."""

    delay: timedelta
    interval: timedelta
    count: int
    failure_limit: int
    query: errors.Query


def _query(**parameters: str) -> errors.Query:
    return parse(errors.CHECK, {"namespace": "shop", "rollout": "web", "windowSeconds": "60", **parameters}.items())


BEFORE = Template(timedelta(seconds=240), timedelta(seconds=60), 5, 1, _query(unfinishedMinutes="ignore"))
"""The template before unfinished minutes were judged."""


def shipped(name: str) -> Template:
    """Return the numbers of the watch of errors in an example."""
    text = (ROOT / "rollout-examples" / name / "post-promotion.yaml").read_text(encoding="utf-8")
    metric = next(one for one in yaml.safe_load(text)["spec"]["metrics"] if one["name"] == "alb-watch-errors")
    asked = dict(parse_qsl(urlsplit(metric["provider"]["web"]["url"]).query))
    limits = {key: asked[key] for key in ("windowSeconds", "switchGap") if key in asked}
    return Template(
        _seconds(metric["initialDelay"]),
        _seconds(metric["interval"]),
        metric["count"],
        metric["failureLimit"],
        _query(**limits),
    )


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=int(text.removesuffix("s")))


class Switch:
    """One switch: what each minute counts, and when its parts are published."""

    def __init__(self, seed: str, requests_per_second: int, share: float) -> None:
        """Draw everything from the seed."""
        self.random = Random(seed)
        self.at = datetime(2026, 3, 2, 12, 0, tzinfo=UTC) + timedelta(seconds=self.random.uniform(0, 60))
        self.share, self.per_second = share, requests_per_second
        self.read_at: dict[datetime, datetime] = {}
        self.reads = 0
        self._parts: dict[tuple[str, datetime], list[Part]] = {}
        self._finished: dict[datetime, float] = {}
        first = self.at.replace(second=0, microsecond=0)
        for number in range(-BLUE_MINUTES, GREEN_MINUTES):
            minute = first + number * MINUTE
            requests = round(requests_per_second * 60 * self.random.uniform(*RISE))
            served = min(max((minute + MINUTE - self.at) / MINUTE, 0), 1)
            failed = sum(self._random_failures(requests * served))
            if number < -2:  # long finished
                self._finished[minute] = float(requests)
                continue
            self._parts[REQUESTS, minute] = parts(requests, self.random)
            self._parts[TARGET_5XX, minute] = parts(failed, self.random)

    def _random_failures(self, requests: float) -> Iterator[int]:
        mean = requests * self.share
        yield max(0, min(int(requests), round(self.random.gauss(mean, (mean * (1 - self.share)) ** 0.5))))

    def points(self, now: datetime) -> Points:
        """Return what CloudWatch has published."""
        names = (Metric(REQUESTS, BALANCER, dimension(ARN)), Metric(REQUESTS, BALANCER))
        found: dict[Metric, dict[datetime, float]] = {name: dict(self._finished) for name in names}
        for (name, minute), those in self._parts.items():
            value = published(those, minute + MINUTE, now)
            if value is not None:
                found.setdefault(Metric(name, BALANCER, dimension(ARN)), {})[minute] = float(value)
                if name == REQUESTS:
                    found.setdefault(Metric(REQUESTS, BALANCER), {})[minute] = float(value)
        return found

    def traffic(self, query: errors.Query, now: datetime) -> Traffic:
        """Return the evidence of an answer; raises CannotTell as the service does."""
        since = self.at.replace(microsecond=0)
        judges_unfinished = query.unfinished_minutes == "fail"
        minutes, not_open = minutes_of(now, query.lag, since), None
        try:
            window = open_window(now, query.length, query.lag, since, "web")
        except CannotTell as error:
            early = early_minutes(now, query.lag, since) if judges_unfinished else None
            if early is None:
                raise
            minutes, window, not_open = early, Window(early.first, early.first), error
        base = evidence()
        return Traffic(
            green=base.green,
            service=replace(base.service, stage=Stage.AFTER_SWITCH),
            window=window,
            groups=(GREEN_GROUP,),
            blue=(),
            points=self._read(minutes, now),
            read_at={},
            minutes=minutes,
            not_open=not_open,
        )

    def _read(self, minutes: Minutes, now: datetime) -> Points:
        """Return what is cached of the same minutes, for 60 s at most, or read it."""
        if minutes.finished not in self.read_at or now - self.read_at[minutes.finished] > MINUTE:
            self.read_at[minutes.finished], self.reads = now, self.reads + 1
        return self.points(self.read_at[minutes.finished])

    def phases(self, template: Template) -> Iterator[tuple[timedelta, Phase]]:
        """Yield each answer and when it came after the switch."""
        self.read_at, self.reads = {}, 0
        for number in range(template.count):
            after = template.delay + number * template.interval
            now = self.at + after
            try:
                yield after, errors.CHECK.judge(template.query, self.traffic(template.query, now), now).phase
            except CannotTell:
                yield after, Phase.INCONCLUSIVE

    def abort_after(self, template: Template) -> timedelta | None:
        """Return how long after the switch the analysis aborts; None if it does not."""
        failed = 0
        for after, phase in self.phases(template):
            failed += phase is Phase.FAILED
            if failed > template.failure_limit:
                return after
        return None


def measure(switches: int) -> list[dict[str, Any]]:
    """Measure every share and rate before and after."""
    templates = {"before": BEFORE, "after": shipped("blue-green")}
    return [
        {"switches": switches}
        | _row(share, rate, {name: _aborts(share, rate, one, switches) for name, one in templates.items()})
        for share in (0.02, 0.08, 0.5, 1.0)
        for rate in (100, 10_000)
    ]


def _aborts(share: float, rate: int, template: Template, switches: int) -> list[float]:
    """Return the seconds from each switch to its abort."""
    found = [Switch(f"{share} {rate} {seed}", rate, share).abort_after(template) for seed in range(switches)]
    return [one.total_seconds() for one in found if one is not None]


def _row(share: float, rate: int, seconds: dict[str, list[float]]) -> dict[str, Any]:
    base = median(seconds["before"])
    return {
        "share": share,
        "rate": rate,
        "ways": {
            name: {
                "aborted": len(found),
                "median": median(found),
                "worst": max(found),
                "saved": round((base - median(found)) * rate * share),
            }
            for name, found in seconds.items()
        },
    }


def false_failures(switches: int, share: float = 0.003) -> int:
    """Count the failed answers about healthy switches, each asked once in every reading of CloudWatch."""
    template = replace(shipped("blue-green"), interval=MINUTE, count=7)
    return sum(
        phase is Phase.FAILED
        for seed in range(switches)
        for _, phase in Switch(f"healthy {seed}", (20, 100, 1000, 10_000)[seed % 4], share).phases(template)
    )
