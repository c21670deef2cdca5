"""A second AWS account of the embedded world, in which a role can be assumed and target groups exist."""

from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.loaders import Loader
from botocore.session import Session
from moto.cloudwatch.models import cloudwatch_backends
from moto.elbv2.models import elbv2_backends
from moto.sts.models import sts_backends

from tests.world.aws.api import REGION, forward
from tests.world.aws.network import Network
from tests.world.server.faults import Call
from tests.world.world import World

ACCOUNT_ID = "222233334444"
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/targets"

_AWS_MODELS = Loader()
"""Botocore's own data, parsed once: EC2's alone takes half a second."""


@dataclass
class OtherAccount:
    """The account, with one VPC and load balancer; its owner uses an administrator's role of his own."""

    world: World
    network: Network = field(init=False)
    keys: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.network = Network(self.client)
        given = self.world.aws.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/admin", RoleSessionName="owner"
        )["Credentials"]
        self.keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        self.clear()

    def client(self, service: str = "elbv2", region: str = REGION) -> Any:
        """A client of the account's owner."""
        session = Session()
        session.register_component("data_loader", _AWS_MODELS)
        made: Any = boto3.Session(**self.keys, botocore_session=session)
        return made.client(service, region_name=region, endpoint_url=self.world.aws.url)

    def clear(self) -> None:
        """Empty the account; nobody has assumed a role. VPCs stay, since EC2's backend takes long to make."""
        for backends in (elbv2_backends, cloudwatch_backends, sts_backends):
            backends[ACCOUNT_ID].clear()

    def target_group(self, name: str, weight: int = 1) -> str:
        """Create a target group behind the account's load balancer, in a rule that gives it this weight."""
        elbv2 = self.client()
        vpc, _ = self.network.vpc(REGION)
        created = elbv2.create_target_group(Name=name, Protocol="HTTP", Port=1, VpcId=vpc, TargetType="ip")
        arn: str = created["TargetGroups"][0]["TargetGroupArn"]
        listener = self.network.load_balancer("theirs", REGION).listener_arn
        count = len(elbv2.describe_rules(ListenerArn=listener)["Rules"])
        elbv2.create_rule(
            ListenerArn=listener,
            Priority=count,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{name}/*"]}],
            Actions=[forward({arn: weight})],
        )
        return arn

    @property
    def sessions(self) -> list[Any]:
        """The sessions of roles of this account that were given, oldest first."""
        return list(sts_backends[ACCOUNT_ID]["aws"].assumed_roles)

    def signed(self, calls: list[Call]) -> list[tuple[str, bool]]:
        """Name each call, and tell whether it was signed with credentials that this account gave."""
        keys = {session.access_key_id for session in self.sessions}
        return [(call.name, _key(call) in keys) for call in calls]


def _key(call: Call) -> str:
    return (call.authorization or "").partition("Credential=")[2].partition("/")[0]
