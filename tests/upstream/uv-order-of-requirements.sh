#!/usr/bin/env bash
# Packages: uv 0.13.9, resolving kubernetes (37.0.2) and boto3 (1.44.8) from the index as of 2026-11-27.
# Expected: the order of the lines in a requirements file does not decide what is installed.
# Seen: kubernetes 37.0.2 needs python-dateutil 3 or newer, boto3 an older one. uv keeps the package that comes first and
#   looks for an older release of the other. With kubernetes first that is boto3 0.0.3, from before 1.0, which has no upper
#   bound yet. The exit code is 0, and there is no warning.
# Output:
#   kubernetes first: boto3==0.0.3 kubernetes==37.0.2
#   boto3 first: boto3==1.44.8 kubernetes==37.0.1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q uv==0.13.9

resolve() {
  printf '%s\n' "$@" |
    "$work/venv/bin/uv" pip compile -q --no-config --python-version 3.11 --exclude-newer 2026-11-27T00:00:00Z - |
    grep -E '^(boto3|kubernetes)==' | xargs
}
kubernetes_first=$(resolve kubernetes boto3)
boto3_first=$(resolve boto3 kubernetes)
echo "kubernetes first: $kubernetes_first"
echo "boto3 first: $boto3_first"
if [ "$kubernetes_first" != 'boto3==0.0.3 kubernetes==37.0.2' ] || [ "$boto3_first" != 'boto3==1.44.8 kubernetes==37.0.1' ]; then
  echo 'changed: uv resolves the two lines in another way' >&2
  exit 1
fi
echo 'ok: still so (uv 0.13.9)'
