"""What the views of one application share: readers, memory and access, parameters, and JSON responses."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flask import Response, request

from provider.checks.parameters import Query, Subject, parse_as
from provider.checks.question import Sources
from provider.history.switches import Switches
from provider.http.access import Grant, OpenAccess, TokenAccess
from provider.http.admission import Admission, PeopleAdmission
from provider.http.floors import Floors, NoFloors
from provider.model.errors import BadQuery, Problem
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


def fields_of_url() -> list[tuple[str, str]]:
    """Return the parameters in the URL. Raises BadQuery."""
    try:
        return list(request.args.items(multi=True))
    except UnicodeDecodeError as error:
        raise BadQuery((Problem("query string", "is not ASCII: percent-encode it as UTF-8"),)) from error


def fields_of_body() -> tuple[tuple[str, object], ...]:
    """Return the parameters in the JSON body. Raises BadQuery."""
    for name, _ in fields_of_url():
        raise BadQuery((Problem(name[:100], "must be in the JSON body of a POST, not in its URL"),))
    try:
        fields = json.loads(request.get_data(), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise BadQuery((Problem("body", "is not JSON"),)) from error
    if not isinstance(fields, tuple):  # the hook turns an object into a tuple of pairs
        raise BadQuery((Problem("body", "must be a JSON object of the parameters"),))
    return fields


def json_response(content: bytes) -> Response:
    """Return a response with this JSON."""
    return Response(content, content_type="application/json")
