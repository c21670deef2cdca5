"""The Flask application: routes, refusals, probes and metrics."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, Response, current_app, request
from gunicorn.http.errors import ParseException
from prometheus_client.exposition import choose_encoder
from werkzeug.exceptions import HTTPException

from provider import DOCUMENTATION, __version__
from provider.advice.preflight import live as preflight
from provider.checks import QUESTIONS, body
from provider.checks.parameters import Namespace, Subject, parse_as
from provider.checks.question import AnyCheck, Sources, answer, parse
from provider.endpoints import endpoints
from provider.handover import Handovers
from provider.handover import question as handover
from provider.history import argo_record, explanation, overview, recall
from provider.history.switches import Switches
from provider.http import problems
from provider.http.access import Forbidden, OpenAccess, TokenAccess, Unauthorized
from provider.http.admission import Admission, Overloaded, PeopleAdmission
from provider.http.floors import Floors, NoFloors
from provider.http.openapi import describe
from provider.http.page.routes import pages
from provider.http.refusals import REFUSALS, Refusals
from provider.http.server.client_socket import TooSlow
from provider.model.errors import BadQuery, CannotTell, Problem, RolloutNotFound
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics, log_answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_REQUEST_BYTES = 16 * 1024
"""A query has a handful of short parameters."""

RETRY_AFTER_SECONDS = 5

QUESTIONS_AT_ONCE = 64
"""Default for tests; the server passes PROVIDER_THREADS."""


def create_app(
    sources: Sources,
    metrics: Metrics,
    access: OpenAccess | TokenAccess | None = None,
    admission: Admission | None = None,
    floors: Floors | NoFloors | None = None,
    switches: Switches | None = None,
    handovers: Handovers | None = None,
) -> Flask:
    """Build the application from its readers; it keeps no other state. Without `access` anyone may query it.

    Without `handovers` a handover is refused.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # they are empty HTML pages
    app.url_map.merge_slashes = False  # merging redirects, and Argo follows
    description = json.dumps(describe(), indent=1).encode()

    access, floors = access or OpenAccess(), floors or NoFloors()
    admission, switches = admission or Admission(QUESTIONS_AT_ONCE), switches or Switches(metrics, sources.clock)
    people = PeopleAdmission(admission, sources.budget_seconds)

    def route(check: AnyCheck, methods: Sequence[str]) -> None:
        view = _question(check, sources, metrics, access, floors, admission, switches, handovers)
        app.add_url_rule(f"/v1/{check.name}", check.name, view, methods=methods)

    for check in QUESTIONS.values():
        route(check, ("GET", "POST"))
    if handovers:
        route(handovers.check, ("POST",))
    else:
        app.add_url_rule(f"/v1/{handover.NAME}", handover.NAME, _no_handover, methods=["POST"])
    app.add_url_rule(f"/v1/{recall.NAME}", recall.NAME, _history(sources, switches, access, people))
    app.add_url_rule(f"/v1/{explanation.NAME}", explanation.NAME, _explain(sources, switches, access, people))
    app.add_url_rule(f"/v1/{overview.NAME}", overview.NAME, _rollouts(sources, access, people))
    app.add_url_rule(f"/v1/{preflight.NAME}", preflight.NAME, _preflight(sources, switches, access, people))
    app.register_blueprint(pages(sources, switches, access, people, lambda: _json(_index())))
    app.add_url_rule("/openapi.json", "openapi", lambda: _json(description))
    app.add_url_rule("/livez", "livez", lambda: _json(b'{"status": "alive"}'))
    app.add_url_rule("/readyz", "readyz", lambda: _ready(sources))
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(metrics))

    parameters = {str(field.alias) for one in endpoints().values() for field in one.query.model_fields.values()}
    app.extensions[REFUSALS] = Refusals(metrics, parameters)  # the server uses it for what never reaches a view
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


