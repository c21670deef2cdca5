#!/usr/bin/env bash
# Packages: moto 5.2.5 (its server), Werkzeug 3.1.9, boto3 1.44.8.
# Expected: a server that speaks HTTP/1.1 keeps the connection open, so a client that pools connections needs one.
# Seen: Werkzeug's server answers `Connection: close` to every request, also when its handler is set to HTTP/1.1. Through
#   moto's server boto3 opens a connection per call, so such a test says nothing about pools and idle connections.
# Output:
#   5 calls to moto's server: HTTP/1.1, Connection: close, 5 connections
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'moto[server,sts]==5.2.5' Werkzeug==3.1.9 boto3==1.44.8

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1 NO_PROXY=127.0.0.1
"$work/venv/bin/python" - <<'PYTHON'
import logging
import sys
import threading

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

logging.disable(logging.CRITICAL)
connections = []


class Http11(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        connections.append(self.client_address)
        super().setup()


application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Http11)
threading.Thread(target=server.serve_forever, daemon=True).start()
sts = boto3.client("sts", endpoint_url=f"http://127.0.0.1:{server.port}")
for _ in range(5):
    headers = sts.get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
answer = f"{Http11.protocol_version}, Connection: {headers.get('connection')}"
seen = f"5 calls to moto's server: {answer}, {len(connections)} connections"
print(seen)
if seen != "5 calls to moto's server: HTTP/1.1, Connection: close, 5 connections":
    sys.exit("changed: Werkzeug's server keeps connections open in another way")
PYTHON
echo 'ok: still so (Werkzeug 3.1.9)'
