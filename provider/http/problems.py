"""The body of every refusal: an RFC 9457 problem document."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from provider.http.access import Forbidden, Unauthorized
from provider.http.admission import Overloaded
from provider.model.errors import BadQuery, CannotTell, Problem, RolloutNotFound

MEDIA_TYPE = "application/problem+json"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every response: no cache may keep it, and a browser must not guess its type, run it, frame it, load it
from another site or send a referrer."""

STATUSES: dict[type[Exception], int] = {
    BadQuery: 400,
    Unauthorized: 401,
    Forbidden: 403,
    RolloutNotFound: 404,
    CannotTell: 502,  # only where a Rollout is explained to a person: for a query it is an answer
    Overloaded: 503,
}
"""The status of every error with which a request is refused."""

_MAX_ERRORS = 20
_MAX_DETAIL = 500


def problem(status: int, detail: str, errors: Sequence[Problem] = ()) -> bytes:
    """Return a problem as JSON: `detail` is a sentence for the client, `errors` has one entry per parameter."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:_MAX_DETAIL],
    }
    if errors:
        document["errors"] = [{"parameter": error.parameter, "detail": error.detail} for error in errors[:_MAX_ERRORS]]
    return json.dumps(document).encode()
