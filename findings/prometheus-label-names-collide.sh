#!/usr/bin/env bash
# Packages: prometheus-client 0.26.0 (Python), github.com/prometheus/common 0.67.4 (Go, the parser of Prometheus' text format).
# Expected: the client accepts names with dots, and what it accepts it can expose; or it refuses at registration.
# Seen: the labels "http.status" and "http_status" of one gauge are accepted as two. To a scraper that does not ask for UTF-8
#   names both are written as http_status, and the parser rejects the page: all metrics of the process are lost.
# Output:
#   build_info 1.0
#   requests{http_status="200",http_status="2xx"} 1.0
#   parser: text format parsing error in line 6: duplicate label names for metric "requests"
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q prometheus-client==0.26.0

mkdir "$work/parser"
cat >"$work/parser/main.go" <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func main() {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	_, err := parser.TextToMetricFamilies(os.Stdin)
	fmt.Println("parser:", err)
}
GO
(
  cd "$work/parser"
  go mod init finding
  go get github.com/prometheus/common/expfmt@v0.67.4
  go build -o "$work/parse" .
) >"$work/build" 2>&1 || { cat "$work/build" >&2; exit 1; }

"$work/venv/bin/python" - >"$work/page" <<'PYTHON'
from prometheus_client import CollectorRegistry, Gauge, generate_latest

registry = CollectorRegistry()
Gauge("build_info", "The build.", registry=registry).set(1)
requests = Gauge("requests", "Requests.", ["http.status", "http_status"], registry=registry)
requests.labels("200", "2xx").set(1)
print(generate_latest(registry).decode(), end="")
PYTHON
seen=$(grep -v '^#' "$work/page"; "$work/parse" <"$work/page")
echo "$seen"
expected='build_info 1.0
requests{http_status="200",http_status="2xx"} 1.0
parser: text format parsing error in line 6: duplicate label names for metric "requests"'
if [ "$seen" != "$expected" ]; then
  echo 'changed: the client or the parser treats the two label names in another way' >&2
  exit 1
fi
echo 'ok: still so (prometheus-client 0.26.0, prometheus/common 0.67.4)'
