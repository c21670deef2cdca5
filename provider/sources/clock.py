"""The provider's clock, which is never set, and the clocks of other systems as far as their answers tell."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from threading import Lock

from provider.model.clocks import APART_SECONDS, SAME_CLOCK, Skew
from provider.telemetry import Metrics

DRIFT = 0.0005
"""How fast two clocks may drift apart, in seconds per second: what NTP corrects at most."""

MAX_SKEW_SECONDS = 86_400
"""A `Date` further from our clock is ignored as a defect: with such a clock no request could be signed."""

IN_STEP_SECONDS = 0.1
"""Clocks that are at most this far apart agree: NTP is not more precise."""

LOG_PAUSE = timedelta(minutes=1)
"""Minimum time between two log lines about one clock: servers behind one address may differ."""

MAX_CLOCKS = 100
"""Clocks that are kept; bindings choose the regions."""

NAMES = {"kubernetes": "Kubernetes", "elbv2": "Elastic Load Balancing", "cloudwatch": "CloudWatch"}
"""Names of the upstreams in sentences."""

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""CLOCK_BOOTTIME goes on while the machine sleeps, when evidence grows old too. Not every system has it."""


def _machine() -> datetime:
    return datetime.now(UTC)


def _seconds() -> float:
    return time.clock_gettime(_SINCE_BOOT)


class SteadyClock:
    """The machine's time when the process started, plus the seconds since by a monotonic clock."""

    def __init__(self, machine: Callable[[], datetime] = _machine, seconds: Callable[[], float] = _seconds) -> None:
        """Start now; `machine` is read only once."""
        self._began_at, self._began, self._seconds = machine(), seconds(), seconds

    def __call__(self) -> datetime:
        """Return the time, UTC; it never goes back."""
        return self._began_at + timedelta(seconds=self._seconds() - self._began)


steady = SteadyClock()


@dataclass(slots=True)
class _Clock:
    """The bounds of a clock's lead over ours at a time, and what was logged about it."""

    least: float
    most: float
    at: datetime
    logged: float = 0.0
    logged_at: datetime | None = None


class OtherClocks:
    """The clocks of Kubernetes and of AWS's services in each region, as far as their answers tell. Thread-safe."""

    def __init__(self, clock: Callable[[], datetime], metrics: Metrics) -> None:
        """Start without bounds; `clock` is ours."""
        self._clock = clock
        self._lock = Lock()
        self._clocks: OrderedDict[tuple[str, str], _Clock] = OrderedDict()
        for upstream in NAMES:
            metrics.clock_skew.labels(upstream).set_function(partial(self._furthest, upstream))

    def observer(self, upstream: str, region: str = "") -> Callable[[Mapping[str, str]], None]:
        """Return the function to call with the headers (names in lower case) of a request that is sent now."""
        return partial(self._answered, (upstream, region), self._clock())

    def kubernetes(self) -> Skew:
        """Return how far Kubernetes' clock is from ours."""
        return self._skew("kubernetes", "") or SAME_CLOCK

    def cloudwatch(self, region: str) -> Skew:
        """Return how far CloudWatch's clock is from ours; before its first answer, how far that of ELBv2 is."""
        return self._skew("cloudwatch", region) or self._skew("elbv2", region) or Skew(NAMES["cloudwatch"])

    def apart(self) -> dict[str, float]:
        """Return how many seconds upstreams' clocks are ahead of ours, for those that are to be reported."""
        known = {upstream: round(self._furthest(upstream), 1) for upstream in NAMES}
        return {upstream: seconds for upstream, seconds in known.items() if abs(seconds) > APART_SECONDS}

    def _furthest(self, upstream: str) -> float:
        """Return how far ahead of ours the most deviating clock of an upstream is, in seconds."""
        with self._lock:
            regions = [region for known, region in self._clocks if known == upstream]
        skews = [skew for region in regions if (skew := self._skew(upstream, region)) is not None]
        return max((skew.seconds for skew in skews), key=abs, default=0.0)

    def _skew(self, upstream: str, region: str) -> Skew | None:
        """Return how far a clock is from ours; None before its first answer."""
        with self._lock:
            known = self._clocks.get((upstream, region))
            return _proven(upstream, region, known.least, known.most) if known else None

    def _answered(self, upstream: tuple[str, str], sent: datetime, headers: Mapping[str, str]) -> None:
        """Use the `Date` of an answer that arrives now, if it has a usable one."""
        date, now = _date(headers), self._clock()
        if date is None or abs((date - now).total_seconds()) > MAX_SKEW_SECONDS:
            return
        least, most = (date - now).total_seconds(), (date - sent).total_seconds() + 1
        with self._lock:
            known = self._clocks.setdefault(upstream, _Clock(least, most, now))
            self._clocks.move_to_end(upstream)
            _narrow(known, least, most, now)
            while len(self._clocks) > MAX_CLOCKS:
                self._clocks.popitem(last=False)
            skew = _proven(*upstream, known.least, known.most)
            is_news = _is_news(known, skew.seconds, now)
        if is_news:
            _log(skew)


def _proven(upstream: str, region: str, least: float, most: float) -> Skew:
    """Return what the bounds of a clock prove."""
    name = f"{NAMES[upstream]} in {region}" if region else NAMES[upstream]
    return Skew(name) if least <= IN_STEP_SECONDS and most >= -IN_STEP_SECONDS else Skew(name, least, most)


def _narrow(known: _Clock, least: float, most: float, now: datetime) -> None:
    """Narrow the bounds of a clock by a new answer. One that contradicts them replaces them: a clock was set."""
    drift = DRIFT * abs((now - known.at).total_seconds())
    narrowed = max(known.least - drift, least), min(known.most + drift, most)
    known.least, known.most = narrowed if narrowed[0] <= narrowed[1] else (least, most)
    known.at = now


def _is_news(known: _Clock, seconds: float, now: datetime) -> bool:
    """Tell whether a log line is due, and note that it is written."""
    crossed = (abs(seconds) > APART_SECONDS) != (abs(known.logged) > APART_SECONDS)
    is_due = known.logged_at is None or now - known.logged_at >= LOG_PAUSE
    if not is_due or not (crossed or abs(seconds - known.logged) > APART_SECONDS):
        return False
    known.logged, known.logged_at = seconds, now
    return True


def _date(headers: Mapping[str, str]) -> datetime | None:
    """Return when an answer was written; None if it does not say so or comes from a cache (`Age`)."""
    if headers.get("date") is None or headers.get("age") is not None:
        return None
    try:
        date = parsedate_to_datetime(headers["date"])
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date if date.tzinfo is not None else None


def _log(skew: Skew) -> None:
    log = logging.getLogger(__name__)
    if abs(skew.seconds) > APART_SECONDS:
        which = "ahead of" if skew.seconds > 0 else "behind"
        log.warning("The clock of %s is %.1f s %s the provider's", skew.system, abs(skew.seconds), which)
    else:
        log.info("The clock of %s agrees with the provider's again", skew.system)
