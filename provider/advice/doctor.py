"""Tests what queries need where the provider runs: rights, APIs, IAM actions and clocks, by the reads of queries."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from provider.checks.question import Sources
from provider.model.clocks import TOO_FAR_SECONDS
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, Metric, TargetGroup, Window
from provider.rules.counts import REQUESTS, dimension
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import access, shapes
from provider.sources.kubernetes.access import Right
from provider.sources.kubernetes.resources import BINDING_APIS, ROLLOUTS, Api

LAG, MINUTES = timedelta(minutes=3), timedelta(minutes=5)
"""Which minutes of CloudWatch are read: those that ended before the lag."""

MOST_TRIED = 3
"""Target groups of one place that are tried: a binding may name one that is gone."""

ROLE = "Grant it in ClusterRole alb-provider (deploy/base/cluster-role.yaml)"


class Outcome(StrEnum):
    """The result of a test."""

    OK = "ok"
    NOTE = "note"
    """Queries work without it, or it could not be tested."""
    FIX = "fix"
    """Queries need it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One test: what was tested, and what to do about it."""

    test: str
    outcome: Outcome
    advice: str = ""


class Doctor:
    """Tests one provider's surroundings, in these namespaces; without one in the whole cluster."""

    def __init__(self, sources: Sources, namespaces: Iterable[str], *, events: bool, handover_in: str) -> None:
        """`handover_in` is the namespace of the records of handovers, empty without handover."""
        self._sources = sources
        self._namespaces = tuple(namespaces) or ("",)
        self._events, self._handover_in = events, handover_in

    def examine(self) -> Iterator[Finding]:
        """Yield the result of each test, Kubernetes first: AWS is tested by the bindings that are there."""
        answers = self._tried("Kubernetes: the API server answers", self._sources.cluster.server.ping)
        yield answers
        bindings: list[Binding] = []
        if answers.outcome is Outcome.OK:
            yield from self._rights()
            yield from self._apis(bindings)
        yield from self._aws(bindings)
        yield from self._clocks()

    def _deadline(self) -> Deadline:
        return Deadline(self._sources.budget_seconds)

    def _tried(self, test: str, read: Callable[[Deadline], object], otherwise: Outcome = Outcome.FIX) -> Finding:
        """Read, and say what prevents it."""
        try:
            read(self._deadline())
        except CannotTell as error:
            return Finding(test, otherwise, str(error))
        return Finding(test, Outcome.OK)

    def _rights(self) -> Iterator[Finding]:
        """Ask the API server about every right; those that only people need are notes."""
        needed = (*access.QUERIES_NEED, *(("list", api) for api in BINDING_APIS))
        optional = {
            "Only the status page, `explain` and `list` need it": access.PEOPLE_NEED,
            "Only instance targets with externalTrafficPolicy: Local need it": access.INSTANCE_TARGETS_NEED,
        }
        for namespace in self._namespaces:
            yield from self._reviewed(namespace, needed, Outcome.FIX, ROLE)
            if self._events:
                yield from self._reviewed(namespace, access.EVENTS_NEED, Outcome.FIX, "Use deploy/components/events")
            for why, rights in optional.items():
                yield from self._reviewed(namespace, rights, Outcome.NOTE, f"{why}. {ROLE}")
        if self._handover_in:
            todo = "Use deploy/components/handover"
            yield from self._reviewed(self._handover_in, access.HANDOVER_NEEDS, Outcome.FIX, todo)

    def _reviewed(self, namespace: str, rights: tuple[Right, ...], otherwise: Outcome, todo: str) -> Iterator[Finding]:
        try:
            allowed = access.review(self._sources.cluster, namespace, rights, self._deadline())
        except CannotTell as error:
            yield Finding("Kubernetes: access reviews", Outcome.NOTE, str(error))
            return
        for (verb, api), may in zip(rights, allowed, strict=True):
            test = f"Kubernetes: may {verb} {api.rbac}{api.scope(namespace)}"
            yield Finding(test, Outcome.OK) if may else Finding(test, otherwise, todo)

    def _apis(self, bindings: list[Binding]) -> Iterator[Finding]:
        """Look for Argo's API and those of TargetGroupBindings, and collect the bindings."""
        server = self._sources.cluster.server
        if not self._is_served(ROLLOUTS):
            yield Finding(f"Kubernetes: serves {ROLLOUTS.rbac}", Outcome.FIX, "Install Argo Rollouts 1.8.4 or newer")
        served = [api for api in BINDING_APIS if self._is_served(api)]
        test = "Kubernetes: serves " + (" and ".join(api.rbac for api in served) or BINDING_APIS[0].rbac)
        todo = "Install the AWS Load Balancer Controller, or use EKS Auto Mode"
        yield Finding(test, Outcome.OK) if served else Finding(test, Outcome.FIX, todo)
        for api in served:
            for namespace in self._namespaces:
                try:
                    bindings += (
                        server.read_list_or_none(api, namespace, shapes.TargetGroupBinding, self._deadline()) or ()
                    )
                except CannotTell as error:
                    yield Finding(f"Kubernetes: list {api.rbac}{api.scope(namespace)}", Outcome.FIX, str(error))

    def _is_served(self, api: Api) -> bool:
        try:
            return self._sources.cluster.server.is_discovered(api, self._deadline())
        except CannotTell:
            return False

    def _aws(self, bindings: list[Binding]) -> Iterator[Finding]:
        """Read what queries read: of one target group in each region, as each role."""
        describes = self._tried("AWS: elasticloadbalancing:DescribeTargetGroups", self._sources.load_balancers.ping)
        yield describes
        if describes.outcome is not Outcome.OK:
            return
        places: dict[tuple[str, str, str], list[Binding]] = {}
        for binding in bindings:
            key = (self._sources.load_balancers.target_groups.region(binding), binding.role_arn, binding.external_id)
            places.setdefault(key, []).append(binding)
        if not places:
            test = "AWS: elasticloadbalancing:DescribeTargetHealth, cloudwatch:GetMetricData"
            advice = "Not tested, as there is no TargetGroupBinding. Run it again once there is one"
            yield Finding(test, Outcome.NOTE, advice)
        for (region, role, _), bindings_there in places.items():
            health, group = self._health(bindings_there, _in(region, role))
            yield health
            if group is not None:
                yield from self._more(group)

    def _health(self, bindings: list[Binding], where: str) -> tuple[Finding, TargetGroup | None]:
        """Read the health of the first target group that exists, and return the group."""
        test, missing = f"AWS: elasticloadbalancing:DescribeTargetHealth{where}", ""
        for binding in bindings[:MOST_TRIED]:
            try:
                [health] = self._sources.load_balancers.health((binding,), self._deadline())
            except CannotTell as error:
                if error.reason is not Reason.TARGET_GROUP_NOT_FOUND:
                    return Finding(test, Outcome.FIX, str(error)), None
                missing = str(error)
            else:
                return Finding(test, Outcome.OK), health.group
        return Finding(test, Outcome.NOTE, missing), None

    def _more(self, group: TargetGroup) -> Iterator[Finding]:
        """Read a target group's metrics, and what preflight and handover read of it."""
        where = _in(group.place.region, group.place.role_arn)
        metric = Metric(REQUESTS, dimension(group.load_balancer_arns[0]) if group.in_use else "app/none/0")
        end = (self._sources.clock() - LAG).replace(second=0, microsecond=0)
        window = Window(end - MINUTES, end)
        yield self._tried(
            f"AWS: cloudwatch:GetMetricData{where}",
            lambda deadline: self._sources.cloudwatch.points(group.place, (metric,), window, deadline),
        )
        reads, otherwise = self._sources.load_balancers, Outcome.FIX if self._handover_in else Outcome.NOTE
        yield self._tried(
            f"AWS: elasticloadbalancing:DescribeListeners, DescribeRules, DescribeLoadBalancers{where}",
            lambda deadline: reads.listeners.hosts([group], deadline),
            otherwise,
        )
        yield self._tried(
            f"AWS: elasticloadbalancing:DescribeTargetGroupAttributes{where}",
            lambda deadline: reads.attributes(group, deadline),
            Outcome.NOTE,
        )
        if self._handover_in:
            advice = "Not tested, because it would write. The first handover shows it"
            yield Finding(f"AWS: elasticloadbalancing:RegisterTargets, DeregisterTargets{where}", Outcome.NOTE, advice)

    def _clocks(self) -> Iterator[Finding]:
        """Compare the clocks of everything that answered with the provider's."""
        apart = self._sources.shared.other_clocks.apart()
        if not apart:
            yield Finding("Clocks: those of Kubernetes and AWS agree with the provider's", Outcome.OK)
        for system, seconds in apart.items():
            outcome = Outcome.FIX if abs(seconds) > TOO_FAR_SECONDS else Outcome.NOTE
            advice = (
                f"It is {abs(seconds):g} s {'ahead of' if seconds > 0 else 'behind'} the provider's. Check NTP on both"
            )
            yield Finding(f"Clocks: {system}", outcome, advice)


def _in(region: str, role: str) -> str:
    return (f" in {region}" if region else "") + (f" as {role}" if role else "")
