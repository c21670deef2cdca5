"""Reads ELBv2: target groups and the health of their targets.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
the list it promises is malformed, never empty.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from provider.aws import Account, Service
from provider.aws_errors import malformed
from provider.budget import Budget, Read
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Binding, GroupHealth, Target, TargetGroup
from provider.telemetry import Metrics

_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):\d{12}:targetgroup/(?P<name>[^/]+)/\w+")


class LoadBalancers:
    """The load balancer's side of the evidence."""

    def __init__(self, account: Account, metrics: Metrics) -> None:
        """Read with the account's credentials; its home region is the one of target groups that are bound by name."""
        self._account = account
        self._elbv2 = Service(account, "elbv2", "elasticloadbalancing", metrics)

    @property
    def answered(self) -> bool:
        """Whether AWS ever answered anything at all, a refusal included."""
        return self._elbv2.answered

    def ping(self, budget: Budget) -> None:
        """Ask for one target group of the home region; this warms its connection too. Raises CannotTell."""
        what = "any target group"
        region = self._account.home_region(what)
        budget.read(Read(what, lambda: self._elbv2.call("DescribeTargetGroups", region, what, PageSize=1)))

    def health(self, bindings: tuple[Binding, ...], budget: Budget) -> tuple[GroupHealth, ...]:
        """Read each binding's target group and the health of everything in it, in the order of the bindings.

        One round trip; two where a binding has a name instead of an ARN. Raises CannotTell.
        """
        read_at = datetime.now(UTC)
        arns = self._arns(bindings, budget)
        described = self._described(arns)
        healths = [Read(f"target health of {_parsed(arn)['name']}", partial(self._targets, arn)) for arn in arns]
        results = budget.read(*described, *healths)
        groups = _in_order(arns, results[: len(described)])
        return tuple(
            GroupHealth(group, binding, targets, read_at)
            for group, binding, targets in zip(groups, bindings, results[len(described) :], strict=True)
        )

    def groups(self, bindings: tuple[Binding, ...], budget: Budget) -> tuple[TargetGroup, ...]:
        """Read each binding's target group, without its targets, in the order of the bindings. Raises CannotTell."""
        arns = self._arns(bindings, budget)
        return tuple(_in_order(arns, budget.read(*self._described(arns))))

    def attached(self, load_balancer_arn: str, budget: Budget) -> frozenset[str]:
        """Return the ARNs of every target group that the load balancer forwards to. Raises CannotTell."""
        region = load_balancer_arn.split(":")[3]
        what = f"target groups of {load_balancer_arn.rpartition(':loadbalancer/')[2]}"
        call = partial(self._groups, region, what, LoadBalancerArn=load_balancer_arn)
        return frozenset(group.arn for group in budget.read(Read(what, call))[0])

    def _described(self, arns: list[str]) -> list[Read]:
        """One DescribeTargetGroups per region."""
        by_region: dict[str, list[str]] = {}
        for arn in dict.fromkeys(arns):
            by_region.setdefault(region_of(arn), []).append(arn)
        return [
            Read("target groups", partial(self._groups, region, _names(some), TargetGroupArns=some))
            for region, some in by_region.items()
        ]

    def _arns(self, bindings: tuple[Binding, ...], budget: Budget) -> list[str]:
        """Return each binding's ARN, resolving names in the home region where there is no ARN."""
        names = sorted({one.group_name for one in bindings if not one.arn and one.group_name})
        found: dict[str, str] = {}
        if names:
            what = ", ".join(names)
            region = self._account.home_region(what)
            (groups,) = budget.read(Read(f"target groups {what}", partial(self._groups, region, what, Names=names)))
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

    def _groups(self, region: str, what: str, **wanted: Any) -> list[TargetGroup]:
        """Describe target groups, page by page."""
        found: list[TargetGroup] = []
        for page in self._elbv2.pages("DescribeTargetGroups", region, what, ("NextMarker", "Marker"), **wanted):
            with _well_formed("DescribeTargetGroups", what):
                found.extend(_group(one) for one in page["TargetGroups"])
        return found

    def _targets(self, arn: str) -> tuple[Target, ...]:
        """Describe the health of every registered target; this API has no pages."""
        parsed = _parsed(arn)
        answer = self._elbv2.call("DescribeTargetHealth", parsed["region"], parsed["name"], TargetGroupArn=arn)
        with _well_formed("DescribeTargetHealth", parsed["name"]):
            return tuple(_target(one) for one in answer["TargetHealthDescriptions"])


def region_of(arn: str) -> str:
    """Return the region of a target group's ARN."""
    return _parsed(arn)["region"]


def _parsed(arn: str) -> re.Match[str]:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise CannotTell(Reason.TARGET_GROUP_NOT_FOUND, f"This is not the ARN of a target group: {arn[:120]}")
    return match


def _names(arns: list[str]) -> str:
    return ", ".join(_parsed(arn)["name"] for arn in arns)


def _in_order(arns: list[str], described: list[list[TargetGroup]]) -> list[TargetGroup]:
    """Return the described groups in the order of their ARNs; AWS describes every one or refuses."""
    groups = {group.arn: group for found in described for group in found}
    absent = [arn for arn in arns if arn not in groups]
    if absent:
        raise malformed("elasticloadbalancing:DescribeTargetGroups", _names(absent))
    return [groups[arn] for arn in arns]


def _group(answer: dict[str, Any]) -> TargetGroup:
    return TargetGroup(
        arn=answer["TargetGroupArn"],
        name=answer["TargetGroupName"],
        target_type=answer["TargetType"],
        load_balancer_arns=tuple(dict.fromkeys(answer["LoadBalancerArns"])),
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
