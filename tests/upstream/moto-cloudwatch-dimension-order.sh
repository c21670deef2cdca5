#!/usr/bin/env bash
# Packages: moto 5.2.5, boto3 1.44.8.
# Expected: a CloudWatch metric is identified by the set of its dimensions. The order in a query does not matter, as on AWS.
# Seen: GetMetricData finds nothing unless the query names the dimensions in the order in which they were published.
#   It reports the empty series as Complete. GetMetricStatistics, on the same data, accepts either order.
# Output:
#   GetMetricData, order as published: Complete [3.0]
#   GetMetricData, order reversed: Complete []
#   GetMetricStatistics, order reversed: [3.0]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'moto[cloudwatch]==5.2.5' boto3==1.44.8

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1
"$work/venv/bin/python" - <<'PYTHON'
import datetime
import sys

import boto3
from moto import mock_aws

published = [{"Name": "LoadBalancer", "Value": "app/web/1"}, {"Name": "TargetGroup", "Value": "targetgroup/web/2"}]
minute = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
span = {"StartTime": minute - datetime.timedelta(minutes=5), "EndTime": minute + datetime.timedelta(minutes=5)}


def data(cloudwatch, dimensions):
    metric = {"Namespace": "Shop", "MetricName": "Errors", "Dimensions": dimensions}
    query = {"Id": "errors", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    series = cloudwatch.get_metric_data(MetricDataQueries=[query], **span)["MetricDataResults"][0]
    return f"{series['StatusCode']} {series['Values']}"


with mock_aws():
    cloudwatch = boto3.client("cloudwatch")
    point = {"MetricName": "Errors", "Dimensions": published, "Value": 3, "Timestamp": minute}
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[point])
    statistics = cloudwatch.get_metric_statistics(
        Namespace="Shop", MetricName="Errors", Dimensions=published[::-1], Period=60, Statistics=["Sum"], **span
    )
    seen = [
        f"GetMetricData, order as published: {data(cloudwatch, published)}",
        f"GetMetricData, order reversed: {data(cloudwatch, published[::-1])}",
        f"GetMetricStatistics, order reversed: {[point['Sum'] for point in statistics['Datapoints']]}",
    ]

print(*seen, sep="\n")
if seen != [
    "GetMetricData, order as published: Complete [3.0]",
    "GetMetricData, order reversed: Complete []",
    "GetMetricStatistics, order reversed: [3.0]",
]:
    sys.exit("changed: GetMetricData no longer depends on the order of the dimensions in this way")
PYTHON
echo 'ok: still so (moto 5.2.5)'
