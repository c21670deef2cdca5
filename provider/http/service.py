"""What the views of one application share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flask import request

from provider.checks.parameters import Query, Subject, parse_as
from provider.checks.question import Sources
from provider.history.switches import Switches
from provider.http.access import Grant, OpenAccess, TokenAccess
from provider.http.admission import Admission, PeopleAdmission
from provider.http.floors import Floors, NoFloors
from provider.http.wire import fields_of_url
from provider.model.records import Verdict
from provider.telemetry import Metrics

S = TypeVar("S", bound=Subject)


def unchanged(_: Query, verdict: Verdict) -> Verdict:
    """Return the verdict."""
    return verdict


@dataclass(slots=True)
class Service:
    """Readers, metrics, memory, and who may query how much. `after` completes each answer to a query."""

    sources: Sources
    metrics: Metrics
    admission: Admission
    switches: Switches
    access: OpenAccess | TokenAccess = field(default_factory=OpenAccess)
    floors: Floors | NoFloors = field(default_factory=NoFloors)
    after: Callable[[Query, Verdict], Verdict] = unchanged
    people: PeopleAdmission = field(init=False)

    def __post_init__(self) -> None:
        """Let people wait for as long as a query may take."""
        self.people = PeopleAdmission(self.admission, self.sources.budget_seconds)

    def grant(self) -> Grant:
        """Return what the client of the current request may query. Raises Unauthorized."""
        return self.access.grant(request.environ.get("HTTP_AUTHORIZATION"))

    def subject(self, model: type[S], endpoint: str) -> S:
        """Return the Rollout that the current request is about. Raises Unauthorized, Forbidden and BadQuery."""
        grant = self.grant()
        subject = parse_as(model, endpoint, fields_of_url())
        grant.require(subject.namespace)
        return subject
