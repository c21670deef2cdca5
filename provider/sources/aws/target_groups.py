"""Finds target groups: where each binding's is, its settings, and which groups a load balancer forwards to.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
its list is malformed, never empty. Evidence is shared by place, so a binding never gets what was read as another role
or with another external id.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, HealthCheck, Kind, Place, TargetGroup
from provider.sources.aws.aws_errors import malformed
from provider.sources.aws.service import Account, Service
from provider.sources.deadline import Deadline
from provider.sources.shared import Request, Shared

GroupKey = tuple[Place, str]
"""A place and the ARN of a target group there."""

Groups = Mapping[str, TargetGroup | CannotTell]
"""Target groups by ARN; a CannotTell for one that AWS does not know."""

_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):\d{12}:targetgroup/(?P<name>[^/]+)/\w+")


class TargetGroups:
    """Reads DescribeTargetGroups."""

    def __init__(self, account: Account, elbv2: Service, shared: Shared) -> None:
        """Read with the account's credentials, or as its roles; target groups without an ARN are in its home region."""
        self._account = account
        self._elbv2 = elbv2
        self._shared = shared

    def find(self, bindings: tuple[Binding, ...], deadline: Deadline) -> list[GroupKey]:
        """Return each binding's target group, resolving names where there is no ARN.

        Raises CannotTell: BindingNeedsRole and TargetGroupNotFound before any call to AWS, and what reads raise.
        """
        places = [self._place(binding) for binding in bindings]
        arns = self._arns(list(zip(places, bindings, strict=True)), deadline)
        for arn, binding in zip(arns, bindings, strict=True):
            if not _ARN.fullmatch(arn):
                raise CannotTell(
                    Reason.TARGET_GROUP_NOT_FOUND,
                    f"TargetGroupBinding {binding.name} names no target group that AWS knows: "
                    f"{(arn or binding.group_name or '(nothing)')[:120]}",
                )
        return list(zip(places, arns, strict=True))

    def described(self, keys: Iterable[GroupKey], deadline: Deadline) -> dict[Place, Request[Groups]]:
        """Return the requests for target groups' settings: one DescribeTargetGroups per place."""
        by_place: dict[Place, dict[str, None]] = {}
        for place, arn in keys:
            by_place.setdefault(place, {})[arn] = None
        return {
            place: Request(
                Kind.TARGET_GROUPS,
                (place, frozenset(arns)),
                "target groups",
                partial(self._describe, place, list(arns), deadline),
                place.scope,
                self._may_have_changed,
            )
            for place, arns in by_place.items()
        }

    def attached(self, load_balancer_arn: str, place: Place, deadline: Deadline) -> frozenset[str]:
        """Return the ARNs of every target group that the load balancer forwards to. Raises CannotTell."""
        what = f"target groups of {load_balancer_arn.rpartition(':loadbalancer/')[2]}"

        def call() -> frozenset[str]:
            groups = self._groups(place, what, deadline, LoadBalancerArn=load_balancer_arn)
            return frozenset(group.arn for group in groups)

        request = Request(Kind.TOPOLOGY, (place, load_balancer_arn), what, call, place.scope)
        return self._shared.read(request, deadline).value

    def _place(self, binding: Binding) -> Place:
        """Return where a binding's target group is: in the region of its ARN, else in the home region."""
        return self._account.roles.place(binding, self.region(binding))

    def region(self, binding: Binding) -> str:
        """Return the region of a binding's target group: that of its ARN, else the home region."""
        match = _ARN.fullmatch(binding.arn)
        if match:
            return match["region"]
        is_named = binding.group_name and not binding.arn  # any other ARN is refused before its region is used
        return self._account.home_region(binding.group_name) if is_named else ""

    def _arns(self, bindings: Sequence[tuple[Place, Binding]], deadline: Deadline) -> list[str]:
        """Return each binding's ARN; empty for a name that AWS does not know."""
        by_place: dict[Place, dict[str, None]] = {}
        for place, binding in bindings:
            if not binding.arn and binding.group_name:
                by_place.setdefault(place, {})[binding.group_name] = None
        started = {
            place: self._shared.start(self._resolved(place, tuple(names), deadline), deadline)
            for place, names in by_place.items()
        }
        resolved = {place: pending.result(deadline).value for place, pending in started.items()}
        return [
            binding.arn or (resolved[place].get(binding.group_name, "") if binding.group_name else "")
            for place, binding in bindings
        ]

    def _resolved(self, place: Place, names: tuple[str, ...], deadline: Deadline) -> Request[Mapping[str, str]]:
        """Return the request for the ARNs of named target groups."""
        what = f"target groups {', '.join(names)}"

        def call() -> Mapping[str, str]:
            groups = self._groups(place, ", ".join(names), deadline, Names=list(names))
            return {group.name: group.arn for group in groups}

        return Request(Kind.TOPOLOGY, (place, "names", names), what, call, place.scope)

    def _describe(self, place: Place, arns: Sequence[str], deadline: Deadline) -> Groups:
        """Describe target groups by ARN. AWS refuses all if one is unknown, so then each is described alone."""
        try:
            groups: Groups = {
                group.arn: group for group in self._groups(place, _names(arns), deadline, TargetGroupArns=arns)
            }
        except CannotTell as error:
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                raise
            if len(arns) == 1:
                return {arns[0]: error}
            return dict(chain.from_iterable(self._describe(place, [arn], deadline).items() for arn in arns))
        absent = [arn for arn in arns if arn not in groups]
        if absent:  # AWS describes every one or refuses
            raise malformed("elasticloadbalancing:DescribeTargetGroups", _names(absent))
        return groups

    def _may_have_changed(self, groups: Groups, age: timedelta) -> bool:
        """Tell whether a group that was unknown, or in no listener rule, should be described again."""
        freshness = self._shared.freshness
        return any(
            age > timedelta(seconds=freshness.failures if isinstance(group, CannotTell) else freshness.topology)
            for group in groups.values()
            if isinstance(group, CannotTell) or not group.in_use
        )

    def _groups(self, place: Place, what: str, deadline: Deadline, **arguments: Any) -> list[TargetGroup]:
        """Describe target groups, page by page."""
        parse = partial(_group, place=place)
        return list(
            self._elbv2.items("DescribeTargetGroups", "TargetGroups", parse, place, what, deadline, **arguments)
        )


