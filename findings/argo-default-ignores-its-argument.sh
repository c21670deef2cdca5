#!/usr/bin/env bash
# Packages: github.com/argoproj/argo-rollouts v1.10.1 (Go).
# Expected: in a condition, isNil(x) says whether x is nil, and default(x, y) is y if x is nil, else x.
# Seen: both ignore x and look at the whole result of the metric. For a field that is absent isNil is false, and default
#   gives the whole object instead of the substitute. `??` of the expression language does what default seems to do.
# Output (the result is {"total": 7}):
#   result.errors == nil: true
#   isNil(result.errors): false
#   default(result.errors, 0) == 0: false
#   default(result.errors, 0).total == 7: true
#   (result.errors ?? 0) == 0: true
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/main.go" <<'GO'
package main

import (
	"fmt"

	"github.com/argoproj/argo-rollouts/utils/evaluate"
)

func main() {
	result := map[string]any{"total": 7.0}
	for _, condition := range []string{
		"result.errors == nil",
		"isNil(result.errors)",
		"default(result.errors, 0) == 0",
		"default(result.errors, 0).total == 7",
		"(result.errors ?? 0) == 0",
	} {
		holds, err := evaluate.EvalCondition(result, condition)
		if err != nil {
			fmt.Printf("%s: %v\n", condition, err)
		} else {
			fmt.Printf("%s: %t\n", condition, holds)
		}
	}
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
expected='result.errors == nil: true
isNil(result.errors): false
default(result.errors, 0) == 0: false
default(result.errors, 0).total == 7: true
(result.errors ?? 0) == 0: true'
if [ "$seen" != "$expected" ]; then
  echo 'changed: isNil or default in a condition works in another way' >&2
  exit 1
fi
echo 'ok: still so (argo-rollouts v1.10.1)'
