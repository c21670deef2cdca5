"""What is true of a Rollout, and what may therefore be answered: from the contract, not from the code that judges.

The story writes down every fact the moment it becomes one. A question may be answered by any combination of facts each
of which was true at some moment within its limit before the answer, so the model holds for a provider that reads
everything again and for one that shares what it has read. Facts have Kubernetes' and AWS's own words.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import chain, product
from math import comb
from typing import Any

SUCCESSFUL, INCONCLUSIVE, FAILED, NOT_FOUND = "Successful", "Inconclusive", "Failed", "NotFound"

BUDGET_SECONDS = 8.0
"""How long a question may take; evidence that was fresh when it was asked is that much older when it is judged."""


@dataclass(frozen=True)
class Evidence:
    """Kinds of facts that are read together, and how old they may be when they are judged."""

    kinds: tuple[str, ...]
    limit_seconds: float


TOPOLOGY, HEALTH, METRICS, SETTINGS = (fresh + BUDGET_SECONDS for fresh in (5.0, 2.0, 60.0, 300.0))

EVIDENCE = (
    Evidence(("rollout",), TOPOLOGY),
    Evidence(("bindings",), TOPOLOGY),
    Evidence(("replica_sets", "services", "pods", "endpoints"), TOPOLOGY),
    Evidence(("readiness",), TOPOLOGY),
    Evidence(("targets",), HEALTH),
    Evidence(("groups",), SETTINGS),
    Evidence(("metrics",), METRICS),
)
"""The one table of limits: what is read in one step is of one moment, each step has a moment of its own."""

FAILURES_SHARED_SECONDS = 1.0
"""How long after a fault others may still be told of it."""

DEFAULT_GRACE_MARGIN_SECONDS = 30
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)

TOO_FAR_SECONDS = 30
"""Clocks that are further apart decide nothing."""

UNPROVEN_SECONDS = 1.1
"""How far from the truth the time of another system may be taken: its answers tell whole seconds."""


@dataclass(frozen=True)
class Clocks:
    """How many seconds Kubernetes' and AWS's clocks are ahead of the provider's, which is right."""

    kubernetes: int = 0
    aws: int = 0

    @property
    def doubt(self) -> timedelta:
        """How much earlier or later a time may be taken to be than it was; none while the clocks agree."""
        return timedelta(seconds=2 * UNPROVEN_SECONDS if self.kubernetes or self.aws else 0)


@dataclass(frozen=True)
class Rollout:
    """`services` maps a role (active, preview, stable, canary, ping, pong) to the name of its Service."""

    uid: str
    generation: int
    observed_generation: int
    current_hash: str
    stable_hash: str
    services: Mapping[str, str]
    stable_ping_pong: str = ""


@dataclass(frozen=True)
class ReplicaSet:
    uid: str
    owner_uid: str
    pod_hash: str
    replicas: int
    available: int
    generation: int
    observed_generation: int
    created_at: datetime


@dataclass(frozen=True)
class Service:
    """`ports` maps the names of its ports to their numbers; `written_at` is None where nobody knows."""

    pod_hash: str
    ports: Mapping[str, int]
    written_at: datetime | None


@dataclass(frozen=True)
class Pod:
    uid: str
    owner_uid: str
    terminating: bool
    ended: bool = False


@dataclass(frozen=True)
class Endpoint:
    """Where a pod can be reached; `ports` maps the names of the Service's ports to the pod's own numbers."""

    ip: str
    ports: Mapping[str, int]


@dataclass(frozen=True)
class Binding:
    """`arn` is what it means, also where it is bound `by_name`."""

    service: str
    port: int | str
    arn: str
    by_name: bool = False
    other_account: bool = False


@dataclass(frozen=True)
class Target:
    ip: str
    port: int
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Group:
    """`balancer` is the load balancer that forwards to it, empty without one; `shared` if it also serves others."""

    balancer: str
    interval_seconds: int
    unhealthy_threshold: int
    shared: bool


Point = tuple[str, str, datetime]
"""A metric, the ARN of what it counts, and the beginning of its minute by AWS's clock."""

PodTarget = tuple[str, str, str, int]
"""The ARN of a target group, the uid of a pod, and its address and port."""


