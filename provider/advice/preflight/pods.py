"""Green's and blue's pods: the time that they get to end, and whether blue could take the traffic back."""

from collections.abc import Iterator

from provider.advice.preflight.attributes import deregistration_delay
from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.manifests import Object, Setup, at

GRACE_SECONDS, DEREGISTRATION_SECONDS, SCALE_DOWN_SECONDS = 30, 300, 30
"""The defaults of Kubernetes, AWS and Argo."""


def _of(setup: Setup) -> tuple[str, ...]:
    return (f"Rollout/{setup.name}",)


def endings(setup: Setup) -> Iterator[Finding]:
    """A pod that is told to stop still answers until nobody sends it requests."""
    containers = at(setup.pod, "spec.containers")
    if not containers:
        return
    sleeps = [_sleep(one) for one in containers]
    if all(one is None for one in sleeps):
        yield finding(Code.NO_PRE_STOP, _of(setup), "No container has a preStop hook")
    longest = max((one for one in sleeps if one is not None), default=0)
    grace = at(setup.pod, "spec.terminationGracePeriodSeconds", GRACE_SECONDS)
    if longest and longest >= grace:
        says = f"preStop takes {longest} s, terminationGracePeriodSeconds is {grace}"
        yield finding(Code.KILLED_TOO_EARLY, _of(setup), says)


def _sleep(container: Object) -> int | None:
    """Return the seconds of a container's preStop; 0 for a hook whose length is unknown, None without one."""
    hook = at(container, "lifecycle.preStop")
    return None if hook is None else int(at(hook, "sleep.seconds", 0))


def blue(setup: Setup) -> Iterator[Finding]:
    """Blue runs for as long as the load balancer waits for its requests."""
    if setup.blue_green is None or setup.hands_over:
        return
    delay = at(setup.blue_green, "scaleDownDelaySeconds", SCALE_DOWN_SECONDS)
    sleeps = [_sleep(one) or 0 for one in at(setup.pod, "spec.containers", [])]
    lasts = delay + max(sleeps, default=0)
    deregistration = deregistration_delay(setup, DEREGISTRATION_SECONDS)
    if lasts < deregistration:
        says = f"Blue is stopped {lasts} s after the promotion (preStop included), the deregistration delay is"
        yield finding(Code.BLUE_GONE_TOO_EARLY, _of(setup), f"{says} {deregistration} s")


def kept(setup: Setup) -> Iterator[Finding]:
    """Blue keeps its pods until nothing can abort any more."""
    delay = at(setup.blue_green, "scaleDownDelaySeconds", SCALE_DOWN_SECONDS)
    if setup.blue_green is not None and delay == 0:
        says = "scaleDownDelaySeconds is 0: blue is scaled down at the promotion"
        yield finding(Code.BLUE_CANNOT_RETURN, _of(setup), says)
    strategy = setup.blue_green if setup.blue_green is not None else setup.canary
    if at(strategy, "scaleDownDelayRevisionLimit") == 0:
        says = "scaleDownDelayRevisionLimit is 0: no version that was replaced keeps its pods"
        yield finding(Code.BLUE_CANNOT_RETURN, _of(setup), says)
    if at(setup.canary, "dynamicStableScale"):
        says = "dynamicStableScale is true: blue shrinks while green grows, so an abort waits for new pods"
        yield finding(Code.BLUE_CANNOT_RETURN, _of(setup), says)