def _refuse_by_problems(app: Flask) -> None:
    """Turn every error that leaves a view into a problem document."""

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        """Refuse also what is a defect: Flask logs it, and passes a 500 on to here."""
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return _problem(error.code or 500, error.description or "The request cannot be answered.", headers=headers)

    @app.errorhandler(ParseException)
    def not_http(_: ParseException) -> Response:
        """A chunked body is parsed while it is read, so the server's own error appears here."""
        return _problem(400, "The body is not valid HTTP.")

    @app.errorhandler(TooSlow)
    def too_slow(_: TooSlow) -> Response:
        return _problem(408, "The body did not arrive in time.")

    @app.errorhandler(Overloaded)
    def overloaded(error: Overloaded) -> Response:
        return _problem(503, str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})

    @app.errorhandler(BadQuery)
    def bad_query(error: BadQuery) -> Response:
        sentence = "; ".join(f"{problem.parameter} {problem.detail}" for problem in error.problems)
        return _problem(400, sentence, error.problems)

    @app.errorhandler(Unauthorized)
    def unauthorized(error: Unauthorized) -> Response:
        return _problem(401, str(error), headers={"WWW-Authenticate": "Bearer"})

    @app.errorhandler(Forbidden)
    def forbidden(error: Forbidden) -> Response:
        return _problem(403, str(error))

    @app.errorhandler(RolloutNotFound)
    def not_found(error: RolloutNotFound) -> Response:
        return _problem(404, str(error))

    @app.errorhandler(CannotTell)
    def cannot_tell(error: CannotTell) -> Response:
        """Only what explains a Rollout to a person gets here: for a query it is an answer."""
        return _problem(502, str(error))


