"""CloudWatch's counts in the minutes of a switch, read once when they are complete."""

from datetime import datetime, timedelta

from provider.checks.question import Sources
from provider.checks.traffic import read_points
from provider.model.errors import CannotTell
from provider.model.records import TargetGroup, Window
from provider.rules.counts import count_group, count_load_balancer
from provider.rules.switch_seen import Errors, SwitchSeen
from provider.sources.deadline import Deadline

MINUTES_OF_A_SWITCH = 3
COMPLETE_AFTER = timedelta(minutes=MINUTES_OF_A_SWITCH + 2)
"""CloudWatch's minutes are complete two minutes after their end (checks/errors.py, lagSeconds)."""


def is_complete(switch: SwitchSeen, now: datetime) -> bool:
    """Tell whether CloudWatch has every count of the minutes of a switch."""
    return now >= switch.switched_at.replace(second=0, microsecond=0) + COMPLETE_AFTER


def errors_of(switch: SwitchSeen, groups: tuple[TargetGroup, ...], sources: Sources) -> Errors | None:
    """Read the counts of the minutes of a switch; None if they cannot be read, or no load balancer publishes them."""
    known = tuple(group for group in groups if group.in_use and ":loadbalancer/app/" in group.load_balancer_arns[0])
    if not known:
        return None
    clocks = [sources.other_clocks.cloudwatch(group.place.region) for group in known]
    start = min(clock.earliest(switch.switched_at) for clock in clocks).replace(second=0, microsecond=0)
    window = Window(start, start + timedelta(minutes=MINUTES_OF_A_SWITCH))
    deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
    try:
        points, _ = read_points(known, (), window, sources, deadline)
        counts = [count_group(group, points, window) for group in known]
        balancers = [
            count_load_balancer(arn, points, window)
            for arn in dict.fromkeys(group.load_balancer_arns[0] for group in known)
        ]
    except CannotTell:
        return None  # the reader has logged and counted it
    return Errors(
        minutes=MINUTES_OF_A_SWITCH,
        requests=sum(count.total for count in counts),
        target_5xx=sum(count.errors for count in counts),
        load_balancer_5xx=sum(balancer.elb_5xx for balancer in balancers),
    )
