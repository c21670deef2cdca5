#!/usr/bin/env bash
# Packages: boto3 1.44.8, requests 2.34.2.
# Expected: NO_PROXY is read alike in one process. Where requests connects directly, boto3 does too.
# Seen: boto3 ignores a range of addresses in NO_PROXY and sends the call to the proxy; requests honours the range.
#   Only the address itself keeps both away from the proxy.
# Output:
#   NO_PROXY=127.0.0.0/8: requests direct, boto3 proxy
#   NO_PROXY=127.0.0.1: requests direct, boto3 direct
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q boto3==1.44.8 botocore==1.44.8 requests==2.34.2

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1
"$work/venv/bin/python" - <<'PYTHON'
import http.server
import os
import sys
import threading

import boto3
import requests


class Either(http.server.BaseHTTPRequestHandler):
    """Is the proxy and the server: a proxy gets the whole address in the request line, a server the path."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Reached", "proxy" if self.path.startswith("http://") else "direct")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Either)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = url
seen = []
for exempt in ("127.0.0.0/8", "127.0.0.1"):
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = exempt
    by_requests = requests.post(url).headers["Reached"]
    answer = boto3.client("dynamodb", endpoint_url=url).list_tables()
    by_boto3 = answer["ResponseMetadata"]["HTTPHeaders"]["reached"]
    seen.append(f"NO_PROXY={exempt}: requests {by_requests}, boto3 {by_boto3}")

print(*seen, sep="\n")
if seen != [
    "NO_PROXY=127.0.0.0/8: requests direct, boto3 proxy",
    "NO_PROXY=127.0.0.1: requests direct, boto3 direct",
]:
    sys.exit("changed: boto3 or requests reads NO_PROXY in another way")
PYTHON
echo 'ok: still so (botocore 1.44.8)'
