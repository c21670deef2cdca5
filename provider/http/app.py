"""The Flask application: its parts, probes, metrics, and the problem document of every refusal."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, request
from gunicorn.http.errors import ParseException
from prometheus_client.exposition import choose_encoder
from werkzeug.exceptions import HTTPException

from provider.endpoints import endpoints
from provider.http import problems
from provider.http.openapi import describe
from provider.http.queries import checks, index
from provider.http.refusals import REFUSALS, Refusals
from provider.http.server.client_socket import TooSlow
from provider.http.service import Service, json_response
from provider.model.errors import Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_REQUEST_BYTES = 16 * 1024
"""A query has a handful of short parameters."""

RETRY_AFTER_SECONDS = 5

Part = Callable[[Flask, Service], None]
"""Adds routes to an application."""


def create_app(service: Service, *parts: Part) -> Flask:
    """Build the application: the checks, and these parts."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # they are empty HTML pages
    app.url_map.merge_slashes = False  # merging redirects, and Argo follows

    for part in (checks, *parts):
        part(app, service)
    if not any(rule.rule == "/" for rule in app.url_map.iter_rules()):
        app.add_url_rule("/", "index", index)
    app.add_url_rule("/openapi.json", "openapi", lambda: json_response(json.dumps(describe(), indent=1).encode()))
    app.add_url_rule("/livez", "livez", lambda: json_response(b'{"status": "alive"}'))
    app.add_url_rule("/readyz", "readyz", lambda: _ready(service))
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(service))

    models = (endpoint.query for endpoint in endpoints().values())
    parameters = {str(field.alias) for model in models for field in model.model_fields.values()}
    app.extensions[REFUSALS] = Refusals(service.metrics, parameters)  # the server uses it for what never reaches a view
    _refuse_by_problems(app)

    app.wsgi_app = _hardened(app.wsgi_app)  # type: ignore[method-assign, assignment] # as Flask's documentation does it
    return app


def _hardened(application: "WSGIApplication") -> "WSGIApplication":
    """Add our headers to every response. Done in WSGI: Werkzeug would copy and check them twice for each response."""
    ours = list(problems.HEADERS.items())

    def hardened(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Any:
            names = {name for name, _ in headers}  # a page may load its style and script
            return start_response(status, headers + [pair for pair in ours if pair[0] not in names], *failure)

        return application(environ, start)

    return hardened


_SERVER: dict[type[Exception], tuple[int, str]] = {  # errors of the server: a chunked body is parsed as it is read
    ParseException: (400, "The body is not valid HTTP."),
    TooSlow: (408, "The body did not arrive in time."),
}
_RESPONSE_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}


def _refuse_by_problems(app: Flask) -> None:
    """Turn every error that leaves a view into a problem document."""

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        """Refuse also what is a defect: Flask logs it, and passes a 500 on to here."""
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return _problem(error.code or 500, error.description or "The request cannot be answered.", headers=headers)

    def refuse_own(status: int, error: Exception) -> Response:
        return _problem(status, str(error), getattr(error, "problems", ()), _RESPONSE_HEADERS.get(status))

    for kind, status in problems.STATUSES.items():
        app.register_error_handler(kind, partial(refuse_own, status))
    for kind, refused in _SERVER.items():
        app.register_error_handler(kind, lambda _, refused=refused: _problem(*refused))


def _problem(
    status: int, detail: str, errors: tuple[Problem, ...] = (), headers: dict[str, str] | None = None
) -> Response:
    """Refuse the current request: count it, log it, and say why."""
    environ = request.environ
    refusals: Refusals = current_app.extensions[REFUSALS]
    line = refusals.shown(environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", ""))
    refusals.refused(status, detail, environ.get("REMOTE_ADDR", ""), line)
    return Response(problems.problem(status, detail, errors), status, headers, content_type=problems.MEDIA_TYPE)


def _ready(service: Service) -> Response:
    """Ready after the first response (even a refusal) from both Kubernetes and AWS."""
    sources = service.sources
    has_replied = {"kubernetes": sources.cluster.server.answered, "aws": sources.load_balancers.answered}
    silent = [name for name, replied in has_replied.items() if not replied]
    if not silent:
        return json_response(json.dumps({"status": "ready", **has_replied}).encode())
    detail = f"No answer yet from: {', '.join(silent)}. The log says why."
    return Response(
        problems.problem(503, detail), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}, content_type=problems.MEDIA_TYPE
    )


def _metrics(service: Service) -> Response:
    """Answer in OpenMetrics or in Prometheus's text format, whichever the scrape prefers."""
    encode, content_type = choose_encoder(request.environ.get("HTTP_ACCEPT", ""))
    return Response(encode(service.metrics.registry), content_type=content_type)
