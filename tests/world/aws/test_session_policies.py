"""A session of a role may do what the policy allows that it was given, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.world.aws.api import REGION
from tests.world.aws.session_policies import why_not

if TYPE_CHECKING:
    from tests.world.world import World

GROUP = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"


def statement(*actions: str, effect: str = "Allow", resource: str = "*") -> dict[str, Any]:
    """Build a statement of a policy."""
    return {"Effect": effect, "Action": list(actions), "Resource": resource}


def policy_of(*statements: dict[str, Any]) -> str:
    """Write a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def session(world: World, policy: str | None) -> Any:
    """Return a boto3 session of a role of the same account."""
    more = {} if policy is None else {"Policy": policy}
    given = world.aws.client("sts").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/reader", RoleSessionName="me", **more
    )["Credentials"]
    return boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION)


@pytest.mark.parametrize(
    ("statements", "action", "resource", "why"),
    [
        ([statement("a:Read")], "a:Read", "*", None),
        ([statement("a:Other", "A:RE?D")], "a:Read", "*", None),
        ([statement("a:R*")], "a:Read", "*", None),
        ([statement("*")], "a:Read", GROUP, None),
        ([statement("a:Read")], "b:Read", "*", "because no session policy allows the b:Read action"),
        ([statement("a:[R]ead")], "a:Read", "*", "because no session policy allows the a:Read action"),
        ([statement("a:Read", resource="arn:aws:a:*")], "a:Read", "*", "because no session policy allows the a:Read"),
        ([statement("a:Write", resource="*:targetgroup/web/*")], "a:Write", GROUP, None),
        ([statement("a:Write", resource="*:targetgroup/x/*")], "a:Write", GROUP, "because no session policy allows"),
        ([statement("a:*"), statement("a:Read", effect="Deny")], "a:Read", "*", "with an explicit deny in a session"),
        ([statement("a:*"), statement("a:Write", effect="Deny")], "a:Read", "*", None),
    ],
)
def test_policies(statements: list[dict[str, Any]], action: str, resource: str, why: str | None) -> None:
    """Actions match by wildcards in any case, resources by wildcards, and a Deny wins."""
    found = why_not(policy_of(*statements), action, resource)

    assert (found or "").startswith(why or "")
    assert (found is None) is (why is None)


def test_a_session_is_limited(world: World) -> None:
    """What a session policy leaves out is AccessDenied in AWS's words, in each service's form; the rest works."""
    limited = session(
        world, policy_of(statement("elasticloadbalancing:Describe*", "elasticloadbalancing:RegisterTargets"))
    )
    everything = session(world, None)
    arn = world.aws.target_group("web")
    calls: dict[str, tuple[str, Any]] = {
        "elasticloadbalancing:DescribeTargetGroups": ("elbv2", lambda client: client.describe_target_groups()),
        "elasticloadbalancing:DeregisterTargets": (
            "elbv2",
            lambda client: client.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.4"}]),
        ),
        "cloudwatch:ListMetrics": ("cloudwatch", lambda client: client.list_metrics()),
        "sts:GetCallerIdentity": ("sts", lambda client: client.get_caller_identity()),
    }
    refused = {}
    for action, (service, call) in calls.items():
        call(everything.client(service, endpoint_url=world.aws.url))
        try:
            call(limited.client(service, endpoint_url=world.aws.url))
        except ClientError as error:
            answer: Any = error.response
            code = answer["ResponseMetadata"]["HTTPStatusCode"]
            refused[action] = (code, answer["Error"]["Code"], answer["Error"]["Message"])

    user = "User: arn:aws:sts::123456789012:assumed-role/reader/me is not authorized to perform: "
    why = "because no session policy allows the {} action"
    dropped, listed = "elasticloadbalancing:DeregisterTargets", "cloudwatch:ListMetrics"
    assert refused == {
        dropped: (403, "AccessDenied", f"{user}{dropped} on resource: {arn} {why.format(dropped)}"),
        listed: (403, "AccessDenied", f"{user}{listed} {why.format(listed)}"),
    }


@pytest.mark.parametrize("policy", ["{", "[]", '{"Statement": [{"Effect": "Allow"}]}'])
def test_what_is_not_a_policy(world: World, policy: str) -> None:
    """A session is not given for a policy that cannot be read."""
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        session(world, policy)
