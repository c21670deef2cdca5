#!/usr/bin/env bash
# Packages: kustomize 5.8.1 (Go); the manifests are those of Argo Rollouts.
# Expected: `replicas` names an object to scale. If it cannot scale the Rollout of that name it says so, always or never.
# Seen: alone, a Rollout is an error. Next to a Deployment of the same name, as while migrating from one to the other, the
#   build succeeds: the Deployment gets the number, and the Rollout keeps its own.
# Output:
#   Rollout alone: error
#   Rollout and Deployment: Deployment 5, Rollout 2
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
GOBIN="$work" go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1 2>"$work/build" || { cat "$work/build" >&2; exit 1; }

workload() {
  cat <<YAML
apiVersion: $1
kind: $2
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
YAML
}
mkdir "$work/shop"
workload argoproj.io/v1alpha1 Rollout >"$work/shop/rollout.yaml"
workload apps/v1 Deployment >"$work/shop/deployment.yaml"
kustomization() {
  printf '%s\n' "resources: [$1]" 'replicas: [{name: web, count: 5}]' >"$work/shop/kustomization.yaml"
}

kustomization rollout.yaml
alone=error
"$work/kustomize" build "$work/shop" >/dev/null 2>&1 && alone=built
kustomization 'rollout.yaml, deployment.yaml'
both=$("$work/kustomize" build "$work/shop" | awk '
  $1 == "kind:" { kind = $2 }
  $1 == "replicas:" { found = found (found ? ", " : "") kind " " $2 }
  END { print found }')
echo "Rollout alone: $alone"
echo "Rollout and Deployment: $both"
if [ "$alone, $both" != 'error, Deployment 5, Rollout 2' ]; then
  echo 'changed: kustomize scales a Rollout in another way' >&2
  exit 1
fi
echo 'ok: still so (kustomize 5.8.1)'
