"""How long a switch leaves production without a healthy target, and what comes after: the ramp.

Pure. At a switch that moves a selector the load balancer controller deregisters blue (in calls of at most 200 targets),
then registers green in the same way. A target is healthy after its first check, which comes at any time within one
interval. So with n pods the first is healthy after about interval / (n + 1), the last after interval x n / (n + 1),
both counted from when registration has taken effect. AWS documents no time for that; a second was seen (an assumption,
REGISTRATION_SECONDS). Sources: aws-load-balancer-controller pkg/targetgroupbinding, and switches of real controllers
(4 pods at 10 s: 3.0 s without a target; 40 pods at 15 s: 1.3 s, all healthy after 15.5 s).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import count
from math import ceil
from typing import Any

from provider.advice.preflight.setup import Setup
from provider.advice.preflight.target_groups import groups_of
from provider.rules.switch_seen import SwitchSeen

CALL_TARGETS = 200
"""Targets per call of RegisterTargets and DeregisterTargets."""

CALL_SECONDS = 0.2
"""One call, with the controller's own throttle."""

REGISTRATION_SECONDS = (0.5, 1.0, 2.0)
"""Until a registration takes effect: best, expected, worst. Not documented by AWS; an assumption."""

UNLIKELY = 0.01
"""Best and worst are quantiles: one switch in a hundred is better, one in a hundred worse."""

LEAST_INTERVAL_SECONDS = 5
"""The shortest interval of a health check that AWS takes."""

STEP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with the best and the worst that is likely."""

    best: float
    expected: float
    worst: float

    def says(self, unit: str) -> str:
        """Return it in words."""
        return f"about {self.expected:.1f} {unit} ({self.best:.1f} to {self.worst:.1f})"


NONE = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Switch:
    """What decides about a switch.

    `moves_targets` is False where the controller registers nothing at it (ping-pong, instance targets, a handover);
    `why` says which. `unknown` says why nobody knows whether it does, and is empty if it is known.
    Rates are requests per second: of all users, and at most of one target (0: not known).
    """

    pods: int
    blue_pods: int
    interval_seconds: float
    moves_targets: bool = True
    why: str = ""
    unknown: str = ""
    requests_per_second: float = 0.0
    requests_per_target_per_second: float = 0.0
    registration_seconds: tuple[float, float, float] = REGISTRATION_SECONDS

    @property
    def deregistered_at(self) -> float:
        """When the last of blue is deregistered, in seconds from the move of the selector."""
        return ceil(self.blue_pods / CALL_TARGETS) * CALL_SECONDS

    @property
    def calls(self) -> int:
        """The calls that register green."""
        return ceil(self.pods / CALL_TARGETS)

    def healthy_at(self, second: float) -> float:
        """Return how many targets of green are healthy by then, on average; seconds count from the deregistration."""
        return sum(self._healthy_of_call(call, second) for call in range(self.calls))

    def _healthy_of_call(self, call: int, second: float) -> float:
        size = min(CALL_TARGETS, self.pods - call * CALL_TARGETS)
        since = second - (call + 1) * CALL_SECONDS - self.registration_seconds[1]
        return size * min(max(since / self.interval_seconds, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline, in seconds from the moment in which Argo moves the selector."""

    second: float
    says: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be expected of a switch.

    `gap` and `whole` are seconds: without a healthy target, and until every green target is healthy. `in_gap` and
    `in_ramp` are requests at risk, None without a rate; the ramp's are those beyond what its few targets can carry.
    """

    gap: Range
    whole: Range
    in_gap: Range | None
    in_ramp: float | None
    timeline: tuple[Moment, ...]
    ramp: tuple[tuple[float, int, float], ...]
    """Second, healthy targets, and requests per second for each of them."""


def forecast(switch: Switch) -> Forecast:
    """Return what is to be expected of a switch."""
    if not switch.moves_targets or switch.pods < 1:
        says = f"Nothing is deregistered or registered at the switch ({switch.why or 'no pods'})"
        nothing = NONE if switch.requests_per_second else None
        return Forecast(NONE, NONE, nothing, 0.0 if nothing else None, (Moment(0.0, says),), ())
    first, last = _order_statistics(switch)
    calls = switch.calls * CALL_SECONDS
    gap = Range(*(CALL_SECONDS + wait + at for wait, at in zip(switch.registration_seconds, first, strict=True)))
    whole = Range(*(calls + wait + at for wait, at in zip(switch.registration_seconds, last, strict=True)))
    rate, ramp = switch.requests_per_second, tuple(_ramp(switch))
    return Forecast(
        gap=gap,
        whole=whole,
        in_gap=Range(gap.best * rate, gap.expected * rate, gap.worst * rate) if rate else None,
        in_ramp=_beyond(switch, ramp, gap.expected) if rate and switch.requests_per_target_per_second else None,
        timeline=_timeline(switch, gap, whole),
        ramp=ramp,
    )


def _order_statistics(switch: Switch) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return when the first and the last of n first checks come: unlikely early, on average, unlikely late.

    Each is anywhere within one interval, independent of the others. The first counts among the first call's targets.
    """
    interval, every, some = switch.interval_seconds, switch.pods, min(switch.pods, CALL_TARGETS)
    earliest = [float(interval * (1 - (1 - share) ** (1 / some))) for share in (UNLIKELY, 1 - UNLIKELY)]
    latest = [float(interval * share ** (1 / every)) for share in (UNLIKELY, 1 - UNLIKELY)]
    first = (earliest[0], interval / (some + 1), earliest[1])
    return first, (latest[0], interval * every / (every + 1), latest[1])


