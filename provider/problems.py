"""The one shape of every answer that is not a verdict: an RFC 9457 problem document."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from provider.errors import Problem

MEDIA_TYPE = "application/problem+json"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every response, problem or not: an answer is old at once, is never anything but what it says it is, and is nothing
that a browser runs, frames, loads into another site or tells others of."""

_MAX_ERRORS = 20
_MAX_DETAIL = 500


def problem(status: int, detail: str, errors: Sequence[Problem] = ()) -> bytes:
    """Return the JSON of a problem: `detail` is a sentence for the asker, `errors` has one entry per parameter."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:_MAX_DETAIL],
    }
    if errors:
        document["errors"] = [{"parameter": one.parameter, "detail": one.detail} for one in errors[:_MAX_ERRORS]]
    return json.dumps(document).encode()
