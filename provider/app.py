"""HTTP only: routes, problem documents, probes and metrics. Nothing here knows what a target is."""

import json
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, request
from gunicorn.http.errors import ParseException
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from provider import __version__, body, problems
from provider.access import Forbidden, OpenAccess, TokenAccess, Unauthorized
from provider.admission import Admission, Overloaded
from provider.checks import QUESTIONS
from provider.clients import TooSlow
from provider.description import describe
from provider.errors import BadQuery, Problem, RolloutNotFound
from provider.question import Check, Query, Sources, answer, parse
from provider.telemetry import Metrics, log_answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_REQUEST_BYTES = 16 * 1024
"""A question has a handful of short parameters."""

RETRY_AFTER_SECONDS = 5

REMEMBERED_QUERIES = 2000
"""Query strings whose parameters are remembered: as many as Rollouts ask at a time."""

QUESTIONS_AT_ONCE = 64
"""Unless told otherwise; the server is, by PROVIDER_THREADS."""


def create_app(
    sources: Sources,
    metrics: Metrics,
    access: OpenAccess | TokenAccess | None = None,
    admission: Admission | None = None,
) -> Flask:
    """Build the application from its readers; it keeps no other state. Without `access` anybody may ask."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # it would answer with an empty HTML page
    app.url_map.merge_slashes = False  # it would redirect, and Argo would follow
    description = json.dumps(describe(), indent=1).encode()

    access, admission = access or OpenAccess(), admission or Admission(QUESTIONS_AT_ONCE)
    for check in QUESTIONS.values():
        view = _question(check, sources, metrics, access, admission)
        app.add_url_rule(f"/v1/{check.name}", check.name, view, methods=["GET", "POST"])
    app.add_url_rule("/", "index", lambda: _json(_index()))
    app.add_url_rule("/openapi.json", "openapi", lambda: _json(description))
    app.add_url_rule("/livez", "livez", lambda: _json(b'{"status": "alive"}'))
    app.add_url_rule("/readyz", "readyz", lambda: _ready(sources))
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(metrics))

    _refuse_by_problems(app, metrics)

    app.wsgi_app = _hardened(app.wsgi_app)  # type: ignore[method-assign, assignment] # as Flask's documentation does it
    return app


def _hardened(application: "WSGIApplication") -> "WSGIApplication":
    """Put our headers on every response: here, since Werkzeug would copy and check them for each one twice."""
    ours = list(problems.HEADERS.items())

    def hardened(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Any:
            return start_response(status, headers + ours, *failure)

        return application(environ, start)

    return hardened


def _refuse_by_problems(app: Flask, metrics: Metrics) -> None:
    """Turn every error that leaves a view into a problem document: the one place where that happens."""

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        """Flask turns a defect into a 500 that comes here too, after logging it."""
        status = error.code or 500
        detail = error.description or "The request cannot be answered."
        return _problem(metrics, status, detail, headers=_kept_headers(error))

    @app.errorhandler(ParseException)
    def not_http(_: ParseException) -> Response:
        """A chunked body is parsed only while it is read, so the server's own error comes up in here."""
        return _problem(metrics, 400, "The body is not valid HTTP.")

    @app.errorhandler(TooSlow)
    def too_slow(_: TooSlow) -> Response:
        return _problem(metrics, 408, "The body did not arrive in time.")

    @app.errorhandler(Overloaded)
    def overloaded(error: Overloaded) -> Response:
        return _problem(metrics, 503, str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})

    @app.errorhandler(BadQuery)
    def bad_query(error: BadQuery) -> Response:
        return _problem(metrics, 400, f"The question is malformed: {error}", error.problems)

    @app.errorhandler(Unauthorized)
    def unauthorized(error: Unauthorized) -> Response:
        return _problem(metrics, 401, str(error), headers={"WWW-Authenticate": "Bearer"})

    @app.errorhandler(Forbidden)
    def forbidden(error: Forbidden) -> Response:
        return _problem(metrics, 403, str(error))

    @app.errorhandler(RolloutNotFound)
    def not_found(error: RolloutNotFound) -> Response:
        return _problem(metrics, 404, str(error))


