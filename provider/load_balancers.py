"""Reads ELBv2: target groups and the health of their targets.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
the list it promises is malformed, never empty.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, cast

from provider import target_health_xml
from provider.aws import Account, Api, Service
from provider.aws_errors import malformed
from provider.budget import Budget, Read
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Binding, GroupHealth, Kind, Target, TargetGroup
from provider.sharing import Admit, Known, Sharing, Wanted
from provider.telemetry import Metrics

BURST_SECONDS = 4
"""Calls that may come at once, in seconds of the rate: AWS's bucket holds 40 and refills 10 a second."""

FEW_TARGETS, MANY_TIMES = 100, 2
"""Up to so many targets are asked for by name, in a group that is so many times larger (AWS documents no maximum)."""

MAX_SIZES = 10_000
"""Target groups of which the size is kept in mind."""

_HealthKey = tuple[str, frozenset[tuple[str, int]]]

_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):\d{12}:targetgroup/(?P<name>[^/]+)/\w+")


class LoadBalancers:
    """The load balancer's side of the evidence."""

    def __init__(self, account: Account, sharing: Sharing, metrics: Metrics, *, calls_per_second: float) -> None:
        """Read with the account's credentials; its home region is the one of target groups that are bound by name."""
        self._account = account
        self._sharing = sharing
        events = {target_health_xml.EVENT: target_health_xml.before_parse}
        burst = calls_per_second * BURST_SECONDS
        self._elbv2 = Service(account, Api("elbv2", "elasticloadbalancing", calls_per_second, burst, events), metrics)
        self._sizes: dict[str, int] = {}

    @property
    def answered(self) -> bool:
        """Whether AWS ever answered anything at all, a refusal included."""
        return self._elbv2.answered

    def ping(self, budget: Budget) -> None:
        """Ask for one target group of the home region; this warms its connection too. Raises CannotTell."""
        what = "any target group"
        region = self._account.home_region(what)
        self._elbv2.charge(region)
        budget.read(Read(what, lambda: self._elbv2.call("DescribeTargetGroups", region, what, PageSize=1)))

    def require_turn(self, budget: Budget) -> None:
        """Send back a question whose Rollout stands in line for its turn. Raises CannotTell (AwsBudget)."""
        self._elbv2.require_turn(budget)

    def calls_per_second(self, region: str) -> float:
        """Return the calls a second that are ours in a region now."""
        return self._elbv2.calls_per_second(region)

    def foresee(self, bindings: Iterable[Binding], budget: Budget) -> None:
        """Start to describe target groups that will be wanted, if that need not wait for anybody's turn."""
        arns = [one.arn for one in bindings if _ARN.fullmatch(one.arn) and not one.role_arn]
        with suppress(CannotTell):  # who asks for them in earnest is told
            self._sharing.begin(*self._described(arns), budget=budget, admit=self._admit_at_once(budget))

    def health(
        self,
        bindings: tuple[Binding, ...],
        budget: Budget,
        wanted: Callable[[Binding, int], Collection[tuple[str, int]]] = lambda _binding, _most: (),
    ) -> tuple[GroupHealth, ...]:
        """Read each binding's target group and the health of its targets, in the order of the bindings.

        `wanted` returns the (address, port) that matter in a binding's group, or nothing if they are more than so many:
        where they are few in a large group only these are asked for. One round trip; two where a binding has a name
        instead of an ARN. Raises CannotTell.
        """
        arns = self._arns(bindings, budget)
        only = [self._only(arn, partial(wanted, one)) for arn, one in zip(arns, bindings, strict=True)]
        healths = [
            Wanted(
                Kind.TARGET_HEALTH,
                f"target health of {_parsed(arn)['name']}",
                ((arn, some),),
                self._targets,
                region_of(arn),
            )
            for arn, some in zip(arns, only, strict=True)
        ]
        found = self._sharing.read(*self._described(arns), *healths, budget=budget, admit=self._admit(budget))
        return tuple(
            GroupHealth(
                group=found[arn].value,
                binding=binding,
                targets=found[arn, some].value,
                read_at=found[arn, some].read_at,
                described_at=found[arn].read_at,
            )
            for arn, some, binding in zip(arns, only, bindings, strict=True)
        )

    def groups(self, bindings: tuple[Binding, ...], budget: Budget) -> tuple[Known[TargetGroup], ...]:
        """Read each binding's target group, without its targets, in the order of the bindings. Raises CannotTell."""
        arns = self._arns(bindings, budget)
        found = self._sharing.read(*self._described(arns), budget=budget, admit=self._admit(budget))
        return tuple(found[arn] for arn in arns)

    def attached(self, load_balancer_arn: str, budget: Budget) -> frozenset[str]:
        """Return the ARNs of every target group that the load balancer forwards to. Raises CannotTell."""
        region = load_balancer_arn.split(":")[3]
        what = f"target groups of {load_balancer_arn.rpartition(':loadbalancer/')[2]}"

        def call(_: Sequence[str]) -> Mapping[str, frozenset[str]]:
            groups = self._groups(region, what, LoadBalancerArn=load_balancer_arn)
            return {load_balancer_arn: frozenset(group.arn for group in groups)}

        wanted = Wanted(Kind.TOPOLOGY, what, (load_balancer_arn,), call, region)
        found = self._sharing.read(wanted, budget=budget, admit=self._admit(budget))
        return cast(frozenset[str], found[load_balancer_arn].value)

    def _admit(self, budget: Budget) -> Admit:
        """Return what lets calls go when it is this Rollout's turn."""

        def admit(calls: Sequence[Wanted]) -> None:
            for region, count in Counter(one.region for one in calls).items():
                self._elbv2.admit(region, count, budget)

        return admit

    def _admit_at_once(self, budget: Budget) -> Admit:
        def admit(calls: Sequence[Wanted]) -> None:
            for region, count in Counter(one.region for one in calls).items():
                self._elbv2.admit_at_once(region, count, budget)

        return admit

    def _described(self, arns: Iterable[str]) -> list[Wanted]:
        """One DescribeTargetGroups per region."""
        by_region: dict[str, list[str]] = {}
        for arn in dict.fromkeys(arns):
            by_region.setdefault(region_of(arn), []).append(arn)
        return [
            Wanted(
                Kind.TARGET_GROUPS, "target groups", some, partial(self._describe, region), region, self._may_be_in_use
            )
            for region, some in by_region.items()
        ]

    def _may_be_in_use(self, group: TargetGroup, age: timedelta) -> bool:
        """Tell whether a group that was in no listener rule should be looked at again: somebody may have added one."""
        return not group.in_use and age > timedelta(seconds=self._sharing.freshness.topology)

    def _describe(self, region: str, arns: Sequence[str]) -> Mapping[str, TargetGroup | CannotTell]:
        """Describe target groups by ARN; where AWS does not know one of several it refuses all, so each is asked."""
        try:
            groups = {one.arn: one for one in self._groups(region, _names(arns), TargetGroupArns=list(arns))}
        except CannotTell as error:
            if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                raise
            if len(arns) == 1:
                return {arns[0]: error}
            found: dict[str, TargetGroup | CannotTell] = {}
            for arn in arns:
                self._elbv2.charge(region)
                found |= self._describe(region, [arn])
            return found
        absent = [arn for arn in arns if arn not in groups]
        if absent:  # AWS describes every one or refuses
            raise malformed("elasticloadbalancing:DescribeTargetGroups", _names(absent))
        return {arn: groups[arn] for arn in arns}

    def _arns(self, bindings: tuple[Binding, ...], budget: Budget) -> list[str]:
        """Return each binding's ARN, resolving names in the home region where there is no ARN."""
        names = sorted({one.group_name for one in bindings if not one.arn and one.group_name})
        found: dict[str, Known[str]] = {}
        if names:
            region = self._account.home_region(", ".join(names))
            call = partial(self._resolve, region)
            wanted = Wanted(Kind.TOPOLOGY, f"target groups {', '.join(names)}", names, call, region)
            found = self._sharing.read(wanted, budget=budget, admit=self._admit(budget))
        arns = [one.arn or (found[one.group_name].value if one.group_name else "") for one in bindings]
        for arn, binding in zip(arns, bindings, strict=True):
            if not _ARN.fullmatch(arn):
                raise CannotTell(
                    Reason.TARGET_GROUP_NOT_FOUND,
                    f"TargetGroupBinding {binding.name} names no target group that AWS knows: "
                    f"{(arn or binding.group_name or '(nothing)')[:120]}",
                )
        return arns

    def _resolve(self, region: str, names: Sequence[str]) -> Mapping[str, str]:
        found = {group.name: group.arn for group in self._groups(region, ", ".join(names), Names=list(names))}
        return {name: found.get(name, "") for name in names}

    def _groups(self, region: str, what: str, **wanted: Any) -> list[TargetGroup]:
        """Describe target groups, page by page."""
        found: list[TargetGroup] = []
        for page in self._elbv2.pages("DescribeTargetGroups", region, what, ("NextMarker", "Marker"), **wanted):
            with _well_formed("DescribeTargetGroups", what):
                found.extend(_group(one) for one in page["TargetGroups"])
        return found

    def _only(self, arn: str, wanted: Callable[[int], Collection[tuple[str, int]]]) -> frozenset[tuple[str, int]]:
        """Return the targets to ask for by name: those wanted, if they are few in a large group; else none, for all."""
        most = min(FEW_TARGETS, self._sizes.get(arn, 0) // MANY_TIMES)
        some = wanted(most) if most else ()
        return frozenset(some) if len(some) <= most else frozenset()

    def _targets(self, keys: Sequence[_HealthKey]) -> Mapping[_HealthKey, tuple[Target, ...]]:
        """Describe the health of one group's targets, all or some; this API has no pages."""
        ((arn, only),) = keys
        some = {"Targets": [{"Id": address, "Port": port} for address, port in sorted(only)]} if only else {}
        try:
            targets = self._health_of(arn, some)
        except CannotTell as error:
            if not only or error.reason is not Reason.AWS_REJECTED:
                raise
            self._elbv2.charge(region_of(arn))  # AWS may refuse to speak of a target that is not registered
            targets = self._health_of(arn, {})
        if not only:
            self._remember_size(arn, targets)
        return {(arn, only): targets}

    def _health_of(self, arn: str, some: Mapping[str, Any]) -> tuple[Target, ...]:
        parsed = _parsed(arn)
        answer = self._elbv2.call(
            target_health_xml.OPERATION, parsed["region"], parsed["name"], TargetGroupArn=arn, **some
        )
        return cast(tuple[Target, ...], answer[target_health_xml.TARGETS])

    def _remember_size(self, arn: str, targets: tuple[Target, ...]) -> None:
        """Keep in mind how large a group of addresses is; instance ids are not what pods could be asked for by."""
        while len(self._sizes) >= MAX_SIZES:
            self._sizes.pop(next(iter(self._sizes)), None)
        self._sizes[arn] = 0 if targets and targets[0].id.startswith("i-") else len(targets)


def region_of(arn: str) -> str:
    """Return the region of a target group's ARN."""
    return _parsed(arn)["region"]


def _parsed(arn: str) -> re.Match[str]:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise CannotTell(Reason.TARGET_GROUP_NOT_FOUND, f"This is not the ARN of a target group: {arn[:120]}")
    return match


def _names(arns: Iterable[str]) -> str:
    return ", ".join(_parsed(arn)["name"] for arn in arns)


def _group(answer: dict[str, Any]) -> TargetGroup:
    return TargetGroup(
        arn=answer["TargetGroupArn"],
        name=answer["TargetGroupName"],
        target_type=answer["TargetType"],
        load_balancer_arns=tuple(dict.fromkeys(answer["LoadBalancerArns"])),
        health_check_interval_seconds=answer["HealthCheckIntervalSeconds"],
        unhealthy_threshold=answer["UnhealthyThresholdCount"],
    )


@contextmanager
def _well_formed(operation: str, what: str) -> Iterator[None]:
    """Turn an answer that lacks what the API promises into a CannotTell."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise malformed(f"elasticloadbalancing:{operation}", what) from error
