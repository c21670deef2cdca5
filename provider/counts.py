"""Turns CloudWatch points into counts, and says which counts nobody witnessed.

Pure. Application Load Balancers publish most counts only when they are not zero, so an absent point means 0 only in a
minute in which the pipeline is known to be alive: one in which the load balancer's own RequestCount, or the target
group's HealthyHostCount, has a point. Otherwise it means that nobody knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from provider.cloudwatch import Points
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Metric, TargetGroup, Window

TARGET_5XX = "HTTPCode_Target_5XX_Count"
ELB_5XX = "HTTPCode_ELB_5XX_Count"
ELB_CODES = {502: "HTTPCode_ELB_502_Count", 503: "HTTPCode_ELB_503_Count", 504: "HTTPCode_ELB_504_Count"}
CONNECTION_ERRORS = "TargetConnectionErrorCount"
REQUESTS = "RequestCount"
HEALTHY_HOSTS = "HealthyHostCount"

MOST_COUNT = 2**53
"""Above it a float cannot count one by one any more."""


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """What a target group's targets answered in a window; `silent_minutes` have no witness."""

    name: str
    requests: int
    target_5xx: int
    connection_errors: int
    silent_minutes: int

    @property
    def errors(self) -> int:
        """Requests that green failed: by a 5xx, or by not accepting the connection."""
        return self.target_5xx + self.connection_errors

    @property
    def total(self) -> int:
        """Requests in all; never fewer than failed, whatever order CloudWatch published them in."""
        return max(self.requests, self.errors)


@dataclass(frozen=True, slots=True)
class LoadBalancerCounts:
    """What a load balancer answered by itself in a window, by code."""

    arn: str
    name: str
    requests: int
    elb_5xx: int
    by_code: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """Requests in all: RequestCount leaves out those for which there was no target (503)."""
        return max(self.requests + dict(self.by_code)[503], self.elb_5xx)


def metrics_of(group: TargetGroup, *, judged: bool) -> list[Metric]:
    """Return the metrics of one group; one that is only compared with has its load balancer as witness."""
    balancer, name = dimension(group.load_balancer_arns[0]), dimension(group.arn)
    counts = [Metric(metric, balancer, name) for metric in (TARGET_5XX, REQUESTS, CONNECTION_ERRORS)]
    witness = Metric(HEALTHY_HOSTS, balancer, name, "Maximum") if judged else Metric(REQUESTS, balancer)
    return [*counts, witness]


def metrics_of_load_balancer(arn: str) -> list[Metric]:
    """Return the metrics of one load balancer."""
    return [Metric(metric, dimension(arn)) for metric in (REQUESTS, ELB_5XX, *ELB_CODES.values())]


def dimension(arn: str) -> str:
    """Return an ARN's CloudWatch dimension value: `app/name/id` or `targetgroup/name/id`."""
    resource = arn.split(":", 5)[5]
    return resource.removeprefix("loadbalancer/")


def count_group(group: TargetGroup, points: Points, window: Window) -> GroupCounts:
    """Count one group's requests and failures over the window. Raises CannotTell (AwsMalformed)."""
    balancer, name = dimension(group.load_balancer_arns[0]), dimension(group.arn)
    witnessed = _minutes(points, Metric(REQUESTS, balancer), window) | _minutes(
        points, Metric(HEALTHY_HOSTS, balancer, name, "Maximum"), window
    )
    return GroupCounts(
        name=group.name,
        requests=_total(points, Metric(REQUESTS, balancer, name), window),
        target_5xx=_total(points, Metric(TARGET_5XX, balancer, name), window),
        connection_errors=_total(points, Metric(CONNECTION_ERRORS, balancer, name), window),
        silent_minutes=len(window.minutes) - len(witnessed),
    )


def count_load_balancer(arn: str, points: Points, window: Window) -> LoadBalancerCounts:
    """Count what one load balancer answered by itself over the window. Raises CannotTell (AwsMalformed)."""
    balancer = dimension(arn)
    return LoadBalancerCounts(
        arn=arn,
        name=balancer.split("/")[1],
        requests=_total(points, Metric(REQUESTS, balancer), window),
        elb_5xx=_total(points, Metric(ELB_5XX, balancer), window),
        by_code=tuple((code, _total(points, Metric(name, balancer), window)) for code, name in ELB_CODES.items()),
    )


def together(groups: Iterable[GroupCounts]) -> GroupCounts:
    """Add up the groups of one side of a comparison."""
    some = tuple(groups)
    return GroupCounts(
        name=", ".join(one.name for one in some),
        requests=sum(one.requests for one in some),
        target_5xx=sum(one.target_5xx for one in some),
        connection_errors=sum(one.connection_errors for one in some),
        silent_minutes=max((one.silent_minutes for one in some), default=0),
    )


def _minutes(points: Points, metric: Metric, window: Window) -> set[datetime]:
    return set(points.get(metric, {})) & set(window.minutes)


def _total(points: Points, metric: Metric, window: Window) -> int:
    """Add up the window's counts; one that is no count (negative, not whole, NaN, infinite) makes the sum worthless."""
    known = points.get(metric, {})
    counts = [known.get(minute, 0.0) for minute in window.minutes]
    strange = [one for one in counts if not (0 <= one <= MOST_COUNT and float(one).is_integer())]
    if strange:
        raise CannotTell(
            Reason.AWS_MALFORMED,
            f"AWS's answer to cloudwatch:GetMetricData says {strange[0]:g} for a minute of {metric.name} of "
            f"{metric.target_group or metric.load_balancer}, which is no count, so it decides nothing",
        )
    return int(sum(counts))
