#!/usr/bin/env bash
# Packages: github.com/argoproj/argo-rollouts v1.10.1 (Go).
# Expected: a metric's `count` and `failureLimit` may be numbers or text; text that is no whole number is refused.
# Seen: every text passes the controller's validation. One that is not exactly a whole number is read as 0. For `count`
#   with an interval 0 means no end: an analysis that passes never finishes. For `failureLimit` it tolerates no failure.
# Output:
#   count "5": valid, ends after 5
#   count "5.0": valid, no end
#   count "5 ": valid, no end
#   count "100%": valid, no end
#   failureLimit "25%": valid, tolerates 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/main.go" <<'GO'
package main

import (
	"fmt"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/analysis"
	"sigs.k8s.io/yaml"
)

const metric = `
name: errors
interval: 10s
successCondition: result == 0
provider: {web: {url: "http://metrics.test"}}
`

func read(line string) (v1alpha1.Metric, string) {
	var m v1alpha1.Metric
	if err := yaml.UnmarshalStrict([]byte(metric+line), &m); err != nil {
		return m, err.Error()
	}
	if err := analysis.ValidateMetrics([]v1alpha1.Metric{m}); err != nil {
		return m, err.Error()
	}
	return m, "valid"
}

func main() {
	for _, text := range []string{"5", "5.0", "5 ", "100%"} {
		m, verdict := read(fmt.Sprintf("count: %q", text))
		end := "no end"
		if count := m.EffectiveCount(); count != nil {
			end = fmt.Sprint("ends after ", count.IntValue())
		}
		fmt.Printf("count %q: %s, %s\n", text, verdict, end)
	}
	m, verdict := read(`failureLimit: "25%"`)
	fmt.Printf("failureLimit \"25%%\": %s, tolerates %d\n", verdict, m.FailureLimit.IntValue())
}
GO
# Argo's go.mod pins its Kubernetes modules with replacements, which count only in the main module: take them over.
(
  cd "$work"
  go mod init upstream
  go mod edit -require=github.com/argoproj/argo-rollouts@v1.10.1
  go mod download github.com/argoproj/argo-rollouts
  sed -n '/^replace (/,/^)/p' "$(go list -m -f '{{.Dir}}' github.com/argoproj/argo-rollouts)/go.mod" >>go.mod
  go build -mod=mod -o upstream .
) >"$work/build" 2>&1 || { cat "$work/build" >&2; exit 1; }

seen=$("$work/upstream")
echo "$seen"
expected='count "5": valid, ends after 5
count "5.0": valid, no end
count "5 ": valid, no end
count "100%": valid, no end
failureLimit "25%": valid, tolerates 0'
if [ "$seen" != "$expected" ]; then
  echo 'changed: Argo Rollouts reads count or failureLimit in another way' >&2
  exit 1
fi
echo 'ok: still so (argo-rollouts v1.10.1)'
