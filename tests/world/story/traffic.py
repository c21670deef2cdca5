"""The users' requests to the load balancers of the story, and their delayed metrics in CloudWatch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from tests.world.aws.api import AwsApi
from tests.world.aws.cloudwatch import Datum
from tests.world.aws.meter import Counts, Meter
from tests.world.aws.publication import MINUTE, Publication

HISTORY = timedelta(minutes=13)
"""How much of the past is published at the beginning: as if everything had always been as it is then."""
KEPT = timedelta(hours=1)
"""How long points are kept; the service asks for half an hour."""


@dataclass
class Traffic:
    """Requests to target groups, metered by the minute and published in parts, as publication.py says.

    `now` is the wall clock, which CloudWatch's minutes follow. The `speed` of the world changes how fast the story
    goes on, but neither the requests per minute nor when their metrics are published. Without `random` each minute is
    published at its end.

    As with a real load balancer, in which absence is never the same as zero:

    - A load balancer without any request in a minute publishes nothing at all.
    - Counts are published when they are not 0, with {LoadBalancer, TargetGroup} and summed up with
      {LoadBalancer}. AWS's own texts differ on whether an idle group has a RequestCount of 0; here it has
      none, which is the harder case for a reader.
    - Codes that the load balancer answers itself are known with {LoadBalancer} only.
    - HealthyHostCount is published per target group that has registered targets, TargetResponseTime per target group
      that got requests.

    Metrics by availability zone and other codes than 5xx are left out: nothing needs them.
    """

    aws: AwsApi
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Random | None = field(default_factory=lambda: Random(0))
    _meters: dict[str, list[Meter]] = field(default_factory=dict, init=False)
    """By the ARN of the load balancer."""
    _counted_until: datetime | None = field(default=None, init=False)
    _publication: Publication = field(init=False)
    _silent: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        """Have nothing to publish yet."""
        self._publication = Publication(self.aws.cloudwatch, self.random)

    def add(self, meter: Meter) -> None:
        """Add the users of a target group."""
        self._meters.setdefault(meter.load_balancer, []).append(meter)

    def begin(self) -> None:
        """Publish the last whole minutes as if nothing had changed in them, and start to count."""
        self._look()
        self._counted_until = _floor(self.now()) - HISTORY
        self.tick()

    def tick(self) -> None:
        """Count up to now, read the targets again and publish what is due."""
        now = self.now()
        if self._counted_until is None:
            return
        # After a long sleep of the machine the hours before are not worth counting: they would not be kept.
        start = max(self._counted_until, _floor(now - KEPT))
        for begin, end in _pieces(start, now):
            self._run(begin, end)
            self._counted_until = end
        self._look()
        self._publication.publish(now, silent=self._silent.is_set())

    def silence(self) -> None:
        """Stop publishing: what is due from now on is lost."""
        self._silent.set()

    def resume(self) -> None:
        """Publish again what is due from now on."""
        self._silent.clear()

    def _look(self) -> None:
        for meter in self._every_meter():
            meter.look([health.state for health in self.aws.health(meter.target_group)])

    def _run(self, begin: datetime, end: datetime) -> None:
        """Count a time span within one minute, and close the minute at its end."""
        for meter in self._every_meter():
            meter.run((end - begin) // timedelta(microseconds=1))
        if end == _floor(end):
            data = [
                datum
                for load_balancer, meters in self._meters.items()
                for datum in _data(load_balancer, end - MINUTE, [(meter, meter.close()) for meter in meters])
            ]
            self._publication.add(data)
            self.aws.cloudwatch.forget_before(end - KEPT)

    def _every_meter(self) -> Iterator[Meter]:
        for meters in self._meters.values():
            yield from meters


def _data(load_balancer: str, minute: datetime, counted: list[tuple[Meter, Counts]]) -> Iterator[Datum]:
    """Yield what one load balancer publishes about one minute."""
    if not any(counts.requests or counts.without_target for _, counts in counted):
        return
    sums = {"HTTPCode_ELB_503_Count": sum(counts.without_target for _, counts in counted)}
    sums["HTTPCode_ELB_502_Count"] = sum(counts.unconnected for _, counts in counted)
    sums["HTTPCode_ELB_5XX_Count"] = sum(sums.values())
    for meter, counts in counted:
        values = {
            "RequestCount": counts.requests,
            "HTTPCode_Target_5XX_Count": counts.target_5xx,
            "TargetConnectionErrorCount": counts.unconnected,
        }
        for metric, value in values.items():
            sums[metric] = sums.get(metric, 0) + value
            if value:
                yield Datum(load_balancer, meter.target_group, metric, minute, value)
        if counts.times is not None:
            yield Datum(load_balancer, meter.target_group, "TargetResponseTime", minute, counts.times)
        if counts.hosts is not None:
            yield Datum(load_balancer, meter.target_group, "HealthyHostCount", minute, counts.hosts)
    for metric, value in sums.items():
        if value:
            yield Datum(load_balancer, None, metric, minute, value)


def _pieces(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Split a time span at whole minutes; a clock that went back gives no part."""
    while start < end:
        stop = min(_floor(start) + MINUTE, end)
        yield start, stop
        start = stop


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
