"""Reads ELBv2: target groups and the health of their targets.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
the list it promises is malformed, never empty.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from provider.aws_errors import malformed, named
from provider.budget import Budget, Read
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Binding, GroupHealth, Target, TargetGroup
from provider.telemetry import Metrics

ATTEMPTS = 2
"""Tries of one call, the first included (botocore's default is 5, with sleeps beyond Argo's patience)."""

PAGE_SIZE = 400
"""Target groups per page of DescribeTargetGroups: the API's maximum."""

_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):\d{12}:targetgroup/(?P<name>[^/]+)/\w+")


class LoadBalancers:
    """The load balancer's side of the evidence."""

    def __init__(
        self,
        session: boto3.Session,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        pool_size: int,
        metrics: Metrics,
    ) -> None:
        """Read with the session's credentials; its region is the one of target groups that are bound by name."""
        self._session = session
        self._config = Config(
            connect_timeout=connect_timeout_seconds,
            read_timeout=read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=pool_size,
            tcp_keepalive=True,
        )
        self._clients: dict[str, Any] = {}
        self._making_clients = Lock()  # sessions are not thread-safe, clients are
        self._metrics = metrics
        self.answered = False
        """Whether AWS ever answered anything at all, a refusal included."""

    def ping(self, budget: Budget) -> None:
        """Ask for one target group of the home region; this warms its connection too. Raises CannotTell."""
        what = "any target group"
        budget.read(Read(what, lambda: self._call("DescribeTargetGroups", self._home(what), what, PageSize=1)))

    def health(self, bindings: tuple[Binding, ...], budget: Budget) -> tuple[GroupHealth, ...]:
        """Read each binding's target group and the health of everything in it, in the order of the bindings.

        One round trip; two where a binding has a name instead of an ARN. Raises CannotTell.
        """
        read_at = datetime.now(UTC)
        arns = self._arns(bindings, budget)
        by_region: dict[str, list[str]] = {}
        for arn in dict.fromkeys(arns):
            by_region.setdefault(_parsed(arn)["region"], []).append(arn)
        groups_of = [partial(self._groups, region, TargetGroupArns=some) for region, some in by_region.items()]
        reads = [
            *(Read("target groups", call) for call in groups_of),
            *(Read(f"target health of {_parsed(arn)['name']}", partial(self._targets, arn)) for arn in arns),
        ]
        results = budget.read(*reads)
        groups = {group.arn: group for found in results[: len(by_region)] for group in found}
        return tuple(
            GroupHealth(self._of(groups, arn), binding, targets, read_at)
            for arn, binding, targets in zip(arns, bindings, results[len(by_region) :], strict=True)
        )

    def _arns(self, bindings: tuple[Binding, ...], budget: Budget) -> list[str]:
        """Return each binding's ARN, resolving names in the home region where there is no ARN."""
        names = sorted({one.group_name for one in bindings if not one.arn})
        found: dict[str, str] = {}
        if names:
            what = ", ".join(names)
            region = self._home(what)
            (groups,) = budget.read(Read(f"target groups {what}", partial(self._groups, region, Names=names)))
            found = {group.name: group.arn for group in groups}
        arns = [one.arn or found.get(one.group_name, "") for one in bindings]
        for arn, binding in zip(arns, bindings, strict=True):
            if not _ARN.fullmatch(arn):
                raise CannotTell(
                    Reason.TARGET_GROUP_NOT_FOUND,
                    f"TargetGroupBinding {binding.name} names no target group that AWS knows: "
                    f"{(arn or binding.group_name or '(nothing)')[:120]}",
                )
        return arns

    def _of(self, groups: dict[str, TargetGroup], arn: str) -> TargetGroup:
        if arn not in groups:
            raise malformed("elasticloadbalancing:DescribeTargetGroups", _parsed(arn)["name"])
        return groups[arn]

    def _groups(self, region: str, **wanted: list[str]) -> list[TargetGroup]:
        """Describe target groups, page by page."""
        what = ", ".join(_short(one) for one in next(iter(wanted.values())))
        found: list[TargetGroup] = []
        marker: dict[str, str] = {}
        while True:
            answer = self._call("DescribeTargetGroups", region, what, PageSize=PAGE_SIZE, **wanted, **marker)
            with _well_formed("DescribeTargetGroups", what):
                found.extend(_group(one) for one in answer["TargetGroups"])
            if not answer.get("NextMarker"):
                return found
            marker = {"Marker": answer["NextMarker"]}

    def _targets(self, arn: str) -> tuple[Target, ...]:
        """Describe the health of every registered target; this API has no pages."""
        parsed = _parsed(arn)
        answer = self._call("DescribeTargetHealth", parsed["region"], parsed["name"], TargetGroupArn=arn)
        with _well_formed("DescribeTargetHealth", parsed["name"]):
            return tuple(_target(one) for one in answer["TargetHealthDescriptions"])

    def _call(self, operation: str, region: str, what: str, **arguments: Any) -> Any:
        action = f"elasticloadbalancing:{operation}"
        with self._metrics.upstream("elbv2", operation):
            try:
                answer = getattr(self._client(region), xform_name(operation))(**arguments)
            except (BotoCoreError, ClientError) as error:
                self.answered = self.answered or isinstance(error, ClientError)
                raise named(error, action, what) from error
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                # What botocore's parser raises, unwrapped, at a number that is none or a tag in the wrong place.
                raise malformed(action, what) from error
            self.answered = True
            return answer

    def _client(self, region: str) -> Any:
        with self._making_clients:
            if region not in self._clients:
                self._clients[region] = self._session.client("elbv2", region_name=region, config=self._config)
            return self._clients[region]

    def _home(self, what: str) -> str:
        region = self._session.region_name
        if not region:
            raise CannotTell(
                Reason.AWS_REGION_MISSING, f"No AWS region is configured, which is needed for {what}: set AWS_REGION"
            )
        return region


def _parsed(arn: str) -> re.Match[str]:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise CannotTell(Reason.TARGET_GROUP_NOT_FOUND, f"This is not the ARN of a target group: {arn[:120]}")
    return match


def _short(name_or_arn: str) -> str:
    match = _ARN.fullmatch(name_or_arn)
    return match["name"] if match else name_or_arn


def _group(answer: dict[str, Any]) -> TargetGroup:
    return TargetGroup(
        arn=answer["TargetGroupArn"],
        name=answer["TargetGroupName"],
        target_type=answer["TargetType"],
        in_use=bool(answer["LoadBalancerArns"]),
        health_check_interval_seconds=answer["HealthCheckIntervalSeconds"],
        unhealthy_threshold=answer["UnhealthyThresholdCount"],
    )


def _target(answer: dict[str, Any]) -> Target:
    target, health = answer["Target"], answer["TargetHealth"]
    return Target(
        id=target["Id"],
        port=target["Port"],
        state=health["State"],
        reason=health.get("Reason", ""),
        description=health.get("Description", ""),
    )


@contextmanager
def _well_formed(operation: str, what: str) -> Iterator[None]:
    """Turn an answer that lacks what the API promises into a CannotTell."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise malformed(f"elasticloadbalancing:{operation}", what) from error