def _timeline(switch: Switch, gap: Range, whole: Range) -> tuple[Moment, ...]:
    empty, calls = switch.deregistered_at, switch.calls
    registered = f"It has registered {switch.pods} of green, in {calls} call{'s' * (calls > 1)}"
    return (
        Moment(0.0, "Argo moves the selector of the production Service to green"),
        Moment(empty, f"The controller has deregistered {switch.blue_pods} of blue: no target serves traffic"),
        Moment(empty + calls * CALL_SECONDS, registered),
        Moment(empty + gap.expected, "The first green target is healthy: it carries all users"),
        Moment(empty + whole.expected, f"All {switch.pods} green targets are healthy"),
    )


def _ramp(switch: Switch) -> Iterable[tuple[float, int, float]]:
    """Yield how many targets are healthy every half second, from the first until all are, on average."""
    for half_seconds in count():
        healthy = switch.healthy_at(half_seconds / 2)
        if round(healthy) >= 1:
            second = round(half_seconds / 2 + switch.deregistered_at, 1)
            yield second, round(healthy), round(switch.requests_per_second / healthy, 1)
        if round(healthy) >= switch.pods:
            return


def _beyond(switch: Switch, ramp: tuple[tuple[float, int, float], ...], gap: float) -> float:
    """Return the requests beyond what the healthy targets can carry, from the end of the gap on."""
    second, lost, end = gap, 0.0, (ramp[-1][0] - switch.deregistered_at) if ramp else 0.0
    while second < end:
        carried = max(switch.healthy_at(second), 1.0) * switch.requests_per_target_per_second
        lost += max(switch.requests_per_second - carried, 0.0) * STEP_SECONDS
        second += STEP_SECONDS
    return lost


