"""Is every green pod a healthy target in every target group bound to the green Service?

Successful once `minHealthyPercent` of green's desired replicas are healthy targets in every group. Failed when the
percentage is out of reach: too many pods are `unhealthy` although their containers have been ready for longer than the
grace period. A target that this process has seen healthy gets that period again, from when it was first seen unhealthy.
With `anomalies=fail` also when the load balancer finds a pod anomalous among its peers. Inconclusive otherwise. With
instance targets nodes are judged, not single pods.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, cast

from provider.checks import green_pods
from provider.checks.green_pods import read_states
from provider.checks.parameters import Parameter
from provider.checks.question import Check, Sources
from provider.checks.strictness import DECIDES, Ordered
from provider.model.answer import ExampleTarget, Observed, TargetGroupHealth
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
    ExpectedTarget,
    ExpectedTargets,
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
"""Maximum number of targets listed in an answer, whose body must stay small."""

MARGIN_SECONDS = 30
"""Added to unhealthy threshold x interval for the default grace period: registration and a slow first response."""

MAX_GRACE_SECONDS = 3600
"""Maximum grace period; AWS's own limits (300 s x 10) stay below it."""


class Query(green_pods.Query):
    """The parameters of `target-health`."""

    unhealthy_grace_seconds: int | None = Parameter(
        default=None,
        stricter=DECIDES,
        ge=0,
        le=MAX_GRACE_SECONDS,
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

    def addresses(binding: Binding, limit: int) -> Collection[tuple[str, int]]:
        return addresses_of(green, service, binding) if len(green.pods) <= limit else ()

    groups = sources.load_balancers.health(service.bindings, deadline, addresses)
    instance_ids: Mapping[str, str] = {}
    local = service.service.external_traffic_policy == "Local"
    if local and any(health.group.target_type == "instance" for health in groups):
        instance_ids = sources.cluster.instance_ids(ready_pods_by_node(green, service), deadline)
    kubernetes = sources.other_clocks.kubernetes()
    evidence = Evidence(green, service, groups, {}, instance_ids, kubernetes=kubernetes)
    evidence = _with_times(query, evidence, sources, deadline)
    states = _states(green, service, sources, deadline)
    return replace(evidence, states=states) if states else evidence


def _with_times(query: Query, evidence: Evidence, sources: Sources, deadline: Deadline) -> Evidence:
    """Add since when targets are no longer healthy, and since when those pods are ready whose readiness decides."""
    now = sources.clock()
    groups = _groups(query, evidence, now)
    unwell_since: dict[PodTarget, datetime] = {}
    for group in groups:
        healthy_by_target = group.expected.pod_targets(group.health.group.arn)
        unwell_since |= sources.seen_healthy.note(healthy_by_target, group.health.read_at, now)
    evidence = replace(evidence, unwell_since=unwell_since)
    suspects = {name for group in groups for name in _suspects(group, _grace(query, evidence, group.health, now))}
    if not suspects:
        return evidence
    current = evidence.green.rollout.current_hash
    ready_since = sources.cluster.containers_ready_since(query.namespace, current, sorted(suspects), deadline)
    return replace(evidence, ready_since=ready_since)


def _states(green: Green, service: GreenService, sources: Sources, deadline: Deadline) -> tuple[PodState, ...]:
    """Return the states of a few pods that should be ready and are not. Raises CannotTell: SelectorMatchesNoPod."""
    if green.replica_set.available >= green.desired and service.endpoints:
        return ()
    states = read_states(green, service.endpoints, sources, deadline)
    if not service.endpoints:
        pods.require_selected(service.service, states)
    return states


@dataclass(frozen=True)
class _Group:
    """A target group with what its rules need: the targets that green should have, their states, and since when."""

    query: Query
    evidence: Evidence
    health: GroupHealth
    expected: ExpectedTargets
    grace: Grace

    @property
    def name(self) -> str:
        return self.health.group.name

    @property
    def healthy(self) -> int:
        return self.expected.counts[State.HEALTHY]

    @property
    def desired(self) -> int:
        return len(self.expected.targets)

    @property
    def percent(self) -> float:
        return percent(self.healthy, self.desired)

    @property
    def sentence(self) -> str:
        return f"{self.healthy} of {self.desired} {self.expected.noun} healthy in {self.name}"

    @cached_property
    def unhealthy(self) -> tuple[ExpectedTarget, ...]:
        """The targets in any other state than healthy."""
        return tuple(target for target in self.expected.notable if target.state is not State.HEALTHY)

    @cached_property
    def overdue(self) -> tuple[ExpectedTarget, ...]:
        """The targets that are `unhealthy` because of their pod, for longer than the grace period."""
        return tuple(target for target in self.unhealthy if target.blames_pod and self.grace.is_over(target))

    @cached_property
    def anomalous(self) -> tuple[ExpectedTarget, ...]:
        """The pods that the load balancer finds anomalous among their peers."""
        return tuple(target for target in self.expected.notable if target.is_anomalous and target.pods)

    @cached_property
    def shifted_away(self) -> tuple[ExpectedTarget, ...]:
        """The healthy targets in a zone that traffic is shifted away from."""
        return tuple(target for target in self.expected.notable if target.override and target.state is State.HEALTHY)

    @cached_property
    def is_out_of_reach(self) -> bool:
        """Whether too many targets are overdue for the others to be enough."""
        return bool(self.overdue) and not self.is_enough(without=len(self.overdue))

    def is_enough(self, *, without: int) -> bool:
        """Tell whether enough targets would be healthy if all but `without` were."""
        return not without if self.expected.every else self.query.is_met(self.desired - without, self.desired)

    def observed(self) -> TargetGroupHealth:
        """Return the group in an answer: its targets by state, without states that no target is in."""
        counts = {state.value: self.expected.counts[state] for state in State}
        counts |= {"anomalous": len(self.anomalous), "shiftedAway": len(self.shifted_away)}
        by_state = {f"{word}Count": number for word, number in counts.items() if number}
        return cast(TargetGroupHealth, {"name": self.name, "healthyPercent": self.percent, **by_state})

    def examples(self) -> list[ExampleTarget]:
        """Return up to MAX_EXAMPLES targets that explain the outcome, the worst first."""
        overdue = {id(target) for target in self.overdue}
        bad = (target for target in self.expected.notable if target.state is not State.HEALTHY or target.is_anomalous)
        named = [target for target in bad if target.name]
        named.sort(key=lambda target: (id(target) not in overdue, not target.is_anomalous, -target.state.severity))
        return [target_sentences.example(target) for target in named[:MAX_EXAMPLES]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The decision of a rule. `todo` tells a person what to do; empty if the reason does, or if waiting helps."""

    reason: Reason
    sentence: str
    todo: str = ""


def _not_in_use(group: _Group) -> _Outcome | None:
    if group.health.group.in_use:
        return None
    return _Outcome(
        Reason.TARGET_GROUP_NOT_IN_USE,
        f"No listener rule forwards to target group {group.name}, so the load balancer never health-checks it",
    )


def _nothing_expected(group: _Group) -> _Outcome | None:
    return None if group.desired else _Outcome(Reason.TARGETS_MISSING, group.sentence)


def _out_of_reach(group: _Group) -> _Outcome | None:
    if not group.is_out_of_reach or group.evidence.kubernetes.is_too_far:
        return None
    count = target_sentences.count_by_cause(group.overdue)
    duration = target_sentences.exceeded(group.overdue, group.grace)
    example = target_sentences.name(group.overdue[0])
    return _Outcome(Reason.TARGETS_UNHEALTHY, f"{group.sentence}; {count}, {duration}, e.g. {example}")


def _anomalous(group: _Group) -> _Outcome | None:
    if not group.anomalous or group.query.anomalies != "fail":
        return None
    return _Outcome(Reason.TARGETS_ANOMALOUS, group.sentence)


def _unhealthy_for_an_unknown_time(group: _Group) -> _Outcome | None:
    """Apply when clocks differ too much to tell since when a pod has been ready."""
    if not group.is_out_of_reach:
        return None
    sentence = f"{group.sentence}; {target_sentences.count_by_cause(group.overdue)}, and it is unknown for how long"
    return _Outcome(Reason.CLOCK_SKEW, sentence, group.evidence.kubernetes.sentence(group.grace.now))


def _too_few_ready(group: _Group) -> _Outcome | None:
    """With instance targets a node can be healthy without a green pod, so require ready pods too."""
    if group.health.group.target_type != "instance":
        return None
    green, service = group.evidence.green, group.evidence.service
    ready = sum(len(on_node) for on_node in ready_pods_by_node(green, service).values())
    desired = max(green.desired, len(green.pods))
    if group.query.is_met(ready, desired):
        return None
    sentence = f"Only {ready} of {desired} green pods are ready behind Service {service.service.name}"
    return _Outcome(Reason.PODS_NOT_READY, f"{sentence} ({group.sentence})")


def _all_shifted_away(group: _Group) -> _Outcome | None:
    if not group.healthy or len(group.shifted_away) < group.healthy:
        return None
    return _Outcome(Reason.TARGETS_SHIFTED_AWAY, group.sentence)


def _enough_healthy(group: _Group) -> _Outcome | None:
    if not group.is_enough(without=group.desired - group.healthy):
        return None
    others = f"{target_sentences.rest(group.unhealthy)}{group.query.met}" if group.unhealthy else ""
    return _Outcome(Reason.TARGETS_HEALTHY, f"{group.sentence}{others}")


RULES = (
    _not_in_use,
    _nothing_expected,
    _out_of_reach,
    _anomalous,
    _unhealthy_for_an_unknown_time,
    _too_few_ready,
    _all_shifted_away,
    _enough_healthy,
)
"""The rules of one target group, in order: the first that applies decides. If no rule does, green waits."""


def _waits(group: _Group) -> _Outcome:
    """Wait, for the reason of the worst target: first one that waiting does not help."""
    fault = next((target.fault for target in group.unhealthy if target.fault), None)
    worst = max(group.expected.counts, key=lambda state: state.severity)
    in_grace = [target for target in group.unhealthy if target.blames_pod and not group.grace.is_over(target)]
    sentence = (
        f"{group.sentence}{target_sentences.rest(group.unhealthy)}"
        f"{target_sentences.until_failed(in_grace, group.grace)}"
    )
    return _Outcome(fault or _WAITING[worst], sentence)


def _judge_group(group: _Group) -> _Outcome:
    """Apply the rules, and add to the sentence what AWS reports in addition to the state of targets."""
    outcome = next((outcome for rule in RULES if (outcome := rule(group))), None) or _waits(group)
    return replace(
        outcome,
        sentence=f"{outcome.sentence}{target_sentences.beside(group.anomalous, group.shifted_away)}",
        todo=outcome.todo or target_sentences.todo(outcome.reason, group.evidence.service, group.health.binding),
    )


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Judge every target group; the worst decides: by phase, a fix before a wait, the lowest healthy percentage."""
    if not evidence.groups:
        return Verdict(Phase.INCONCLUSIVE, Reason.NO_BINDING, "No target group was read, so there is nothing to judge")
    judged = [(group, _judge_group(group)) for group in _groups(query, evidence, now)]
    judged.sort(key=_order)
    worst, outcome = judged[0]
    phase = outcome.reason.phase
    why = pods.explanation(evidence.states) if phase is Phase.INCONCLUSIVE else ""
    observed: Observed = {
        **evidence.green.observed(),
        **pods.observed(evidence.states),
        **evidence.service.observed(),
        "targetGroups": [group.observed() for group, _ in judged],
    }
    if examples := worst.examples():
        observed["examples"] = examples
    todo = f". {outcome.todo}." if outcome.todo else ""
    message = f"{_sentence(judged)}{why}{evidence.green.coverage}{todo}"
    return Verdict(phase, outcome.reason, message, worst.percent, observed)


def _order(judged: tuple[_Group, _Outcome]) -> tuple[int, bool, float]:
    group, outcome = judged
    return -outcome.reason.phase.severity, outcome.reason.action is not Action.FIX, group.percent


def _sentence(judged: list[tuple[_Group, _Outcome]]) -> str:
    """Return the sentence of the first group, or a common one if every target of each group is healthy."""
    (_, worst), number = judged[0], len(judged)
    if number == 1:
        return worst.sentence
    alike = {outcome.sentence.removesuffix(f" in {group.name}") for group, outcome in judged}
    if len(alike) == 1 and worst.reason.phase is Phase.SUCCESSFUL:
        return f"{alike.pop()} in {'both' if number == 2 else f'all {number}'} target groups"
    return f"{worst.sentence}, the worst of {number} target groups"


_WAITING = {
    State.INITIAL: Reason.TARGETS_INITIAL,
    State.MISSING: Reason.TARGETS_MISSING,
    State.DRAINING: Reason.TARGETS_DRAINING,
    State.UNKNOWN: Reason.TARGETS_STATE_UNKNOWN,
    State.UNAVAILABLE: Reason.TARGETS_UNAVAILABLE,
    State.UNHEALTHY: Reason.TARGETS_UNHEALTHY_IN_GRACE,
    State.UNUSED: Reason.TARGETS_UNUSED,
}


def _groups(query: Query, evidence: Evidence, now: datetime) -> list[_Group]:
    """Compare the targets of every group with those that green should have. Raises CannotTell."""
    return [
        _Group(
            query,
            evidence,
            health,
            expected_targets(evidence.green, evidence.service, health, evidence.instance_ids),
            _grace(query, evidence, health, now),
        )
        for health in evidence.groups
    ]


def _suspects(group: _Group, grace: Grace) -> set[str]:
    """Name the pods whose readiness decides between Failed and waiting; empty while the group cannot fail."""
    old = [target for target in group.unhealthy if target.blames_pod and grace.is_old_enough(target)]
    return set() if group.is_enough(without=len(old)) else {pod.name for target in old for pod in target.pods}


def _grace(query: Query, evidence: Evidence, health: GroupHealth, now: datetime) -> Grace:
    group, seconds = health.group, query.unhealthy_grace_seconds
    if seconds is None:
        checked = group.unhealthy_threshold * group.health_check_interval_seconds
        seconds = min(max(checked, 0) + MARGIN_SECONDS, MAX_GRACE_SECONDS)
    period = timedelta(seconds=seconds)
    return Grace(group.arn, period, now, evidence.kubernetes, evidence.ready_since, evidence.unwell_since)


CHECK = Check(
    name="target-health",
    about=str(__doc__),
    charts="healthyPercent",
    asks_aws=lambda _query: True,
    query=Query,
    gather=gather,
    judge=judge,
)
