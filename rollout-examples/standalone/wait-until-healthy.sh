#!/bin/sh
# Waits before a switch until green is a healthy target everywhere: wait-until-healthy.sh URL NAMESPACE ROLLOUT [SECONDS]
#
# POD_TEMPLATE_HASH is the version that you mean; without it the script keeps to the one that is green in the first answer.
# ALB_PROVIDER_TOKEN is the bearer token, if the provider requires one.
#
# Exit code 0: three consecutive Successful answers. 1: Failed. 4, at once: a person must act (the answer's action is
# `fix`, or status 400, 401, 403 or 404). After SECONDS (540): 2 if the last answer was Inconclusive (or Successful, but not
# yet three times), 3 if there was no answer.
set -eu

if [ $# -lt 3 ]; then
  echo "usage: $0 URL NAMESPACE ROLLOUT [SECONDS]" >&2
  exit 3
fi
deadline=$(($(date +%s) + ${4:-540}))
hash=${POD_TEMPLATE_HASH:-}
passes=0

ask() {
  # The token goes through standard input, since anyone on the machine can read a command line.
  if [ -n "${ALB_PROVIDER_TOKEN:-}" ]; then
    printf 'header = "Authorization: Bearer %s"\n' "$ALB_PROVIDER_TOKEN"
  fi | curl --config - --silent --show-error --max-time 10 --write-out '\n%{http_code}' --get "$url/v1/gate" \
    --data-urlencode "namespace=$namespace" --data-urlencode "rollout=$rollout" --data checks=replicas,target-health \
    --data stage=beforeSwitch ${hash:+--data-urlencode "podTemplateHash=$hash"}
}

url=$1 namespace=$2 rollout=$3
while :; do
  answer=$(ask) || answer=
  code=$(printf '%s\n' "$answer" | tail -n 1)
  answer=$(printf '%s\n' "$answer" | sed '$d')
  printf '%s\n' "$answer"  # echo would interpret backslashes
  case $code in
    400 | 401 | 403 | 404) exit 4 ;;  # a problem document says what is wrong
  esac
  # An answer begins with {"measurement": [number, "phase", "sentence"]: its keys are sorted.
  phase=$(printf '%s\n' "$answer" | sed -n '1s/^{"measurement": \[[^,]*, "\([A-Za-z]*\)".*/\1/p')
  if [ -z "$hash" ]; then
    hash=$(printf '%s\n' "$answer" | sed -n '1s/.*"podTemplateHash": "\([^"\]*\)".*/\1/p')
  fi
  case $phase in
    Successful)
      passes=$((passes + 1)) status=2
      if [ "$passes" -ge 3 ]; then exit 0; fi
      ;;
    Failed) exit 1 ;;
    Inconclusive)
      passes=0 status=2
      case $answer in *'"action": "fix"'*) exit 4 ;; esac
      ;;
    *) passes=0 status=3 ;;
  esac
  if [ "$(date +%s)" -ge "$deadline" ]; then exit "$status"; fi
  sleep "${INTERVAL:-10}"
done
