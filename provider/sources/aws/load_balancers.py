"""Reads ELBv2: the health of targets, and through `target_groups` their groups.

Nothing here judges. A read that fails raises CannotTell naming the IAM action and the target group; an answer without
its list is malformed, never empty.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, cast

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, GroupHealth, Kind, Place, Target, TargetGroup
from provider.sources.aws import target_health_xml
from provider.sources.aws.listeners import Listeners
from provider.sources.aws.service import Account, Api, Service
from provider.sources.aws.target_groups import GroupKey, TargetGroups, name_of
from provider.sources.bulkheads import Read
from provider.sources.cache import Reading
from provider.sources.deadline import Deadline
from provider.sources.shared import Request, Shared
from provider.telemetry import Metrics

BURST_SECONDS = 4
"""Burst, in seconds of the rate: AWS's bucket holds 40 calls and refills by 10 a second."""

MAX_NAMED_TARGETS, MIN_SIZE_RATIO = 100, 2
"""Targets are requested by name up to this number, in a group at least this many times larger (AWS has no maximum)."""

INCLUDE_ALL = {"Include": ["All"]}
"""Requests anomalies and zonal shifts in addition to the state. Some regions reject it."""

MAX_SIZES = 10_000
"""Target groups whose size is cached."""


class LoadBalancers:
    """Evidence from Elastic Load Balancing."""

    def __init__(self, account: Account, shared: Shared, metrics: Metrics, *, calls_per_second: float) -> None:
        """Read with the account's credentials; target groups that are bound by name are in its home region."""
        self.account = account
        self._shared = shared
        events = {target_health_xml.EVENT: target_health_xml.before_parse}
        burst = calls_per_second * BURST_SECONDS
        api = Api("elbv2", "elasticloadbalancing", calls_per_second, burst, events)
        self.elbv2 = Service(account, api, metrics, shared.other_clocks)
        metrics.shows_budget(self.elbv2.calls_left, self.elbv2.waiting)
        self.target_groups = TargetGroups(account, self.elbv2, shared)
        self.listeners = Listeners(self.elbv2, shared)
        """Reads listener rules, for handover."""
        self._sizes: dict[GroupKey, int] = {}
        self._accepts_include_all: dict[str, bool] = {}
        """By region, as far as it is known."""

    @property
    def answered(self) -> bool:
        """Whether AWS has ever responded, even with a refusal."""
        return self.elbv2.answered

    def ping(self, deadline: Deadline) -> None:
        """Read one target group of the home region, which also opens the connection. Raises CannotTell."""
        what = "any target group"
        home = Place(self.account.home_region(what))
        ping = partial(self.elbv2.call, "DescribeTargetGroups", home, what, deadline, PageSize=1)
        self._shared.threads.read(home.scope, deadline, Read(what, ping))

    def health(
        self,
        bindings: tuple[Binding, ...],
        deadline: Deadline,
        wanted: Callable[[Binding, int], Collection[tuple[str, int]]] = lambda _binding, _most: (),
    ) -> tuple[GroupHealth, ...]:
        """Read each binding's target group and the health of its targets, in the order of the bindings.

        `wanted` returns the (address, port) that matter in a binding's group, or nothing if they are more than the
        given maximum. A few of a large group are requested by name. One round trip; two if a binding has a name instead
        of an ARN. Raises CannotTell: BindingNeedsRole for a role that is not listed, and what reads raise.
        """
        groups = self.target_groups.find(bindings, deadline)
        started = [
            self._shared.start(self._health(group, self._only(group, partial(wanted, binding)), deadline), deadline)
            for group, binding in zip(groups, bindings, strict=True)
        ]
        described = self._described(groups, deadline)
        healths = [pending.result(deadline) for pending in started]
        return tuple(
            GroupHealth(group.value, binding, health.value, health.read_at, group.read_at)
            for group, binding, health in zip(described, bindings, healths, strict=True)
        )

    def groups(self, bindings: tuple[Binding, ...], deadline: Deadline) -> tuple[Reading[TargetGroup], ...]:
        """Read each binding's target group, without its targets, in the order of the bindings. Raises as `health`."""
        return tuple(self._described(self.target_groups.find(bindings, deadline), deadline))

    def _described(self, keys: Sequence[GroupKey], deadline: Deadline) -> list[Reading[TargetGroup]]:
        """Read the settings of target groups. Raises CannotTell for the first that AWS does not know."""
        requests = self.target_groups.described(keys, deadline)
        started = {place: self._shared.start(request, deadline) for place, request in requests.items()}
        by_key: dict[GroupKey, Reading[TargetGroup | CannotTell]] = {}
        for place, pending in started.items():
            reading = pending.result(deadline)
            by_key |= {(place, arn): Reading(group, reading.read_at) for arn, group in reading.value.items()}
        described = []
        for key in keys:
            group = by_key[key].value
            if isinstance(group, CannotTell):
                raise group.with_traceback(None)
            described.append(Reading(group, by_key[key].read_at))
        return described

    def _health(
        self, group: GroupKey, only: frozenset[tuple[str, int]], deadline: Deadline
    ) -> Request[tuple[Target, ...]]:
        """Return the request for the health of a group's targets: of all, or of `only` these."""
        place, arn = group
        what = f"target health of {name_of(arn)}"
        call = partial(self._targets, group, only, deadline)
        return Request(Kind.TARGET_HEALTH, (group, only), what, call, place.scope)

    def attributes(self, group: TargetGroup, deadline: Deadline) -> Mapping[str, str]:
        """Return a target group's attributes, for preflight: one call. Raises CannotTell."""
        what = f"target group {group.name}"

        def call() -> Mapping[str, str]:
            operation, parse = "DescribeTargetGroupAttributes", itemgetter("Key", "Value")
            return dict(
                self.elbv2.items(operation, "Attributes", parse, group.place, what, deadline, TargetGroupArn=group.arn)
            )

        (attributes,) = self._shared.threads.read(group.place.scope, deadline, Read(what, call))
        return dict(attributes)

    def _only(
        self, group: GroupKey, wanted: Callable[[int], Collection[tuple[str, int]]]
    ) -> frozenset[tuple[str, int]]:
        """Return the targets to request by name if they are few in a large group; empty to request all."""
        maximum = min(MAX_NAMED_TARGETS, self._sizes.get(group, 0) // MIN_SIZE_RATIO)
        targets = wanted(maximum) if maximum else ()
        return frozenset(targets) if len(targets) <= maximum else frozenset()

    def _targets(self, group: GroupKey, only: frozenset[tuple[str, int]], deadline: Deadline) -> tuple[Target, ...]:
        """Describe the health of a group's targets: of all, or of `only` these. This API has no pages."""
        region = group[0].region
        named = {"Targets": [{"Id": address, "Port": port} for address, port in sorted(only)]}
        include = INCLUDE_ALL if self._accepts_include_all.get(region, True) else {}
        # AWS may reject a target that is not registered, and a region may reject INCLUDE_ALL.
        attempts: list[Mapping[str, Any]] = [{**named, **include}, include] if only else [include]
        if region not in self._accepts_include_all:
            attempts.append({})
        targets, accepted = self._first_accepted(group, attempts, deadline)
        self._accepts_include_all.setdefault(region, "Include" in accepted)
        if not only:
            self._note_size(group, targets)
        return targets

    def _first_accepted(
        self, group: GroupKey, attempts: Sequence[Mapping[str, Any]], deadline: Deadline
    ) -> tuple[tuple[Target, ...], Mapping[str, Any]]:
        """Try arguments until AWS accepts some; return the targets and these arguments."""
        *others, last = attempts
        for arguments in others:
            try:
                return self._health_of(group, arguments, deadline), arguments
            except CannotTell as error:
                if error.reason is not Reason.AWS_REJECTED:
                    raise
        return self._health_of(group, last, deadline), last

    def _health_of(self, group: GroupKey, arguments: Mapping[str, Any], deadline: Deadline) -> tuple[Target, ...]:
        place, arn = group
        answer = self.elbv2.call(
            target_health_xml.OPERATION, place, name_of(arn), deadline, TargetGroupArn=arn, **arguments
        )
        return cast(tuple[Target, ...], answer[target_health_xml.TARGETS])

    def _note_size(self, group: GroupKey, targets: tuple[Target, ...]) -> None:
        """Cache the size of a group of addresses; groups of instances are always read whole."""
        while len(self._sizes) >= MAX_SIZES:
            self._sizes.pop(next(iter(self._sizes)), None)
        self._sizes[group] = 0 if targets and targets[0].id.startswith("i-") else len(targets)
