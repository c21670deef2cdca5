"""What an Application Load Balancer publishes in CloudWatch: one point per metric and minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from tests.world.aws.moto_cloudwatch import Distributions, Times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMESPACE = "AWS/ApplicationELB"

_LARGEST_CALL_COUNT = 1000
"""How many data one PutMetricData may carry; AWS's own limit."""


@dataclass(frozen=True)
class Hosts:
    """How many targets were healthy during a minute: the least, the most, and the sum over `samples`."""

    least: int
    most: int
    total: int
    samples: int


@dataclass(frozen=True)
class Datum:
    """One minute of one metric, of a load balancer or of one of its target groups."""

    load_balancer: str
    """ARN."""
    target_group: str | None
    """ARN; None for the load balancer as a whole."""
    metric: str
    minute: datetime
    """Its start, with time zone."""
    value: float | Hosts | Times


class CloudWatch:
    """Publishes to moto's CloudWatch and removes old points; `client(service, region)` returns a boto3 client."""

    def __init__(self, client: Callable[[str, str], Any]) -> None:
        self._client = client
        self.distributions = Distributions()

    def publish(self, data: Sequence[Datum]) -> None:
        """Publish, in calls of at most 1,000 data, which is AWS's limit."""
        for region in sorted({_region(datum) for datum in data}):
            here = [self._as_sent(datum) for datum in data if _region(datum) == region]
            for start in range(0, len(here), _LARGEST_CALL_COUNT):
                chunk = here[start : start + _LARGEST_CALL_COUNT]
                self._client("cloudwatch", region).put_metric_data(Namespace=NAMESPACE, MetricData=chunk)

    def forget_before(self, moment: datetime) -> None:
        """Drop every older point, in every region.

        moto keeps all points in one list, and each GetMetricData reads all of it: in a demo that runs for days,
        memory and response times would grow. No API deletes points, so this uses moto's backend.
        """
        for backend in cloudwatch_backends[DEFAULT_ACCOUNT_ID].values():
            if any(_moment(datum) < moment for datum in backend.metric_data):
                backend.metric_data[:] = [datum for datum in backend.metric_data if _moment(datum) >= moment]
        oldest, known = moment.astimezone(UTC).replace(tzinfo=None), self.distributions.known
        for key in [key for key in known if key[2] < oldest]:
            del known[key]

    def _as_sent(self, datum: Datum) -> dict[str, Any]:
        # moto's order of dimensions is no order (it compares values with names), so that only a query in the order
        # of publication finds them; LoadBalancer first is how AWS's own table and the console write them.
        # tests/upstream/moto-cloudwatch-dimension-order.sh
        dimensions = [{"Name": "LoadBalancer", "Value": datum.load_balancer.partition(":loadbalancer/")[2]}]
        if datum.target_group is not None:
            dimensions.append({"Name": "TargetGroup", "Value": datum.target_group.rpartition(":")[2]})
        sent: dict[str, Any] = {"MetricName": datum.metric, "Dimensions": dimensions, "Timestamp": datum.minute}
        if isinstance(datum.value, Times):
            minute = datum.minute.astimezone(UTC).replace(tzinfo=None)
            self.distributions.known[datum.metric, tuple(one["Value"] for one in dimensions), minute] = datum.value
            return sent | {"StatisticValues": datum.value.statistics(), "Unit": "Seconds"}
        if isinstance(datum.value, Hosts):
            hosts = datum.value
            statistics = {
                "SampleCount": hosts.samples,
                "Sum": hosts.total,
                "Minimum": hosts.least,
                "Maximum": hosts.most,
            }
            return sent | {"StatisticValues": statistics, "Unit": "Count"}
        return sent | {"Value": datum.value, "Unit": "Count"}


def _region(datum: Datum) -> str:
    return datum.load_balancer.split(":")[3]


def _moment(datum: Any) -> datetime:
    # moto keeps times in UTC, without a zone.
    stamp: datetime = datum.timestamp
    return stamp.replace(tzinfo=UTC)
