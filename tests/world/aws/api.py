"""An embedded AWS: moto's server speaks the protocols, our model plays the load balancer."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import boto3
import botocore.session
from botocore.config import Config
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.world.aws import moto_elbv2
from tests.world.aws.cloudwatch import CloudWatch, Datum, Hosts
from tests.world.aws.load_balancer import Health, LoadBalancers
from tests.world.aws.moto_cloudwatch import Times
from tests.world.aws.network import LOAD_BALANCER, Network
from tests.world.aws.session_policies import SessionPolicies
from tests.world.server.faults import Call, Faults
from tests.world.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from wsgiref.types import StartResponse

REGION = "eu-west-1"
ACCESS_KEY_ID = "AKIADEMODEMODEMODEMO"
SECRET_ACCESS_KEY = "only-the-embedded-aws-accepts-this-key"
ACCOUNT_ID: str = DEFAULT_ACCOUNT_ID

_REGISTER_TOGETHER_COUNT = 200


class AwsApi:
    """Elastic Load Balancing, CloudWatch and the few EC2 calls they need, over HTTP, in every region.

    moto keeps its state per process, so only one AwsApi may run at a time. Each starts empty.
    `clock` returns seconds and drives target health; a faster clock shortens all its durations. `now` is the `Date` of
    its answers.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        port: int = 0,
        now: Callable[[], datetime | None] = lambda: datetime.now(UTC),
    ) -> None:
        self.load_balancers = LoadBalancers(clock)
        self.faults = Faults(SessionPolicies(_Dispatcher(create_backend_app)))
        self._server = HttpServer(self.faults, port, now=now)
        self._undo: Callable[[], object] | None = None
        self._lock = threading.RLock()
        self._clients: dict[tuple[str, str], Any] = {}
        self.cloudwatch = CloudWatch(self.client)
        self._network = Network(self.client)
        self._rules_count = 0

    @property
    def url(self) -> str:
        """The endpoint for every service and region."""
        return self._server.url

    @property
    def calls(self) -> list[Call]:
        """The calls so far, including those made by this class."""
        return self.faults.calls

    def start(self) -> Self:
        """Listen, with an empty account."""
        if self._undo is None:
            undoes = (moto_elbv2.install(self.load_balancers), self.cloudwatch.distributions.install())
            self._undo = lambda: [undo() for undo in undoes]
            ec2_backends[ACCOUNT_ID].clear()
            self._network.clear()
            self._server.start()
            self.reset()
        return self

    def stop(self) -> None:
        """Stop listening and restore moto's own methods."""
        if self._undo is not None:
            self.faults.clear()
            self._server.stop()
            self._undo()
            self._undo = None

    def reset(self) -> None:
        """Empty the account, clear the faults and forget the calls; clients stay usable."""
        with self._lock:
            self.faults.clear()
            self.load_balancers.reset()
            # A region's backend is created again when next needed. EC2's would take 100 ms, so VPCs stay.
            elbv2_backends[ACCOUNT_ID].clear()
            cloudwatch_backends[ACCOUNT_ID].clear()
            self.cloudwatch.distributions.known.clear()
            self._network.forget_load_balancers()
            self._rules_count = 0
            self.faults.forget_calls()

    def client(self, service: str = "elbv2", region: str = REGION) -> Any:
        """Return a boto3 client of this AWS that reads no credentials, profiles or proxies of the machine."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = _isolated_session().client(
                    service,
                    region_name=region,
                    endpoint_url=self.url,
                    aws_access_key_id=ACCESS_KEY_ID,
                    aws_secret_access_key=SECRET_ACCESS_KEY,
                    config=Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 3}),
                )
            return self._clients[key]

    def target_group(
        self,
        name: str,
        *,
        attached: bool = True,
        target_type: str = "ip",
        interval: int = 15,
        unhealthy_threshold: int = 2,
        healthy_threshold: int = 2,
        port: int = 1,
        region: str = REGION,
        deregistration_delay: int = 10,
        load_balancer: str = LOAD_BALANCER,
    ) -> str:
        """Create a target group, `attached` to a listener rule of a load balancer, and return its ARN.

        `interval` and `deregistration_delay` are in seconds; the port is 1 as the AWS Load Balancer
        Controller sets it for a named targetPort, because every target is registered with its own.
        A region has one load balancer of each name, created when first named.
        """
        vpc, _ = self._network.vpc(region)
        elbv2 = self.client(region=region)
        created = elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=port,
            VpcId=vpc,
            TargetType=target_type,
            HealthCheckIntervalSeconds=interval,
            HealthCheckTimeoutSeconds=min(5, interval - 1),
            HealthyThresholdCount=healthy_threshold,
            UnhealthyThresholdCount=unhealthy_threshold,
            HealthCheckPath="/",
            Matcher={"HttpCode": "200"},
        )
        arn: str = created["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(deregistration_delay)}
        elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        if attached:
            self.rule({arn: 1}, region, load_balancer)
        return arn

    def load_balancer(self, name: str = LOAD_BALANCER, region: str = REGION) -> str:
        """Return the ARN of the region's load balancer of this name, created when first named."""
        return self._network.load_balancer(name, region).arn

    def rule(
        self,
        weights: Mapping[str, int],
        region: str = REGION,
        load_balancer: str = LOAD_BALANCER,
        host: str | None = None,
    ) -> str:
        """Create a listener rule that forwards to target groups by weight (0-999) and return its ARN.

        Its condition is the host, or without one a path of its own.
        """
        listener = self._network.load_balancer(load_balancer, region).listener_arn
        with self._lock:
            self._rules_count += 1
            priority = self._rules_count
        created = self.client(region=region).create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[
                {"Field": "path-pattern", "Values": [f"/{priority}/*"]}
                if host is None
                else {"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}
            ],
            Actions=[forward(weights)],
        )
        arn: str = created["Rules"][0]["RuleArn"]
        return arn

    def register(self, arn: str, targets: Iterable[tuple[str, int]]) -> None:
        """Register (id, port) pairs, in calls of at most 200 as the AWS Load Balancer Controller does."""
        elbv2 = self.client(region=arn.split(":")[3])
        for chunk in _chunks(targets):
            elbv2.register_targets(TargetGroupArn=arn, Targets=chunk)

    def deregister(self, arn: str, targets: Iterable[tuple[str, int]]) -> None:
        """Deregister (id, port) pairs, in calls of at most 200."""
        elbv2 = self.client(region=arn.split(":")[3])
        for chunk in _chunks(targets):
            elbv2.deregister_targets(TargetGroupArn=arn, Targets=chunk)

    def health(self, arn: str) -> list[Health]:
        """Return the state of every target of a group, draining ones included, without an API call."""
        return [health for _, _, health in self.load_balancers.health(moto_elbv2.settings(arn))]

    def publish(
        self,
        load_balancer: str,
        target_group: str | None,
        metric: str,
        values: Mapping[datetime, float | Hosts | Times],
    ) -> None:
        """Publish exact minutes (by their start) of one metric; ARNs, and None for the load balancer as a whole.

        As in the real CloudWatch, two values for the same minute are added up by Sum.
        """
        self.cloudwatch.publish(
            [Datum(load_balancer, target_group, metric, minute, value) for minute, value in values.items()]
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Dispatcher(DomainDispatcherApplication):
    """Caches which service answers for a host: moto searches its own folders at each call, under a lock.

    moto's own `Date` is left out: the server has a clock that a test can set.
    """

    def __init__(self, create_app: Callable[[Any], Any]) -> None:
        super().__init__(create_app)
        self._backends: dict[str | None, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [one for one in headers if one[0].lower() != "date"], *rest)

        answer: Iterable[bytes] = super().__call__(environ, start)
        return answer

    def get_backend_for_host(self, host: str | None) -> Any:
        """Return the name of the service that answers for a host."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]


def forward(weights: Mapping[str, int]) -> dict[str, Any]:
    """Return the action of a listener rule that forwards to target groups by weight."""
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


def _isolated_session() -> Any:
    """Return a boto3 Session that reads neither profiles nor credential files of this machine."""
    nothing = (None, None, os.devnull, None)
    variables = {"profile": (None, None, None, None), "config_file": nothing, "credentials_file": nothing}
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=variables))


def _chunks(targets: Iterable[tuple[str, int]]) -> list[list[dict[str, Any]]]:
    every = [{"Id": id_, "Port": port} for id_, port in targets]
    return [every[i : i + _REGISTER_TOGETHER_COUNT] for i in range(0, len(every), _REGISTER_TOGETHER_COUNT)]
