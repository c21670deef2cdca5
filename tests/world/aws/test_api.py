"""The embedded AWS, asked by real boto3 over HTTP."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto.elbv2.models import elbv2_backends

from tests.world.aws.api import ACCOUNT_ID, REGION, forward
from tests.world.aws.cloudwatch import Hosts
from tests.world.aws.metrics import NOON

if TYPE_CHECKING:
    from tests.conftest import Clock
    from tests.world.world import World


def states(world: World, arn: str, **parameters: Any) -> list[tuple[str, int, str, str | None]]:
    """Return (id, port, state, reason) of every target described."""
    answer = world.aws.client().describe_target_health(TargetGroupArn=arn, **parameters)
    return [
        (
            entry["Target"]["Id"],
            entry["Target"]["Port"],
            entry["TargetHealth"]["State"],
            entry["TargetHealth"].get("Reason"),
        )
        for entry in answer["TargetHealthDescriptions"]
    ]


def test_moto_asks_our_model(world: World, clock: Clock) -> None:
    """Our model still answers in moto's place: a target registers, gets healthy, drains and is gone."""
    arn = world.aws.target_group("web", interval=5)
    seen = []

    world.aws.register(arn, [("10.0.0.4", 8080)])
    for step in (0.0, 6.0):
        clock.seconds += step
        seen += states(world, arn)
    world.aws.deregister(arn, [("10.0.0.4", 8080)])
    seen += states(world, arn)
    clock.seconds += 10.0

    assert [(state, reason) for _, _, state, reason in seen] == [
        ("initial", "Elb.RegistrationInProgress"),
        ("healthy", None),
        ("draining", "Target.DeregistrationInProgress"),
    ]
    assert states(world, arn) == []


def test_one_address_two_ports(world: World) -> None:
    """The same IP address with two ports is two targets, and asking for one port answers that one."""
    arn = world.aws.target_group("web")
    world.aws.register(arn, [("10.0.0.4", 8080), ("10.0.0.4", 9090)])

    asked = [
        {"Id": "10.0.0.4", "Port": 9090},
        {"Id": "10.0.0.4", "Port": 1},
        {"Id": "10.0.0.5", "Port": 8080},
    ]

    assert [(port, state) for _, port, state, _ in states(world, arn)] == [
        (8080, "initial"),
        (9090, "initial"),
    ]
    assert [(port, reason) for _, port, _, reason in states(world, arn, Targets=asked)] == [
        (9090, "Elb.RegistrationInProgress"),
        (1, "Target.NotRegistered"),
        (8080, "Target.NotRegistered"),
    ]


def test_unattached_group(world: World) -> None:
    """All targets of a group that is in no listener rule are unused, and say why as AWS does."""
    arn = world.aws.target_group("lost", attached=False)
    world.aws.register(arn, [("10.0.0.4", 8080)])

    [entry] = world.aws.client().describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]

    assert entry["TargetHealth"] == {
        "State": "unused",
        "Reason": "Target.NotInUse",
        "Description": "Target group is not configured to receive traffic from the load balancer",
    }


def test_groups_are_read_while_others_are_made(world: World) -> None:
    """Reading a target group never fails because another request makes groups and rules at that moment."""
    first = world.aws.target_group("first")
    world.aws.register(first, [("10.0.0.4", 8080)])
    backend = elbv2_backends[ACCOUNT_ID][REGION]
    usual, over = sys.getswitchinterval(), threading.Event()

    def make() -> None:
        while not over.is_set():
            for number in range(200):
                backend.target_groups[f"arn:{number}"] = backend.target_groups[first]
            for number in range(200):
                del backend.target_groups[f"arn:{number}"]

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as threads:
            making = threads.submit(make)
            found = [states(world, first)[0][0] for _ in range(40)]
            over.set()
            making.result()
    finally:
        over.set()
        sys.setswitchinterval(usual)

    assert found == ["10.0.0.4"] * 40


