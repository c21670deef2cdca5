#!/usr/bin/env bash
# Packages: github.com/argoproj/argo-rollouts v1.10.1 (Go).
# Expected: a web metric whose response is no JSON is an Error: its jsonPath finds nothing and its conditions cannot hold.
# Seen: with status 2xx, a body that is no JSON is Successful. Neither the jsonPath nor a condition is looked at: not the
#   successCondition "false", nor the failureCondition "true". A proxy's page, an empty body, a NaN in the JSON all pass.
# Output:
#   JSON, successCondition false: Failed
#   HTML page, successCondition false: Successful
#   empty body, successCondition false: Successful
#   NaN in the JSON, successCondition false: Successful
#   HTML page, failureCondition true: Successful
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/main.go" <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/argoproj/argo-rollouts/metricproviders/webmetric"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	log "github.com/sirupsen/logrus"
)

func measure(body, success, failure string) v1alpha1.AnalysisPhase {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
	defer server.Close()
	web := &v1alpha1.WebMetric{URL: server.URL, JSONPath: "{$.errors}"}
	metric := v1alpha1.Metric{
		Name: "errors", SuccessCondition: success, FailureCondition: failure, Provider: v1alpha1.MetricProvider{Web: web},
	}
	client, err := webmetric.NewWebMetricHttpClient(metric)
	if err != nil {
		panic(err)
	}
	parser, err := webmetric.NewWebMetricJsonParser(metric)
	if err != nil {
		panic(err)
	}
	return webmetric.NewWebMetricProvider(*log.NewEntry(log.New()), client, parser).Run(nil, metric).Phase
}

func main() {
	page := "<html><body>Please sign in</body></html>"
	fmt.Println("JSON, successCondition false:", measure(`{"errors": 9}`, "false", ""))
	fmt.Println("HTML page, successCondition false:", measure(page, "false", ""))
	fmt.Println("empty body, successCondition false:", measure("", "false", ""))
	fmt.Println("NaN in the JSON, successCondition false:", measure(`{"errors": 9, "rate": NaN}`, "false", ""))
	fmt.Println("HTML page, failureCondition true:", measure(page, "", "true"))
}
GO
# Argo's go.mod pins its Kubernetes modules with replacements, which count only in the main module: take them over.
(
  cd "$work"
  go mod init finding
  go mod edit -require=github.com/argoproj/argo-rollouts@v1.10.1
  go mod download github.com/argoproj/argo-rollouts
  sed -n '/^replace (/,/^)/p' "$(go list -m -f '{{.Dir}}' github.com/argoproj/argo-rollouts)/go.mod" >>go.mod
  go build -mod=mod -o finding .
) >"$work/build" 2>&1 || { cat "$work/build" >&2; exit 1; }

seen=$("$work/finding")
echo "$seen"
expected='JSON, successCondition false: Failed
HTML page, successCondition false: Successful
empty body, successCondition false: Successful
NaN in the JSON, successCondition false: Successful
HTML page, failureCondition true: Successful'
if [ "$seen" != "$expected" ]; then
  echo 'changed: the web metric judges a response that is no JSON in another way' >&2
  exit 1
fi
echo 'ok: still so (argo-rollouts v1.10.1)'
