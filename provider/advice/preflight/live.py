"""What will a Rollout's topology do at its switch, told from the objects in the cluster?

It reads the Rollout, its Services, Ingresses, TargetGroupBindings, AnalysisTemplates, its namespace, green's pods and
the provider's own rights; of AWS its target groups, their targets and attributes, and the requests that production got
in the last 15 minutes, within the call budget of all queries.

`findings` has what was found, the worst first: a stable code, its severity (`blocks`, `risk` or `advice`), the objects
concerned, what will happen, what to change, and where to read more. `notChecked` has each kind that could not be read,
with a sentence; the findings that need it are left out. `hosts` has the hosts by which requests reach each Service: of
listener rules, and the load balancers' own names. `forecast` has the seconds without a healthy target at the
switch (best, expected and worst that is likely), the requests at risk in them and in the ramp after them, its timeline,
what would make it shorter, the best first, and what this replica saw of the last switch.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from provider import DOCUMENTATION
from provider.advice.preflight import inspect
from provider.advice.preflight.findings import Finding
from provider.advice.preflight.forecast import Assumed, Forecast, Range, forecast, remedies, switch_of
from provider.advice.preflight.manifests import Manifests, of_cluster
from provider.advice.preflight.reading import read_seen
from provider.advice.preflight.setup import Setup, setups
from provider.checks.parameters import Parameter, Subject
from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.lengths import cut
from provider.rules.switch_seen import SwitchSeen
from provider.sources.deadline import Deadline

NAME = "preflight"

ANCHOR = f"{DOCUMENTATION}/preflight.md#{{code}}"


class Query(Subject):
    """The parameters of a preflight: the Rollout, and what its forecast assumes."""

    requests_per_second: float | None = Parameter(
        default=None,
        ge=0,
        le=10_000_000,
        description="Requests of all users per second. Default: what production got in the last 15 minutes.",
    )
    requests_per_target_per_second: float | None = Parameter(
        default=None,
        ge=0,
        le=1_000_000,
        description="Requests per second that one target can carry. Default: what it got in production's busiest "
        "minute of the last 15.",
    )
    registration_seconds: float | None = Parameter(
        default=None,
        ge=0,
        le=60,
        description="Seconds until a registration takes effect, which AWS does not document. Default: 1. Half of it is "
        "the best, twice as much the worst.",
    )

    @property
    def assumed(self) -> Assumed:
        """What the forecast assumes."""
        return Assumed(self.requests_per_second, self.requests_per_target_per_second, self.registration_seconds)


def manifests_of(sources: Sources, namespace: str, rollout: str, deadline: Deadline) -> Manifests:
    """Read a Rollout and what it leads to. Raises RolloutNotFound, and CannotTell if the Rollout cannot be read."""
    return of_cluster(*read_seen(sources, namespace, rollout, deadline))


def answer(query: Query, sources: Sources, deadline: Deadline, last: SwitchSeen | None = None) -> dict[str, Any]:
    """Return the answer as JSON; `last` is the last switch that was seen of the Rollout.

    Raises RolloutNotFound; what else cannot be read is in `notChecked`.
    """
    try:
        manifests = manifests_of(sources, query.namespace, query.rollout, deadline)
    except CannotTell as error:
        manifests = Manifests({}, is_live=True, unread={"Rollout": str(error)})
    found: dict[str, Any] = {
        "namespace": query.namespace,
        "rollout": query.rollout,
        "findings": [observed(one) for report in inspect(manifests) for one in report.findings],
        "notChecked": [{"kind": kind, "says": why} for kind, why in manifests.unread.items()],
        "hosts": {service: list(some) for service, some in manifests.seen.hosts.items()},
    }
    for setup in setups(manifests):
        found["forecast"] = _forecast(setup, query.assumed, last)
    return found


def _forecast(setup: Setup, assumed: Assumed, last: SwitchSeen | None) -> dict[str, Any]:
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


def observed(finding: Finding) -> Mapping[str, Any]:
    """Return a finding as JSON and YAML show it."""
    place = finding.place
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "objects": list(finding.objects),
        "says": cut(finding.says),
        "todo": cut(finding.todo),
        "more": ANCHOR.format(code=finding.code.lower()),
        **({"field": finding.field} if finding.field else {}),
        **({"place": {"file": place.file, "line": place.line, "column": place.column}} if place else {}),
    }
