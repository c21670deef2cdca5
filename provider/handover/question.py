"""Hand over: register green's pods in the production target groups beside blue's, so that the switch leaves no gap.

Successful once `minHealthyPercent` of green's pods are healthy targets of every production target group too: then Argo
switches, and the load balancer controller finds them in place. Inconclusive until then. First comes all that the gate
asks: while that does not pass, it is the answer, and nothing is registered.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import PrivateAttr, ValidationError, ValidationInfo, field_validator

from provider.checks import replicas, target_health
from provider.checks.parameters import Parameter
from provider.checks.question import Sources
from provider.checks.strictness import DECIDES, LOWER
from provider.checks.traffic import read_points, window_since
from provider.model import lengths
from provider.model.answer import Observed
from provider.model.errors import CannotTell
from provider.model.handovers import HandoverRecord
from provider.model.reasons import Phase, Reason
from provider.model.records import Canary, Green, GreenService, GroupHealth, Kind, Topology, Verdict
from provider.rules import handover as rules
from provider.rules.counts import count_group
from provider.rules.expected_targets import percent
from provider.rules.green import find_service
from provider.sources.deadline import Deadline

NAME = "handover"

SHORTEST_SECONDS, LONGEST_SECONDS = 10, 3600

EVERYTHING = 100
"""Percent."""

SHORTEST_WITH_BATCH_SECONDS = 300
"""CloudWatch's lag of 120 s, a full minute of metrics and the minute in which it began, and time for the rest."""

LAG, LONGEST_WINDOW = timedelta(seconds=120), timedelta(hours=1)
"""CloudWatch's lag, as for `errors`, and the longest window."""


