#!/usr/bin/env bash
# Packages: boto3 1.44.8, botocore 1.44.8.
# Expected: `except (BotoCoreError, ClientError)`, the two base classes in botocore.exceptions, catches whatever
#   an AWS call may raise for a response that is not what AWS sends.
# Seen: three pages with status 200, three ways past it. ResponseParserError is a bare Exception, well-formed XML of another
#   kind is a KeyError, and a time that cannot be read is a ValueError.
# Output:
#   HTML: ResponseParserError, caught: False
#   XHTML: KeyError, caught: False
#   bad time: ValueError, caught: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q boto3==1.44.8 botocore==1.44.8

export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1 NO_PROXY=127.0.0.1
"$work/venv/bin/python" - <<'PYTHON'
import http.server
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BALANCERS = b"""<DescribeLoadBalancersResponse><DescribeLoadBalancersResult><LoadBalancers><member>
<CreatedTime>soon</CreatedTime>
</member></LoadBalancers></DescribeLoadBalancersResult></DescribeLoadBalancersResponse>"""
PAGES = {
    "HTML": b"<!doctype html><html><body>Down for maintenance<br></body></html>",
    "XHTML": b"<html><body><p>Down for maintenance</p></body></html>",
    "bad time": BALANCERS,
}


class Proxy(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
once = Config(retries={"total_max_attempts": 1})
elbv2 = boto3.client("elbv2", endpoint_url=f"http://127.0.0.1:{server.server_port}", config=once)
seen = []
for name, Proxy.page in PAGES.items():
    try:
        elbv2.describe_load_balancers()
        seen.append(f"{name}: no error")
    except Exception as error:
        caught = isinstance(error, (BotoCoreError, ClientError))
        seen.append(f"{name}: {type(error).__name__}, caught: {caught}")

print(*seen, sep="\n")
if seen != [
    "HTML: ResponseParserError, caught: False",
    "XHTML: KeyError, caught: False",
    "bad time: ValueError, caught: False",
]:
    sys.exit("changed: botocore raises other errors for a response that it cannot read")
PYTHON
echo 'ok: still so (botocore 1.44.8)'