def name_of(arn: str) -> str:
    """Return the name in a target group's ARN. Raises CannotTell (TargetGroupNotFound) for any other text."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise CannotTell(Reason.TARGET_GROUP_NOT_FOUND, f"This is not the ARN of a target group: {arn[:120]}")
    return match["name"]


def _names(arns: Iterable[str]) -> str:
    return ", ".join(name_of(arn) for arn in arns)


def _group(answer: dict[str, Any], place: Place) -> TargetGroup:
    return TargetGroup(
        arn=answer["TargetGroupArn"],
        name=answer["TargetGroupName"],
        target_type=answer["TargetType"],
        load_balancer_arns=tuple(dict.fromkeys(answer["LoadBalancerArns"])),
        health_check_interval_seconds=answer["HealthCheckIntervalSeconds"],
        unhealthy_threshold=answer["UnhealthyThresholdCount"],
        place=place,
        health_check=_health_check(answer),
    )


def _health_check(answer: dict[str, Any]) -> HealthCheck:
    """Return the settings of the health check; a Network Load Balancer's has no path and no codes."""
    matcher = answer.get("Matcher") or {}
    return HealthCheck(
        protocol=answer.get("HealthCheckProtocol", ""),
        port=answer.get("HealthCheckPort", ""),
        path=answer.get("HealthCheckPath", ""),
        codes=matcher.get("HttpCode") or matcher.get("GrpcCode", ""),
        timeout_seconds=answer.get("HealthCheckTimeoutSeconds", 0),
        healthy_threshold=answer.get("HealthyThresholdCount", 0),
    )
