"""The parameters of the current request, and the JSON of its response."""

import json

from flask import Response, request

from provider.model.errors import BadQuery, Problem


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
