"""Kustomizations as `kubectl apply -k` would apply them, and what the API server's schema says of objects."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

Objects = dict[tuple[str, str], dict[str, Any]]

CORE = re.compile(r"v1|apps/v1|batch/v1|policy/v1|(networking|rbac\.authorization|discovery)\.k8s\.io/v1")


@cache
def rendered(directory: Path) -> str:
    """The YAML of a kustomization."""
    tools = (["kubectl", "kustomize"], ["kustomize", "build"])
    tool = next((tool for tool in tools if shutil.which(tool[0])), None)
    if tool is None:
        pytest.skip("Neither kubectl nor kustomize is on PATH, so no kustomization can be rendered.")
    done = subprocess.run([*tool, str(directory)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def by_name(text: str) -> Objects:
    """The objects of a YAML text by kind and name."""
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    named = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    assert len(named) == len(manifests)
    return named


def refused(text: str) -> dict[tuple[str, str], str]:
    """The core objects of a YAML text that the schema refuses, with the reason."""
    reasons = {}
    for manifest in yaml.safe_load_all(text):
        if manifest and CORE.fullmatch(manifest.get("apiVersion", "")):
            try:
                kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                reasons[manifest["kind"], manifest["metadata"]["name"]] = error.message
    return reasons
