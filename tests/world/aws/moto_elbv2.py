"""Installs our model of a load balancer in moto, for one pinned version of moto.

moto 5.2.5 cannot be told a target's state (targets are always healthy, and identified without the port), ignores
PageSize and Include, and learns of a group's load balancers from CreateRule and CreateListener only, not from
ModifyRule. So two methods of its backend and two of its HTTP layer are replaced. These are not documented extension
points; therefore moto is pinned, and tests/world/aws/test_api.py fails if moto no longer calls one of them.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.elbv2.exceptions import ELBClientError, TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend, elbv2_backends
from moto.elbv2.responses import ELBV2Response

from tests.world.aws.load_balancer import Group, Health, LoadBalancers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LARGEST_PAGE_COUNT = 400

_TARGET_GROUP_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}:targetgroup/[^/]+/[0-9a-f]+")


def install(load_balancers: LoadBalancers) -> Callable[[], None]:
    """Let moto's ELBv2 ask the model about targets; returns the function that undoes it.

    The replacement applies to the process, as moto's state does: the model installed last answers.
    """
    replaced = _Replaced(load_balancers)
    methods: list[tuple[Any, str, Any]] = [
        # tests/upstream/moto-elbv2-one-address-two-ports.sh
        (ELBv2Backend, "register_targets", replaced.register_targets),
        (ELBv2Backend, "deregister_targets", replaced.deregister_targets),
        (ELBV2Response, "describe_target_health", replaced.describe_target_health),
        # tests/upstream/moto-elbv2-rule-load-balancers.sh
        (ELBV2Response, "describe_target_groups", describe_target_groups),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in methods]
    for owner, name, method in methods:
        setattr(owner, name, _unbound(method))

    def undo() -> None:
        for owner, name, original in originals:
            setattr(owner, name, original)

    return undo


def settings(arn: str) -> Group:
    """Return the current settings of a target group. Raises the API's error for an unknown ARN."""
    return _group(_find(elbv2_backends[DEFAULT_ACCOUNT_ID][arn.split(":")[3]], arn))


def listener_rules(load_balancer: str) -> list[tuple[str | None, dict[str, int]]]:
    """Return each listener rule of a load balancer (ARN) that forwards: its host, None for any, and weights by ARN."""
    backend = elbv2_backends[DEFAULT_ACCOUNT_ID][load_balancer.split(":")[3]]
    found = []
    for listener in tuple(backend.load_balancers[load_balancer].listeners.values()):
        rules = [rule for rule in tuple(listener.rules.values()) if str(rule.priority).isdigit()]
        for rule in sorted(rules, key=lambda rule: int(rule.priority)):
            hosts = [host for one in rule.conditions for host in one.get("HostHeaderConfig", {}).get("Values", ())]
            groups = [
                one for action in rule.actions for one in action.data.get("ForwardConfig", {}).get("TargetGroups", ())
            ]
            if groups:
                found.append(
                    (hosts[0] if hosts else None, {one["TargetGroupArn"]: int(one["Weight"]) for one in groups})
                )
    return found


def _unbound(method: Any) -> Any:
    # A bound method does not receive the instance it is looked up on; moto's backend has to come along.
    return lambda instance, *args, **kwargs: method(instance, *args, **kwargs)  # noqa: PLW0108 - see above


