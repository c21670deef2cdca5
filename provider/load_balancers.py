"""Reads ELBv2: the health of targets, and through `target_groups` the groups that they are in.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
the list it promises is malformed, never empty.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from provider import target_health_xml
from provider.aws import Account, Api, Service
from provider.budget import Budget, Read
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.records import Binding, GroupHealth, Kind, Place, Target, TargetGroup
from provider.sharing import Known, Sharing, Wanted
from provider.target_groups import GroupKey, TargetGroups, name_of
from provider.telemetry import Metrics

BURST_SECONDS = 4
"""Calls that may come at once, in seconds of the rate: AWS's bucket holds 40 and refills 10 a second."""

FEW_TARGETS, MANY_TIMES = 100, 2
"""Up to so many targets are asked for by name, in a group that is so many times larger (AWS documents no maximum)."""

MAX_SIZES = 10_000
"""Target groups of which the size is kept in mind."""

_HealthKey = tuple[GroupKey, frozenset[tuple[str, int]]]


class LoadBalancers:
    """The load balancer's side of the evidence."""

    def __init__(self, account: Account, sharing: Sharing, metrics: Metrics, *, calls_per_second: float) -> None:
        """Read with the account's credentials; its home region is the one of target groups that are bound by name."""
        self._account = account
        self._sharing = sharing
        events = {target_health_xml.EVENT: target_health_xml.before_parse}
        burst = calls_per_second * BURST_SECONDS
        self._elbv2 = Service(account, Api("elbv2", "elasticloadbalancing", calls_per_second, burst, events), metrics)
        self._groups = TargetGroups(account, self._elbv2, sharing)
        self._sizes: dict[GroupKey, int] = {}

    @property
    def answered(self) -> bool:
        """Whether AWS ever answered anything at all, a refusal included."""
        return self._elbv2.answered

    def ping(self, budget: Budget) -> None:
        """Ask for one target group of the home region; this warms its connection too. Raises CannotTell."""
        what = "any target group"
        home = Place(self._account.home_region(what))
        self._elbv2.charge(home)
        budget.read(Read(what, lambda: self._elbv2.call("DescribeTargetGroups", home, what, PageSize=1)))

    def require_turn(self, budget: Budget) -> None:
        """Send back a question whose Rollout stands in line for its turn. Raises CannotTell (AwsBudget)."""
        self._elbv2.require_turn(budget)

    def calls_per_second(self, place: Place) -> float:
        """Return the calls a second that are ours at a place now."""
        return self._elbv2.calls_per_second(place)

    def may_read(self, binding: Binding) -> bool:
        """Tell whether a binding needs no role, or one on the list."""
        return self._account.roles.allow(binding)

    def foresee(self, bindings: Iterable[Binding], budget: Budget) -> None:
        """Start to describe target groups that will be wanted, if that need not wait for anybody's turn."""
        described = self._groups.described(self._groups.at_once(bindings))
        with suppress(CannotTell):  # who asks for them in earnest is told
            self._sharing.begin(*described, budget=budget, admit=self._groups.admit_at_once(budget))

    def health(
        self,
        bindings: tuple[Binding, ...],
        budget: Budget,
        wanted: Callable[[Binding, int], Collection[tuple[str, int]]] = lambda _binding, _most: (),
    ) -> tuple[GroupHealth, ...]:
        """Read each binding's target group and the health of its targets, in the order of the bindings.

        `wanted` returns the (address, port) that matter in a binding's group, or nothing if they are more than so many:
        where they are few in a large group only these are asked for. One round trip; two where a binding has a name
        instead of an ARN. Raises CannotTell: BindingNeedsRole for a role not on the list, and what reads raise.
        """
        groups = self._groups.find(bindings, budget)
        keys = [
            (group, self._only(group, partial(wanted, binding)))
            for group, binding in zip(groups, bindings, strict=True)
        ]
        healths = [
            Wanted(
                Kind.TARGET_HEALTH,
                f"target health of {name_of(key[0][1])}",
                (key,),
                self._targets,
                key[0][0],
            )
            for key in keys
        ]
        described = self._groups.described(groups)
        found = self._sharing.read(*described, *healths, budget=budget, admit=self._groups.admit(budget))
        return tuple(
            GroupHealth(
                group=found[key[0]].value,
                binding=binding,
                targets=found[key].value,
                read_at=found[key].read_at,
                described_at=found[key[0]].read_at,
            )
            for key, binding in zip(keys, bindings, strict=True)
        )

    def groups(self, bindings: tuple[Binding, ...], budget: Budget) -> tuple[Known[TargetGroup], ...]:
        """Read each binding's target group, without its targets, in the order of the bindings. Raises as `health`."""
        keys = self._groups.find(bindings, budget)
        found = self._sharing.read(*self._groups.described(keys), budget=budget, admit=self._groups.admit(budget))
        return tuple(found[key] for key in keys)

    def attached(self, load_balancer_arn: str, place: Place, budget: Budget) -> frozenset[str]:
        """Return the ARNs of every target group that the load balancer forwards to. Raises CannotTell."""
        return self._groups.attached(load_balancer_arn, place, budget)

    def _only(
        self, group: GroupKey, wanted: Callable[[int], Collection[tuple[str, int]]]
    ) -> frozenset[tuple[str, int]]:
        """Return the targets to ask for by name: those wanted, if they are few in a large group; else none, for all."""
        most = min(FEW_TARGETS, self._sizes.get(group, 0) // MANY_TIMES)
        some = wanted(most) if most else ()
        return frozenset(some) if len(some) <= most else frozenset()

    def _targets(self, keys: Sequence[_HealthKey]) -> Mapping[_HealthKey, tuple[Target, ...]]:
        """Describe the health of one group's targets, all or some; this API has no pages."""
        ((group, only),) = keys
        some = {"Targets": [{"Id": address, "Port": port} for address, port in sorted(only)]} if only else {}
        try:
            targets = self._health_of(group, some)
        except CannotTell as error:
            if not only or error.reason is not Reason.AWS_REJECTED:
                raise
            self._elbv2.charge(group[0])  # AWS may refuse to speak of a target that is not registered
            targets = self._health_of(group, {})
        if not only:
            self._remember_size(group, targets)
        return {(group, only): targets}

    def _health_of(self, group: GroupKey, some: Mapping[str, Any]) -> tuple[Target, ...]:
        place, arn = group
        answer = self._elbv2.call(target_health_xml.OPERATION, place, name_of(arn), TargetGroupArn=arn, **some)
        return cast(tuple[Target, ...], answer[target_health_xml.TARGETS])

    def _remember_size(self, group: GroupKey, targets: tuple[Target, ...]) -> None:
        """Keep in mind how large a group of addresses is; instance ids are not what pods could be asked for by."""
        while len(self._sizes) >= MAX_SIZES:
            self._sizes.pop(next(iter(self._sizes)), None)
        self._sizes[group] = 0 if targets and targets[0].id.startswith("i-") else len(targets)
