"""Reads CloudWatch: the per-minute metrics that a load balancer publishes.

Nothing here judges, and nothing is filled in: a minute without a point is missing, never 0. Source of the rules:
CloudWatch API Reference, GetMetricData (StartTime inclusive, EndTime exclusive, results in pages by Id).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Kind, Metric, Place, Points, Window
from provider.sources.aws.aws_errors import malformed, whose
from provider.sources.aws.service import Account, Api, Service
from provider.sources.cache import Reading
from provider.sources.deadline import Deadline
from provider.sources.shared import Request, Shared
from provider.telemetry import Metrics

NAMESPACE, NETWORK_NAMESPACE = "AWS/ApplicationELB", "AWS/NetworkELB"

OPERATION = "GetMetricData"

WHAT = f"{NAMESPACE} metrics"

CALLS_PER_SECOND = 250
"""Half of what an account has in a region by default (CloudWatch quotas, GetMetricData)."""


class CloudWatch:
    """Evidence from CloudWatch: what the load balancer counted."""

    def __init__(self, account: Account, shared: Shared, metrics: Metrics) -> None:
        """Read with the account's credentials."""
        api = Api(
            "cloudwatch", "cloudwatch", CALLS_PER_SECOND, CALLS_PER_SECOND, {}, page_token=("NextToken", "NextToken")
        )
        self._service = Service(account, api, metrics, shared.other_clocks)
        self._shared = shared

    def points(self, place: Place, metrics: Sequence[Metric], window: Window, deadline: Deadline) -> Reading[Points]:
        """Return every metric's points by minute, and when they were read.

        One round trip. Raises CannotTell: AwsForbidden, MetricsIncomplete, AwsUnavailable and what any call can raise.
        """
        metrics = tuple(dict.fromkeys(metrics))
        call = partial(self._read, place, metrics, window, deadline)
        request = Request(Kind.METRICS, (place, metrics, window), "CloudWatch metrics", call, place.scope)
        return self._shared.read(request, deadline)

    def _read(self, place: Place, metrics: Sequence[Metric], window: Window, deadline: Deadline) -> Points:
        wanted = {f"m{number}": metric for number, metric in enumerate(metrics)}
        request = {
            "MetricDataQueries": [_query(name, metric) for name, metric in wanted.items()],
            "StartTime": window.start,
            "EndTime": window.end,
        }
        points: dict[Metric, dict[datetime, float]] = {metric: {} for metric in metrics}
        last_status: dict[str, str] = {}
        for page in self._service.pages(OPERATION, place, WHAT, deadline, **request):
            try:
                for result in page["MetricDataResults"]:
                    last_status[result["Id"]] = result["StatusCode"]
                    points[wanted[result["Id"]]].update(_by_minute(result))
            except (KeyError, TypeError, ValueError, ArithmeticError, OSError) as error:
                raise malformed(self._service.action(OPERATION), WHAT) from error
        for name, metric in wanted.items():
            self._require_complete(place, metric, last_status.get(name, "no result"))
            self._require_these_minutes(points[metric], window)
        return {
            metric: {minute: value for minute, value in series.items() if window.start <= minute < window.end}
            for metric, series in points.items()
        }

    def _require_these_minutes(self, points: Mapping[datetime, float], window: Window) -> None:
        """Refuse a series with points of other minutes only: that is neither an answer nor missing data."""
        if points and not any(window.start <= minute < window.end for minute in points):
            raise malformed(self._service.action(OPERATION), WHAT)

    def _require_complete(self, place: Place, metric: Metric, status: str) -> None:
        """Accept a metric's points only if CloudWatch says that they are complete."""
        action = self._service.action(OPERATION)
        match status:
            case "Complete":
                return
            case "Forbidden":
                raise CannotTell(
                    Reason.AWS_FORBIDDEN,
                    f"AWS forbids {action} of {metric.name}: allow the action in {whose(place.role_arn)}",
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
    namespace = NETWORK_NAMESPACE if metric.load_balancer.startswith("net/") else NAMESPACE
    stat = {"Namespace": namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": stat, "Period": 60, "Stat": metric.statistic}}


def _by_minute(result: dict[str, Any]) -> dict[datetime, float]:
    """Pair timestamps with values; a page must have equally many of both."""
    pairs = zip(result["Timestamps"], result["Values"], strict=True)
    return {minute.astimezone(UTC): float(value) for minute, value in pairs}