@dataclass(frozen=True)
class _Replaced:
    """What needs the model; `backend` is the ELBv2Backend of one region."""

    load_balancers: LoadBalancers

    def register_targets(self, backend: Any, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        found = _find(backend, target_group_arn)
        self.load_balancers.register(_group(found), _keys(found, instances))

    def deregister_targets(self, backend: Any, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        found = _find(backend, target_group_arn)
        self.load_balancers.deregister(_group(found), _keys(found, instances))

    def describe_target_health(self, response: Any) -> ActionResult:
        backend = response.elbv2_backend
        found = _find(backend, response._get_param("TargetGroupArn"))
        targets = response._get_param("Targets", [])
        included = set(response._get_param("Include", []))
        wanted = _keys(found, targets) if targets else None
        healths = self.load_balancers.health(_group(found), wanted)
        described = [_description(backend.region_name, *target, included) for target in healths]
        return ActionResult({"TargetHealthDescriptions": described})


def describe_target_groups(response: Any) -> ActionResult:
    """Answer DescribeTargetGroups in pages, with each load balancer once however many rules it has."""
    _attach(response.elbv2_backend)
    arns = response._get_param("TargetGroupArns", [])
    for arn in arns:
        _check_arn(arn)
    groups = list(
        response.elbv2_backend.describe_target_groups(
            response._get_param("LoadBalancerArn"),
            arns,
            response._get_param("Names", []),
        )
    )
    size = int(response._get_param("PageSize") or LARGEST_PAGE_COUNT)
    if not 1 <= size <= LARGEST_PAGE_COUNT:
        raise ELBClientError("ValidationError", f"Page size must be between 1 and {LARGEST_PAGE_COUNT}")
    start = _position(response._get_param("Marker"))
    result: dict[str, Any] = {"TargetGroups": groups[start : start + size]}
    if start + size < len(groups):
        result["NextMarker"] = base64.b64encode(str(start + size).encode()).decode()
    return ActionResult(result)


def _position(marker: str | None) -> int:
    try:
        return int(base64.b64decode(marker or "MA==", validate=True))
    except (binascii.Error, ValueError) as error:
        raise ELBClientError("ValidationError", "Invalid marker") from error


def _check_arn(arn: str) -> None:
    if _TARGET_GROUP_ARN.fullmatch(arn) is None:
        raise ELBClientError("ValidationError", f"'{arn}' is not a valid target group ARN")


def _attach(backend: Any) -> None:
    """Give every target group the load balancers whose rules and default actions forward to it now, each once.

    It goes through copies, which Python makes in one step: other requests create groups and rules meanwhile.
    """
    groups = tuple(backend.target_groups.values())
    balancers: dict[str, dict[str, None]] = {group.arn: {} for group in groups}
    for balancer in tuple(backend.load_balancers.values()):
        for listener in tuple(balancer.listeners.values()):
            for rule in tuple(listener.rules.values()):
                for arn in _forwarded(rule.actions):
                    balancers.get(arn, {})[balancer.arn] = None
    for group in groups:
        group.load_balancer_arns = list(balancers[group.arn])


def _forwarded(actions: Iterable[Any]) -> Iterator[str]:
    """Yield the ARN of each target group that the actions of a rule forward to, whatever its weight."""
    for action in actions:
        if "TargetGroupArn" in action.data:
            yield action.data["TargetGroupArn"]
        yield from (one["TargetGroupArn"] for one in action.data.get("ForwardConfig", {}).get("TargetGroups", ()))


def _find(backend: Any, arn: str) -> Any:
    _check_arn(arn)
    _attach(backend)
    found = backend.target_groups.get(arn)
    if found is None:
        raise TargetGroupNotFoundError
    return found


def _group(found: Any) -> Group:
    return Group(
        arn=found.arn,
        in_use=bool(found.load_balancer_arns),
        interval_seconds=float(found.health_check_interval_seconds),
        healthy_threshold=int(found.healthy_threshold_count),
        unhealthy_threshold=int(found.unhealthy_threshold_count),
        deregistration_delay_seconds=float(found.attributes["deregistration_delay.timeout_seconds"]),
    )


def _keys(found: Any, targets: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(target["Id"], int(target.get("Port") or found.port)) for target in targets]


def _description(region: str, id_: str, port: int, health: Health, included: set[str]) -> dict[str, Any]:
    target: dict[str, Any] = {"Id": id_, "Port": port}
    if health.reason != "Target.NotRegistered" and id_.count(".") == 3:
        target["AvailabilityZone"] = region + "abc"[int(id_.split(".")[2]) % 3]
    words = {"State": health.state, "Reason": health.reason, "Description": health.description}
    described = {
        "Target": target,
        "HealthCheckPort": str(port),
        "TargetHealth": {name: word for name, word in words.items() if word is not None},
    }
    if included & {"AnomalyDetection", "All"}:
        described["AnomalyDetection"] = {"Result": health.anomaly, "MitigationInEffect": "no"}
    if "All" in included:
        reason = "AdministrativeOverride." + "".join(word.capitalize() for word in health.override.split("_"))
        described["AdministrativeOverride"] = {"State": health.override, "Reason": reason}
    return described
