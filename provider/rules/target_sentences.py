"""Sentences about targets: counts by state with AWS's reason codes, grace periods, and what to do.

Pure. checks/target_health.py decides what the states mean.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from provider.model.answer import ExampleTarget, applicable
from provider.model.reasons import Reason
from provider.model.records import Binding, GreenService
from provider.rules.expected_targets import ExpectedTarget
from provider.rules.grace import Grace
from provider.rules.green import service_port

SHOWN_IN_MINUTES = timedelta(minutes=5)
"""Times from here on are given in minutes."""

MAX_CAUSES = 2
"""Causes of one state that a sentence names; it counts the others."""


def rest(unwell: Iterable[ExpectedTarget]) -> str:
    """List the targets that are not healthy by state, the worst first."""
    by_state: dict[str, list[ExpectedTarget]] = {}
    for target in unwell:
        by_state.setdefault(target.state_word, []).append(target)
    worst_first = sorted(by_state.values(), key=lambda targets: -targets[0].state.severity)
    return "".join(f"; {count_by_cause(targets)}" for targets in worst_first)


def count_by_cause(targets: Sequence[ExpectedTarget]) -> str:
    """Count the targets in one state, with its most common causes: AWS's reason codes."""
    codes = Counter(target.cause for target in targets if target.cause).most_common()
    named = ", ".join(code for code, _ in codes[:MAX_CAUSES])
    if len(codes) > MAX_CAUSES:
        named += f" and {len(codes) - MAX_CAUSES} more"
    return f"{len(targets)} {targets[0].state_word}" + (f" ({named})" if named else "")


def beside(anomalous: Sequence[ExpectedTarget], shifted: Sequence[ExpectedTarget]) -> str:
    """Return clauses about anomalous targets, and about healthy ones without traffic."""
    clauses = ""
    if anomalous:
        subject = f"{anomalous[0].name} is" if len(anomalous) == 1 else f"{len(anomalous)} ({anomalous[0].name}, …) are"
        clauses += f"; {subject} anomalous: failing more often than the other targets"
    if shifted:
        words = ", ".join(sorted({target.override for target in shifted}))
        clauses += f"; {len(shifted)} healthy in a zone that traffic is shifted away from ({words})"
    return clauses


def exceeded(bad: Sequence[ExpectedTarget], grace: Grace) -> str:
    """Return for how long targets beyond their grace period have been unhealthy, as far as that is known."""
    unwell = [time for target in bad if (time := grace.unwell_for(target)) is not None]
    others = [target for target in bad if grace.unwell_for(target) is None]
    ready = [time for target in others if (time := grace.ready_for(target)) is not None]
    least = "at least " if len(bad) > 1 else ""
    known = [(unwell, "not healthy for"), (ready, "with containers ready for")]
    durations = " or ".join(f"{words} {least}{_time(min(times))}" for times, words in known if times)
    return f"{durations}, longer than the {grace.period.total_seconds():g} s grace period"


def until_failed(waiting: Sequence[ExpectedTarget], grace: Grace) -> str:
    """Return when a pod with an unhealthy target will count as failed; empty without targets."""
    if not waiting:
        return ""
    period, now = f"{grace.period.total_seconds():g} s", grace.by_kubernetes
    lately = [target for target in waiting if grace.was_healthy_lately(target)]
    unwell = [time for target in lately if (time := grace.unwell_for(target)) is not None]
    if unwell:
        return f"; not healthy for {_seconds(max(unwell))} so far; will count as failed after {period}"
    pods = [pod for target in waiting for pod in target.pods]
    ready = [time for target in waiting if (time := grace.ready_for(target)) is not None]
    if ready:
        so_far = f"{_seconds(max(ready))} so far"
    elif all(now - pod.created_at >= grace.period for pod in pods):
        so_far = "not ready now"
    else:  # younger than the grace period: its readiness was not read
        so_far = f"created {_seconds(now - min(pod.created_at for pod in pods))} ago"
    return f"; will count as failed once the pod has been ready for {period} ({so_far})"


def _time(time: timedelta) -> str:
    """Return a time in seconds, a long one in minutes."""
    return f"{round(time.total_seconds(), 1):g} s" if time < SHOWN_IN_MINUTES else f"{time // timedelta(minutes=1)} min"


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():.0f} s"


def todo(reason: Reason, service: GreenService, binding: Binding) -> str:
    """Return what a person must do; empty if waiting may help."""
    name, port = service.service.name, service_port(service.service, binding)
    match reason:
        case Reason.TARGET_GROUP_NOT_IN_USE:
            return "Add a rule (weight 0 is enough)"
        case Reason.TARGETS_UNUSED:
            return "Enable the availability zones of these targets on the load balancer"
        case Reason.HEALTH_CHECK_DISABLED:
            return "Turn on the target group's health check"
        case Reason.TARGET_PORT_NOT_FOUND:
            port_name = port.target_port if port else binding.port
            return f"Name a container port {port_name} in the pod template, or correct targetPort in Service {name}"
        case Reason.ADDRESS_FAMILY_MISMATCH:
            return (
                f"TargetGroupBinding {binding.name} takes {binding.family} addresses: make Service {name} dual-stack "
                "(ipFamilies), or correct ipAddressType in the binding"
            )
        case _:
            return ""


def name(target: ExpectedTarget) -> str:
    """Name a target, with AWS's description of its state."""
    return f"{target.name}: {target.description}" if target.description else target.name


def example(target: ExpectedTarget) -> ExampleTarget:
    """Return one target for an answer."""
    shown: ExampleTarget = {
        "name": target.name,
        "state": target.state_word,
        "address": target.address,
        "port": target.port,
        "awsReason": target.reason,
        "description": target.description,
        "anomalous": target.is_anomalous,
        "override": target.override,
    }
    return applicable(shown)
