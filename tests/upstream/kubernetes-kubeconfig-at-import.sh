#!/usr/bin/env bash
# Packages: kubernetes 37.0.2.
# Expected: load_kube_config() reads KUBECONFIG when it is called, as kubectl does. A program that sets the variable first,
#   say from an option of its command line, talks to that cluster.
# Seen: the variable is read once, at `import kubernetes`. Set afterwards it is ignored in silence, and the client talks to
#   the cluster of ~/.kube/config.
# Output:
#   set before the import: https://staging.test
#   set after the import: https://production.test
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kubernetes==37.0.2

kubeconfig() {
  printf '%s\n' 'apiVersion: v1' 'kind: Config' 'current-context: here' \
    "clusters: [{name: here, cluster: {server: 'https://$1.test'}}]" \
    'users: [{name: me, user: {token: t}}]' 'contexts: [{name: here, context: {cluster: here, user: me}}]'
}
mkdir "$work/.kube"
kubeconfig production >"$work/.kube/config"
kubeconfig staging >"$work/staging"

host='kubernetes.config.load_kube_config(); print(kubernetes.client.Configuration.get_default_copy().host)'
set_it="import os; os.environ['KUBECONFIG'] = '$work/staging'"
unset KUBECONFIG
export HOME="$work"
before=$("$work/venv/bin/python" -c "$set_it; import kubernetes; $host")
after=$("$work/venv/bin/python" -c "import kubernetes; $set_it; $host")
echo "set before the import: $before"
echo "set after the import: $after"
if [ "$before $after" != 'https://staging.test https://production.test' ]; then
  echo 'changed: KUBECONFIG is read at another time' >&2
  exit 1
fi
echo 'ok: still so (kubernetes 37.0.2)'
