"""What the checks of green's pods share: how many of them are enough, and why some are not ready."""

from collections.abc import Iterable

from provider.checks import parameters
from provider.checks.parameters import Parameter
from provider.checks.question import Sources
from provider.checks.strictness import HIGHER
from provider.model.errors import CannotTell
from provider.model.records import Endpoint, Green, PodState
from provider.rules import pods
from provider.sources.deadline import Deadline


class Query(parameters.Query):
    """The parameters of everything that judges green's pods."""

    min_healthy_percent: float = Parameter(
        default=100,
        stricter=HIGHER,
        ge=1,
        le=100,
        description="Minimum percentage of green's desired replicas that are available (`replicas`), and that are "
        "healthy targets in each target group.",
    )

    def is_met(self, healthy: int, desired: int) -> bool:
        """Tell whether enough of the desired replicas are healthy, or available."""
        return healthy * 100 >= self.min_healthy_percent * desired

    @property
    def met(self) -> str:
        """A clause for the sentence of a pass without all of them."""
        return f"; minHealthyPercent={self.min_healthy_percent:g} is met"


def read_states(
    green: Green, endpoints: Iterable[Endpoint], sources: Sources, deadline: Deadline
) -> tuple[PodState, ...]:
    """Return the states of a few pods that should be ready by now and are not.

    Empty also if they cannot be read: they only explain an answer, and do not decide it.
    """
    names = pods.to_explain(green, endpoints, sources.by_kubernetes())
    if not names:
        return ()
    try:
        return sources.cluster.pod_states(green.rollout.namespace, names, deadline)
    except CannotTell:
        return ()
