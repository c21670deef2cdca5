"""What people and tools query: history, explanation, list of Rollouts, preflight. Nothing here is an answer to Argo."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response

from provider.advice.preflight import live as preflight
from provider.checks.parameters import Namespace, Subject, parse_as
from provider.endpoints import endpoints
from provider.history import argo_record, explanation, overview, recall
from provider.http.service import Service, fields_of_url, json_response
from provider.sources.deadline import Deadline


def people(app: Flask, service: Service) -> None:
    """Serve them all below /v1."""
    sources, switches = service.sources, service.switches
    names = frozenset(endpoints())

    def history() -> Response:
        subject = service.subject(Subject, recall.NAME)
        with service.people:
            deadline = Deadline(sources.budget_seconds, began_at=sources.clock())
            record = argo_record.read(sources, subject.namespace, subject.rollout, names, deadline)
        return _response(recall.observed(record, switches))

    def explain() -> Response:
        subject = service.subject(Subject, explanation.NAME)
        with service.people:
            explained = explanation.explain(sources, switches, (subject.namespace, subject.rollout), names)
        return _response(explanation.observed(explained, switches))

    def rollouts() -> Response:
        grant = service.grant()
        namespace = parse_as(Namespace, overview.NAME, fields_of_url()).namespace
        with service.people:
            rows = overview.rows(sources, grant.namespaces_of(namespace))
        return _response(overview.observed(rows))

    def inspect() -> Response:
        query = service.subject(preflight.Query, preflight.NAME)
        last = next(iter(switches.of((query.namespace, query.rollout))), None)
        with service.people:
            rollout = f"{query.namespace}/{query.rollout}"
            deadline = Deadline(sources.budget_seconds, rollout=rollout, began_at=sources.clock())
            answer = preflight.answer(query, sources, deadline, last)
        return _response(answer)

    views = {recall.NAME: history, explanation.NAME: explain, overview.NAME: rollouts, preflight.NAME: inspect}
    for name, view in views.items():
        app.add_url_rule(f"/v1/{name}", name, view)


def _response(document: Mapping[str, Any]) -> Response:
    return json_response(json.dumps(document, sort_keys=True).encode())
