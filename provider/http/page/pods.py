"""Green's pods as the page shows them: each with the worst of its states in any target group."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from provider.checks import target_health
from provider.model.errors import CannotTell
from provider.model.records import GroupHealth, PodState
from provider.rules.expected_targets import ExpectedTarget, State, expected_targets

LETTERS = {
    State.HEALTHY: "",
    State.INITIAL: "i",
    State.MISSING: "m",
    State.DRAINING: "d",
    State.UNKNOWN: "?",
    State.UNAVAILABLE: "n",
    State.UNHEALTHY: "x",
    State.UNUSED: "u",
}
"""In each cell of the grid, so that it can be read without colours."""

MOST_STATES = 100
"""Pods that are read whole because they are not ready: one list of at most 1 MB."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pod, or with instance targets one node, and its worst state in any target group (`group`)."""

    name: str
    state: State
    address: str = ""
    reason: str = ""
    group: str = ""
    container: str = ""

    @property
    def letter(self) -> str:
        """The state's letter in the grid."""
        return LETTERS[self.state]


@dataclass(frozen=True, slots=True)
class Group:
    """One target group: how many of green's targets are healthy there, and its health check in words."""

    name: str
    service: str
    target_type: str
    healthy: int
    wanted: int
    check: str
    load_balancers: tuple[tuple[str, str], ...]
    link: str


Named = tuple[GroupHealth, tuple[tuple[str, str, ExpectedTarget], ...]]
"""A target group with the name, address and state of each of green's targets."""


def targets_of(health: target_health.Evidence) -> list[Named]:
    """Return green's targets in each target group; none in one whose targets cannot be judged."""
    addresses = {endpoint.pod_uid: endpoint.address for endpoint in health.service.endpoints}
    shown = []
    for group in health.groups:
        try:
            expected = expected_targets(health.green, health.service, group, health.instance_ids).targets
        except CannotTell:
            expected = ()
        pods = health.green.pods if group.group.target_type == "ip" else ()
        of_pods = tuple(
            (pod.name, seen.address or addresses.get(pod.uid, ""), seen)
            for pod, seen in zip(pods, expected, strict=False)
        )
        shown.append((group, (*of_pods, *((target.name, target.address, target) for target in expected[len(pods) :]))))
    return shown


def rows_of(targets: Sequence[Named], states: Iterable[PodState] = ()) -> list[Row]:
    """Return green's targets, the worst first; those that are missing have a row each too."""
    containers = {
        state.name: _container(state) for state in states if state.state or any(not ok for _, ok in state.gates)
    }
    worst: dict[str | int, Row] = {}
    for group, named in targets:
        for number, (name, address, seen) in enumerate(named):
            before = worst.get(name or number)
            if before is None or before.state.severity < seen.state.severity:
                worst[name or number] = Row(
                    name=name or "not created yet",
                    state=seen.state,
                    address=address,
                    reason=" ".join(part for part in (seen.reason, seen.description) if part),
                    group=group.group.name if len(targets) > 1 else "",
                    container=containers.get(name, ""),
                )
    return sorted(worst.values(), key=lambda row: (-row.state.severity, row.name))


def groups_of(targets: Sequence[Named], service: str) -> list[Group]:
    """Return each target group of the green Service."""
    shown = []
    for health, named in targets:
        states = Counter(seen.state for _, _, seen in named)
        shown.append(group_of(health, service, states[State.HEALTHY], states.total()))
    return shown


def group_of(health: GroupHealth, service: str, healthy: int, wanted: int) -> Group:
    """Return a target group with so many healthy targets, its health check in words, and where AWS's console has it."""
    group, check = health.group, health.group.health_check
    parts = [
        f"{check.protocol} {check.path}".strip(),
        f"port {check.port}" if check.port else "",
        f"codes {check.codes}" if check.codes else "",
        f"every {group.health_check_interval_seconds} s",
        f"timeout {check.timeout_seconds} s" if check.timeout_seconds else "",
        f"healthy after {check.healthy_threshold}, unhealthy after {group.unhealthy_threshold}",
    ]
    return Group(
        name=group.name,
        service=service,
        target_type=group.target_type,
        healthy=healthy,
        wanted=wanted,
        check=", ".join(part for part in parts if part),
        load_balancers=tuple(
            (arn.split("/")[-2], _console(arn, f"LoadBalancer:loadBalancerArn={arn}"))
            for arn in group.load_balancer_arns
        ),
        link=_console(group.arn, f"TargetGroup:targetGroupArn={group.arn}"),
    )


_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


def _console(arn: str, place: str) -> str:
    """Return the address of AWS's console for an ARN; the browser must be signed in to its account."""
    _, partition, _, region, *_ = [*arn.split(":"), "", "", "", ""]
    console = _CONSOLES.get(partition, "console.aws.amazon.com")
    return f"https://{region}.{console}/ec2/home?region={region}#{place}"


def not_ready(health: target_health.Evidence) -> list[str]:
    """Name the pods whose containers the page reads: those not ready behind the Service, and one more for its gates."""
    ready = {endpoint.pod_uid for endpoint in health.service.endpoints if endpoint.ready}
    unready = [pod.name for pod in health.green.pods if pod.uid not in ready]
    sample = [health.green.pods[0].name] if health.green.pods else []
    return list(dict.fromkeys([*nsmallest(MOST_STATES, unready), *sample]))


def gates_of(states: Iterable[PodState]) -> list[tuple[str, int, int]]:
    """Return each readiness gate with how many of the pods that were read have it True, and how many have it."""
    every: Counter[str] = Counter()
    true: Counter[str] = Counter()
    for state in states:
        every.update(gate for gate, _ in state.gates)
        true.update(gate for gate, ok in state.gates if ok)
    return [(gate, true[gate], number) for gate, number in every.items()]


def _container(state: PodState) -> str:
    """Say what keeps a pod from being ready."""
    words = state.state
    if state.container:
        words += f" ({state.container}" + (f", {state.restarts} restarts)" if state.restarts else ")")
    waiting = [gate for gate, ok in state.gates if not ok]
    return words + (f"{'; ' if words else ''}waits for gate {waiting[0]}" if waiting else "")