def _question(
    check: Check, sources: Sources, metrics: Metrics, access: OpenAccess | TokenAccess, admission: Admission
) -> Any:
    """Return the view of one question."""

    def view() -> Response:
        started = time.perf_counter()
        asked = request.environ
        grant = access.grant(asked.get("HTTP_AUTHORIZATION"))
        if asked["REQUEST_METHOD"] == "POST":
            query = _asked_by_body(check)
        else:
            query = _asked_by_url(check.name, asked.get("QUERY_STRING", ""))
        grant.require(query.namespace)
        with admission:  # only now: neither a stranger nor a slow sender takes a place
            verdict = answer(check, query, sources)
        seconds = time.perf_counter() - started
        metrics.answered(check.name, verdict, seconds)
        log_answer(check.name, query, verdict, seconds)
        return _json(body.encode(verdict))

    return view


@lru_cache(REMEMBERED_QUERIES)
def _asked_by_url(question: str, query_string: str) -> Query:
    """Return the question of a GET. Argo asks the same one again and again; what was refused is not remembered."""
    lists = _parameters(query_string).lists()
    return parse(QUESTIONS[question], [(name, value) for name, values in lists for value in values])


def _parameters(query_string: str) -> MultiDict[str, str]:
    """Return what a URL says after its question mark. Raises BadQuery."""
    try:
        return Request({"QUERY_STRING": query_string}).args
    except UnicodeDecodeError as error:
        raise BadQuery((Problem("query string", "is not ASCII: percent-encode it as UTF-8"),)) from error


def _asked_by_body(check: Check) -> Query:
    """Return the question of a POST: the parameters of its JSON object."""
    for name in _parameters(request.environ.get("QUERY_STRING", "")):
        raise BadQuery((Problem(name[:100], "belongs in the JSON body of a POST, not in its URL"),))
    try:
        fields = json.loads(request.get_data(), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise BadQuery((Problem("body", "is not JSON"),)) from error
    if not isinstance(fields, tuple):  # with the hook a tuple of pairs is what an object looks like, `{}` included
        raise BadQuery((Problem("body", "must be a JSON object of the parameters"),))
    return parse(check, fields)


def _ready(sources: Sources) -> Response:
    """Ready once Kubernetes and AWS have each answered: before that a question could only be Inconclusive."""
    answered = {"kubernetes": sources.cluster.answered, "aws": sources.load_balancers.answered}
    silent = [name for name, has in answered.items() if not has]
    if not silent:
        return _json(json.dumps({"status": "ready", **answered}).encode())
    detail = f"No answer yet from: {', '.join(silent)}. The log says why."
    return Response(
        problems.problem(503, detail), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}, content_type=problems.MEDIA_TYPE
    )


def _index() -> bytes:
    """Tell a visitor what there is to ask."""
    index = {
        "name": "alb-provider",
        "version": __version__,
        "questions": {f"/v1/{check.name}": check.about.strip().partition("\n\n")[0] for check in QUESTIONS.values()},
        "description": "/openapi.json",
    }
    return json.dumps(index, indent=1).encode() + b"\n"


def _metrics(metrics: Metrics) -> Response:
    return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)


def _json(content: bytes) -> Response:
    return Response(content, content_type="application/json")


def _problem(
    metrics: Metrics, status: int, detail: str, errors: tuple[Problem, ...] = (), headers: dict[str, str] | None = None
) -> Response:
    metrics.refused(status)
    return Response(problems.problem(status, detail, errors), status, headers, content_type=problems.MEDIA_TYPE)


def _kept_headers(error: HTTPException) -> dict[str, str]:
    """Keep what a refusal must say beside its body: which methods are allowed."""
    return {name: value for name, value in error.get_headers() if name == "Allow"}