class Sightings:
    """Which targets were ever healthy, and which of them the provider certainly saw healthy."""

    def __init__(self) -> None:
        self._ever: set[PodTarget] = set()
        self._seen: set[PodTarget] = set()
        self._unwell_since: dict[PodTarget, datetime] = {}

    def note(self, healthy: set[PodTarget], at: datetime) -> None:
        """Write down which targets are healthy from now on."""
        self._ever |= healthy
        for target in self._seen - healthy:
            self._unwell_since.setdefault(target, at)

    def looked(self, healthy: set[PodTarget]) -> None:
        """Write down that the provider has certainly read now that these targets are healthy."""
        self._seen |= healthy
        for target in healthy:
            self._unwell_since.pop(target, None)

    def may_fail(self, target: PodTarget, grace_seconds: float, now: datetime) -> set[bool]:
        """Tell whether an unhealthy target of a pod that is ready for long enough may count as failed.

        It must, if it was never healthy; it must not, while it has not been unhealthy for the grace period since the
        provider saw it healthy. Otherwise that depends on when the provider looked.
        """
        if not grace_seconds:
            return {True}
        since = self._unwell_since.get(target, now)
        if target in self._seen and (now - since).total_seconds() <= grace_seconds:
            return {False}
        return {True, False} if target in self._ever else {True}


