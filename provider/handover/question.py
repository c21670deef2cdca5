"""Hand over: register green's pods in the production target groups beside blue's, so that the switch leaves no gap.

Successful once `minHealthyPercent` of green's pods are healthy targets of every production target group too: then Argo
switches, and the load balancer controller finds them in place. Inconclusive until then. First comes all that the gate
asks: while that does not pass, it is the answer, and nothing is registered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from provider.checks import replicas, target_health
from provider.checks.parameters import DECIDES, LOWER, Parameter
from provider.checks.question import Sources
from provider.handover.first_batch import FirstBatch, read_first_batch
from provider.handover.ledger import Address, Handover, Ledger
from provider.model import lengths
from provider.model.answer import Observed
from provider.model.reasons import Phase, Reason
from provider.model.records import (
    Canary,
    Green,
    GreenService,
    GroupHealth,
    Kind,
    TargetGroup,
    Topology,
    Verdict,
)
from provider.rules import handover as rules
from provider.rules.expected_targets import addresses_of, percent
from provider.rules.green import find_service
from provider.sources.deadline import Deadline

NAME = "handover"

SHORTEST_SECONDS, LONGEST_SECONDS = 10, 3600

EVERYTHING = 100
"""Percent."""


class Query(target_health.Query):
    """The parameters of `handover`."""

    pod_template_hash: str = Parameter(
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=lengths.LABEL,
        examples=["6d9f7c5b8"],
        description="The hash of the version to hand over (podTemplateHashValue: Latest). "
        "If it is not the current green, the answer is Inconclusive/Superseded.",
    )
    stage: Literal["beforeSwitch"] = Parameter(
        default="beforeSwitch", description="A handover is always about the time before the switch."
    )
    max_handover_seconds: int = Parameter(
        default=60,
        stricter=DECIDES,
        ge=SHORTEST_SECONDS,
        le=LONGEST_SECONDS,
        description="Maximum seconds for which both versions are in production; beyond that the handover is undone.",
    )
    batch_percent: float = Parameter(
        default=100,
        stricter=DECIDES,
        ge=1,
        le=100,
        description="Percentage of green's pods to register first. The rest follows once these are healthy, and a full "
        "minute of metrics of the production groups, in which both versions serve, is within maxErrorPercent: raise "
        "maxHandoverSeconds to at least 300.",
    )
    max_error_percent: float = Parameter(
        default=1,
        stricter=LOWER,
        ge=0,
        le=100,
        description="Maximum percentage of requests that may fail in a production group while only the first batch of "
        "green serves (with batchPercent).",
    )


@dataclass(frozen=True, slots=True)
class Production:
    """The production Service and its groups.

    `left` are targets that an earlier handover left behind, by group. `turn` is the handover's when this was read,
    `begun_at` when its first target was registered, and `timed_out` whether it took too long before. `first_batch` is
    None unless a first batch is healthy and the rest waits for its errors.
    """

    service: GreenService
    groups: tuple[GroupHealth, ...]
    left: Mapping[TargetGroup, Mapping[Address, str]]
    turn: int
    begun_at: datetime | None
    timed_out: bool
    first_batch: FirstBatch | None


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
            **self.green.times,
            Kind.TARGET_HEALTH: min(one.read_at for one in (*self.checked.groups, *production)),
            Kind.TARGET_GROUPS: min(one.described_at for one in (*self.checked.groups, *production)),
        }

    @property
    def by_check(self) -> Mapping[str, target_health.Evidence]:
        """What the gate's check gathered."""
        return {"target-health": self.checked}


def gather(
    ledger: Ledger, query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline
) -> Evidence:
    """Read what the gate needs, and if it passes the production groups."""
    service = find_service(topology, green, query.service)
    production = rules.find_production(topology, green, service)
    key = (query.namespace, query.rollout)
    handover = ledger.asked(key, query.pod_template_hash, production.service.name, query.max_handover_seconds)
    turn, begun_at, timed_out = handover.turn, handover.begun_at, handover.timed_out
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
    first_batch = None
    if query.batch_percent < EVERYTHING and begun_at and _waits_for_the_rest(green, production, groups):
        first_batch = read_first_batch(groups, begun_at, production.service.name, sources, deadline)
    found = Production(production, groups, left, turn, begun_at, timed_out, first_batch)
    return Evidence(green, gate, checked, handover, found)


def _waits_for_the_rest(green: Green, production: GreenService, groups: tuple[GroupHealth, ...]) -> bool:
    """Tell whether all that is registered of green is healthy, and some of green is not registered."""
    progress = [rules.progress(green, production, one) for one in groups]
    return all(one.is_healthy_so_far for one in progress) and any(one.missing for one in progress)


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
    is_ready = all(one.wanted and query.is_met(one.healthy, one.wanted) for one in progress)
    seconds = (now - production.begun_at).total_seconds() if production.begun_at else 0.0
    batch, says = production.first_batch, "{}"
    if production.timed_out or seconds > query.max_handover_seconds:
        reason, phase = Reason.HANDOVER_TIMED_OUT, Phase.INCONCLUSIVE
        says = f"The handover took longer than maxHandoverSeconds={query.max_handover_seconds} and is undone ({{}})"
    elif is_ready:
        reason, phase = Reason.HANDOVER_READY, Phase.SUCCESSFUL
    elif batch is not None and batch.is_above(query.max_error_percent):
        reason, phase = Reason.ERRORS_ABOVE_LIMIT, Phase.FAILED
        worst = batch.worst
        says = f"{worst.errors} of {worst.total} requests failed in {worst.name} since the first batch serves ({{}})"
    else:
        reason, phase = Reason.HANDOVER_WAITING, Phase.INCONCLUSIVE
        if batch is not None and not batch.is_known:
            says = f"{{}}. The rest follows after a full minute of metrics. {batch.waits}".rstrip(" .")
    return Verdict(phase, reason, says.format(least.sentence), least.percent, _observed(evidence, progress, seconds))


def _observed(evidence: Evidence, progress: list[rules.Progress], seconds: float) -> Observed:
    assert evidence.production is not None  # noqa: S101 - judge() has looked
    shown: Observed = {
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
                "greenPercent": percent(one.healthy, one.healthy + one.others),
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
