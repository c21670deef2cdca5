"""Hand over: register green's pods in the production target groups beside blue's, so that the switch leaves no gap.

Successful once `minHealthyPercent` of green's pods are healthy targets of every production target group too: then Argo
switches, and the load balancer controller finds them in place. Inconclusive until then. First comes all that the gate
asks: while that does not pass, it is the answer, and nothing is registered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

from pydantic import Field

from provider.aws.registrations import Registrations
from provider.checks import replicas, target_health
from provider.checks.question import Check, Sources
from provider.evidence.deadline import Deadline
from provider.evidence.reasons import Reason
from provider.evidence.records import (
    Canary,
    Green,
    GreenService,
    GroupHealth,
    Kind,
    Phase,
    TargetGroup,
    Topology,
    Verdict,
)
from provider.handover.ledger import Address, Handover, Ledger
from provider.handover.undo import Undo
from provider.rules import handover as rules
from provider.rules.expected_targets import addresses_of
from provider.rules.green import find_service

NAME = "handover"

SHORTEST_SECONDS, LONGEST_SECONDS = 10, 3600


class Query(target_health.Query):
    """The parameters of `handover`."""

    pod_template_hash: str = Field(
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=63,
        description="The hash of the version to hand over (podTemplateHashValue: Latest). "
        "If it is not the current green, the answer is Inconclusive/Superseded.",
    )
    stage: Literal["beforeSwitch"] = Field(
        default="beforeSwitch", description="A handover is always about the time before the switch."
    )
    max_handover_seconds: int = Field(
        default=60,
        ge=SHORTEST_SECONDS,
        le=LONGEST_SECONDS,
        description="Maximum seconds for which both versions are in production; beyond that the handover is undone.",
    )
    batch_percent: float = Field(
        default=100,
        ge=1,
        le=100,
        description="Percentage of green's pods to register first. The rest follows once these are healthy.",
    )


@dataclass(frozen=True, slots=True)
class Production:
    """The production Service and its groups, and the addresses behind it.

    `left` are targets that an earlier handover left behind, by group. `turn` is the handover's when this was read, and
    `begun_at` when its first target was registered.
    """

    service: GreenService
    groups: tuple[GroupHealth, ...]
    addresses: frozenset[str]
    left: Mapping[TargetGroup, Mapping[Address, str]]
    turn: int
    begun_at: datetime | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gate asks for, and production: None while the gate does not pass, since nobody needs it then."""

    green: Green
    gate: Verdict
    checked: target_health.Evidence
    handover: Handover
    production: Production | None = None

    @property
    def read_at(self) -> Mapping[Kind, datetime]:
        """When the oldest part of each kind was read."""
        production = self.production.groups if self.production else ()
        return {
            Kind.TOPOLOGY: self.green.read_at,
            Kind.TARGET_HEALTH: min(one.read_at for one in (*self.checked.groups, *production)),
            Kind.TARGET_GROUPS: min(one.described_at for one in (*self.checked.groups, *production)),
        }


def check_of(ledger: Ledger, registrations: Registrations, undo: Undo) -> Check:
    """Return the question that registers through `registrations` and keeps its ledger there."""
    return Check(
        name=NAME,
        about=str(__doc__),
        charts="healthyPercent",
        asks_aws=lambda _query: True,
        query=Query,
        gather=partial(gather, ledger),
        judge=judge,
        act=partial(act, registrations, undo),
    )


def gather(
    ledger: Ledger, query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline
) -> Evidence:
    """Read what the gate needs, and if it passes the production groups."""
    service = find_service(topology, green, query.service)
    production = rules.find_production(topology, green, service)
    key = (query.namespace, query.rollout)
    handover = ledger.asked(key, query.pod_template_hash, production.service.name, query.max_handover_seconds)
    turn, begun_at = handover.turn, handover.begun_at
    checked = target_health.gather(query, topology, green, sources, deadline)
    gate = _gate(query, green, checked, sources.clock())
    if gate.phase is not Phase.SUCCESSFUL:
        return Evidence(green, gate, checked, handover)
    groups = sources.load_balancers.health(production.bindings, deadline)
    rules.require_ip_targets(groups)
    _require_reach(groups, checked, sources, deadline)
    if isinstance(topology.rollout.strategy, Canary):
        listeners = sources.load_balancers.listeners
        rules.require_no_users({one.group.name: listeners.weights(one.group, deadline) for one in groups})
    addresses = sources.cluster.addresses(query.namespace, production.service.name, deadline)
    left = _left_behind(green, production, groups, addresses, sources, deadline)
    return Evidence(green, gate, checked, handover, Production(production, groups, addresses, left, turn, begun_at))


def _gate(query: Query, green: Green, checked: target_health.Evidence, now: datetime) -> Verdict:
    """Judge what comes first: every replica available, and a healthy target of its own group."""
    healthy = target_health.judge(query, checked, now)
    available = replicas.judge(query, replicas.Evidence(green, checked.states), now)
    return max((healthy, available), key=lambda one: one.phase.severity)


def _require_reach(
    groups: tuple[GroupHealth, ...], checked: target_health.Evidence, sources: Sources, deadline: Deadline
) -> None:
    """Refuse load balancers whose health checks may not reach green. Raises CannotTell."""
    unfamiliar = rules.unfamiliar(groups, checked.groups)
    if unfamiliar:
        known = {arn for one in checked.groups for arn in one.group.load_balancer_arns}
        listeners, place = sources.load_balancers.listeners, groups[0].group.place
        rules.require_same_reach(listeners.security_groups(known | unfamiliar, place, deadline), known)


