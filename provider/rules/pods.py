"""Why green's pods are not ready, by the state of a few of them.

Pure. Whole pods are large, so only a few are read, and only those that have had time to start. Their states explain an
answer and never decide it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from heapq import nsmallest

from provider.model.answer import Observed, PodNotReady
from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Endpoint, Green, PodState, Service

MAX_PODS = 3
"""Pods in one answer."""

START_SECONDS = 10
"""A younger pod is still starting."""

_STARTING = ("Pending", "ContainerCreating", "PodInitializing")
"""States that usually pass by themselves; any other state is named first."""


def to_explain(green: Green, endpoints: Iterable[Endpoint], now: datetime) -> tuple[str, ...]:
    """Name the oldest green pods that should be ready by now and are not, according to these endpoints."""
    ready = {endpoint.pod_uid for endpoint in endpoints if endpoint.ready}
    started = now - timedelta(seconds=START_SECONDS)
    slow = (pod for pod in green.pods if pod.uid not in ready and pod.created_at < started)
    return tuple(pod.name for pod in nsmallest(MAX_PODS, slow, key=lambda pod: (pod.created_at, pod.name)))


def require_selected(service: Service, states: Iterable[PodState]) -> None:
    """Raise CannotTell (SelectorMatchesNoPod) if the Service selects a label that none of these green pods has."""
    pods = tuple(states)
    for label, value in service.selector.items():
        if pods and all(pod.labels.get(label) != value for pod in pods):
            raise CannotTell(
                Reason.SELECTOR_MATCHES_NO_POD,
                f"Service {service.name} selects {label}={value}, but pod {pods[0].name} does not have this label, so "
                "the Service has no green pod. Remove it from the Service's selector, or add it to the Rollout's pod "
                "template.",
                {"service": service.name},
            )


def explanation(states: Iterable[PodState]) -> str:
    """Return a clause with the worst pod's state, restarts and container; empty without states."""
    worst = next(iter(_worst_first(states)), None)
    if worst is None:
        return ""
    restarts = f", {worst.restarts} restart{'' if worst.restarts == 1 else 's'}" if worst.restarts else ""
    container = f" (container {worst.container})" if worst.container else ""
    return f"; {worst.name}: {worst.state}{restarts}{container}"


def observed(states: Iterable[PodState]) -> Observed:
    """Return these pods for an answer."""
    shown = [_shown(state) for state in _worst_first(states)]
    return {"podsNotReady": shown} if shown else {}


def _shown(state: PodState) -> PodNotReady:
    shown: PodNotReady = {"name": state.name, "state": state.state, "restartCount": state.restarts}
    if state.container:
        shown["container"] = state.container
    return shown


def _worst_first(states: Iterable[PodState]) -> list[PodState]:
    not_ready = [pod for pod in states if pod.state]
    return sorted(not_ready, key=lambda pod: (pod.state in _STARTING, -pod.restarts, pod.name))
