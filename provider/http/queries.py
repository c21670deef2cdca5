"""The endpoints that Argo queries."""

import json
import time
from collections.abc import Sequence

from flask import Flask, Response, request

from provider import __version__
from provider.checks import QUESTIONS, body
from provider.checks.question import AnyCheck, answer, parse
from provider.http.service import Service, fields_of_body, fields_of_url, json_response
from provider.telemetry import log_answer


def checks(app: Flask, service: Service) -> None:
    """Serve every check."""
    for check in QUESTIONS.values():
        serve(app, service, check, ("GET", "POST"))


def serve(app: Flask, service: Service, check: AnyCheck, methods: Sequence[str]) -> None:
    """Serve one check below /v1."""

    def view() -> Response:
        started = time.perf_counter()
        grant = service.grant()
        query = parse(check, fields_of_body() if request.method == "POST" else fields_of_url())
        grant.require(query.namespace)
        service.floors.require(query)
        with service.admission:  # only now: neither an unauthorized nor a slow client takes a place
            verdict = answer(check, query, service.sources, service.switches.saw)
            verdict = service.after(query, service.switches.answered(check.name, query, verdict))
        seconds = time.perf_counter() - started
        service.metrics.answered(check.name, verdict, seconds)
        log_answer(check.name, query, verdict, seconds)
        return json_response(body.encode(verdict))

    app.add_url_rule(f"/v1/{check.name}", check.name, view, methods=methods)


def index() -> Response:
    """List the checks."""
    content = {
        "name": "alb-provider",
        "version": __version__,
        "questions": {f"/v1/{check.name}": check.about.strip().partition("\n\n")[0] for check in QUESTIONS.values()},
        "description": "/openapi.json",
    }
    return json_response(json.dumps(content, indent=1).encode() + b"\n")