def test_attachment_follows_the_rules(world: World) -> None:
    """A group is in use from when a rule is changed to forward to it, also at weight 0, until no rule does."""
    one, two = (world.aws.target_group(name, attached=False) for name in ("one", "two"))
    world.aws.register(two, [("10.0.0.4", 8080)])
    client = world.aws.client()

    def seen() -> list[Any]:
        groups = client.describe_target_groups(TargetGroupArns=[one, two])["TargetGroups"]
        by_arn = {group["TargetGroupArn"]: len(group["LoadBalancerArns"]) for group in groups}
        return [by_arn[one], by_arn[two], states(world, two)[0][2]]

    found = [seen()]
    rule = world.aws.rule({one: 1})
    found.append(seen())
    client.modify_rule(RuleArn=rule, Actions=[forward({one: 100, two: 0})])
    found.append(seen())
    client.modify_rule(RuleArn=rule, Actions=[forward({two: 1})])
    found.append(seen())
    client.delete_rule(RuleArn=rule)
    found.append(seen())
    listener = client.describe_listeners(LoadBalancerArn=world.aws.load_balancer())["Listeners"][0]["ListenerArn"]
    client.modify_listener(ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": two}])
    found.append(seen())

    assert found == [
        [0, 0, "unused"],
        [1, 0, "unused"],
        [1, 1, "initial"],
        [0, 1, "initial"],
        [0, 0, "unused"],
        [0, 1, "initial"],
    ]


def test_describe_target_groups(world: World) -> None:
    """Groups come by ARN, by name and page by page, each with its load balancer named once."""
    arns = {name: world.aws.target_group(name) for name in ("one", "two", "three")}
    world.aws.rule({arns["one"]: 50, arns["two"]: 0})
    client = world.aws.client()

    by_arn = client.describe_target_groups(TargetGroupArns=[arns["two"]])["TargetGroups"]
    by_name = client.describe_target_groups(Names=["one"])["TargetGroups"]
    pages = list(client.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 1}))

    assert [group["TargetGroupName"] for group in by_arn] == ["two"]
    assert [group["TargetGroupArn"] for group in by_name] == [arns["one"]]
    assert len(by_name[0]["LoadBalancerArns"]) == 1
    assert [len(page["TargetGroups"]) for page in pages] == [1, 1, 1]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("nonsense", "ValidationError"),
        (
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/none/0123456789abcdef",
            "TargetGroupNotFound",
        ),
    ],
)
def test_wrong_arn(world: World, arn: str, code: str) -> None:
    """A malformed ARN and one that names nothing are two different errors."""
    with pytest.raises(ClientError) as caught:
        states(world, arn)

    assert caught.value.response["Error"]["Code"] == code


def test_throttling_is_retried(world: World) -> None:
    """An injected throttling error looks real enough for boto3 to retry it, and the calls are counted."""
    arn = world.aws.target_group("web")
    world.aws.faults.forget_calls()
    world.aws.faults.aws_error("DescribeTargetHealth", "Throttling", "Rate exceeded", times=1)

    assert states(world, arn) == []

    assert [(call.name, call.region) for call in world.aws.calls] == [("DescribeTargetHealth", "eu-west-1")] * 2


def test_regions_are_separate(world: World) -> None:
    """A target group exists only in its own region."""
    arn = world.aws.target_group("far", region="us-east-2")

    assert ":us-east-2:" in arn
    assert world.aws.client(region="us-east-2").describe_target_groups(Names=["far"])["TargetGroups"]
    with pytest.raises(ClientError, match="TargetGroupNotFound"):
        world.aws.client().describe_target_groups(Names=["far"])


def test_environment_is_left_alone(world: World) -> None:
    """Neither starting the embedded AWS nor using its clients changes this process's environment."""
    before = dict(os.environ)

    world.aws.target_group("web")

    assert dict(os.environ) == before


def test_load_balancers_of_other_names(world: World) -> None:
    """A region has one load balancer per name, made when first named, and none after a reset."""
    client = world.aws.client()
    arns = {
        name: world.aws.target_group(name, load_balancer=balancer)
        for name, balancer in (("one", "demo"), ("two", "other"), ("three", "other"))
    }

    groups = {name: client.describe_target_groups(Names=[name])["TargetGroups"][0] for name in arns}
    assert [groups[name]["LoadBalancerArns"] for name in arns] == [
        [world.aws.load_balancer()],
        [world.aws.load_balancer("other")],
        [world.aws.load_balancer("other")],
    ]
    assert len(client.describe_load_balancers()["LoadBalancers"]) == 2

    world.aws.reset()
    assert client.describe_load_balancers()["LoadBalancers"] == []
    assert world.aws.load_balancer("other").rpartition("/")[0].endswith(":loadbalancer/app/other")


def test_publish_exact_minutes(world: World) -> None:
    """A test can publish exact minutes of a metric, in the region of the load balancer, and reset() drops them."""
    load_balancer = world.aws.load_balancer(region="us-east-2")
    group = world.aws.target_group("web", region="us-east-2")
    query = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "HealthyHostCount",
        "Dimensions": [
            {"Name": "LoadBalancer", "Value": load_balancer.partition(":loadbalancer/")[2]},
            {"Name": "TargetGroup", "Value": group.rpartition(":")[2]},
        ],
        "StartTime": NOON,
        "EndTime": NOON + timedelta(hours=1),
        "Period": 60,
        "Statistics": ["Minimum", "Average"],
    }
    values: dict[datetime, float | Hosts] = {
        NOON: 3.0,
        NOON + timedelta(minutes=2): Hosts(least=1, most=3, total=150, samples=60),
    }

    world.aws.publish(load_balancer, group, "HealthyHostCount", values)
    world.aws.publish(load_balancer, None, "RequestCount", {NOON: 7.0})

    client = world.aws.client("cloudwatch", "us-east-2")
    found = client.get_metric_statistics(**query)["Datapoints"]
    assert [(each["Timestamp"], each["Minimum"], each["Average"]) for each in found] == [
        (NOON, 3.0, 3.0),
        (NOON + timedelta(minutes=2), 1.0, 2.5),
    ]
    world.aws.reset()
    assert client.get_metric_statistics(**query)["Datapoints"] == []
