#!/usr/bin/env bash
# Packages: urllib3 2.8.0.
# Expected: Retry(connect=2, status=0) retries failed connections and returns every response as it is, whatever its status.
# Seen: a 429 or 503 that carries Retry-After is not returned but raised as MaxRetryError, so the caller cannot read when to
#   come back. The same statuses without the header, and a 500 with it, are returned. raise_on_status=False returns them all.
# Output:
#   500 with Retry-After: 500
#   429: 429
#   429 with Retry-After: MaxRetryError
#   503 with Retry-After: MaxRetryError
#   429 with Retry-After, raise_on_status=False: 429
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q urllib3==2.8.0

"$work/venv/bin/python" - <<'PYTHON'
import http.server
import sys
import threading

import urllib3


class Busy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, status, *header = self.path.split("/")
        self.send_response(int(status))
        if header:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
strict = urllib3.Retry(connect=2, status=0)
lenient = strict.new(raise_on_status=False)


def get(path, retries):
    try:
        return urllib3.PoolManager(retries=retries).request("GET", f"http://127.0.0.1:{server.server_port}{path}").status
    except urllib3.exceptions.MaxRetryError:
        return "MaxRetryError"


seen = [
    f"500 with Retry-After: {get('/500/later', strict)}",
    f"429: {get('/429', strict)}",
    f"429 with Retry-After: {get('/429/later', strict)}",
    f"503 with Retry-After: {get('/503/later', strict)}",
    f"429 with Retry-After, raise_on_status=False: {get('/429/later', lenient)}",
]
print(*seen, sep="\n")
if [line.split(": ")[1] for line in seen] != ["500", "429", "MaxRetryError", "MaxRetryError", "429"]:
    sys.exit("changed: Retry(status=0) treats Retry-After in another way")
PYTHON
echo 'ok: still so (urllib3 2.8.0)'
