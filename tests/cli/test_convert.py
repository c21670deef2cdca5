"""The command `convert`."""

import pytest
import yaml

from tests import ROOT

COMMAND = ("convert",)

BLUE_GREEN = str(ROOT / "rollout-examples" / "blue-green")


def test_manifests_to_review(run):
    """The output is YAML that begins with the order of applying it; what was left out is on standard error."""
    code, out, err = run("-f", BLUE_GREEN)

    kinds = [one["kind"] for one in yaml.safe_load_all(out) if one]
    assert code == 0
    assert out.startswith(
        "# Converted to a ping-pong canary used like blue-green. Apply it in this order:\n#  1. Wait until"
    )
    assert kinds.count("Service") == 3
    assert "Note: The preview rule of preview.shop.example.com was removed" in err


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        ((), "", "Give either --file, or --live and --rollout"),
        (("-f", "-"), "a: [", "Cannot convert the manifests: it is not YAML"),
        (("-f", "-"), "kind: Service\n", "There is no blue-green Rollout among the manifests"),
    ],
)
def test_misuse(run, arguments, given, says):
    """What cannot be converted is a sentence, and the exit code is 3."""
    code, _, err = run(*arguments, given=given)

    assert (code, says in err) == (3, True)
