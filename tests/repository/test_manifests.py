"""Every core Kubernetes object that we ship is one that the API server's own schema accepts."""

import pytest

from tests import ROOT
from tests.each import each
from tests.repository.kustomize import refused, rendered

EXAMPLES = sorted((ROOT / "rollout-examples").rglob("*.yaml"))
OVERLAYS = sorted(path.parent for path in (ROOT / "deploy" / "overlays").glob("*/kustomization.yaml"))


@each("path", {str(path.relative_to(ROOT)): path for path in EXAMPLES})
def test_every_example_is_valid(path):
    """No example has a field that Kubernetes does not know, or lacks one that it needs."""
    assert refused(path.read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_every_overlay_renders_valid_objects(overlay):
    """What `kubectl apply -k` sends is valid, whatever the patches made of it."""
    assert refused(rendered(overlay)) == {}


def test_the_schema_refuses_what_is_wrong():
    """The validation sees a misspelt field: without this the tests above would pass on anything."""
    assert refused("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selectors: {app: a}}\n")
