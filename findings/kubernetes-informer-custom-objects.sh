#!/usr/bin/env bash
# Packages: kubernetes 37.0.2 (SharedInformer is new since 36).
# Expected: an informer over a custom resource works like one over pods: its cache has a case for dicts, and
#   list_namespaced_custom_object has the same `watch` argument.
# Seen: it never gets past the first list. The informer takes `items` of the response by attribute, and of a dict that is
#   the method. The cache stays empty, and the error repeats at every attempt.
# Output:
#   pods: cache ['shop/web']
#   rollouts: cache [], TypeError: 'builtin_function_or_method' object is not iterable
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kubernetes==37.0.2

NO_PROXY=127.0.0.1 "$work/venv/bin/python" - <<'PYTHON'
import functools
import http.server
import json
import logging
import sys
import threading
import time

from kubernetes import client
from kubernetes.informer import SharedInformer

logging.disable(logging.CRITICAL)


class Api(http.server.BaseHTTPRequestHandler):
    """Lists one object, and ends every watch after a moment, without an event."""

    def do_GET(self):
        body = b""
        if "watch=true" in self.path.lower():
            time.sleep(0.2)
        else:
            one = {"metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"}}
            body = json.dumps({"kind": "List", "metadata": {"resourceVersion": "7"}, "items": [one]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def outcome(list_function):
    """Run an informer until it has an object or an error."""
    informer = SharedInformer(list_function, namespace="shop")
    happened, errors = threading.Event(), []
    informer.add_event_handler("ADDED", lambda _: happened.set())
    informer.add_event_handler("ERROR", lambda error: (errors.append(error), happened.set()))
    informer.start()
    happened.wait(timeout=30)
    keys = informer.cache.list_keys()
    informer.stop()
    return ", ".join([f"cache {keys}", *(f"{type(error).__name__}: {error}" for error in errors[:1])])


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
api = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}"))
custom = client.CustomObjectsApi(api).list_namespaced_custom_object
rollouts = functools.partial(custom, group="argoproj.io", version="v1alpha1", plural="rollouts")
seen = [f"pods: {outcome(client.CoreV1Api(api).list_namespaced_pod)}", f"rollouts: {outcome(rollouts)}"]
print(*seen, sep="\n")
if seen != [
    "pods: cache ['shop/web']",
    "rollouts: cache [], TypeError: 'builtin_function_or_method' object is not iterable",
]:
    sys.exit("changed: SharedInformer treats custom objects in another way")
PYTHON
echo 'ok: still so (kubernetes 37.0.2)'
