"""Reads listeners: the weight that a load balancer's rules give a target group, their hosts, and its security groups.

Only handover and preflight need them. A read that fails raises CannotTell naming the IAM action and the load balancer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

from provider.model.records import Kind, Place, TargetGroup
from provider.sources.aws.aws_errors import malformed, well_formed
from provider.sources.aws.service import Service, Value
from provider.sources.bulkheads import Read
from provider.sources.deadline import Deadline
from provider.sources.shared import Request, Shared

_ALL = 1
"""The weight of a target group that a rule forwards to without naming a weight."""


class Listeners:
    """Reads DescribeListeners, DescribeRules and DescribeLoadBalancers."""

    def __init__(self, elbv2: Service, shared: Shared) -> None:
        """Read through this service, within its budget."""
        self._elbv2, self._shared, self._threads = elbv2, shared, shared.threads

    def weights(self, group: TargetGroup, deadline: Deadline) -> tuple[int, ...]:
        """Return the weight of a target group in every rule, default actions included, that names it.

        They move at any time, so they are cached for as long as the health of targets.
        """
        request = Request(
            Kind.TARGET_HEALTH,
            ("weights", group.arn),
            f"listener rules of {group.name}",
            lambda: tuple(self._weights(group, deadline)),
            group.place.scope,
        )
        return self._shared.read(request, deadline).value

    def hosts(self, groups: Iterable[TargetGroup], deadline: Deadline) -> Mapping[str, tuple[str, ...]]:
        """Return by ARN the hosts by which requests reach target groups: of rules, and load balancers' own names.

        A host of a rule may have the wildcards * and ?. Each load balancer is read once.
        """
        by_place: dict[Place, list[TargetGroup]] = {}
        for group in groups:
            by_place.setdefault(group.place, []).append(group)
        what = {place: "hosts of " + ", ".join(group.name for group in placed) for place, placed in by_place.items()}
        started = {
            place: self._threads.submit(place.scope, partial(self._hosts, placed, deadline))
            for place, placed in by_place.items()
        }
        return {arn: hosts for place in started for arn, hosts in deadline.wait(started[place], what[place]).items()}

    def security_groups(self, arns: Iterable[str], place: Place, deadline: Deadline) -> Mapping[str, frozenset[str]]:
        """Return the security groups of load balancers by ARN."""
        ordered = sorted(arns)
        what = "load balancers " + ", ".join(_name_of(arn) for arn in ordered)

        def call() -> Mapping[str, frozenset[str]]:
            return dict(self._balancers(_security_groups, ordered, place, what, deadline))

        (by_arn,) = self._threads.read(place.scope, deadline, Read(what, call))
        if set(by_arn) != set(ordered):
            raise malformed(self._elbv2.action("DescribeLoadBalancers"), what)
        return dict(by_arn)

    def _weights(self, group: TargetGroup, deadline: Deadline) -> Iterator[int]:
        for arn in group.load_balancer_arns:
            for rule in self._rules(arn, group.place, deadline):
                with well_formed(self._elbv2.action("DescribeRules"), f"load balancer {_name_of(arn)}"):
                    yield from _weights_in(rule["Actions"], group.arn)

    def _hosts(self, groups: list[TargetGroup], deadline: Deadline) -> Mapping[str, tuple[str, ...]]:
        hosts: dict[str, dict[str, None]] = {group.arn: {} for group in groups}
        for arn, place in {arn: group.place for group in groups for arn in group.load_balancer_arns}.items():
            what = f"load balancer {_name_of(arn)}"
            for rule in self._rules(arn, place, deadline):
                with well_formed(self._elbv2.action("DescribeRules"), what):
                    for group in groups:
                        if any(True for _ in _weights_in(rule["Actions"], group.arn)):
                            hosts[group.arn].update(dict.fromkeys(_hosts_in(rule["Conditions"])))
            dns_names = [name.lower() for name in self._balancers(itemgetter("DNSName"), [arn], place, what, deadline)]
            for group in groups:
                if arn in group.load_balancer_arns:
                    hosts[group.arn].update(dict.fromkeys(dns_names))
        return {arn: tuple(names) for arn, names in hosts.items()}

    def _rules(self, arn: str, place: Place, deadline: Deadline) -> Iterator[Mapping[str, Any]]:
        """Yield each rule of a load balancer, whatever it forwards to."""
        what = f"load balancer {_name_of(arn)}"
        listeners = self._elbv2.items(
            "DescribeListeners", "Listeners", itemgetter("ListenerArn", "DefaultActions"), place, what, deadline,
            LoadBalancerArn=arn,
        )  # fmt: skip
        for listener_arn, actions in listeners:
            if ":loadbalancer/net/" in arn:  # a Network Load Balancer has no rules: its listeners forward by themselves
                yield {"Actions": actions, "Conditions": ()}
                continue
            yield from self._elbv2.items(
                "DescribeRules", "Rules", dict, place, what, deadline, ListenerArn=listener_arn
            )

    def _balancers(
        self, parse: Callable[[dict[str, Any]], Value], arns: list[str], place: Place, what: str, deadline: Deadline
    ) -> Iterator[Value]:
        return self._elbv2.items(
            "DescribeLoadBalancers", "LoadBalancers", parse, place, what, deadline, LoadBalancerArns=arns
        )


def _security_groups(balancer: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """Return a load balancer's ARN and security groups. One without any (a Network one may have none) has no key."""
    return balancer["LoadBalancerArn"], frozenset(balancer.get("SecurityGroups", ()))


def _weights_in(actions: Iterable[Mapping[str, Any]], arn: str) -> Iterator[int]:
    """Yield the weight of a target group in each of a rule's actions that forwards to it."""
    for action in actions:
        named = action.get("ForwardConfig", {}).get("TargetGroups", ())
        for target_group in named:
            if target_group["TargetGroupArn"] == arn:
                yield target_group.get("Weight", _ALL)
        if not named and action.get("TargetGroupArn") == arn:
            yield _ALL


def _hosts_in(conditions: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the hosts that a rule's conditions name."""
    for condition in conditions:
        if condition["Field"] == "host-header":
            yield from (value.lower() for value in condition.get("HostHeaderConfig", condition).get("Values", ()))


def _name_of(arn: str) -> str:
    return arn.rpartition(":loadbalancer/")[2]
