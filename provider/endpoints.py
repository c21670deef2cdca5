"""The endpoints that a metric can query: what each is about, its parameters and its methods."""

from dataclasses import dataclass

from provider.checks import QUESTIONS
from provider.checks.parameters import Query
from provider.handover import question as handover


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint below /v1: its documentation, the model of its parameters, and the HTTP methods that it takes."""

    about: str
    query: type[Query]
    methods: tuple[str, ...] = ("GET", "POST")


def endpoints() -> dict[str, Endpoint]:
    """Return every endpoint by name: the checks, and the handover, which is a POST since it changes something."""
    checks = {name: Endpoint(check.about, check.query) for name, check in QUESTIONS.items()}
    return checks | {handover.NAME: Endpoint(str(handover.__doc__), handover.Query, ("POST",))}
