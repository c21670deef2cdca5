#!/usr/bin/env bash
# Packages: urllib3 2.8.0, requests 2.34.2.
# Expected: an answer whose gzip body ends before its end is an error, as it is to Python's own gzip module.
# Seen: both return what could be unpacked so far, with status 200 and without an error. Content-Length cannot help: it counts
#   the bytes that were sent, and whoever cut the body, such as a proxy with a limit, counted anew.
# Output:
#   urllib3, whole: 188890 of 188890 bytes
#   requests, whole: 188890 of 188890 bytes
#   urllib3, half: 200, shorter, no error
#   requests, half: 200, shorter, no error
#   gzip, half: EOFError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q urllib3==2.8.0 requests==2.34.2

"$work/venv/bin/python" - <<'PYTHON'
import gzip
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
import urllib3

TEXT = b"".join(b"pod-%d\n" % number for number in range(20_000))
PACKED = gzip.compress(TEXT)
BODIES = {"/whole": PACKED, "/half": PACKED[: len(PACKED) // 2]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = BODIES[self.path]
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def by_urllib3(path):
    answer = urllib3.PoolManager().request("GET", url + path)
    return answer.status, answer.data


def by_requests(path):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url + path, timeout=10)
    return answer.status_code, answer.content


def told(status, content):
    return f"{status}, {'shorter' if 0 < len(content) < len(TEXT) else 'whole'}, no error"


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
try:
    by_gzip = gzip.decompress(BODIES["/half"])
except EOFError:
    by_gzip = "EOFError"
seen = [
    f"urllib3, whole: {len(by_urllib3('/whole')[1])} of {len(TEXT)} bytes",
    f"requests, whole: {len(by_requests('/whole')[1])} of {len(TEXT)} bytes",
    f"urllib3, half: {told(*by_urllib3('/half'))}",
    f"requests, half: {told(*by_requests('/half'))}",
    f"gzip, half: {by_gzip}",
]
print(*seen, sep="\n")
if seen != [
    "urllib3, whole: 188890 of 188890 bytes",
    "requests, whole: 188890 of 188890 bytes",
    "urllib3, half: 200, shorter, no error",
    "requests, half: 200, shorter, no error",
    "gzip, half: EOFError",
]:
    sys.exit("changed: a gzip body that was cut off is told from a whole one")
PYTHON
echo 'ok: still so (urllib3 2.8.0, requests 2.34.2)'
