"""Is every green pod a healthy target in every target group bound to the green Service?

Successful once `minHealthyPercent` of green's desired replicas are healthy targets in every group. Failed when the
percentage is out of reach, because too many pods are `unhealthy` although their containers have been ready for longer
than the grace period; a target that this process has seen healthy gets that period again from the first look at which
it is not. With `anomalies=fail` also when the load balancer finds a pod anomalous among its peers. Inconclusive
otherwise. With instance targets nodes are judged, never single pods.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from provider.checks import green_pods
from provider.checks.green_pods import read_states
from provider.checks.parameters import DECIDES, Ordered, Parameter
from provider.checks.question import Check, Sources
from provider.model.clocks import SAME_CLOCK, Skew
from provider.model.reasons import Action, Phase, Reason
from provider.model.records import (
    Binding,
    Green,
    GreenService,
    GroupHealth,
    Kind,
    PodState,
    PodTarget,
    Topology,
    Verdict,
)
from provider.rules import pods, target_sentences
from provider.rules.expected_targets import (
    Expected,
    Seen,
    State,
    addresses_of,
    expected_targets,
    percent,
    ready_pods_by_node,
)
from provider.rules.grace import Grace
from provider.rules.green import find_service
from provider.sources.deadline import Deadline

MAX_EXAMPLES = 5
"""Targets listed in an answer, whose body must stay small."""

PAIR = 2
"""Two target groups are "both"."""

MARGIN_SECONDS = 30
"""Added to unhealthy threshold x interval for the default grace period: registration and a slow first response."""

MOST_GRACE_SECONDS = 3600
"""Maximum grace period; AWS's own limits (300 s x 10) stay below it."""


