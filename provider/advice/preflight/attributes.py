"""The target groups' attributes: what in them fights a switch. In a cluster AWS says them, in files annotations do."""

from collections.abc import Iterator, Mapping

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.load_balancer import PREFIX, ingresses_of
from provider.advice.preflight.manifests import Setup, at, name_of

DEREGISTRATION_DELAY = "deregistration_delay.timeout_seconds"
ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
DNS = "target_group_health.dns_failover.minimum_healthy_targets"
AT_LEAST_ONE = {"1", "off"}
"""AWS's defaults of `.count` and `.percentage`: failover begins without any healthy target."""

Attributes = Mapping[str, str]


def attribute_sets(setup: Setup) -> list[tuple[tuple[str, ...], Attributes]]:
    """Return each set of attributes with the objects that it is of: a Service's target group, or the Ingresses."""
    seen = setup.manifests.seen.attributes
    if seen:
        return [((f"Service/{service}",), one) for service, some in seen.items() for one in some]
    ingresses = ingresses_of(setup)
    texts = [at(one, "metadata.annotations", {}).get(f"{PREFIX}target-group-attributes", "") for one in ingresses]
    pairs = [part.partition("=") for text in texts for part in str(text).split(",") if "=" in part]
    of_ingresses = tuple(f"Ingress/{name_of(one)}" for one in ingresses)
    return [(of_ingresses, {key.strip(): value.strip() for key, _, value in pairs})] if ingresses else []


def gradual(setup: Setup) -> Iterator[Finding]:
    """Nothing keeps users with blue, or green from its share."""
    for objects, found in attribute_sets(setup):
        slow = found.get("slow_start.duration_seconds", "0")
        if slow != "0":
            yield finding(Code.SLOW_START, objects, f"slow_start.duration_seconds is {slow}")
        if found.get("stickiness.enabled") == "true":
            yield finding(Code.STICKINESS, objects, "stickiness.enabled is true")


def failover(setup: Setup) -> Iterator[Finding]:
    """A few healthy targets at the beginning of a switch are enough for the load balancer to use only those."""
    for objects, found in attribute_sets(setup):
        for name, means in ((ROUTING, "requests go to unhealthy targets too"), (DNS, "the zone leaves DNS")):
            for unit in ("count", "percentage"):
                least = found.get(f"{name}.{unit}", "1" if unit == "count" else "off")
                if least not in AT_LEAST_ONE:
                    below = f"{least}{' %' if unit == 'percentage' else ''} healthy targets"
                    yield finding(Code.FAILS_OVER_EARLY, objects, f"Below {below} {means} ({name}.{unit})")


def deregistration_delay(setup: Setup, default: int) -> int:
    """Return the longest deregistration delay in seconds, the default where none is set."""
    texts = [found.get(DEREGISTRATION_DELAY, "") for _, found in attribute_sets(setup)]
    return max((int(one) for one in texts if one.isdigit()), default=default)
