"""Every core Kubernetes object that we ship is one that the API server's own schema accepts."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests import ROOT
from tests.each import each

EXAMPLES = sorted((ROOT / "rollout-examples").rglob("*.yaml"))
OVERLAYS = sorted(path.parent for path in (ROOT / "deploy" / "overlays").glob("*/kustomization.yaml"))
CORE = re.compile(r"v1|apps/v1|batch/v1|policy/v1|(networking|rbac\.authorization|discovery)\.k8s\.io/v1")


def refused(text):
    """The core objects of a YAML text that the schema refuses, with the reason."""
    found = {}
    for one in yaml.safe_load_all(text):
        if one and CORE.fullmatch(one.get("apiVersion", "")):
            try:
                kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
            except kubernetes_validate.ValidationError as error:
                found[one["kind"], one["metadata"]["name"]] = error.message
    return found


@each("path", {str(path.relative_to(ROOT)): path for path in EXAMPLES})
def test_every_example_is_valid(path):
    """No example has a field that Kubernetes does not know, or lacks one that it needs."""
    assert refused(path.read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_every_overlay_renders_valid_objects(overlay):
    """What `kubectl apply -k` sends is valid, whatever the patches made of it."""
    tool = [["kubectl", "kustomize"], ["kustomize", "build"]]
    command = next((one for one in tool if shutil.which(one[0])), None)
    if command is None:
        pytest.skip("Neither kubectl nor kustomize is on PATH, so no kustomization can be rendered.")

    done = subprocess.run([*command, str(overlay)], capture_output=True, text=True, timeout=60, check=True)

    assert done.stderr == ""
    assert refused(done.stdout) == {}


def test_the_schema_refuses_what_is_wrong():
    """The validation sees a misspelt field: without this the tests above would pass on anything."""
    assert refused("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selectors: {app: a}}\n")
