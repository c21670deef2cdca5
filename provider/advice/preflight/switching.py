"""What a Rollout's manifests say of its switch: pods, interval, and whether it moves targets at all."""

from dataclasses import dataclass

from provider.advice.preflight.forecast import REGISTRATION_SECONDS, Switch
from provider.advice.preflight.load_balancer import PREFIX, ingresses_of, target_type
from provider.advice.preflight.manifests import Setup, at

DEFAULT_INTERVAL_SECONDS = 15
"""The load balancer controller's default for Ingresses."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a person says of the switch, instead of what was seen: requests per second, of all and of one target.

    `registration_seconds` is how long a registration takes to act; half of it at best, twice as much at worst.
    """

    requests_per_second: float | None = None
    requests_per_target_per_second: float | None = None
    registration_seconds: float | None = None


def switch_of(setup: Setup, assumed: Assumed = Assumed()) -> Switch:
    """Return the switch of a Rollout at full size, at the rate that was seen unless another is assumed."""
    rate = setup.manifests.seen.rate
    of_all, of_one = assumed.requests_per_second, assumed.requests_per_target_per_second
    of_all = of_all if of_all is not None else rate.requests_per_second if rate else 0.0
    of_one = of_one if of_one is not None else rate.busiest_per_target if rate else 0.0
    registration = assumed.registration_seconds
    replicas = at(setup.rollout, "spec.replicas", 1)
    pods = replicas if isinstance(replicas, int) else 1
    why = _why_not(setup)
    return Switch(
        pods=pods,
        blue_pods=pods,
        interval_seconds=_interval(setup),
        moves_targets=not why,
        why=why,
        requests_per_second=of_all,
        requests_per_target_per_second=of_one,
        registration_seconds=(
            REGISTRATION_SECONDS if registration is None else (registration / 2, registration, registration * 2)
        ),
    )


def production_of(setup: Setup) -> str:
    """Return the Service by which users reach the stable version; empty for ping-pong in files, where nothing tells."""
    names = setup.service_names
    if setup.is_ping_pong:
        stable = at(setup.rollout, "status.canary.stablePingPong") or "pong"
        return names.get(f"{stable}Service", "") if setup.manifests.is_live else ""
    return names.get("activeService") or names.get("stableService", "")


def _why_not(setup: Setup) -> str:
    """Return why the switch moves no target; empty if it does."""
    if setup.is_ping_pong:
        return "ping-pong: only weights change"
    if setup.hands_over:
        return "handover: green is registered and healthy before"
    if setup.blue_green is None and at(setup.canary, "trafficRouting.alb") is None:
        return "no Service of this strategy changes its version at once"
    described = setup.manifests.seen.groups.get(production_of(setup))
    kind = described[0].target_type if described else target_type(setup, production_of(setup))
    return "" if kind == "ip" else f"target type {kind or 'instance, the default'}: nodes stay registered"


def _interval(setup: Setup) -> float:
    described = setup.manifests.seen.groups.get(production_of(setup))
    if described:
        return float(max(group.health_check_interval_seconds for group in described))
    key = f"{PREFIX}healthcheck-interval-seconds"
    of_service = at(setup.services.get(production_of(setup), {}), "metadata.annotations", {}).get(key)
    of_ingress = [at(one, "metadata.annotations", {}).get(key) for one in ingresses_of(setup)]
    found = next((str(one) for one in (of_service, *of_ingress) if one), "")
    return float(found) if found.isdigit() else float(DEFAULT_INTERVAL_SECONDS)
