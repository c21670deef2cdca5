"""Rollouts of `rollout-examples/`, as shipped but for their name, their size and how long they keep old pods."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests import ROOT

EXAMPLES = ROOT / "rollout-examples"
NAMESPACE = "shop"
_NAMED_BY_ROLLOUT = ("rollout.yaml", "services.yaml", "ingress.yaml")

Manifest = dict[str, Any]


def example(folder: str, name: str, replicas: int) -> list[Manifest]:
    """Return the objects of an example for a Rollout of this name; templates and Secrets keep theirs.

    Ten minutes of old pods would fill the page, so a minute is enough here.
    """
    manifests: list[Manifest] = []
    for path in sorted((EXAMPLES / folder).glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if path.name in _NAMED_BY_ROLLOUT:
            text = re.sub(r"\bweb\b", name, text)
        manifests += yaml.safe_load_all(text)
    for manifest in manifests:
        if manifest["kind"] == "Rollout":
            manifest["spec"]["replicas"] = replicas
            strategy = manifest["spec"]["strategy"]
            (strategy.get("blueGreen") or strategy["canary"])["scaleDownDelaySeconds"] = 60
    return [manifest for manifest in manifests if manifest["kind"] != "Namespace"]
