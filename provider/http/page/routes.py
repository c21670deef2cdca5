"""The routes of the status page: who may see it, what a browser gets, and what it may load."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Response, render_template, request

from provider import __version__
from provider.checks.parameters import Namespace, Subject, parse_as
from provider.endpoints import endpoints
from provider.history import overview
from provider.history.explanation import explain
from provider.http.access import SCHEME, Grant, OpenAccess, TokenAccess, Unauthorized
from provider.http.page import rollout
from provider.http.page.charts import HEIGHT, WIDTH
from provider.http.page.pods import Row
from provider.http.page.rollout import ACTIONS
from provider.http.problems import STATUSES
from provider.http.queries import index
from provider.http.service import Service
from provider.model.errors import CannotTell
from provider.model.reasons import Reason

COOKIE = "alb-provider-token"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Vary": "Accept, Cookie",
}
"""A page loads its style and script from here, and nothing from anywhere else."""

HTML = "text/html; charset=utf-8"
ROWS = 100
"""Rollouts on a page of the overview."""


def wants_page() -> bool:
    """Tell whether the client asks for HTML by name, as browsers do; `*/*` is not enough."""
    accepted = request.accept_mimetypes
    return "text/html" in request.environ.get("HTTP_ACCEPT", "") and (
        accepted["text/html"] >= accepted["application/json"]
    )


def pages(app: Flask, service: Service) -> None:
    """Serve the pages; a client of `/` that does not ask for HTML gets the index of the checks."""
    site = Blueprint("page", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    site.add_url_rule("/", "index", lambda: _overview(service) if wants_page() else index())
    site.add_url_rule("/rollouts", "go", _go)
    site.add_url_rule("/reasons", "reasons", lambda: _page("reasons.html", reasons=Reason))
    site.add_url_rule("/session", "session", lambda: _session(service.access), methods=["POST"])
    site.add_url_rule("/rollouts/<namespace>/<name>", "rollout", partial(_rollout, service, frozenset(endpoints())))
    for kind, status in STATUSES.items():
        site.register_error_handler(kind, partial(_refuse, status))
    app.register_blueprint(site)


def _rollout(service: Service, endpoint_names: frozenset[str], namespace: str, name: str) -> Response:
    """Show one Rollout; its healthy pods only if they are asked for."""
    subject = parse_as(Subject, "rollouts", [("namespace", namespace), ("rollout", name)])
    _grant(service.access).require(subject.namespace)
    key, words = (subject.namespace, subject.rollout), request.args.get("q", "").strip()
    is_whole = bool(words) or "all" in request.args
    needs_token = _needs_token(service.access)
    with service.people:
        explanation = explain(service.sources, service.switches, key, endpoint_names, refresh="refresh" in request.args)
        context = rollout.context(
            explanation,
            service.switches,
            service.sources,
            shown=_filter(words.lower()) if is_whole else None,
            address=request.host_url.rstrip("/"),
            is_token_needed=needs_token,
        )
    return _page("rollout.html", **context, query=words, is_whole=is_whole, tokens=needs_token)


def _overview(service: Service) -> Response:
    """List the Rollouts that this client may see, a page of them at a time."""
    grant, words = _grant(service.access), request.args.get("q", "").strip()
    namespace = request.args.get("namespace", "").strip()
    fields = [("namespace", namespace)] if namespace else []
    asked = parse_as(Namespace, "rollouts", fields).namespace
    number = request.args.get("page", "1")
    start = (int(number) - 1) * ROWS if number.isascii() and number.isdigit() and 0 < int(number[:6]) < 10_000 else 0
    every, problem = list[overview.Row](), ""
    with service.people:
        try:
            every = overview.rows(service.sources, grant.namespaces_of(asked))
        except CannotTell as error:  # with a Role instead of a ClusterRole only its namespace can be listed
            problem = str(error)
    rows = [row for row in every if row.matches(words)]
    return _page(
        "overview.html",
        tokens=_needs_token(service.access),
        rows=rows[start : start + ROWS],
        actions=ACTIONS,
        counts=Counter(row.situation.action for row in rows),
        total=len(rows),
        query=words,
        namespace=namespace,
        page=start // ROWS + 1,
        pages=max(-(-len(rows) // ROWS), 1),
        is_empty=not every,
        problem=problem,
    )


def _go() -> Response:
    """Lead the form of the overview to a Rollout's page. Raises BadQuery."""
    subject = parse_as(Subject, "rollouts", list(request.args.items(multi=True)))
    return Response("", 303, {"Location": f"/rollouts/{subject.namespace}/{subject.rollout}"})


def _session(access: OpenAccess | TokenAccess) -> Response:
    """Keep the token of the form in a cookie of this browser session, or forget it if the form has none."""
    back, token = _local(request.form.get("back", "/")), request.form.get("token", "").strip()
    if token:
        try:
            access.grant(f"{SCHEME} {token}")
        except Unauthorized as error:
            return _page("session.html", 401, why=str(error), back=back)
    response = Response("", 303, {"Location": back})
    cookie: Mapping[str, Any] = {"httponly": True, "samesite": "Strict", "secure": request.is_secure, "path": "/"}
    if token:
        response.set_cookie(COOKIE, token, **cookie)
    else:
        response.delete_cookie(COOKIE, **cookie)
    return response


def _local(path: str) -> str:
    """Return a path of this site; anything else leads to its start."""
    parts = urlsplit(path)
    is_local = path.startswith("/") and not parts.scheme and not parts.netloc and not path.startswith(("//", "/\\"))
    return quote(parts.path) if is_local else "/"


def _grant(access: OpenAccess | TokenAccess) -> Grant:
    """Return what the token of the header or of the cookie allows. Raises Unauthorized."""
    cookie = request.cookies.get(COOKIE)
    return access.grant(request.environ.get("HTTP_AUTHORIZATION") or (f"{SCHEME} {cookie}" if cookie else None))


def _needs_token(access: OpenAccess | TokenAccess) -> bool:
    return isinstance(access, TokenAccess)


def _filter(words: str) -> Callable[[Row], bool]:
    """Return whether a row has every word in one of its columns; without words every row has."""

    def has(row: Row) -> bool:
        text = f"{row.name} {row.address} {row.state} {row.reason} {row.container} {row.group}".lower()
        return all(word in text for word in words.split())

    return has


def _refuse(status: int, error: Exception) -> Response:
    """Say why; without a token ask for one."""
    if status == HTTPStatus.UNAUTHORIZED:
        return _page("session.html", status, why=str(error), back=request.path)
    return _page("refusal.html", status, why=str(error))


def _page(template: str, status: int = 200, **context: Any) -> Response:
    text = render_template(template, version=__version__, width=WIDTH, height=HEIGHT, **context)
    return Response(text, status, HEADERS, content_type=HTML)
