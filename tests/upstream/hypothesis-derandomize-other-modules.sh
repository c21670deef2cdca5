#!/usr/bin/env bash
# Packages: hypothesis 6.170.15.
# Expected: with derandomize=True the examples depend on the test alone, so an unchanged test draws the same examples.
# Seen: they also depend on the text constants of every local module that is imported. A new constant that no test uses,
#   in a module that the test does not call, changes which examples an unchanged test draws. So a test that needs some kind
#   of example to be among the first few can begin to fail after an edit somewhere else.
# Output:
#   the same twice: True
#   the same after a new constant in another module: False
#   the same after a comment there: True
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q hypothesis==6.170.15

cat > "$work/draws.py" <<'PYTHON'
import hashlib

import elsewhere  # noqa: F401
from hypothesis import given, settings, strategies as st

drawn = []


@settings(derandomize=True, database=None, max_examples=40)
@given(st.text())
def unchanged(text):
    drawn.append(text)


unchanged()
print(hashlib.sha256(repr(drawn).encode()).hexdigest())
PYTHON

cd "$work"
draw() { "$work/venv/bin/python" -B draws.py; }
same() { if [ "$1" = "$2" ]; then echo True; else echo False; fi; }
echo 'NUMBER = 1' > elsewhere.py
first=$(draw)
again=$(draw)
echo '# only a comment' >> elsewhere.py
comment=$(draw)
echo 'TEXT = "used-by-no-test"' >> elsewhere.py
constant=$(draw)

seen="the same twice: $(same "$first" "$again")
the same after a new constant in another module: $(same "$first" "$constant")
the same after a comment there: $(same "$first" "$comment")"
echo "$seen"
if [ "$seen" != "the same twice: True
the same after a new constant in another module: False
the same after a comment there: True" ]; then
  echo 'changed: derandomized examples depend on something else now' >&2
  exit 1
fi
echo 'ok: still so (hypothesis 6.170.15)'
