#!/usr/bin/env bash
# Packages: moto 5.2.5, boto3 1.44.8.
# Expected: a target is an address and a port. An address registered with two ports is two targets, as on AWS.
# Seen: a target group remembers one target per address. The second port replaces the first, and deregistering the first
#   port, which is no longer listed, removes the second.
# Output:
#   registered 10.0.0.1:8080 and 10.0.0.1:9090: [9090]
#   deregistered 10.0.0.1:8080: []
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'moto[elbv2]==5.2.5' boto3==1.44.8

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1
"$work/venv/bin/python" - <<'PYTHON'
import sys

import boto3
from moto import mock_aws

with mock_aws():
    vpc = boto3.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    elbv2 = boto3.client("elbv2")
    group = elbv2.create_target_group(Name="web", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip")
    arn = group["TargetGroups"][0]["TargetGroupArn"]

    def ports():
        health = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return sorted(one["Target"]["Port"] for one in health)

    targets = [{"Id": "10.0.0.1", "Port": 8080}, {"Id": "10.0.0.1", "Port": 9090}]
    elbv2.register_targets(TargetGroupArn=arn, Targets=targets)
    seen = [f"registered 10.0.0.1:8080 and 10.0.0.1:9090: {ports()}"]
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=targets[:1])
    seen.append(f"deregistered 10.0.0.1:8080: {ports()}")

print(*seen, sep="\n")
if seen != ["registered 10.0.0.1:8080 and 10.0.0.1:9090: [9090]", "deregistered 10.0.0.1:8080: []"]:
    sys.exit("changed: a target group no longer keeps one target per address")
PYTHON
echo 'ok: still so (moto 5.2.5)'