def _problem(
    status: int, detail: str, errors: tuple[Problem, ...] = (), headers: dict[str, str] | None = None
) -> Response:
    """Refuse the current request: count it, log it, and say why."""
    environ = request.environ
    refusals: Refusals = current_app.extensions[REFUSALS]
    line = refusals.shown(environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", ""))
    refusals.refused(status, detail, environ.get("REMOTE_ADDR", ""), line)
    return Response(problems.problem(status, detail, errors), status, headers, content_type=problems.MEDIA_TYPE)


def _question(
    check: AnyCheck,
    sources: Sources,
    metrics: Metrics,
    access: OpenAccess | TokenAccess,
    floors: Floors | NoFloors,
    admission: Admission,
    switches: Switches,
    handovers: Handovers | None,
) -> Any:
    """Return the view of one check."""

    def view() -> Response:
        started = time.perf_counter()
        grant = access.grant(request.environ.get("HTTP_AUTHORIZATION"))
        query = parse(check, _fields_of_body() if request.method == "POST" else _fields_of_url())
        grant.require(query.namespace)
        floors.require(query)
        with admission:  # only now: neither an unauthorized nor a slow client takes a place
            verdict = switches.answered(check.name, query, answer(check, query, sources, switches.saw))
            if handovers:
                verdict = handovers.loop.answered(query, verdict)
        seconds = time.perf_counter() - started
        metrics.answered(check.name, verdict, seconds)
        log_answer(check.name, query, verdict, seconds)
        return _json(body.encode(verdict))

    return view


def _fields_of_url() -> list[tuple[str, str]]:
    """Return the parameters in the URL of the current request. Raises BadQuery."""
    try:
        return list(request.args.items(multi=True))
    except UnicodeDecodeError as error:
        raise BadQuery((Problem("query string", "is not ASCII: percent-encode it as UTF-8"),)) from error


def _fields_of_body() -> tuple[tuple[str, object], ...]:
    """Return the parameters in the JSON body of the current request. Raises BadQuery."""
    for name, _ in _fields_of_url():
        raise BadQuery((Problem(name[:100], "must be in the JSON body of a POST, not in its URL"),))
    try:
        fields = json.loads(request.get_data(), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise BadQuery((Problem("body", "is not JSON"),)) from error
    if not isinstance(fields, tuple):  # the hook turns an object into a tuple of pairs
        raise BadQuery((Problem("body", "must be a JSON object of the parameters"),))
    return fields


def _history(
    sources: Sources, switches: Switches, access: OpenAccess | TokenAccess, admission: PeopleAdmission
) -> Callable[[], Response]:
    """Return the view of what Argo was told about a Rollout, and what this replica saw of its switches."""

    def view() -> Response:
        subject = _subject(Subject, recall.NAME, access)
        with admission:
            deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
            record = argo_record.read(sources, subject.namespace, subject.rollout, frozenset(endpoints()), deadline)
        return _json(json.dumps(recall.observed(record, switches), sort_keys=True).encode())

    return view


def _explain(
    sources: Sources, switches: Switches, access: OpenAccess | TokenAccess, admission: PeopleAdmission
) -> Callable[[], Response]:
    """Return the view of why a Rollout moves or not."""

    def view() -> Response:
        subject = _subject(Subject, explanation.NAME, access)
        key = (subject.namespace, subject.rollout)
        with admission:
            told = explanation.explain(sources, switches, key, frozenset(endpoints()))
        return _json(json.dumps(explanation.observed(told, switches), sort_keys=True).encode())

    return view


def _rollouts(sources: Sources, access: OpenAccess | TokenAccess, admission: PeopleAdmission) -> Callable[[], Response]:
    """Return the view of the Rollouts that a client may query, of one namespace on request."""

    def view() -> Response:
        grant = access.grant(request.environ.get("HTTP_AUTHORIZATION"))
        asked = parse_as(Namespace, overview.NAME, _fields_of_url())
        with admission:
            listed = overview.rows(sources, grant.namespaces_of(asked.namespace))
        return _json(json.dumps(overview.observed(listed), sort_keys=True).encode())

    return view


def _preflight(
    sources: Sources, switches: Switches, access: OpenAccess | TokenAccess, admission: PeopleAdmission
) -> Callable[[], Response]:
    """Return the view of what a Rollout's topology will do at its switch."""

    def view() -> Response:
        query = _subject(preflight.Query, preflight.NAME, access)
        last = next(iter(switches.of((query.namespace, query.rollout))), None)
        with admission:
            about = f"{query.namespace}/{query.rollout}"
            deadline = Deadline(sources.budget_seconds, rollout=about, began_at=sources.clock())
            found = preflight.answer(query, sources, deadline, last)
        return _json(json.dumps(found, sort_keys=True).encode())

    return view


_Subject = TypeVar("_Subject", bound=Subject)


def _subject(model: type[_Subject], endpoint: str, access: OpenAccess | TokenAccess) -> _Subject:
    """Return the subject of the current request. Raises Unauthorized, Forbidden and BadQuery."""
    grant = access.grant(request.environ.get("HTTP_AUTHORIZATION"))
    subject = parse_as(model, endpoint, _fields_of_url())
    grant.require(subject.namespace)
    return subject


def _no_handover() -> Response:
    raise Forbidden(
        "This provider only reads. Send the query to the one that has PROVIDER_HANDOVER=enabled "
        f"({DOCUMENTATION}/handover.md)"
    )


def _ready(sources: Sources) -> Response:
    """Ready after the first response (even a refusal) from both Kubernetes and AWS."""
    has_replied = {"kubernetes": sources.cluster.answered, "aws": sources.load_balancers.answered}
    silent = [name for name, replied in has_replied.items() if not replied]
    if not silent:
        return _json(json.dumps({"status": "ready", **has_replied}).encode())
    detail = f"No answer yet from: {', '.join(silent)}. The log says why."
    return Response(
        problems.problem(503, detail), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}, content_type=problems.MEDIA_TYPE
    )


def _index() -> bytes:
    """List the endpoints."""
    index = {
        "name": "alb-provider",
        "version": __version__,
        "questions": {f"/v1/{check.name}": check.about.strip().partition("\n\n")[0] for check in QUESTIONS.values()},
        "description": "/openapi.json",
    }
    return json.dumps(index, indent=1).encode() + b"\n"


def _metrics(metrics: Metrics) -> Response:
    """Answer in OpenMetrics or in Prometheus's text format, whichever the scrape prefers."""
    encode, content_type = choose_encoder(request.environ.get("HTTP_ACCEPT", ""))
    return Response(encode(metrics.registry), content_type=content_type)


def _json(content: bytes) -> Response:
    return Response(content, content_type="application/json")
