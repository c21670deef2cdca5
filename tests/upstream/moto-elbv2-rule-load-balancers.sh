#!/usr/bin/env bash
# Packages: moto 5.2.5, boto3 1.44.8.
# Expected: LoadBalancerArns of a target group names the load balancers whose rules forward to it now.
# Seen: only CreateRule writes the field. A group that ModifyRule adds to a rule stays without a load balancer, although
#   deleting it is refused because a rule uses it. A group whose rule was deleted keeps its load balancer.
# Output:
#   CreateRule forwards to blue: blue 1, green 0
#   ModifyRule adds green: blue 1, green 0
#   DeleteTargetGroup green: ResourceInUse
#   DeleteRule: blue 1, green 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'moto[elbv2]==5.2.5' boto3==1.44.8

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1
"$work/venv/bin/python" - <<'PYTHON'
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

with mock_aws():
    subnets = boto3.client("ec2").describe_subnets()["Subnets"][:2]
    elbv2 = boto3.client("elbv2")

    def group(name):
        made = elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip")
        return made["TargetGroups"][0]["TargetGroupArn"]

    def balancers():
        found = elbv2.describe_target_groups(Names=["blue", "green"])["TargetGroups"]
        counts = {one["TargetGroupName"]: len(one["LoadBalancerArns"]) for one in found}
        return f"blue {counts['blue']}, green {counts['green']}"

    balancer = elbv2.create_load_balancer(Name="shop", Subnets=[subnet["SubnetId"] for subnet in subnets])
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[fixed]
    )["Listeners"][0]["ListenerArn"]
    blue, green = group("blue"), group("green")
    condition = {"Field": "path-pattern", "Values": ["/"]}
    forward = {"Type": "forward", "TargetGroupArn": blue}
    rule = elbv2.create_rule(ListenerArn=listener, Priority=1, Conditions=[condition], Actions=[forward])
    rule = rule["Rules"][0]["RuleArn"]
    seen = [f"CreateRule forwards to blue: {balancers()}"]

    weights = [{"TargetGroupArn": blue, "Weight": 1}, {"TargetGroupArn": green, "Weight": 0}]
    elbv2.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}])
    seen.append(f"ModifyRule adds green: {balancers()}")
    try:
        elbv2.delete_target_group(TargetGroupArn=green)
        seen.append("DeleteTargetGroup green: deleted")
    except ClientError as error:
        seen.append(f"DeleteTargetGroup green: {error.response['Error']['Code']}")
    elbv2.delete_rule(RuleArn=rule)
    seen.append(f"DeleteRule: {balancers()}")

print(*seen, sep="\n")
if seen != [
    "CreateRule forwards to blue: blue 1, green 0",
    "ModifyRule adds green: blue 1, green 0",
    "DeleteTargetGroup green: ResourceInUse",
    "DeleteRule: blue 1, green 0",
]:
    sys.exit("changed: LoadBalancerArns follows the rules in another way")
PYTHON
echo 'ok: still so (moto 5.2.5)'
