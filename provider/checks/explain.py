"""Read why green's pods are not ready: the states of a few of them, where replicas are missing."""

from collections.abc import Iterable

from provider.checks.question import Sources
from provider.model.errors import CannotTell
from provider.model.records import Endpoint, Green, PodState
from provider.rules import pods
from provider.sources.deadline import Deadline


def read_states(
    green: Green, endpoints: Iterable[Endpoint], sources: Sources, deadline: Deadline
) -> tuple[PodState, ...]:
    """Return the states of a few pods that should be ready by now and are not.

    Empty if there are none, and if they cannot be read: they only explain an answer, which must not wait for them.
    """
    names = pods.to_explain(green, endpoints, sources.by_kubernetes())
    if not names:
        return ()
    try:
        return sources.cluster.pod_states(green.rollout.namespace, names, deadline)
    except CannotTell:
        return ()