class Query(green_pods.Query):
    """The parameters of `target-health`."""

    unhealthy_grace_seconds: int | None = Parameter(
        default=None,
        stricter=DECIDES,
        ge=0,
        le=MOST_GRACE_SECONDS,
        description="Seconds for which a pod's containers must have been ready before its `unhealthy` target counts as "
        "failed, and for which a target must not have been healthy that was so before. Default: the target group's "
        "unhealthy threshold x interval + 30.",
    )
    anomalies: Literal["report", "fail"] = Parameter(
        default="report",
        stricter=Ordered(("report", "fail")),
        description="`fail`: green fails if the load balancer finds one of its pods anomalous, failing more often than "
        "its peers (HTTP and HTTPS target groups with at least three healthy targets). `report`: the answer names it.",
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Green, its Service, and the health of each target group.

    `ready_since` is by pod uid, for pods whose readiness decides, and by Kubernetes' clock, which is `kubernetes`.
    `unwell_since` is of targets that were healthy before. `states` are of a few pods that should be ready but are not.
    """

    green: Green
    service: GreenService
    groups: tuple[GroupHealth, ...]
    ready_since: Mapping[str, datetime]
    instance_ids: Mapping[str, str]
    states: tuple[PodState, ...] = ()
    unwell_since: Mapping[PodTarget, datetime] = field(default_factory=dict)
    kubernetes: Skew = SAME_CLOCK

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""
        return {
            **self.green.times,
            Kind.TARGET_HEALTH: min(health.read_at for health in self.groups),
            Kind.TARGET_GROUPS: min(health.described_at for health in self.groups),
        }


def gather(query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline) -> Evidence:
    """Read the health of the green Service's target groups, and what explains an unhealthy target."""
    service = find_service(topology, green, query.service)

    def wanted(binding: Binding, most: int) -> Collection[tuple[str, int]]:
        return addresses_of(green, service, binding) if len(green.pods) <= most else ()

    groups = sources.load_balancers.health(service.bindings, deadline, wanted)
    instance_ids: Mapping[str, str] = {}
    local = service.service.external_traffic_policy == "Local"
    if local and any(health.group.target_type == "instance" for health in groups):
        instance_ids = sources.cluster.instance_ids(ready_pods_by_node(green, service), deadline)
    expected = [expected_targets(green, service, health, instance_ids) for health in groups]
    unwell_since: dict[PodTarget, datetime] = {}
    now = sources.clock()
    for health, targets in zip(groups, expected, strict=True):
        unwell_since |= sources.seen_healthy.note(targets.pod_targets(health.group.arn), health.read_at, now)
    evidence = Evidence(green, service, groups, {}, instance_ids, (), unwell_since, sources.other_clocks.kubernetes())
    suspects = _suspects(query, evidence, expected, now)
    if suspects:
        ready_since = sources.cluster.containers_ready_since(
            query.namespace, green.rollout.current_hash, sorted(suspects), deadline
        )
        evidence = replace(evidence, ready_since=ready_since)
    states = _states(green, service, sources, deadline)
    return replace(evidence, states=states) if states else evidence


def _states(green: Green, service: GreenService, sources: Sources, deadline: Deadline) -> tuple[PodState, ...]:
    """Read a few pods that should be ready and are not. Raises CannotTell: SelectorMatchesNoPod."""
    if green.replica_set.available >= green.desired and service.endpoints:
        return ()
    states = read_states(green, service.endpoints, sources, deadline)
    if not service.endpoints:
        pods.require_selected(service.service, states)
    return states


def _suspects(query: Query, evidence: Evidence, expected: list[Expected], now: datetime) -> set[str]:
    """Name the pods whose readiness decides between Failed and waiting; none while no group can fail."""
    names: set[str] = set()
    for health, targets in zip(evidence.groups, expected, strict=True):
        grace = _grace(query, evidence, health, now)
        old = [one for one in targets.notable if one.blames_pod and grace.is_old_enough(one)]
        if not _within_reach(query, targets, without=len(old)):
            names.update(pod.name for one in old for pod in one.pods)
    return names


@dataclass(frozen=True, slots=True)
class _GroupVerdict:
    """The outcome for one target group: what was found, and what to do about it if a person must act."""

    phase: Phase
    reason: Reason
    sentence: str
    todo: str
    percent: float
    name: str
    counts: Mapping[str, int]
    examples: tuple[Seen, ...]


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Judge every target group; the worst decides: by phase, a fix before a wait, the lowest healthy percentage."""
    if not evidence.groups:
        return Verdict(Phase.INCONCLUSIVE, Reason.NO_BINDING, "No target group was read, so there is nothing to judge")
    groups = [_judge_group(query, evidence, health, now) for health in evidence.groups]
    groups.sort(key=lambda one: (-one.phase.severity, one.reason.action is not Action.FIX, one.percent))
    worst = groups[0]
    why = pods.explanation(evidence.states) if worst.phase is Phase.INCONCLUSIVE else ""
    observed: dict[str, Any] = {
        **evidence.green.observed(),
        **pods.observed(evidence.states),
        "service": evidence.service.service.name,
        "stage": evidence.service.stage.value,
        "targetGroups": [
            {"name": one.name, "healthyPercent": one.percent, **{f"{state}Count": n for state, n in one.counts.items()}}
            for one in groups
        ],
    }
    if worst.examples:
        observed["examples"] = [target_sentences.example(one) for one in worst.examples]
    todo = f". {worst.todo}." if worst.todo else ""
    message = f"{_say(groups)}{why}{evidence.green.coverage}{todo}"
    return Verdict(worst.phase, worst.reason, message, worst.percent, observed)


def _say(groups: list[_GroupVerdict]) -> str:
    """Return the sentence of the first group, or one for all of them if every target of each is healthy."""
    worst, number = groups[0], len(groups)
    if number == 1:
        return worst.sentence
    alike = {one.sentence.removesuffix(f" in {one.name}") for one in groups}
    if len(alike) == 1 and worst.phase is Phase.SUCCESSFUL:
        return f"{alike.pop()} in {'both' if number == PAIR else f'all {number}'} target groups"
    return f"{worst.sentence}, the worst of {number} target groups"


def _judge_group(query: Query, evidence: Evidence, health: GroupHealth, now: datetime) -> _GroupVerdict:
    """Apply the rules to one group, in order; the first that fits decides."""
    expected = expected_targets(evidence.green, evidence.service, health, evidence.instance_ids)
    counts = expected.counts
    healthy, wanted, name = counts[State.HEALTHY], len(expected.targets), health.group.name
    grace = _grace(query, evidence, health, now)
    unwell = [one for one in expected.notable if one.state is not State.HEALTHY]
    bad = [one for one in unwell if one.blames_pod and grace.is_over(one)]
    anomalous = [one for one in expected.notable if one.is_anomalous and one.pods]
    shifted = [one for one in expected.notable if one.override and one.state is State.HEALTHY]
    failed = {id(one) for one in bad}
    is_failed = bool(bad) and not _within_reach(query, expected, without=len(bad))
    says = f"{healthy} of {wanted} {expected.noun} healthy in {name}"
    not_ready, todo = _too_few_ready(query, evidence, health), ""

    if not health.group.in_use:
        phase, reason = Phase.INCONCLUSIVE, Reason.TARGET_GROUP_NOT_IN_USE
        says = f"No listener rule forwards to target group {name}, so the load balancer never health-checks it"
    elif wanted == 0:
        phase, reason = Phase.INCONCLUSIVE, Reason.TARGETS_MISSING
    elif is_failed and not evidence.kubernetes.is_too_far:
        phase, reason = Phase.FAILED, Reason.TARGETS_UNHEALTHY
        over = target_sentences.exceeded(bad, grace)
        says += f"; {target_sentences.count_by_cause(bad)}, {over}, e.g. {target_sentences.name(bad[0])}"
    elif anomalous and query.anomalies == "fail":
        phase, reason = Phase.FAILED, Reason.TARGETS_ANOMALOUS
    elif is_failed:
        phase, reason, todo = Phase.INCONCLUSIVE, Reason.CLOCK_SKEW, evidence.kubernetes.sentence(now)
        says += f"; {target_sentences.count_by_cause(bad)}, and it is unknown for how long"
    elif not_ready:
        phase, reason, says = Phase.INCONCLUSIVE, Reason.PODS_NOT_READY, f"{not_ready} ({says})"
    elif healthy and len(shifted) == healthy:
        phase, reason = Phase.INCONCLUSIVE, Reason.TARGETS_SHIFTED_AWAY
    elif _within_reach(query, expected, without=wanted - healthy):
        phase, reason = Phase.SUCCESSFUL, Reason.TARGETS_HEALTHY
        if unwell:
            says += f"{target_sentences.rest(unwell)}{query.met}"
    else:
        phase = Phase.INCONCLUSIVE
        fault = next((one.fault for one in unwell if one.fault), None)
        reason = fault or _WAITING[max(counts, key=lambda state: state.severity)]
        waiting = [one for one in unwell if one.blames_pod and id(one) not in failed]
        says += target_sentences.rest(unwell)
        says += target_sentences.until_failed(waiting, grace)
    says += target_sentences.beside(anomalous, shifted)
    named = [one for one in expected.notable if one.name and (one.state is not State.HEALTHY or one.is_anomalous)]
    named.sort(key=lambda one: (id(one) not in failed, not one.is_anomalous, -one.state.severity))
    return _GroupVerdict(
        phase=phase,
        reason=reason,
        sentence=says,
        todo=todo or target_sentences.todo(reason, evidence.service, health.binding),
        percent=percent(healthy, wanted),
        name=name,
        counts={state.value: counts[state] for state in State if counts[state]}
        | {word: len(some) for word, some in (("anomalous", anomalous), ("shiftedAway", shifted)) if some},
        examples=tuple(named[:MAX_EXAMPLES]),
    )


_WAITING = {
    State.INITIAL: Reason.TARGETS_INITIAL,
    State.MISSING: Reason.TARGETS_MISSING,
    State.DRAINING: Reason.TARGETS_DRAINING,
    State.UNKNOWN: Reason.TARGETS_STATE_UNKNOWN,
    State.UNAVAILABLE: Reason.TARGETS_UNAVAILABLE,
    State.UNHEALTHY: Reason.TARGETS_UNHEALTHY_IN_GRACE,
    State.UNUSED: Reason.TARGETS_UNUSED,
}


def _within_reach(query: Query, expected: Expected, *, without: int) -> bool:
    """Tell whether enough targets would be healthy if all but `without` were."""
    wanted = len(expected.targets)
    return not without if expected.every else query.is_met(wanted - without, wanted)


def _grace(query: Query, evidence: Evidence, health: GroupHealth, now: datetime) -> Grace:
    group, seconds = health.group, query.unhealthy_grace_seconds
    if seconds is None:
        checked = group.unhealthy_threshold * group.health_check_interval_seconds
        seconds = min(max(checked, 0) + MARGIN_SECONDS, MOST_GRACE_SECONDS)
    period = timedelta(seconds=seconds)
    return Grace(group.arn, period, now, evidence.kubernetes, evidence.ready_since, evidence.unwell_since)


def _too_few_ready(query: Query, evidence: Evidence, health: GroupHealth) -> str:
    """With instance targets a node can be healthy without any green pod, so require ready pods too."""
    if health.group.target_type != "instance":
        return ""
    ready = sum(len(some) for some in ready_pods_by_node(evidence.green, evidence.service).values())
    desired = max(evidence.green.desired, len(evidence.green.pods))
    if query.is_met(ready, desired):
        return ""
    return f"Only {ready} of {desired} green pods are ready behind Service {evidence.service.service.name}"


CHECK = Check(
    name="target-health",
    about=str(__doc__),
    charts="healthyPercent",
    asks_aws=lambda _query: True,
    query=Query,
    gather=gather,
    judge=judge,
)
