#!/usr/bin/env bash
# Packages: Helm 3.19.4 (Go), as `go install` builds it.
# Expected: `helm template` renders a chart that asks for a Kubernetes newer than 1.30, as Helm's released binary does.
# Seen: it refuses, since without a cluster it takes Kubernetes for 1.20. The version is linked in by Helm's Makefile only;
#   `helm lint` of the same chart passes, and so does `helm template --kube-version 1.34.0`.
# Output:
#   Error: chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.20.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
GOBIN="$folder" go install helm.sh/helm/v3/cmd/helm@v3.19.4

mkdir -p "$folder/chart/templates"
printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\nkubeVersion: ">=1.30.0-0"\n' >"$folder/chart/Chart.yaml"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: seen\ndata:\n  version: {{ .Capabilities.KubeVersion.Version }}\n' \
  >"$folder/chart/templates/seen.yaml"

if said=$("$folder/helm" template seen "$folder/chart" 2>&1); then
  echo "changed: helm template renders it" >&2
  exit 1
fi
head -n 1 <<<"$said"
grep -q 'incompatible with Kubernetes v1.20.0' <<<"$said"
"$folder/helm" lint "$folder/chart" | grep -q '0 chart(s) failed'
"$folder/helm" template seen "$folder/chart" --kube-version 1.34.0 | grep -q 'version: v1.34.0'
echo "helm lint passes, and --kube-version 1.34.0 renders it."
echo "ok: still so (helm 3.19.4)"
