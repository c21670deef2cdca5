"""The examples, and what their components make of them, as `kubectl apply -k` would apply them."""

import copy
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests import ROOT
from tests.repository.kustomize import rendered

EXAMPLES = ROOT / "rollout-examples"
COMPONENTS = EXAMPLES / "components"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/rollout.yaml"))
"""The examples that are complete by themselves."""

VARIANTS = {
    "batches": ("ping-pong", "batches"),
    "instance-mode": ("blue-green", "instance-mode"),
    "job": ("blue-green", "job"),
    "warm-up": ("blue-green", "warm-up"),
    "with-token": ("ping-pong", "token"),
    "with-two-tokens": ("canary-without-gap", "token"),
}
"""An example with one of the components: what it is called in tests."""

NAMES = [*(folder.name for folder in FOLDERS), *VARIANTS]

Manifest = dict[str, Any]


def built(name: str) -> list[Manifest]:
    """Return the objects of an example or a variant, for a test to change."""
    return copy.deepcopy(_built(name))


def kustomized(example: str, *components: str, **kustomization: Any) -> list[Manifest]:
    """Return the objects of a user's kustomization of an example with components."""
    with tempfile.TemporaryDirectory() as folder:
        examples = os.path.relpath(EXAMPLES, folder)
        merged = kustomization | {
            "resources": [f"{examples}/{example}"],
            "components": [f"{examples}/components/{name}" for name in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(merged), encoding="utf-8")
        return list(yaml.safe_load_all(rendered(Path(folder))))


@cache
def _built(name: str) -> list[Manifest]:
    return kustomized(*VARIANTS.get(name, (name,)))
