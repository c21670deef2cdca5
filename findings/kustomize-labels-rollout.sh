#!/usr/bin/env bash
# Packages: kustomize 5.8.1 (Go); the manifests are those of Argo Rollouts.
# Expected: `labels` with includeSelectors adds the label to selectors and to the pods that they select, or fails for a kind
#   that it does not know.
# Seen: it adds the label to the Service's selector and not to the Rollout's pods, since a Rollout is no kind of its own.
#   After `kubectl apply` the Service selects nothing: no endpoints, exit code 0, no warning.
# Output:
#   Service selector: app=web,team=shop
#   Rollout pod labels: app=web
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
GOBIN="$work" go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1 2>"$work/build" || { cat "$work/build" >&2; exit 1; }

mkdir "$work/shop"
cat >"$work/shop/kustomization.yaml" <<'YAML'
resources: [web.yaml]
labels:
  - pairs: {team: shop}
    includeSelectors: true
YAML
cat >"$work/shop/web.yaml" <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ports: [{port: 80}]
  selector: {app: web}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  strategy: {blueGreen: {activeService: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
YAML
"$work/kustomize" build "$work/shop" >"$work/built.yaml"

# The labels are the lines under the last `selector:` of the Service, and under the last `labels:` of the Rollout.
last_block() {
  awk -v kind="$1" -v key="$2:" '
    /^---/ { inside = 0; block = 0 }
    $1 == "kind:" && $2 == kind { inside = 1 }
    block && match($0, /^ */) && RLENGTH <= indent { block = 0 }
    block { gsub(/[ ]/, ""); sub(/:/, "="); found = found (found ? "," : "") $0 }
    inside && $1 == key { match($0, /^ */); indent = RLENGTH; block = 1; found = "" }
    END { print found }' "$work/built.yaml"
}
seen="Service selector: $(last_block Service selector)
Rollout pod labels: $(last_block Rollout labels)"
echo "$seen"
if [ "$seen" != 'Service selector: app=web,team=shop
Rollout pod labels: app=web' ]; then
  echo 'changed: kustomize treats the labels of a Rollout in another way' >&2
  exit 1
fi
echo 'ok: still so (kustomize 5.8.1)'
