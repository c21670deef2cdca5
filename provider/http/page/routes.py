"""The routes of the status page: who may see it, what a browser gets, and what it may load."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, render_template, request

from provider import __version__
from provider.checks.parameters import Subject, parse_as
from provider.checks.question import Sources
from provider.history.journal import Journal
from provider.http.access import SCHEME, Forbidden, Grant, OpenAccess, TokenAccess, Unauthorized
from provider.http.admission import Admission, Overloaded
from provider.http.page import rollout
from provider.http.page.charts import HEIGHT, WIDTH, healthy_over_time
from provider.http.page.headline import ago, headline
from provider.http.page.pods import Row
from provider.model.errors import BadQuery, RolloutNotFound
from provider.model.reasons import Reason

COOKIE = "alb-provider-token"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Vary": "Accept, Cookie",
}
"""A page loads its style and script from here, and nothing from anywhere else."""

HTML = "text/html; charset=utf-8"
MOST_SPARKS = 60


def wants_page() -> bool:
    """Tell whether the client asks for HTML by name, as browsers do; `*/*` is not enough."""
    accepted = request.accept_mimetypes
    return "text/html" in request.environ.get("HTTP_ACCEPT", "") and (
        accepted["text/html"] >= accepted["application/json"]
    )


def pages(
    sources: Sources,
    journal: Journal,
    access: OpenAccess | TokenAccess,
    admission: Admission,
    index: Callable[[], Response],
) -> Blueprint:
    """Return the pages; `index` answers a client of `/` that does not ask for HTML."""
    site = Blueprint("page", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    site.add_url_rule("/", "index", lambda: _overview(sources, journal, access) if wants_page() else index())
    site.add_url_rule("/rollouts", "go", _go)
    site.add_url_rule("/reasons", "reasons", lambda: _page("reasons.html", reasons=Reason))
    site.add_url_rule("/session", "session", lambda: _session(access), methods=["POST"])

    def detail(namespace: str, name: str) -> Response:
        subject = parse_as(Subject, "rollouts", [("namespace", namespace), ("rollout", name)])
        _grant(access).require(subject.namespace)
        key = (subject.namespace, subject.rollout)
        with admission:
            if "refresh" not in request.args:
                rollout.look(journal, key, sources)
            known = journal.find(key)
            if known is None:
                raise RolloutNotFound(
                    f"Nobody asked about Rollout {key[1]} in namespace {key[0]} lately; reload the page"
                )
            shown = _filter(request.args.get("q", "").strip().lower())
            found = rollout.context(known, sources, shown, request.host_url.rstrip("/"))
        return _page("rollout.html", **found, query=request.args.get("q", ""), tokens=_needs_token(access))

    site.add_url_rule("/rollouts/<namespace>/<name>", "rollout", detail)
    site.register_error_handler(
        Unauthorized, lambda error: _page("session.html", 401, why=str(error), back=request.path)
    )
    for kind, status in ((Forbidden, 403), (RolloutNotFound, 404), (BadQuery, 400), (Overloaded, 503)):
        site.register_error_handler(kind, _refusal(status))
    return site


def _overview(sources: Sources, journal: Journal, access: OpenAccess | TokenAccess) -> Response:
    """List the Rollouts that were queried lately and that this client may see."""
    grant, now = _grant(access), sources.clock()
    rows: list[dict[str, Any]] = []
    for known in journal.all():
        head = headline(known)
        if head is None or not grant.allows(known.key[0]):
            continue
        samples = list(known.samples)[-MOST_SPARKS:]
        line = healthy_over_time(samples, samples[-1].pod_hash) if samples else None
        rows.append({"namespace": known.key[0], "name": known.key[1], "head": head, "line": line, "samples": samples})
    rows.sort(key=lambda one: (-one["head"].verdict.phase.severity, one["namespace"], one["name"]))
    return _page(
        "overview.html",
        tokens=_needs_token(access),
        rows=rows,
        ago=lambda moment: ago(moment, now),
        began_at=journal.began_at,
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


def _refusal(status: int) -> Callable[[Exception], Response]:
    def refuse(error: Exception) -> Response:
        if isinstance(error, BadQuery):
            return _page(
                "refusal.html", status, why="; ".join(f"{one.parameter} {one.detail}" for one in error.problems)
            )
        return _page("refusal.html", status, why=str(error))

    return refuse


def _page(template: str, status: int = 200, **found: Any) -> Response:
    text = render_template(template, version=__version__, width=WIDTH, height=HEIGHT, **found)
    return Response(text, status, HEADERS, content_type=HTML)
