#!/usr/bin/env bash
# Packages: pydantic 2.14.4.
# Expected: "20261127" is 27 November 2026 (the basic format of ISO 8601, which Python's fromisoformat reads), or an error.
# Seen: as a datetime it is a number of seconds since 1970, so a valid time in August 1970. The same text with its time,
#   20261127T000000Z, is an error, and so is "20261127" as a date.
# Output:
#   fromisoformat 20261127: 2026-11-27 00:00:00
#   pydantic 20261127: 1970-08-23 12:05:27+00:00
#   pydantic 20261127T000000Z: ValidationError
#   pydantic 20261127 as date: ValidationError
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pydantic==2.14.4

"$work/venv/bin/python" - <<'PYTHON'
import sys
from datetime import date, datetime

from pydantic import TypeAdapter, ValidationError


def read(kind, text):
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return "ValidationError"


seen = [
    f"fromisoformat 20261127: {datetime.fromisoformat('20261127')}",
    f"pydantic 20261127: {read(datetime, '20261127')}",
    f"pydantic 20261127T000000Z: {read(datetime, '20261127T000000Z')}",
    f"pydantic 20261127 as date: {read(date, '20261127')}",
]
print(*seen, sep="\n")
if seen != [
    "fromisoformat 20261127: 2026-11-27 00:00:00",
    "pydantic 20261127: 1970-08-23 12:05:27+00:00",
    "pydantic 20261127T000000Z: ValidationError",
    "pydantic 20261127 as date: ValidationError",
]:
    sys.exit("changed: pydantic reads a date without dashes in another way")
PYTHON
echo 'ok: still so (pydantic 2.14.4)'
