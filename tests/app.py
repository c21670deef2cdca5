"""The application as `start.py` builds it, from a test's readers."""

from functools import partial
from typing import Any

from flask import Flask

from provider.checks.question import Sources
from provider.handover import Handovers
from provider.history.switches import Switches
from provider.http import app
from provider.http.admission import Admission
from provider.http.handover import handover
from provider.http.page.routes import pages
from provider.http.people import people
from provider.http.service import Service
from provider.telemetry import Metrics

QUERIES = 64
"""Concurrent queries: PROVIDER_THREADS of the server."""


def create_app(
    sources: Sources,
    metrics: Metrics,
    *,
    admission: Admission | None = None,
    switches: Switches | None = None,
    handovers: Handovers | None = None,
    **options: Any,
) -> Flask:
    """Build it with all of its parts; `options` are those of Service."""
    switches = switches or Switches(metrics, sources.clock)
    service = Service(sources, metrics, admission or Admission(QUERIES), switches, **options)
    return app.create_app(service, people, pages, partial(handover, handovers=handovers))
