"""Every core Kubernetes object that we ship is one that the API server's own schema accepts."""

import pytest
import yaml

from tests import ROOT
from tests.each import each
from tests.examples import NAMES, built
from tests.repository.kustomize import refused, rendered

OVERLAYS = sorted(path.parent for path in (ROOT / "deploy" / "overlays").glob("*/kustomization.yaml"))


@each("name", {name: name for name in NAMES})
def test_every_example_is_valid(name):
    """No example has a field that Kubernetes does not know, or lacks one that it needs."""
    assert refused(yaml.safe_dump_all(built(name))) == {}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_every_overlay_renders_valid_objects(overlay):
    """What `kubectl apply -k` sends is valid, whatever the patches made of it."""
    assert refused(rendered(overlay)) == {}


def test_the_schema_refuses_what_is_wrong():
    """The validation sees a misspelt field: without this the tests above would pass on anything."""
    assert refused("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selectors: {app: a}}\n")
