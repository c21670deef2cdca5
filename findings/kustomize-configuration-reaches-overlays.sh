#!/usr/bin/env bash
# Packages: kustomize 5.8.1 (Go); the manifests are those of Argo Rollouts.
# Expected: `configurations` of a base's component say how that base is built; an overlay is built by its own.
# Seen: an overlay's `labels` with includeSelectors follows the field specs of the component of its base too, although the
#   overlay names neither the component nor a configuration. Without the component it leaves the Rollout alone.
# Output:
#   base without the component: web
#   base with the component: web checkout
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
GOBIN="$work" go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1 2>"$work/build" || { cat "$work/build" >&2; exit 1; }

mkdir "$work"/{fields,plain,configured,overlay}
cat >"$work/fields/kustomization.yaml" <<'YAML'
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
configurations: [fields.yaml]
YAML
cat >"$work/fields/fields.yaml" <<'YAML'
commonLabels:
  - {kind: Rollout, path: spec/template/metadata/labels, create: true}
YAML
cat >"$work/plain/web.yaml" <<'YAML'
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
YAML
cp "$work/plain/web.yaml" "$work/configured/web.yaml"
echo 'resources: [web.yaml]' >"$work/plain/kustomization.yaml"
printf 'resources: [web.yaml]\ncomponents: [../fields]\n' >"$work/configured/kustomization.yaml"

pod_labels() { # of the Rollout, when this base is built under an overlay that adds the label team=checkout
  printf 'resources: [../%s]\nlabels:\n  - {pairs: {team: checkout}, includeSelectors: true}\n' "$1" \
    >"$work/overlay/kustomization.yaml"
  "$work/kustomize" build "$work/overlay" |
    awk '/template:/ { inside = 1 } inside && /app:|team:/ { found = found (found ? " " : "") $2 } END { print found }'
}
seen="base without the component: $(pod_labels plain)
base with the component: $(pod_labels configured)"
echo "$seen"
if [ "$seen" != 'base without the component: web
base with the component: web checkout' ]; then
  echo 'changed: the configuration of a component of a base reaches overlays in another way' >&2
  exit 1
fi
echo 'ok: still so (kustomize 5.8.1)'