class Query(target_health.Query):
    """The parameters of `handover`, and the record of the handover as the query found it: None before it begins."""

    _record: HandoverRecord | None = PrivateAttr(default=None)

    @property
    def record(self) -> HandoverRecord | None:
        """The record."""
        return self._record

    def during(self, record: HandoverRecord | None) -> "Query":
        """Return the query with its record, and while the handover lasts with the parameters that began it."""
        query = self.model_copy()
        if record is not None and not record.ended:
            with suppress(ValidationError):  # a release with other parameters began it
                query = Query.model_validate(record.parameters)
        query._record = record  # noqa: SLF001 - of its own class
        return query

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

    @field_validator("batch_percent")
    @classmethod
    def _has_time(cls, batch_percent: float, info: ValidationInfo) -> float:
        """Refuse a first batch whose errors could never be judged in time."""
        most = info.data.get("max_handover_seconds", LONGEST_SECONDS)
        if batch_percent < EVERYTHING and most < SHORTEST_WITH_BATCH_SECONDS:
            raise ValueError(
                f"below 100 needs maxHandoverSeconds of at least {SHORTEST_WITH_BATCH_SECONDS}: a full minute of "
                "metrics judges the first batch"
            )
        return batch_percent

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
    """The production Service, its groups, and how far green is in each.

    `first_batch` is None unless its errors are to be judged.
    """

    service: GreenService
    groups: tuple[GroupHealth, ...]
    progress: tuple[rules.Progress, ...]
    first_batch: rules.FirstBatch | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gate asks for, and production: None while the gate does not pass, so nobody needs it."""

    green: Green
    gate: Verdict
    checked: target_health.Evidence
    production: Production | None = None

    def is_batch_proved(self, query: Query) -> bool:
        """Whether the first batch was judged, and is within the limit."""
        batch = self.production.first_batch if self.production else None
        return batch is not None and batch.is_known and not batch.failure(query.max_error_percent)

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


def gather(query: Query, topology: Topology, green: Green, sources: Sources, deadline: Deadline) -> Evidence:
    """Read what the gate needs, and if it passes the production groups."""
    service = find_service(topology, green, query.service)
    production = rules.find_production(topology, green, service)
    checked = target_health.gather(query, topology, green, sources, deadline)
    healthy = target_health.judge(query, checked, sources.clock())
    available = replicas.judge(query, replicas.Evidence(green, checked.states), sources.clock())
    evidence = Evidence(green, max(healthy, available, key=lambda verdict: verdict.phase.severity), checked)
    if evidence.gate.phase is not Phase.SUCCESSFUL:
        return evidence
    groups = sources.load_balancers.health(production.bindings, deadline)
    rules.require_ip_targets(groups)
    names = {health.group.name for health in groups}
    others = tuple(
        binding
        for binding in (*topology.foreign_bindings, *topology.bindings)
        if binding.service != production.service.name and binding.target_group in names
    )
    described = sources.load_balancers.groups(others, deadline) if others else ()
    rules.require_own_groups(groups, zip(others, (group.value.arn for group in described), strict=True))
    listeners = sources.load_balancers.listeners
    known = {arn for health in checked.groups for arn in health.group.load_balancer_arns}
    if unproved := {arn for health in groups for arn in health.group.load_balancer_arns} - known:
        place = groups[0].group.place
        rules.require_same_reach(listeners.security_groups(known | unproved, place, deadline), known)
    if isinstance(topology.rollout.strategy, Canary):
        rules.require_no_users({one.group.name: listeners.weights(one.group, deadline) for one in groups})
    progress = tuple(rules.progress(green, production, health) for health in groups)
    first_batch, record = None, query.record
    is_serving = all(0 < each.registered <= each.healthy for each in progress)
    if query.batch_percent < EVERYTHING and record and not (record.is_proved or record.ended) and is_serving:
        first_batch = _first_batch(groups, record.begun_at, production.service.name, sources, deadline)
    return replace(evidence, production=Production(production, groups, progress, first_batch))


def _first_batch(
    groups: tuple[GroupHealth, ...], since: datetime, service: str, sources: Sources, deadline: Deadline
) -> rules.FirstBatch:
    """Count the requests of the full minutes since green was first registered. Raises CannotTell."""
    described = tuple(health.group for health in groups)
    try:
        window = window_since(since, LONGEST_WINDOW, LAG, service, [group.place.region for group in described], sources)
    except CannotTell as error:
        if error.reason is not Reason.WINDOW_NOT_OPEN:
            raise
        return rules.FirstBatch(waits=str(error))
    points, _ = read_points(described, (), window, sources, deadline)
    return rules.FirstBatch(tuple(count_group(group, points, window) for group in described))


def judge(query: Query, evidence: Evidence, now: datetime) -> Verdict:  # noqa: ARG001 - the signature of every check
    """Let the gate decide while it does not pass; then the production group with the fewest healthy green targets."""
    production, record = evidence.production, query.record
    if production is None:
        return evidence.gate
    batch = production.first_batch
    least = min(production.progress, key=lambda each: each.percent)
    is_ready = all(each.wanted and query.is_met(each.healthy, each.wanted) for each in production.progress)
    reason, phase, message = Reason.HANDOVER_WAITING, Phase.INCONCLUSIVE, least.sentence
    if record is not None and record.is_timed_out:
        reason, message = Reason.HANDOVER_TIMED_OUT, f"Green was taken out of production: {record.ended} ({message})"
    elif record is not None and record.refusal is not None:
        reason, message = record.refusal[0], f"{record.refusal[1]} ({message})"
    elif batch is not None and (failure := batch.failure(query.max_error_percent)):
        reason, phase, message = Reason.ERRORS_ABOVE_LIMIT, Phase.FAILED, f"{failure} ({message})"
    elif batch is not None and not batch.is_known:
        message = f"{message}. The rest follows after a full minute of metrics. {batch.waits}".rstrip(" .")
    elif is_ready and (query.batch_percent >= EVERYTHING or (record and record.is_proved)):
        reason, phase = Reason.HANDOVER_READY, Phase.SUCCESSFUL
    observed = _observed(evidence.green, production, record.age if record else 0.0)
    return Verdict(phase, reason, message, least.percent, observed)


def _observed(green: Green, production: Production, seconds: float) -> Observed:
    return {
        **green.observed(),
        "service": production.service.service.name,
        "stage": production.service.stage.value,
        "targetGroups": [
            {
                "name": each.name,
                "healthyPercent": each.percent,
                "healthyCount": each.healthy,
                "registeredCount": each.registered,
                "otherHealthyCount": each.others,
                "greenPercent": percent(each.healthy, each.healthy + each.others),
            }
            for each in production.progress
        ],
        "handoverSeconds": round(seconds, 1),
    }
