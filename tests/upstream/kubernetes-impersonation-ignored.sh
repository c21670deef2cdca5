#!/usr/bin/env bash
# Packages: kubernetes 37.0.2.
# Expected: a kubeconfig whose user has `as` and `as-groups` makes the client act as that user, as it makes kubectl do
#   (headers Impersonate-User and Impersonate-Group).
# Seen: both fields are ignored in silence. The requests carry the token alone and act with the rights of its owner.
# Output:
#   authorization: Bearer admin
#   impersonate-*: none
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kubernetes==37.0.2

NO_PROXY=127.0.0.1 "$work/venv/bin/python" - <<'PYTHON'
import http.server
import sys
import threading

from kubernetes import client, config

headers = {}


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        headers.update({name.lower(): value for name, value in self.headers.items()})
        body = b'{"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
kubeconfig = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
    "users": [{"name": "me", "user": {"token": "admin", "as": "reader", "as-groups": ["readers"]}}],
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
}
client.CoreV1Api(config.new_client_from_config_dict(kubeconfig)).list_namespaced_pod("shop")
impersonated = [name for name in headers if name.startswith("impersonate-")]
print(f"authorization: {headers.get('authorization')}")
print(f"impersonate-*: {', '.join(impersonated) or 'none'}")
if headers.get("authorization") != "Bearer admin" or impersonated:
    sys.exit("changed: the client sends other credentials for a kubeconfig with `as`")
PYTHON
echo 'ok: still so (kubernetes 37.0.2)'
