"""Asks the embedded CloudWatch as the service does: GetMetricData with exact dimensions, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.world.world import World

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Wall:
    """A wall clock that only moves when a test says so."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def dimensions(load_balancer: str | None, target_group: str | None = None) -> dict[str, str]:
    """Return the dimensions that the ARNs stand for."""
    named = {}
    if load_balancer is not None:
        named["LoadBalancer"] = load_balancer.partition(":loadbalancer/")[2]
    if target_group is not None:
        named["TargetGroup"] = target_group.rpartition(":")[2]
    return named


def points(world: World, metric: str, named: dict[str, str], statistic: str = "Sum") -> dict[datetime, float]:
    """Return all points of twelve hours around noon."""
    stat = {
        "Metric": {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in named.items()],
        },
        "Period": 60,
        "Stat": statistic,
    }
    [result] = world.aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "one", "MetricStat": stat}],
        StartTime=NOON - timedelta(hours=6),
        EndTime=NOON + timedelta(hours=6),
    )["MetricDataResults"]
    minutes = [stamp.astimezone(UTC) for stamp in result["Timestamps"]]
    return dict(zip(minutes, result["Values"], strict=True))


def minutes(first: int, last: int) -> list[datetime]:
    """Return whole minutes by their distance from noon, both ends included."""
    return [NOON + timedelta(minutes=number) for number in range(first, last + 1)]
