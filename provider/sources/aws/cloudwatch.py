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
from provider.sources.deadline import Deadline
from provider.sources.shared import Known, Sharing, Wanted
from provider.telemetry import Metrics

NAMESPACE, NETWORK_NAMESPACE = "AWS/ApplicationELB", "AWS/NetworkELB"

OPERATION = "GetMetricData"

WHAT = f"{NAMESPACE} metrics"
"""No target group is named: one call may carry the metrics of several Rollouts, which all get this sentence."""

CALLS_PER_SECOND = 250
"""Half of what an account has in a region by default (CloudWatch quotas, GetMetricData)."""

MAX_QUERIES = 500
"""Metrics in one call (GetMetricData)."""

_Key = tuple[Place, Metric, Window]


class CloudWatch:
    """Evidence from CloudWatch: what the load balancer counted."""

    def __init__(self, account: Account, sharing: Sharing, metrics: Metrics) -> None:
        """Read with the account's credentials."""
        api = Api("cloudwatch", "cloudwatch", CALLS_PER_SECOND, CALLS_PER_SECOND, {})
        self._service = Service(account, api, metrics)
        self._sharing = sharing

    def points(self, place: Place, metrics: Sequence[Metric], window: Window, deadline: Deadline) -> Known[Points]:
        """Return every metric's points by minute, and when the oldest of them were read.

        One round trip. Raises CannotTell: AwsForbidden, MetricsIncomplete, AwsUnavailable and what any call can raise.
        """
        keys = [(place, metric, window) for metric in metrics]
        wanted = Wanted(Kind.METRICS, "CloudWatch metrics", keys, partial(self._send, place), place)
        found = self._sharing.read(wanted, deadline=deadline, admit=lambda _: self._service.admit(place, 1, deadline))
        read_at = min(known.read_at for known in found.values())
        return Known({metric: found[place, metric, window].value for metric in metrics}, read_at)

    def _send(self, place: Place, keys: Sequence[_Key]) -> Mapping[_Key, Any]:
        """Read metrics, each over its own window; a metric that CloudWatch did not give whole is a CannotTell."""
        metrics = tuple(dict.fromkeys(metric for _, metric, _ in keys))
        wanted = {f"m{number}": metric for number, metric in enumerate(metrics)}
        request = {
            "MetricDataQueries": [_query(name, metric) for name, metric in wanted.items()],
            "StartTime": min(window.start for _, _, window in keys),
            "EndTime": max(window.end for _, _, window in keys),
        }
        points: dict[Metric, dict[datetime, float]] = {metric: {} for metric in metrics}
        last_status: dict[str, str] = {}
        for page in self._service.pages(OPERATION, place, WHAT, ("NextToken", "NextToken"), **request):
            try:
                for result in page["MetricDataResults"]:
                    last_status[result["Id"]] = result["StatusCode"]
                    points[wanted[result["Id"]]].update(_by_minute(result))
            except (KeyError, TypeError, ValueError, ArithmeticError, OSError) as error:
                raise malformed(self._service.action(OPERATION), WHAT) from error
        status = {metric: last_status.get(name, "no result") for name, metric in wanted.items()}
        return {
            (place, metric, window): self._incomplete(place, metric, status[metric])
            or self._of_other_minutes(points[metric], request)
            or {minute: value for minute, value in points[metric].items() if window.start <= minute < window.end}
            for region, metric, window in keys
        }

    def _of_other_minutes(self, points: Mapping[datetime, float], request: Mapping[str, Any]) -> CannotTell | None:
        """Refuse a series with points of other minutes only: that is neither an answer nor missing data."""
        if not points or any(request["StartTime"] <= minute < request["EndTime"] for minute in points):
            return None
        return malformed(self._service.action(OPERATION), WHAT)

    def _incomplete(self, place: Place, metric: Metric, status: str) -> CannotTell | None:
        """Accept a metric's points only if CloudWatch says that they are complete."""
        action = self._service.action(OPERATION)
        match status:
            case "Complete":
                return None
            case "Forbidden":
                return CannotTell(
                    Reason.AWS_FORBIDDEN,
                    f"AWS forbids {action} of {metric.name}: allow the action in {whose(place.role_arn)}",
                )
            case "InternalError":
                return CannotTell(Reason.AWS_UNAVAILABLE, f"CloudWatch has an error at {action} of {metric.name}")
            case _:
                return CannotTell(
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
