"""The least that Flask can do: one route that returns the same bytes, under the provider's own server settings."""

import os
from pathlib import Path

from flask import Flask, Response


def app() -> Flask:
    """Serve the file that BENCH_BODY names; gunicorn calls this."""
    bare, body = Flask(__name__, static_folder=None), Path(os.environ["BENCH_BODY"]).read_bytes()
    for path in ("/v1/target-health", "/readyz"):
        bare.add_url_rule(path, path, lambda: Response(body, content_type="application/json"))
    return bare
