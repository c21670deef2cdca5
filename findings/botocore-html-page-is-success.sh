#!/usr/bin/env bash
# Packages: boto3 1.44.8, botocore 1.44.8.
# Expected: an HTML page with status 200, as a sign-in portal or a wrong endpoint URL returns, makes every AWS call fail.
# Seen: services with a JSON or CBOR protocol accept it: reads return nothing, writes succeed. No exception, no warning.
#   Only services with an XML protocol raise.
# Output:
#   dynamodb put_item: {}
#   dynamodb get_item: {}
#   sqs send_message: {}
#   ssm put_parameter: {}
#   cloudwatch list_metrics: {}
#   sts get_caller_identity: ResponseParserError
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

PAGE = b"<!doctype html><html><body>Please sign in</body></html>"


class Portal(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
once = Config(retries={"total_max_attempts": 1})
calls = [
    ("dynamodb", "put_item", {"TableName": "orders", "Item": {"id": {"S": "1"}}}),
    ("dynamodb", "get_item", {"TableName": "orders", "Key": {"id": {"S": "1"}}}),
    ("sqs", "send_message", {"QueueUrl": f"{url}/1/orders", "MessageBody": "1"}),
    ("ssm", "put_parameter", {"Name": "limit", "Value": "1", "Type": "String"}),
    ("cloudwatch", "list_metrics", {}),
    ("sts", "get_caller_identity", {}),
]
seen = []
for service, operation, arguments in calls:
    client = boto3.client(service, endpoint_url=url, config=once)
    try:
        answer = getattr(client, operation)(**arguments)
        del answer["ResponseMetadata"]
    except Exception as error:
        answer = type(error).__name__
    seen.append(f"{service} {operation}: {answer}")

print(*seen, sep="\n")
if [line.split(": ")[1] for line in seen] != ["{}"] * 5 + ["ResponseParserError"]:
    sys.exit("changed: botocore treats an HTML page with status 200 in another way")
PYTHON
echo 'ok: still so (botocore 1.44.8)'