@dataclass(frozen=True)
class Look:
    """One fact of each kind; a kind that a question does not ask for is left empty."""

    rollout: Rollout | None = None
    replica_sets: tuple[ReplicaSet, ...] = ()
    services: Mapping[str, Service] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    readiness: Mapping[str, datetime] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    metrics: Mapping[Point, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A question with its parameters; defaults are the contract's."""

    checks: tuple[str, ...]
    pod_hash: str = ""
    service: str = ""
    min_healthy_percent: int = 100
    unhealthy_grace_seconds: int | None = None
    window_seconds: int = 180
    lag_seconds: int = 120
    max_error_percent: int = 1
    max_errors: int | None = None
    min_requests: int = 0
    on_no_data: str = "inconclusive"
    compare_blue: bool = False
    significance: float = 0.01

    @property
    def kinds(self) -> set[str]:
        """The kinds of facts that can decide it."""
        wanted = {"rollout", "replica_sets", "services"}
        if "target-health" in self.checks:
            wanted |= {"pods", "endpoints", "readiness", "bindings", "targets", "groups"}
        if "errors" in self.checks:
            wanted |= {"bindings", "groups", "metrics"}
        return wanted


class History:
    """Every fact about one Rollout, with the moment since when it was true."""

    def __init__(self, clocks: Clocks = Clocks()) -> None:
        self.clocks, self.sightings = clocks, Sightings()
        self._past: dict[Evidence, list[tuple[datetime, dict[str, Any]]]] = {one: [] for one in EVIDENCE}

    def record(self, facts: Mapping[str, Any], at: datetime) -> None:
        """Write down what is true from now on, where it is new, and forget what no answer can rest on any more."""
        for evidence, past in self._past.items():
            now = {kind: facts[kind] for kind in evidence.kinds}
            if past and past[-1][1] == now:
                continue
            past.append((at, now))
            oldest = at - timedelta(seconds=2 * evidence.limit_seconds)
            while len(past) > 1 and past[1][0] < oldest:
                past.pop(0)

    def within(self, evidence: Evidence, wanted: set[str], end: datetime) -> list[dict[str, Any]]:
        """Return what was true at some moment within the limit before `end`, the newest first, and each once."""
        found: list[dict[str, Any]] = []
        start = end - timedelta(seconds=evidence.limit_seconds)
        for since, facts in reversed(self._past[evidence]):
            some = {kind: fact for kind, fact in facts.items() if kind in wanted}
            if some not in found:
                found.append(some)
            if since < start:  # what was true before that had ended before the limit
                break
        return found

    def is_settled(self, at: datetime) -> bool:
        """Tell whether nothing but health, settings and metrics has changed for as long as it may be old."""
        return all(
            past[-1][0] <= at - timedelta(seconds=evidence.limit_seconds)
            for evidence, past in self._past.items()
            if evidence.limit_seconds == TOPOLOGY
        )

    def possible(self, asked: Asked, started: datetime, answered: datetime) -> Iterator[str]:
        """Yield every phase that facts within their limits give, NotFound among them; the newest facts first."""
        seen: set[str] = set()
        doubts = dict.fromkeys((timedelta(0), self.clocks.doubt))
        for facts in product(*(self.within(evidence, asked.kinds, answered) for evidence in EVIDENCE)):
            look = Look(**dict(chain.from_iterable(some.items() for some in facts)))
            for opened, ends, begins in product(dict.fromkeys((answered, started)), doubts, doubts):
                moment = Moment(self, opened - ends, begins, answered - ends, answered)
                for phase in phases_of(asked, look, moment):
                    if phase not in seen:
                        seen.add(phase)
                        yield phase


@dataclass(frozen=True)
class Moment:
    """When a question is judged, and what was seen until then.

    `opened` is when the window of metrics was chosen; `begins` is how much later than true it may begin, and
    `by_kubernetes` how late the provider takes it to be when it compares with Kubernetes' times.
    """

    history: History
    opened: datetime
    begins: timedelta
    by_kubernetes: datetime
    answered: datetime

    @property
    def clocks(self) -> Clocks:
        """The clocks of the others."""
        return self.history.clocks


def phases_of(asked: Asked, look: Look, moment: Moment) -> list[str]:
    """Answer a question about one look: with every phase that may be given, by what the provider saw before."""
    if look.rollout is None:
        return [NOT_FOUND]
    green = _green(asked, look.rollout, look)
    production = look.services.get(_production(look.rollout))
    if green is None or production is None:
        return [INCONCLUSIVE]
    phases: list[list[str]] = []
    if not production.pod_hash and look.rollout.stable_hash not in ("", look.rollout.current_hash):
        phases.append([INCONCLUSIVE])  # users may reach green already
    for check in asked.checks:
        match check:
            case "replicas":
                enough = green.available * 100 >= asked.min_healthy_percent * green.replicas
                phases.append([SUCCESSFUL if enough else INCONCLUSIVE])
            case "target-health":
                phases.append(_target_health(asked, look, look.rollout, green, moment))
            case "errors":
                phases.append([_errors(asked, look, look.rollout, green, moment)])
    return list(dict.fromkeys(_worst(set(some)) for some in product(*phases)))


def _production(rollout: Rollout) -> str:
    """Name the Service by which users reach the stable version."""
    names = rollout.services
    return names[rollout.stable_ping_pong or "pong"] if "ping" in names else names.get("active") or names["stable"]


def _worst(phases: set[str]) -> str:
    return next(phase for phase in (FAILED, INCONCLUSIVE, SUCCESSFUL) if phase in phases)


def _green(asked: Asked, rollout: Rollout, look: Look) -> ReplicaSet | None:
    """Find the current ReplicaSet that the Rollout owns; none while anybody lags behind, or nothing is wanted."""
    if rollout.observed_generation != rollout.generation or asked.pod_hash not in ("", rollout.current_hash):
        return None
    for one in look.replica_sets:
        if one.pod_hash == rollout.current_hash and one.owner_uid == rollout.uid:
            ready = one.replicas > 0 and one.observed_generation >= one.generation
            return one if ready else None
    return None


def _service(asked: Asked, rollout: Rollout, look: Look) -> tuple[str, bool] | None:
    """Name the green Service and tell whether production reaches green by it; none while it does not select green."""
    names, green = rollout.services, rollout.current_hash
    chosen: str | None
    production: str | None

    def selects(name: str | None) -> bool:
        return name is not None and name in look.services and look.services[name].pod_hash == green

    if "ping" in names:
        stable = names[rollout.stable_ping_pong or "pong"]
        other = names["ping"] if stable == names["pong"] else names["pong"]
        rolling = rollout.stable_hash not in ("", green)
        chosen, production = (other, None) if rolling else (stable, stable)
    else:
        production, idle = (
            (names["active"], names.get("preview")) if "active" in names else (names["stable"], names["canary"])
        )
        chosen = production if selects(production) else idle
    if asked.service:
        if asked.service not in names.values():
            return None
        chosen = asked.service
    return (chosen, chosen == production) if chosen and selects(chosen) else None


def _bindings(look: Look, service: str) -> list[tuple[Binding, Group]] | None:
    """Return what is bound to a Service; none if there is nothing, or anything of it cannot be followed."""
    found = []
    for binding in look.bindings:
        if binding.service == service:
            ports = look.services[service].ports
            known = binding.port in (ports.values() if isinstance(binding.port, int) else ports)
            if binding.other_account or not known or binding.arn not in look.groups:
                return None
            found.append((binding, look.groups[binding.arn]))
    return found or None


def _target_health(asked: Asked, look: Look, rollout: Rollout, green: ReplicaSet, moment: Moment) -> list[str]:
    chosen = _service(asked, rollout, look)
    bound = _bindings(look, chosen[0]) if chosen else None
    if chosen is None or bound is None:
        return [INCONCLUSIVE]
    pods = [pod for pod in look.pods if pod.owner_uid == green.uid and not pod.terminating and not pod.ended]
    groups = [_group_health(asked, look, chosen[0], one, group, pods, green, moment) for one, group in bound]
    return list(dict.fromkeys(_worst(set(some)) for some in product(*groups)))


def _group_health(
    asked: Asked,
    look: Look,
    service: str,
    binding: Binding,
    group: Group,
    pods: list[Pod],
    green: ReplicaSet,
    moment: Moment,
) -> list[str]:
    """Compare every pod with its target in one group: a pod counts as healthy only if nothing speaks against it."""
    if not group.balancer:
        return [INCONCLUSIVE]
    grace = asked.unhealthy_grace_seconds
    if grace is None:
        grace = group.unhealthy_threshold * group.interval_seconds + DEFAULT_GRACE_MARGIN_SECONDS
    ports = look.services[service].ports
    port = binding.port if isinstance(binding.port, str) else next(n for n in ports if ports[n] == binding.port)
    healthy = bad = maybe_bad = 0
    for pod in pods:
        where = look.endpoints.get(pod.uid)
        entries = [
            target
            for target in look.targets.get(binding.arn, ())
            if where is not None and target.ip == where.ip and target.port == where.ports.get(port)
        ]
        healthy += bool(entries) and all(one.state == "healthy" for one in entries)
        blamed = any(one.state.startswith("unhealthy") and not one.reason.startswith("Elb.") for one in entries)
        since = look.readiness.get(pod.uid)
        if where and blamed and since is not None and (moment.by_kubernetes - since).total_seconds() > grace:
            target = (binding.arn, pod.uid, where.ip, where.ports.get(port, 0))
            may_fail = moment.history.sightings.may_fail(target, grace, moment.answered)
            bad += may_fail == {True}
            maybe_bad += True in may_fail
    wanted = max(green.replicas, len(pods))
    passes = SUCCESSFUL if healthy * 100 >= asked.min_healthy_percent * wanted else INCONCLUSIVE
    fails = INCONCLUSIVE if abs(moment.clocks.kubernetes) > TOO_FAR_SECONDS else FAILED

    def is_out_of_reach(number: int) -> bool:
        return bool(number) and (wanted - number) * 100 < asked.min_healthy_percent * wanted

    if is_out_of_reach(bad):
        return [fails]
    return [passes, fails] if is_out_of_reach(maybe_bad) else [passes]


def _errors(asked: Asked, look: Look, rollout: Rollout, green: ReplicaSet, moment: Moment) -> str:
    if max(abs(moment.clocks.kubernetes), abs(moment.clocks.aws)) > TOO_FAR_SECONDS:
        return INCONCLUSIVE
    chosen = _service(asked, rollout, look)
    bound = _bindings(look, chosen[0]) if chosen else None
    if chosen is None or bound is None or any(not group.balancer for _, group in bound):
        return INCONCLUSIVE
    service, production = chosen
    written = look.services[service].written_at
    if written is None:
        return INCONCLUSIVE
    minutes, unfinished = _minutes(asked, moment, max(green.created_at, written))
    arns = {binding.arn: group.balancer for binding, group in bound}
    shared = {group.balancer: group.shared or _serves_others(look, group.balancer) for _, group in bound}
    keeps_traffic = production and "active" in rollout.services
    blue = {} if production else _blue_arns(look, rollout)
    phases = {_early(asked, look, arns, shared if production else {}, blue, unfinished, keeps_traffic=keeps_traffic)}
    if not minutes:
        return _worst(phases | {INCONCLUSIVE})
    counts = [_count(look, arn, balancer, minutes) for arn, balancer in arns.items()]
    if asked.compare_blue:
        phases |= {_compared(asked, look, rollout, counts, minutes, production=production)}
    else:
        phases |= {_within_limits(asked, one) for one in counts}
    if production:
        phases |= {_balancer(asked, look, arn, minutes, shared=others) for arn, others in shared.items()}
    return _worst(phases)


@dataclass(frozen=True)
class _Unfinished:
    """Green's first minute, the end of the finished ones, and the ends of minutes that are not."""

    first: datetime
    finished: datetime
    ends: tuple[datetime, ...]
    seconds: int

    def window(self, end: datetime) -> list[datetime]:
        """Return the minutes that will be judged when the one that ends there is finished."""
        wanted = [end - MINUTE * (number + 1) for number in range(self.seconds // 60)]
        return [minute for minute in wanted if minute >= self.first]


def _early(  # noqa: C901 - the whole rule in one place, apart from the product's
    asked: Asked,
    look: Look,
    arns: Mapping[str, str],
    shared: Mapping[str, bool],
    blue: Mapping[str, str],
    of: _Unfinished,
    *,
    keeps_traffic: bool,
) -> str:
    """Fail green for what no later publication can undo, and otherwise say nothing against it."""
    recent = [of.finished - MINUTE * (number + 1) for number in range(max(15, of.seconds // 60))]

    def all_of(arn: str, minute: datetime) -> tuple[int, int]:
        errors = _own(look, arn, minute)
        return max(errors, _seen(look, arn, minute)), errors

    def most(arn: str, minutes: list[datetime], past: str) -> int | None:
        busiest = max(all_of(past, minute)[0] for minute in recent)
        late = [minute for minute in minutes if minute >= of.finished]
        if not busiest or any(_own(look, arn, one) and not _seen(look, arn, one) for one in late):
            return None
        each = 2 * max([1000, busiest, *(all_of(arn, one)[0] for one in late)])
        return each * len(late) + sum(all_of(arn, one)[0] for one in minutes if one < of.finished)

    def is_silent(arn: str, balancer: str, minutes: list[datetime], *, own: bool) -> bool:
        done = [minute for minute in minutes if minute < of.finished]
        return _count(look, arn, balancer, done, own_confirms=own).silent

    def fails(arn: str, minutes: list[datetime], past: str, errors: int, *, silent: bool) -> bool:
        if asked.max_errors is not None and errors > asked.max_errors:
            return True
        known = max(sum(_seen(look, arn, one) for one in minutes), sum(_own(look, arn, one) for one in minutes))
        bound = most(arn, minutes, past)
        return bound is not None and not silent and known >= asked.min_requests and _too_many(asked, errors, bound)

    for end in of.ends:
        minutes = of.window(end)
        if asked.compare_blue:
            if blue and _worse(asked, look, arns, blue, minutes, most, is_silent, of):
                return FAILED
        elif any(
            fails(
                arn,
                minutes,
                arn if keeps_traffic else balancer,
                sum(_own(look, arn, one) for one in minutes),
                silent=is_silent(arn, balancer, minutes, own=True),
            )
            for arn, balancer in arns.items()
        ):
            return FAILED
        for arn, others in shared.items():
            errors = sum(_own(look, arn, one) for one in minutes if one > of.first)
            if end > of.first + MINUTE and not others and fails(arn, minutes, arn, errors, silent=False):
                return FAILED
    return SUCCESSFUL


def _own(look: Look, arn: str, minute: datetime) -> int:
    """Count what failed of a target group, or what a load balancer itself answered with 5xx."""
    names = ("HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount", "HTTPCode_ELB_5XX_Count")
    kinds = names[2:] if ":loadbalancer/" in arn else names[:2]
    return sum(_sum(look, name, arn, [minute]) for name in kinds)


def _seen(look: Look, arn: str, minute: datetime) -> int:
    """Count requests; a load balancer leaves those without a target out of RequestCount."""
    requests = _sum(look, "RequestCount", arn, [minute])
    if ":loadbalancer/" not in arn:
        return requests
    return max(requests + _sum(look, "HTTPCode_ELB_503_Count", arn, [minute]), _own(look, arn, minute))


def _worse(
    asked: Asked,
    look: Look,
    arns: Mapping[str, str],
    blue: Mapping[str, str],
    minutes: list[datetime],
    most: Callable[[str, list[datetime], str], int | None],
    is_silent: Callable[..., bool],
    of: _Unfinished,
) -> bool:
    """Tell whether green is worse than blue even if all of blue's requests in unfinished minutes failed."""
    known, bounds = {}, {}
    for arn, balancer in {**arns, **blue}.items():
        if is_silent(arn, balancer, minutes, own=arn in arns):
            return False
        bound = most(arn, minutes, balancer)
        if bound is None:
            return False
        errors = sum(_own(look, arn, one) for one in minutes)
        known[arn], bounds[arn] = max(errors, sum(_seen(look, arn, one) for one in minutes)), bound
    green_known, blue_known = sum(known[arn] for arn in arns), sum(known[arn] for arn in blue)
    if min(green_known, blue_known) < max(100, asked.min_requests):
        return False
    done = [minute for minute in minutes if minute < of.finished]
    answered = sum(
        max(_own(look, arn, one), _seen(look, arn, one)) - _own(look, arn, one) for arn in blue for one in done
    )
    failed, total = sum(_own(look, arn, one) for arn in arns for one in minutes), sum(bounds[arn] for arn in arns)
    ends = (blue_known, sum(bounds[arn] for arn in blue))
    return all(chance(failed, total, end - answered, end) < asked.significance for end in ends)


def _minutes(asked: Asked, moment: Moment, served_since: datetime) -> tuple[list[datetime], _Unfinished]:
    """Return the whole minutes that may be judged, and those that are not finished.

    Green served them from beginning to end, and they end a lag ago. Kubernetes tells the second in which green began to
    serve; the minutes are cut by AWS's clock.
    """
    ahead = timedelta(seconds=moment.clocks.aws)
    last = (moment.opened + ahead - timedelta(seconds=asked.lag_seconds)).replace(second=0, microsecond=0)
    since = served_since + SECOND + moment.begins + ahead
    first = since.replace(second=0, microsecond=0)
    first += MINUTE if first < since else timedelta(0)
    ends = [last + MINUTE * (number + 1) for number in range(-(-asked.lag_seconds // 60))]
    # Nothing is read before green's first minute is over.
    is_read = last > first or first + MINUTE <= moment.opened + ahead
    later = tuple(end for end in ends if end > first) if is_read else ()
    unfinished = _Unfinished(first, last, later, asked.window_seconds)
    return unfinished.window(last), unfinished


@dataclass(frozen=True)
class _Count:
    requests: int
    errors: int
    silent: bool


def _sum(look: Look, metric: str, arn: str, minutes: list[datetime]) -> int:
    return int(sum(look.metrics.get((metric, arn, minute), 0) for minute in minutes))


def _count(look: Look, arn: str, balancer: str, minutes: list[datetime], *, own_confirms: bool = True) -> _Count:
    """Count one target group; a minute about which neither it nor its load balancer said anything is silent."""
    errors = sum(
        _sum(look, metric, arn, minutes) for metric in ("HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount")
    )
    silent = [
        minute
        for minute in minutes
        if ("RequestCount", balancer, minute) not in look.metrics
        and not (own_confirms and ("HealthyHostCount", arn, minute) in look.metrics)
    ]
    return _Count(max(errors, _sum(look, "RequestCount", arn, minutes)), errors, bool(silent))


def _too_many(asked: Asked, errors: int, requests: int) -> bool:
    return errors * 100 > asked.max_error_percent * requests


def _within_limits(asked: Asked, count: _Count) -> str:
    if asked.max_errors is not None and count.errors > asked.max_errors:
        return FAILED
    too_many = _too_many(asked, count.errors, count.requests)
    if count.silent:
        said = {"inconclusive": INCONCLUSIVE, "pass": SUCCESSFUL, "fail": FAILED}[asked.on_no_data]
        return INCONCLUSIVE if said == SUCCESSFUL and too_many else said
    if count.requests < asked.min_requests:
        return INCONCLUSIVE
    return FAILED if too_many else SUCCESSFUL


def _balancer(asked: Asked, look: Look, arn: str, minutes: list[datetime], *, shared: bool) -> str:
    """After the switch the load balancer's own 5xx are green's, if it serves nobody else."""
    errors = _sum(look, "HTTPCode_ELB_5XX_Count", arn, minutes)
    refused = _sum(look, "HTTPCode_ELB_503_Count", arn, minutes)
    requests = max(errors, _sum(look, "RequestCount", arn, minutes) + refused)
    above = asked.max_errors is not None and errors > asked.max_errors
    if not above and (requests < asked.min_requests or not _too_many(asked, errors, requests)):
        return SUCCESSFUL
    return INCONCLUSIVE if shared else FAILED


def _serves_others(look: Look, balancer: str) -> bool:
    """Tell whether a load balancer forwards to a group that is not the Rollout's own."""
    bound = (one for one in look.bindings if one.service in look.services)
    own = {one.arn for one in bound if not (one.by_name and one.other_account)}  # there the name is another group's
    return any(group.balancer == balancer and arn not in own for arn, group in look.groups.items())


def _compared(
    asked: Asked,
    look: Look,
    rollout: Rollout,
    counts: list[_Count],
    minutes: list[datetime],
    *,
    production: bool,
) -> str:
    """Hold green against blue over the same minutes: worse beyond chance fails, within the limits passes."""
    above = FAILED in {_within_limits(asked, one) for one in counts if not one.silent}
    above = above or any(asked.max_errors is not None and one.errors > asked.max_errors for one in counts)
    if any(one.silent for one in counts):
        said = {"inconclusive": INCONCLUSIVE, "pass": SUCCESSFUL, "fail": FAILED}[asked.on_no_data]
        known_bad = above or any(_too_many(asked, one.errors, one.requests) for one in counts if one.silent)
        return INCONCLUSIVE if said == SUCCESSFUL and known_bad else said
    blue = () if production else _blue(look, rollout, minutes)
    if not blue or any(one.silent for one in blue):
        return INCONCLUSIVE
    green_total, green_errors = sum(one.requests for one in counts), sum(one.errors for one in counts)
    blue_total, blue_errors = sum(one.requests for one in blue), sum(one.errors for one in blue)
    if min(green_total, blue_total) < max(100, asked.min_requests):
        return INCONCLUSIVE
    if chance(green_errors, green_total, blue_errors, blue_total) < asked.significance:
        return FAILED
    return INCONCLUSIVE if above else SUCCESSFUL


def _blue_arns(look: Look, rollout: Rollout) -> dict[str, str]:
    """Return what serves blue while green is only being checked, with its load balancers."""
    name = _production(rollout)
    serves = name in look.services and look.services[name].pod_hash == rollout.stable_hash != ""
    if not serves or rollout.stable_hash == rollout.current_hash:
        return {}
    bound = {one.arn: look.groups[one.arn] for one in look.bindings if one.service == name and not one.other_account}
    return {arn: group.balancer for arn, group in bound.items() if group.balancer}


def _blue(look: Look, rollout: Rollout, minutes: list[datetime]) -> tuple[_Count, ...]:
    """Count what serves blue."""
    arns = _blue_arns(look, rollout)
    return tuple(_count(look, arn, balancer, minutes, own_confirms=False) for arn, balancer in arns.items())


def chance(green_errors: int, green_total: int, blue_errors: int, blue_total: int) -> float:
    """Return the chance that green would get at least as many of all errors if it were as good as blue, exactly."""
    errors, total = green_errors + blue_errors, green_total + blue_total
    if green_errors * blue_total <= blue_errors * green_total:
        return 1.0
    ways = sum(
        comb(errors, number) * comb(total - errors, green_total - number)
        for number in range(green_errors, min(errors, green_total) + 1)
    )
    return float(Fraction(ways, comb(total, green_total)))
