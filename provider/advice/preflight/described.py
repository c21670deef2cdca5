"""What AWS says of the target groups and their targets, and what the provider may not read: only known in a cluster."""

from collections.abc import Iterator

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.manifests import Setup
from provider.advice.preflight.switching import production_of
from provider.model.records import TargetGroup
from provider.rules.expected_targets import State

NOT_IN_USE = "Target.NotInUse"
"""AWS's reason for an `unused` target of a group in no rule, or in a zone that the load balancer does not have."""


def rights(setup: Setup) -> Iterator[Finding]:
    """The provider may read what queries about this Rollout need."""
    for says in setup.manifests.seen.denied:
        yield finding(Code.PERMISSION_MISSING, (f"Rollout/{setup.name}",), says.rstrip("."))


def gone(setup: Setup) -> Iterator[Finding]:
    """The target group of each binding exists."""
    for name, says in setup.manifests.seen.gone.items():
        yield finding(Code.TARGET_GROUP_GONE, (f"TargetGroupBinding/{name}",), f"TargetGroupBinding {name}: {says}")


def in_use(setup: Setup) -> Iterator[Finding]:
    """A listener rule forwards to each target group of the Rollout's Services."""
    for service, groups in setup.manifests.seen.groups.items():
        for group in groups:
            if not group.in_use:
                says = f"No listener rule forwards to target group {group.name} of Service {service}"
                yield finding(Code.TARGET_GROUP_NOT_IN_USE, (f"Service/{service}",), says)


def zones(setup: Setup) -> Iterator[Finding]:
    """Each pod is in an Availability Zone that the load balancer has."""
    for service, some in setup.manifests.seen.health.items():
        for health in some:
            outside = sum(one.state == State.UNUSED and one.reason == NOT_IN_USE for one in health.targets)
            if outside and health.group.in_use:
                says = f"{outside} of {len(health.targets)} targets of {health.group.name} are in no zone of its"
                yield finding(Code.ZONE_NOT_ENABLED, (f"Service/{service}",), f"{says} load balancer")


def blue(setup: Setup) -> Iterator[Finding]:
    """What serves production now could serve it again."""
    for health in setup.manifests.seen.health.get(production_of(setup), ()):
        sick = sum(one.state == State.UNHEALTHY for one in health.targets)
        if sick:
            says = f"{sick} of {len(health.targets)} targets that serve production are unhealthy now"
            yield finding(Code.BLUE_CANNOT_RETURN, (f"Service/{health.binding.service}",), says)


def health_checks(setup: Setup) -> Iterator[Finding]:
    """The target groups of all of the strategy's Services are checked alike."""
    known = [(service, group) for service, groups in setup.manifests.seen.groups.items() for group in groups]
    for service, group in known[1:]:
        first_service, first = known[0]
        ours, theirs = _settings(group), _settings(first)
        differ = [f"{name} {theirs[name]} and {ours[name]}" for name in ours if ours[name] != theirs[name]]
        if differ:
            says = f"The target groups of Services {first_service} and {service} differ: {'; '.join(differ)}"
            yield finding(Code.HEALTH_CHECKS_DIFFER, (f"Service/{first_service}", f"Service/{service}"), says)


def _settings(group: TargetGroup) -> dict[str, object]:
    check = group.health_check
    return {
        "protocol": check.protocol,
        "port": check.port,
        "path": check.path,
        "codes": check.codes,
        "interval": group.health_check_interval_seconds,
        "timeout": check.timeout_seconds,
        "healthy threshold": check.healthy_threshold,
        "unhealthy threshold": group.unhealthy_threshold,
    }
