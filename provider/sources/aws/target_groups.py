"""Finds target groups: where each binding's is, how it is set, and which others a load balancer forwards to.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
the list it promises is malformed, never empty. Everything shared is kept under its place, so that what was read as one
role, or with one external id, is never told to a binding with another.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, cast

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, HealthCheck, Kind, Place, TargetGroup
from provider.sources.aws.aws_errors import malformed, well_formed
from provider.sources.aws.service import Account, Service
from provider.sources.deadline import Deadline
from provider.sources.shared import Admit, Sharing, Wanted

GroupKey = tuple[Place, str]
"""A place and the ARN of a target group there."""

_NameKey = tuple[Place, str, str]
"""A place, what is named (NAME or BALANCER), and its name."""

NAME, BALANCER = "name", "load balancer"

_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):\d{12}:targetgroup/(?P<name>[^/]+)/\w+")


class TargetGroups:
    """Reads DescribeTargetGroups."""

    def __init__(self, account: Account, elbv2: Service, sharing: Sharing) -> None:
        """Read with the account's credentials, or as its roles; target groups without an ARN are in its home region."""
        self._account = account
        self._elbv2 = elbv2
        self._sharing = sharing

    def find(self, bindings: tuple[Binding, ...], deadline: Deadline) -> list[GroupKey]:
        """Return each binding's target group, resolving names where there is no ARN.

        Raises CannotTell: BindingNeedsRole and TargetGroupNotFound before AWS is asked about any, and what reads raise.
        """
        places = [self._place(one) for one in bindings]
        arns = self._arns(list(zip(places, bindings, strict=True)), deadline)
        for arn, binding in zip(arns, bindings, strict=True):
            if not _ARN.fullmatch(arn):
                raise CannotTell(
                    Reason.TARGET_GROUP_NOT_FOUND,
                    f"TargetGroupBinding {binding.name} names no target group that AWS knows: "
                    f"{(arn or binding.group_name or '(nothing)')[:120]}",
                )
        return list(zip(places, arns, strict=True))

    def described(self, keys: Iterable[GroupKey]) -> list[Wanted]:
        """Return what to read for target groups' settings: one DescribeTargetGroups per place."""
        by_place: dict[Place, list[GroupKey]] = {}
        for place, arn in dict.fromkeys(keys):
            by_place.setdefault(place, []).append((place, arn))
        return [
            Wanted(
                Kind.TARGET_GROUPS, "target groups", some, partial(self._describe, place), place, self._may_be_in_use
            )
            for place, some in by_place.items()
        ]

    def attached(self, load_balancer_arn: str, place: Place, deadline: Deadline) -> frozenset[str]:
        """Return the ARNs of every target group that the load balancer forwards to. Raises CannotTell."""
        what = f"target groups of {load_balancer_arn.rpartition(':loadbalancer/')[2]}"
        key: _NameKey = (place, BALANCER, load_balancer_arn)

        def call(_: Sequence[_NameKey]) -> Mapping[_NameKey, frozenset[str]]:
            groups = self._groups(place, what, LoadBalancerArn=load_balancer_arn)
            return {key: frozenset(group.arn for group in groups)}

        wanted = Wanted(Kind.TOPOLOGY, what, (key,), call, place)
        found = self._sharing.read(wanted, deadline=deadline, admit=self.admit(deadline))
        return cast(frozenset[str], found[key].value)

    def admit(self, deadline: Deadline) -> Admit:
        """Return the admission that waits for this Rollout's turn."""

        def admit(calls: Sequence[Wanted]) -> None:
            for place, count in Counter(one.place for one in calls).items():
                self._elbv2.admit(place, count, deadline)

        return admit

    def _place(self, binding: Binding) -> Place:
        """Return where a binding's target group is: in the region of its ARN, else in the home region."""
        match = _ARN.fullmatch(binding.arn)
        if match:
            region = match["region"]
        else:  # an ARN of something else is refused before its region is used
            named = binding.group_name and not binding.arn
            region = self._account.home_region(binding.group_name) if named else ""
        return self._account.roles.place(binding, region)

    def _arns(self, bindings: Sequence[tuple[Place, Binding]], deadline: Deadline) -> list[str]:
        """Return each binding's ARN; empty for a name that AWS does not know."""
        by_place: dict[Place, dict[_NameKey, None]] = {}
        for place, one in bindings:
            if not one.arn and one.group_name:
                by_place.setdefault(place, {})[place, NAME, one.group_name] = None
        wanted = [
            Wanted(
                Kind.TOPOLOGY,
                f"target groups {', '.join(name for _, _, name in keys)}",
                tuple(keys),
                partial(self._resolve, place),
                place,
            )
            for place, keys in by_place.items()
        ]
        found = self._sharing.read(*wanted, deadline=deadline, admit=self.admit(deadline)) if wanted else {}
        return [
            one.arn or (found[place, NAME, one.group_name].value if one.group_name else "") for place, one in bindings
        ]

    def _resolve(self, place: Place, keys: Sequence[_NameKey]) -> Mapping[_NameKey, str]:
        names = [name for _, _, name in keys]
        found = {group.name: group.arn for group in self._groups(place, ", ".join(names), Names=names)}
        return {key: found.get(key[2], "") for key in keys}

    def _describe(self, place: Place, keys: Sequence[GroupKey]) -> Mapping[GroupKey, TargetGroup | CannotTell]:
        """Describe target groups by ARN; if one is unknown AWS refuses all, so each is then described alone."""
        arns = [arn for _, arn in keys]
        try:
            groups = {(place, one.arn): one for one in self._groups(place, _names(arns), TargetGroupArns=arns)}
        except CannotTell as error:
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                raise
            if len(keys) == 1:
                return {keys[0]: error}
            found: dict[GroupKey, TargetGroup | CannotTell] = {}
            for key in keys:
                self._elbv2.charge(place)
                found |= self._describe(place, [key])
            return found
        absent = [arn for arn in arns if (place, arn) not in groups]
        if absent:  # AWS describes every one or refuses
            raise malformed("elasticloadbalancing:DescribeTargetGroups", _names(absent))
        return {key: groups[key] for key in keys}

    def _may_be_in_use(self, group: TargetGroup, age: timedelta) -> bool:
        """Tell whether to describe a group again that was in no listener rule: one may have been added."""
        return not group.in_use and age > timedelta(seconds=self._sharing.freshness.topology)

    def _groups(self, place: Place, what: str, **wanted: Any) -> list[TargetGroup]:
        """Describe target groups, page by page."""
        found: list[TargetGroup] = []
        for page in self._elbv2.pages("DescribeTargetGroups", place, what, ("NextMarker", "Marker"), **wanted):
            with well_formed("elasticloadbalancing:DescribeTargetGroups", what):
                found.extend(_group(one, place) for one in page["TargetGroups"])
        return found


def name_of(arn: str) -> str:
    """Return the name in a target group's ARN. Raises CannotTell (TargetGroupNotFound) if it is none."""
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
    """Return what is shown of the health check; a Network Load Balancer's has no path and no codes."""
    matcher = answer.get("Matcher") or {}
    return HealthCheck(
        protocol=answer.get("HealthCheckProtocol", ""),
        port=answer.get("HealthCheckPort", ""),
        path=answer.get("HealthCheckPath", ""),
        codes=matcher.get("HttpCode") or matcher.get("GrpcCode", ""),
        timeout_seconds=answer.get("HealthCheckTimeoutSeconds", 0),
        healthy_threshold=answer.get("HealthyThresholdCount", 0),
    )