def remedies(switch: Switch) -> list[tuple[str, Forecast]]:
    """Return what would make the gap shorter, the best first."""
    if not switch.moves_targets:
        return []
    without = replace(switch, moves_targets=False, why="handover")
    changes = [
        ("A handover (docs/handover.md), or the ping-pong canary used like blue-green", without),
        ("Twice as many pods", replace(switch, pods=switch.pods * 2, blue_pods=switch.blue_pods * 2)),
    ]
    if switch.interval_seconds > LEAST_INTERVAL_SECONDS:
        says = f"Health checks every {LEAST_INTERVAL_SECONDS} s instead of {switch.interval_seconds:g} s"
        changes.append((says, replace(switch, interval_seconds=LEAST_INTERVAL_SECONDS)))
    return sorted([(says, forecast(change)) for says, change in changes], key=lambda pair: pair[1].gap.expected)


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
    of_all, of_target = assumed.requests_per_second, assumed.requests_per_target_per_second
    registration = assumed.registration_seconds
    groups = groups_of(setup, setup.production)
    why, unknown = _why_not(setup)
    return Switch(
        pods=setup.record.replicas,
        blue_pods=setup.record.replicas,
        interval_seconds=max((group.interval_seconds for group in groups), default=15.0),
        moves_targets=not why and not unknown,
        why=why,
        unknown=unknown,
        requests_per_second=rate.requests_per_second if of_all is None else of_all,
        requests_per_target_per_second=rate.busiest_per_target if of_target is None else of_target,
        registration_seconds=(
            REGISTRATION_SECONDS if registration is None else (registration / 2, registration, registration * 2)
        ),
    )


def _why_not(setup: Setup) -> tuple[str, str]:
    """Return why the switch moves no target, and why nobody knows; both are empty if it moves targets."""
    if setup.record.is_ping_pong:
        return "ping-pong: only weights change", ""
    if setup.hands_over:
        return "handover: green is registered and healthy before", ""
    if not setup.record.replicas:
        return "the Rollout is scaled to 0", ""
    if not setup.production:
        return "no Service of this strategy changes its version at once", ""
    groups = groups_of(setup, setup.production)
    if not groups:
        return "", f"nothing that is known puts Service {setup.production} behind an AWS load balancer"
    if any(group.target_type == "ip" for group in groups):
        return "", ""
    if all(group.target_type == "instance" for group in groups):
        return "target type instance: nodes stay registered", ""
    return "", f"nothing that is known says the target type of Service {setup.production}"


def observed(setup: Setup, assumed: Assumed, last: SwitchSeen | None) -> dict[str, Any]:
    """Return what is to be expected of the Rollout's switch: seconds, and requests where the rate is known."""
    switch = switch_of(setup, assumed)
    if switch.unknown:
        return {"unknown": switch.unknown}
    expected = forecast(switch)
    shown: dict[str, Any] = {
        "withoutHealthyTargetSeconds": _range(expected.gap),
        "untilAllHealthySeconds": _range(expected.whole),
        "podCount": switch.pods,
        "healthCheckIntervalSeconds": switch.interval_seconds,
        "registrationSeconds": switch.registration_seconds[1],
    }
    if expected.in_gap is not None:
        shown["requestsPerSecond"] = round(switch.requests_per_second, 1)
        shown["requestsAtRiskInGap"] = _range(expected.in_gap)
        shown["ramp"] = [
            {"second": second, "healthyTargetCount": healthy, "requestsPerTargetPerSecond": each}
            for second, healthy, each in expected.ramp
        ]
    if expected.in_ramp is not None:
        shown["requestsPerTargetPerSecond"] = round(switch.requests_per_target_per_second, 1)
        shown["requestsAtRiskInRamp"] = round(expected.in_ramp, 1)
    shown["timeline"] = [{"second": round(one.second, 1), "says": one.says} for one in expected.timeline]
    shown["remedies"] = [
        {"says": says, "withoutHealthyTargetSeconds": round(one.gap.expected, 1)} for says, one in remedies(switch)
    ]
    if last is not None:
        shown["lastSwitch"] = {**last.observed(), **_compared(last, expected)}
    return shown


def _compared(last: SwitchSeen, expected: Forecast) -> dict[str, Any]:
    """Tell whether what was seen of a switch and the forecast can both be true; nothing if too little was seen."""
    if not last.is_settled or last.is_empty or not last.look_count:
        return {}
    least, most = last.at_least.total_seconds(), last.at_most.total_seconds()
    return {"asForecast": least <= expected.gap.worst and most >= expected.gap.best}


def _range(one: Range) -> dict[str, float]:
    return {name: round(value, 1) for name, value in asdict(one).items()}
