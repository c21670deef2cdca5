"""The endpoint of the handover, if it is enabled."""

from flask import Flask, Response

from provider import DOCUMENTATION
from provider.handover import Handovers, question
from provider.http.access import Forbidden
from provider.http.queries import serve
from provider.http.service import Service


def handover(app: Flask, service: Service, handovers: Handovers | None) -> None:
    """Serve the handover, and let its loop see every answer; without `handovers` refuse it."""
    if handovers is None:
        app.add_url_rule(f"/v1/{question.NAME}", question.NAME, _refuse, methods=["POST"])
    else:
        serve(app, service, handovers.check, ("POST",))
        service.after = handovers.loop.answered


def _refuse() -> Response:
    raise Forbidden(
        "This provider only reads. Send the query to the one that has PROVIDER_HANDOVER=enabled "
        f"({DOCUMENTATION}/handover.md)"
    )
