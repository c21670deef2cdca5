"""Reads CloudWatch: the per-minute metrics that an Application Load Balancer publishes.

Nothing here judges, and nothing is filled in: a minute without a point is missing, never 0. Source of the rules:
CloudWatch API Reference, GetMetricData (StartTime inclusive, EndTime exclusive, results in pages by Id).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from provider.aws import Service
from provider.aws_errors import malformed
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Metric, Window

NAMESPACE = "AWS/ApplicationELB"

OPERATION = "GetMetricData"

Points = Mapping[Metric, Mapping[datetime, float]]


class CloudWatch:
    """The load balancer's own counts."""

    def __init__(self, service: Service) -> None:
        """Read through this service (`cloudwatch`)."""
        self._service = service

    def points(self, region: str, metrics: Sequence[Metric], window: Window) -> Points:
        """Return every metric's points by minute, all of one region's metrics in one call.

        Raises CannotTell: AwsForbidden, MetricsIncomplete, AwsUnavailable and what any call can raise.
        """
        what = f"{NAMESPACE} metrics of {metrics[0].load_balancer}"
        wanted = {f"m{number}": metric for number, metric in enumerate(metrics)}
        request = {
            "MetricDataQueries": [_query(name, metric) for name, metric in wanted.items()],
            "StartTime": window.start,
            "EndTime": window.end,
        }
        points: dict[Metric, dict[datetime, float]] = {metric: {} for metric in metrics}
        last_status: dict[str, str] = {}
        for page in self._service.pages(OPERATION, region, what, ("NextToken", "NextToken"), **request):
            try:
                for result in page["MetricDataResults"]:
                    last_status[result["Id"]] = result["StatusCode"]
                    points[wanted[result["Id"]]].update(_by_minute(result))
            except (KeyError, TypeError, ValueError) as error:
                raise malformed(self._service.action(OPERATION), what) from error
        for name, metric in wanted.items():
            self._require_complete(metric, last_status.get(name, "no result"))
        return points

    def _require_complete(self, metric: Metric, status: str) -> None:
        """Let a metric's points stand only if CloudWatch says that they are all."""
        action = self._service.action(OPERATION)
        match status:
            case "Complete":
                return
            case "Forbidden":
                raise CannotTell(
                    Reason.AWS_FORBIDDEN,
                    f"AWS forbids {action} of {metric.name}: allow the action in the provider's IAM role",
                )
            case "InternalError":
                raise CannotTell(Reason.AWS_UNAVAILABLE, f"CloudWatch has an error at {action} of {metric.name}")
            case _:
                raise CannotTell(
                    Reason.METRICS_INCOMPLETE,
                    f"CloudWatch gave only a part of {metric.name} ({status}), so it decides nothing",
                )


def _query(name: str, metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": "LoadBalancer", "Value": metric.load_balancer}]
    if metric.target_group:
        dimensions.append({"Name": "TargetGroup", "Value": metric.target_group})
    stat = {"Namespace": NAMESPACE, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": stat, "Period": 60, "Stat": metric.statistic}}


def _by_minute(result: dict[str, Any]) -> dict[datetime, float]:
    """Pair timestamps with values; each series of a page must have as many of both."""
    pairs = zip(result["Timestamps"], result["Values"], strict=True)
    return {minute.astimezone(UTC): float(value) for minute, value in pairs}
