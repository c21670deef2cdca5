"""The endpoints that a metric can query, with their parameters and HTTP methods."""

from dataclasses import dataclass

from provider.checks import QUESTIONS
from provider.checks.parameters import Query
from provider.handover import question as handover


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint below /v1: its documentation, the model of its parameters, and its HTTP methods."""

    about: str
    query: type[Query]
    methods: tuple[str, ...] = ("GET", "POST")


def endpoints() -> dict[str, Endpoint]:
    """Return every endpoint by name: the checks, and the handover, which is POST only because it writes."""
    checks = {name: Endpoint(check.about, check.query) for name, check in QUESTIONS.items()}
    return checks | {handover.NAME: Endpoint(str(handover.__doc__), handover.Query, ("POST",))}
