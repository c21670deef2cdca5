"""Preflight of what is in the cluster: over HTTP and from the command line."""

import subprocess
import sys

import pytest
import yaml

from provider.preflight.live import NAME
from tests import ROOT

PREFLIGHT = f"/v1/{NAME}?namespace=shop&rollout=web"


@pytest.fixture
def example(world):
    """The objects of the example `blue-green` in the cluster, as Argo has them."""
    for path in sorted((ROOT / "rollout-examples" / "blue-green").glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            one["metadata"].setdefault("uid", f"uid-{one['kind']}-{one['metadata']['name']}")
            world.kubernetes.put(one)
    return world


@pytest.mark.usefixtures("example")
def test_the_cluster_is_inspected(client):
    """The same findings as from the files, in JSON, and nothing is left unchecked."""
    found = client.get(PREFLIGHT).json

    assert [(one["code"], one["severity"]) for one in found["findings"]] == [("SwitchHasGap", "risk")]
    assert (found["namespace"], found["rollout"], found["notChecked"]) == ("shop", "web", [])
    assert found["forecast"]["withoutHealthyTargetSeconds"] == {"best": 0.7, "expected": 2.6, "worst": 7.6}
    assert found["forecast"]["remedies"][0]["withoutHealthyTargetSeconds"] == 0


def test_what_is_missing_does_not_exist(client, example):
    """In a cluster an absent template blocks: there is nowhere else where it could be."""
    example.kubernetes.delete("AnalysisTemplate", "shop", "alb-gate")

    [missing] = [one for one in client.get(PREFLIGHT).json["findings"] if one["code"] == "TemplateMissing"]

    assert missing["severity"] == "blocks"
    assert missing["says"] == "prePromotionAnalysis names AnalysisTemplate alb-gate, and there is none"


def test_what_may_not_be_read_is_said(client, example):
    """Without the permission nothing is claimed about those objects, and the answer names the verb."""
    for plural in ("/ingresses", "/analysistemplates", "/services?"):
        example.kubernetes_faults.kubernetes_error(plural, "Forbidden", "no", 403)

    found = client.get(PREFLIGHT).json

    assert {one["kind"] for one in found["notChecked"]} == {"Ingress", "AnalysisTemplate", "Service"}
    assert any("list ingresses.networking.k8s.io" in one["says"] for one in found["notChecked"])
    assert not {"TemplateMissing", "ServiceMissing", "NotBehindLoadBalancer"} & {
        one["code"] for one in found["findings"]
    }


def test_a_rollout_that_cannot_be_read(client, example):
    """Of a Rollout that may not be read nothing is found; of one that is not there the answer is 404."""
    absent = client.get(PREFLIGHT.replace("web", "none"))
    example.kubernetes_faults.kubernetes_error("/rollouts/", "Forbidden", "no", 403)
    refused = client.get(PREFLIGHT).json

    assert absent.status_code == 404
    assert (refused["findings"], refused["notChecked"][0]["kind"]) == ([], "Rollout")


def test_it_describes_target_groups_and_no_more(client, scene):
    """Of AWS it asks for the settings of the target groups, in one call; what AWS refuses is said."""
    scene.world.aws.faults.forget_calls()
    first = client.get(PREFLIGHT).json
    asked = [call.name for call in scene.world.aws.calls]
    scene.world.aws.faults.aws_error("DescribeTargetGroups", "AccessDenied", "no", 403)
    refused = client.get(PREFLIGHT).json

    assert asked == ["DescribeTargetGroups"]
    assert "TargetGroup" not in {one["kind"] for one in first["notChecked"]}
    [why] = [one["says"] for one in refused["notChecked"] if one["kind"] == "TargetGroup"]
    assert "elasticloadbalancing:DescribeTargetGroups" in why


@pytest.mark.usefixtures("example")
def test_from_the_command_line(environment):  # noqa: ARG001 - it leads the command into the world
    """`--live` reads the cluster of the kubeconfig and prints the same tree."""
    command = [sys.executable, "-m", "provider.cli.main", "preflight", "--live", "-n", "shop", "--rollout", "web"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("! Rollout shop/web (blue-green)\n  ✓ activeService web-active\n")
