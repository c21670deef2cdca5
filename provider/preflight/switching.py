"""What a Rollout's manifests say of its switch: pods, interval, and whether it moves targets at all."""

from provider.preflight.forecast import Switch
from provider.preflight.load_balancer import PREFIX, ingresses_of, target_type
from provider.preflight.manifests import Setup, at

DEFAULT_INTERVAL_SECONDS = 15
"""The load balancer controller's default for Ingresses."""


def switch_of(setup: Setup, requests_per_second: float = 0.0, requests_per_target_per_second: float = 0.0) -> Switch:
    """Return the switch of a Rollout at full size."""
    replicas = at(setup.rollout, "spec.replicas", 1)
    pods = replicas if isinstance(replicas, int) else 1
    why = _why_not(setup)
    return Switch(
        pods=pods,
        blue_pods=pods,
        interval_seconds=_interval(setup),
        moves_targets=not why,
        why=why,
        requests_per_second=requests_per_second,
        requests_per_target_per_second=requests_per_target_per_second,
    )


def production_of(setup: Setup) -> str:
    """Return the Service whose selector carries production traffic; empty for ping-pong."""
    return setup.service_names.get("activeService") or setup.service_names.get("stableService", "")


def _why_not(setup: Setup) -> str:
    """Return why the switch moves no target; empty if it does."""
    if setup.is_ping_pong:
        return "ping-pong: only weights change"
    if setup.hands_over:
        return "handover: green is registered and healthy before"
    if setup.blue_green is None and at(setup.canary, "trafficRouting.alb") is None:
        return "no Service of this strategy changes its version at once"
    described = setup.manifests.groups.get(production_of(setup))
    kind = described[0].target_type if described else target_type(setup, production_of(setup))
    return "" if kind == "ip" else f"target type {kind or 'instance, the default'}: nodes stay registered"


def _interval(setup: Setup) -> float:
    described = setup.manifests.groups.get(production_of(setup))
    if described:
        return float(max(group.health_check_interval_seconds for group in described))
    key = f"{PREFIX}healthcheck-interval-seconds"
    of_service = at(setup.services.get(production_of(setup), {}), "metadata.annotations", {}).get(key)
    of_ingress = [at(one, "metadata.annotations", {}).get(key) for one in ingresses_of(setup)]
    found = next((str(one) for one in (of_service, *of_ingress) if one), "")
    return float(found) if found.isdigit() else float(DEFAULT_INTERVAL_SECONDS)