def _left_behind(
    green: Green,
    production: GreenService,
    groups: tuple[GroupHealth, ...],
    addresses: frozenset[str],
    sources: Sources,
    deadline: Deadline,
) -> Mapping[TargetGroup, Mapping[Address, str]]:
    """Return what an earlier handover left in the production groups; pods are read only where there are strangers."""
    strange = {
        one.group: rules.strangers(one, addresses_of(green, production, one.binding), addresses) for one in groups
    }
    if not any(strange.values()):
        return {}
    pods = sources.cluster.addresses_of_pods(green.rollout, deadline)
    found = {
        group: rules.left_behind(some, pods, production.service, green.rollout.current_hash)
        for group, some in strange.items()
    }
    return {group: some for group, some in found.items() if some}


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:
    """Let the gate decide while it does not pass; then the production group with the fewest healthy green targets."""
    production = evidence.production
    if production is None:
        return evidence.gate
    progress = [rules.progress(evidence.green, production.service, one) for one in production.groups]
    least = min(progress, key=lambda one: one.percent)
    is_ready = all(one.healthy * 100 >= query.min_healthy_percent * one.wanted > 0 for one in progress)
    seconds = (now - production.begun_at).total_seconds() if production.begun_at else 0.0
    if evidence.handover.timed_out or seconds > query.max_handover_seconds:
        reason, phase = Reason.HANDOVER_TIMED_OUT, Phase.INCONCLUSIVE
        says = f"The handover took longer than maxHandoverSeconds={query.max_handover_seconds} and is undone ({{}})"
    elif is_ready:
        reason, phase, says = Reason.HANDOVER_READY, Phase.SUCCESSFUL, "{}"
    else:
        reason, phase, says = Reason.HANDOVER_WAITING, Phase.INCONCLUSIVE, "{}"
    return Verdict(phase, reason, says.format(least.sentence), least.percent, _observed(evidence, progress, seconds))


def _observed(evidence: Evidence, progress: list[rules.Progress], seconds: float) -> dict[str, Any]:
    assert evidence.production is not None  # noqa: S101 - judge() has looked
    shown: dict[str, Any] = {
        **evidence.green.observed(),
        "service": evidence.production.service.service.name,
        "stage": evidence.production.service.stage.value,
        "targetGroups": [
            {
                "name": one.name,
                "healthyPercent": one.percent,
                "healthyCount": one.healthy,
                "registeredCount": len(one.registered),
                "otherHealthyCount": one.others,
            }
            for one in progress
        ],
        "handoverSeconds": round(seconds, 1),
    }
    if evidence.production.left:
        shown["leftBehind"] = {
            "count": sum(len(some) for some in evidence.production.left.values()),
            "targetGroups": sorted(group.name for group in evidence.production.left),
        }
    return shown


def act(
    registrations: Registrations, undo: Undo, query: Query, evidence: Evidence, verdict: Verdict, deadline: Deadline
) -> Verdict:
    """Do what the verdict asks for: register what is missing, or undo. Raises CannotTell."""
    handover, production = evidence.handover, evidence.production
    with handover.held(deadline):
        if handover.pod_hash != query.pod_template_hash:
            undo.handover(query.namespace, handover, f"{handover.pod_hash} is not the current green any more", deadline)
            return _waiting(verdict, "Targets of the version before were taken out of production first")
        ended = rules.why_undo(evidence.green.rollout, query.pod_template_hash)
        if verdict.phase is Phase.FAILED or verdict.reason is Reason.HANDOVER_TIMED_OUT:
            ended = ended or verdict.message
            handover.timed_out = verdict.reason is Reason.HANDOVER_TIMED_OUT
        if ended and handover.is_open:
            undo.handover(query.namespace, handover, ended, deadline)
        if ended and verdict.phase is Phase.SUCCESSFUL:
            verdict = replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.ROLLOUT_PAUSED, message=_sentence(ended))
        if ended:
            return verdict
        if production is None:
            return verdict
        for group, some in production.left.items():
            undo.targets(query.namespace, handover.service, group, some, "left behind by an earlier handover", deadline)
        if handover.turn != production.turn:
            return _waiting(verdict, "The handover was undone meanwhile and begins again")
        for health in production.groups:
            _register(registrations, query, evidence, health, deadline)
    return verdict


def _register(
    registrations: Registrations, query: Query, evidence: Evidence, health: GroupHealth, deadline: Deadline
) -> None:
    """Register green's missing targets in one group, and note those that are there already, whoever did it."""
    assert evidence.production is not None  # noqa: S101 - act() has looked
    handover, now = evidence.handover, evidence.green.read_at
    found = rules.progress(evidence.green, evidence.production.service, health)
    handover.note(health.group, found.registered, now)
    first = rules.batch(found.missing, len(found.registered), found.wanted, query.batch_percent)
    missing = first or (found.missing if found.is_healthy_so_far else frozenset())
    if missing:
        handover.note(health.group, missing, now)
        why = f"handover of {query.rollout} ({query.pod_template_hash}) in namespace {query.namespace}"
        registrations.register(health.group, missing, why, deadline)


def _sentence(why: str) -> str:
    return f"No handover while {why}"


def _waiting(verdict: Verdict, sentence: str) -> Verdict:
    message = f"{sentence} ({verdict.message})"
    return replace(verdict, phase=Phase.INCONCLUSIVE, reason=Reason.HANDOVER_WAITING, message=message)
