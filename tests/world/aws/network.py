"""What target groups need: VPCs with subnets, and load balancers with one listener each."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOAD_BALANCER = "demo"
"""The load balancer of a region that carries everything nobody names another for."""

_NOT_FOUND = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@dataclass(frozen=True)
class LoadBalancer:
    """One Application Load Balancer and its listener on port 80."""

    arn: str
    listener_arn: str


class Network:
    """Creates what is missing when it is first needed; `client(service, region)` returns a boto3 client."""

    def __init__(self, client: Callable[[str, str], Any]) -> None:
        self._client = client
        self._lock = threading.RLock()
        self._vpcs: dict[str, tuple[str, list[str]]] = {}
        self._load_balancers: dict[tuple[str, str], LoadBalancer] = {}

    def clear(self) -> None:
        """Forget everything: the account is empty."""
        with self._lock:
            self._vpcs.clear()
            self.forget_load_balancers()

    def forget_load_balancers(self) -> None:
        """Forget the load balancers and keep the VPCs."""
        with self._lock:
            self._load_balancers.clear()

    def vpc(self, region: str) -> tuple[str, list[str]]:
        """Return the ids of the region's VPC and of its subnets."""
        with self._lock:
            if region not in self._vpcs:
                ec2 = self._client("ec2", region)
                vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
                subnets = [
                    ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=region + zone)
                    for block, zone in (("10.0.0.0/18", "a"), ("10.0.64.0/18", "b"))
                ]
                self._vpcs[region] = (vpc, [subnet["Subnet"]["SubnetId"] for subnet in subnets])
            return self._vpcs[region]

    def load_balancer(self, name: str, region: str) -> LoadBalancer:
        """Return the region's load balancer of this name."""
        with self._lock:
            if (name, region) not in self._load_balancers:
                elbv2 = self._client("elbv2", region)
                _, subnets = self.vpc(region)
                balancer = elbv2.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
                listener = elbv2.create_listener(
                    LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[_NOT_FOUND]
                )["Listeners"][0]
                self._load_balancers[name, region] = LoadBalancer(balancer["LoadBalancerArn"], listener["ListenerArn"])
            return self._load_balancers[name, region]
