"""Is every green pod a healthy target in every target group bound to the green Service?

Successful once `minHealthyPercent` of the pods that green's ReplicaSet wants are healthy targets in every group. Failed
when so many pods are `unhealthy`, although their containers have been ready for longer than the grace, that the
percentage is out of reach. Inconclusive otherwise. With instance targets nodes are judged, never single pods.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from provider import question
from provider.budget import Budget
from provider.green import find_service
from provider.question import Check, Sources
from provider.reasons import Reason
from provider.records import Binding, Green, GreenService, GroupHealth, Kind, Phase, Topology, Verdict
from provider.targets import Expected, Seen, State, addresses_of, expected_targets, ready_pods_by_node

MAX_EXAMPLES = 5
"""Targets named in an answer, whose whole body must stay small."""

NAMED_CAUSES = 2
"""Causes of one state that a sentence names; the others are counted."""

MARGIN_SECONDS = 30
"""Added to a group's unhealthy threshold x interval for the default grace: registration and a slow first answer."""


MOST_GRACE_SECONDS = 3600
"""No grace is longer; AWS's own limits (300 s x 10) stay below it."""


class Query(question.Query):
    """The parameters of `target-health`."""

    min_healthy_percent: float = Field(
        default=100,
        ge=1,
        le=100,
        description="Percent of green's desired replicas that must be healthy targets, in each target group.",
    )
    unhealthy_grace_seconds: int | None = Field(
        default=None,
        ge=0,
        le=MOST_GRACE_SECONDS,
        description="Seconds that a pod's containers must have been ready before its `unhealthy` target counts against "
        "green. Left out: the target group's unhealthy threshold x interval + 30.",
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Green, its Service, and each target group's health; `ready_since` by pod uid, only of pods that need it."""

    green: Green
    service: GreenService
    groups: tuple[GroupHealth, ...]
    ready_since: Mapping[str, datetime]
    instance_ids: Mapping[str, str]

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""
        return {
            Kind.TOPOLOGY: self.green.read_at,
            Kind.TARGET_HEALTH: min(health.read_at for health in self.groups),
            Kind.TARGET_GROUPS: min(health.described_at for health in self.groups),
        }


def gather(query: Query, topology: Topology, green: Green, sources: Sources, budget: Budget) -> Evidence:
    """Read the health of the green Service's target groups, and what explains an unhealthy target."""
    service = find_service(topology, green, query.service)

    def wanted(binding: Binding, most: int) -> Collection[tuple[str, int]]:
        return addresses_of(green, service, binding) if len(green.pods) <= most else ()

    groups = sources.load_balancers.health(service.bindings, budget, wanted)
    instance_ids: Mapping[str, str] = {}
    local = service.service.external_traffic_policy == "Local"
    if local and any(health.group.target_type == "instance" for health in groups):
        instance_ids = sources.cluster.instance_ids(ready_pods_by_node(green, service), budget)
    evidence = Evidence(green, service, groups, {}, instance_ids)
    suspects = _suspects(query, evidence, sources.clock())
    if not suspects:
        return evidence
    ready_since = sources.cluster.containers_ready_since(
        query.namespace, green.rollout.current_hash, sorted(suspects), budget
    )
    return Evidence(green, service, groups, ready_since, instance_ids)


def _suspects(query: Query, evidence: Evidence, now: datetime) -> set[str]:
    """Name the pods whose readiness decides between Failed and waiting: none while no group could be failed."""
    names: set[str] = set()
    for health in evidence.groups:
        if not any(target.state.startswith(State.UNHEALTHY) for target in health.targets):
            continue
        expected = expected_targets(evidence.green, evidence.service, health, evidence.instance_ids)
        oldest = now - _grace(query, health)
        blamed = [one for one in expected.targets if one.blames_pod]
        old = [one for one in blamed if any(pod.created_at <= oldest for pod in one.pods)]
        if not _within_reach(query, expected, without=len(old)):
            names.update(pod.name for one in old for pod in one.pods)
    return names


@dataclass(frozen=True, slots=True)
class _GroupVerdict:
    """What one target group says."""

    phase: Phase
    reason: Reason
    sentence: str
    percent: float
    name: str
    counts: Mapping[str, int]
    examples: tuple[Seen, ...]


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Let the worst target group decide: by phase, then by the percentage of healthy targets."""
    if not evidence.groups:
        return Verdict(Phase.INCONCLUSIVE, Reason.NO_BINDING, "No target group was looked at, so nothing is proved")
    groups = [_judge_group(query, evidence, health, now) for health in evidence.groups]
    groups.sort(key=lambda one: (-one.phase.severity, one.percent))
    worst = groups[0]
    others = f", the worst of {len(groups)} target groups" if len(groups) > 1 else ""
    observed: dict[str, Any] = {
        **evidence.green.observed(),
        "service": evidence.service.service.name,
        "stage": evidence.service.stage.value,
        "targetGroups": [
            {"name": one.name, "healthyPercent": one.percent, **{f"{state}Count": n for state, n in one.counts.items()}}
            for one in groups
        ],
    }
    if worst.examples:
        observed["examples"] = [_example(one) for one in worst.examples]
    message = f"{worst.sentence}{others}{evidence.green.coverage}"
    return Verdict(worst.phase, worst.reason, message, worst.percent, observed)


def _judge_group(query: Query, evidence: Evidence, health: GroupHealth, now: datetime) -> _GroupVerdict:
    """Apply the rules to one group, in order; the first that fits decides."""
    expected = expected_targets(evidence.green, evidence.service, health, evidence.instance_ids)
    counts = Counter(one.state for one in expected.targets)
    healthy, wanted, name = counts[State.HEALTHY], len(expected.targets), health.group.name
    grace = _grace(query, health)
    unwell = [one for one in expected.targets if one.state is not State.HEALTHY]
    bad = [one for one in unwell if one.blames_pod and _ready_for(one, evidence, now, grace)]
    says = f"{healthy} of {wanted} {expected.noun} healthy in {name}"
    not_ready = _too_few_ready(query, evidence, health)

    if not health.group.in_use:
        phase, reason = Phase.INCONCLUSIVE, Reason.TARGET_GROUP_NOT_IN_USE
        says = f"Target group {name} is in no listener rule, so the load balancer never checks it: forward a rule to it"
    elif wanted == 0:
        phase, reason = Phase.INCONCLUSIVE, Reason.TARGETS_MISSING
    elif bad and not _within_reach(query, expected, without=len(bad)):
        phase, reason = Phase.FAILED, Reason.TARGETS_UNHEALTHY
        says += f"; {_count_by_cause(bad)} for longer than the {grace.total_seconds():g} s grace, e.g. {_name(bad[0])}"
    elif not_ready:
        phase, reason, says = Phase.INCONCLUSIVE, Reason.PODS_NOT_READY, f"{not_ready} ({says})"
    elif _within_reach(query, expected, without=wanted - healthy):
        phase, reason = Phase.SUCCESSFUL, Reason.TARGETS_HEALTHY
        says += _rest(expected) + (f"; {query.min_healthy_percent:g} % are enough" if healthy < wanted else "")
    else:
        phase, reason = Phase.INCONCLUSIVE, _WAITING[max(counts, key=lambda state: state.severity)]
        says += _rest(expected) + _HINTS.get(reason, "").format(grace=grace.total_seconds())
    failed = {id(one) for one in bad}
    named = [one for one in unwell if one.name]
    named.sort(key=lambda one: (id(one) not in failed, -one.state.severity))
    return _GroupVerdict(
        phase=phase,
        reason=reason,
        sentence=says,
        percent=percent(healthy, wanted),
        name=name,
        counts={state.value: counts[state] for state in State if counts[state]},
        examples=tuple(named[:MAX_EXAMPLES]),
    )


_WAITING = {
    State.INITIAL: Reason.TARGETS_INITIAL,
    State.MISSING: Reason.TARGETS_MISSING,
    State.DRAINING: Reason.TARGETS_DRAINING,
    State.UNAVAILABLE: Reason.TARGETS_UNAVAILABLE,
    State.UNHEALTHY: Reason.TARGETS_UNHEALTHY_IN_GRACE,
    State.UNUSED: Reason.TARGETS_UNUSED,
}

_HINTS = {
    Reason.TARGETS_UNHEALTHY_IN_GRACE: "; counts against green once a pod's containers are ready for over {grace:g} s",
    Reason.TARGETS_UNUSED: "; enable the zones of these targets on the load balancer",
    Reason.TARGETS_UNAVAILABLE: "; the target group's health check must be on",
}


def _within_reach(query: Query, expected: Expected, *, without: int) -> bool:
    """Tell whether enough targets would be healthy if all but `without` were."""
    wanted = len(expected.targets)
    return (wanted - without) * 100 >= (100 if expected.every else query.min_healthy_percent) * wanted


def _grace(query: Query, health: GroupHealth) -> timedelta:
    seconds = query.unhealthy_grace_seconds
    if seconds is None:
        group = health.group
        checked = group.unhealthy_threshold * group.health_check_interval_seconds
        seconds = min(max(checked, 0) + MARGIN_SECONDS, MOST_GRACE_SECONDS)
    return timedelta(seconds=seconds)


def _ready_for(target: Seen, evidence: Evidence, now: datetime, grace: timedelta) -> bool:
    """Tell whether the containers of a pod behind this target have been ready for longer than the grace."""
    since = [evidence.ready_since[pod.uid] for pod in target.pods if pod.uid in evidence.ready_since]
    return any(now - one > grace for one in since)


def _too_few_ready(query: Query, evidence: Evidence, health: GroupHealth) -> str:
    """With instance targets a node may be healthy without any green pod: ask for ready pods beside it."""
    if health.group.target_type != "instance":
        return ""
    ready = sum(len(pods) for pods in ready_pods_by_node(evidence.green, evidence.service).values())
    desired = max(evidence.green.desired, len(evidence.green.pods))
    if ready * 100 >= query.min_healthy_percent * desired:
        return ""
    return f"Only {ready} of {desired} green pods are ready behind Service {evidence.service.service.name}"


def _rest(expected: Expected) -> str:
    """List what is not healthy, the worst state first, with AWS's reason codes."""
    by_state: dict[State, list[Seen]] = {}
    for one in expected.targets:
        if one.state is not State.HEALTHY:
            by_state.setdefault(one.state, []).append(one)
    worst_first = sorted(by_state, key=lambda state: -state.severity)
    return "".join(f"; {_count_by_cause(by_state[state])}" for state in worst_first)


def _count_by_cause(targets: list[Seen]) -> str:
    """Say how many targets share a state, and the commonest causes of it: AWS's reason codes."""
    codes = Counter(one.cause for one in targets if one.cause).most_common()
    named = ", ".join(code for code, _ in codes[:NAMED_CAUSES])
    if len(codes) > NAMED_CAUSES:
        named += f" and {len(codes) - NAMED_CAUSES} more"
    return f"{len(targets)} {targets[0].state}" + (f" ({named})" if named else "")


def _name(target: Seen) -> str:
    return f"{target.name}: {target.description}" if target.description else target.name


def _example(target: Seen) -> dict[str, Any]:
    shown = {
        "name": target.name,
        "state": target.state.value,
        "address": target.address,
        "port": target.port,
        "awsReason": target.reason,
        "description": target.description,
    }
    return {key: value for key, value in shown.items() if value}


def percent(part: int, whole: int) -> float:
    """Return a percentage with one decimal, rounded down: 100.0 means all of them and nothing less."""
    return (part * 1000 // whole) / 10 if whole else 0.0


CHECK = Check(
    name="target-health",
    about=str(__doc__),
    charts="healthyPercent",
    asks_aws=lambda _query: True,
    query=Query,
    gather=gather,
    judge=judge,
)
