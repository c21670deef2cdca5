#!/bin/sh
# Waits until green is a healthy target everywhere: wait-until-healthy.sh URL NAMESPACE ROLLOUT [SECONDS]
#
# Exits with 0 after three Successful answers in a row, with 1 on Failed, and when SECONDS (540) are over with 2 if the
# last answer was Inconclusive (or Successful, but not yet three in a row), with 3 if there was none.
set -eu

if [ $# -lt 3 ]; then
  echo "usage: $0 URL NAMESPACE ROLLOUT [SECONDS]" >&2
  exit 3
fi
deadline=$(($(date +%s) + ${4:-540}))
passes=0

while :; do
  # Everything but 200 is a problem document, whose text tells what is wrong.
  answer=$(curl --silent --show-error --max-time 10 --get "$1/v1/gate" \
    --data-urlencode "namespace=$2" --data-urlencode "rollout=$3" --data "checks=replicas,target-health") || answer=
  echo "$answer"
  # An answer begins with {"measurement": [number, "phase", "sentence"]: its keys are sorted.
  phase=$(printf '%s\n' "$answer" | sed -n '1s/^{"measurement": \[[^,]*, "\([A-Za-z]*\)".*/\1/p')
  case $phase in
    Successful)
      passes=$((passes + 1)) status=2
      if [ "$passes" -ge 3 ]; then exit 0; fi
      ;;
    Failed) exit 1 ;;
    Inconclusive) passes=0 status=2 ;;
    *) passes=0 status=3 ;;
  esac
  if [ "$(date +%s)" -ge "$deadline" ]; then exit "$status"; fi
  sleep "${INTERVAL:-10}"
done
