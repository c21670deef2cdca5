#!/usr/bin/env bash
# Packages: pydantic-settings 2.16.3, pydantic 2.14.4.
# Expected: an environment variable that names no setting is ignored (at the top level it is) or is an error.
# Seen: a mistyped variable of a nested group is ignored and still has an effect: the group's own default, written in the
#   settings class, is dropped, and each of its fields gets the default of the nested class.
# Output:
#   nothing set: retries=5 seconds=60
#   APP_CLEINT__SECONDS=90: retries=5 seconds=60
#   APP_CLIENT__SECONDZ=90: retries=1 seconds=10
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pydantic-settings==2.16.3 pydantic==2.14.4

"$work/venv/bin/python" - <<'PYTHON'
import os
import sys

from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict


class Client(BaseModel):
    retries: int = 1
    seconds: int = 10


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__")
    client: Client = Client(retries=5, seconds=60)


seen = [f"nothing set: {Settings().client}"]
for name in ("APP_CLEINT__SECONDS", "APP_CLIENT__SECONDZ"):
    os.environ[name] = "90"
    seen.append(f"{name}=90: {Settings().client}")
    del os.environ[name]
print(*seen, sep="\n")
if seen != [
    "nothing set: retries=5 seconds=60",
    "APP_CLEINT__SECONDS=90: retries=5 seconds=60",
    "APP_CLIENT__SECONDZ=90: retries=1 seconds=10",
]:
    sys.exit("changed: pydantic-settings treats a mistyped nested variable in another way")
PYTHON
echo 'ok: still so (pydantic-settings 2.16.3)'
