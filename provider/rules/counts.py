"""Turn CloudWatch points into counts; mark the minutes that no other metric confirms.

Pure. Application Load Balancers publish most counts only when they are not zero. So an absent point means 0 only in a
minute in which metrics are known to arrive: one with a point of the load balancer's own RequestCount, or of the target
group's HealthyHostCount. In any other minute it means unknown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Metric, Points, TargetGroup, Window

TARGET_5XX = "HTTPCode_Target_5XX_Count"
ELB_5XX = "HTTPCode_ELB_5XX_Count"
ELB_CODES = {502: "HTTPCode_ELB_502_Count", 503: "HTTPCode_ELB_503_Count", 504: "HTTPCode_ELB_504_Count"}
CONNECTION_ERRORS = "TargetConnectionErrorCount"
REQUESTS = "RequestCount"
HEALTHY_HOSTS = "HealthyHostCount"
NEW_FLOWS, TARGET_RESETS = "NewFlowCount", "TCP_Target_Reset_Count"
UNHEALTHY_FLOWS = "UnhealthyRoutingFlowCount"
"""What a Network Load Balancer counts, for itself only and not for a target group."""

MOST_COUNT = 2**53
"""Above it a float skips whole numbers."""


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """The requests of one target group in a window; no metric confirms the counts of `silent_minutes`."""

    name: str
    requests: int
    target_5xx: int
    connection_errors: int
    silent_minutes: tuple[datetime, ...]

    @property
    def errors(self) -> int:
        """Failed requests: answered with 5xx, or connection not accepted."""
        return self.target_5xx + self.connection_errors

    @property
    def total(self) -> int:
        """All requests: at least the failed ones, since CloudWatch may publish them first."""
        return max(self.requests, self.errors)


@dataclass(frozen=True, slots=True)
class LoadBalancerCounts:
    """The 5xx that a load balancer itself returned in a window, by status."""

    arn: str
    name: str
    requests: int
    elb_5xx: int
    by_code: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """All requests: RequestCount omits those without an available target (503)."""
        return max(self.requests + dict(self.by_code)[503], self.elb_5xx)


def metrics_of(group: TargetGroup, *, judged: bool) -> list[Metric]:
    """Return the metrics of one group; for blue the load balancer's RequestCount confirms them."""
    balancer, name = dimension(group.load_balancer_arns[0]), dimension(group.arn)
    counts = [Metric(metric, balancer, name) for metric in (TARGET_5XX, REQUESTS, CONNECTION_ERRORS)]
    confirming = Metric(HEALTHY_HOSTS, balancer, name, "Maximum") if judged else Metric(REQUESTS, balancer)
    return [*counts, confirming]


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
    confirmed = set(points.get(Metric(REQUESTS, balancer), ()))
    confirmed |= set(points.get(Metric(HEALTHY_HOSTS, balancer, name, "Maximum"), ()))
    return GroupCounts(
        name=group.name,
        requests=total(points, Metric(REQUESTS, balancer, name), window),
        target_5xx=total(points, Metric(TARGET_5XX, balancer, name), window),
        connection_errors=total(points, Metric(CONNECTION_ERRORS, balancer, name), window),
        silent_minutes=tuple(minute for minute in window.minutes if minute not in confirmed),
    )


def count_load_balancer(arn: str, points: Points, window: Window) -> LoadBalancerCounts:
    """Count the 5xx that one load balancer itself returned over the window. Raises CannotTell (AwsMalformed)."""
    balancer = dimension(arn)
    return LoadBalancerCounts(
        arn=arn,
        name=balancer.split("/")[1],
        requests=total(points, Metric(REQUESTS, balancer), window),
        elb_5xx=total(points, Metric(ELB_5XX, balancer), window),
        by_code=tuple((code, total(points, Metric(name, balancer), window)) for code, name in ELB_CODES.items()),
    )


def together(groups: Iterable[GroupCounts]) -> GroupCounts:
    """Add up the groups of one side of a comparison."""
    side = tuple(groups)
    return GroupCounts(
        name=", ".join(group.name for group in side),
        requests=sum(group.requests for group in side),
        target_5xx=sum(group.target_5xx for group in side),
        connection_errors=sum(group.connection_errors for group in side),
        silent_minutes=max((group.silent_minutes for group in side), key=len, default=()),
    )


def total(points: Points, metric: Metric, window: Window) -> int:
    """Add up a window's counts. Raises CannotTell for a value that is no count: negative, not whole, NaN, infinite."""
    values = points.get(metric, {})
    counts = [values.get(minute, 0.0) for minute in window.minutes]
    strange = [count for count in counts if not (0 <= count <= MOST_COUNT and float(count).is_integer())]
    if strange:
        raise CannotTell(
            Reason.AWS_MALFORMED,
            f"AWS's answer to cloudwatch:GetMetricData has the value {strange[0]:g} for a minute of {metric.name} of "
            f"{metric.target_group or metric.load_balancer}, which is not a count",
        )
    return int(sum(counts))
