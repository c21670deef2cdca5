"""The Helm chart makes what kustomize makes, refuses what it does not know, and is documented by its own values."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provider import __version__
from tests import ROOT
from tests.repository import kustomize
from tests.repository.documentation import CHART_FILES
from tests.repository.kustomize import Objects, by_name

CHART = ROOT / "deploy" / "chart"
OF_HELM = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"}
EVERYTHING = {
    "tokensSecret": "alb-provider-tokens",
    "tlsSecret": "alb-provider-tls",
    "floors": (ROOT / "deploy" / "components" / "floors" / "floors").read_text(encoding="utf-8"),
    "networkPolicy.enabled": True,
    "monitoring.enabled": True,
    "events.enabled": True,
    "preflight.enabled": True,
    "region": "eu-west-1",
    "handover.enabled": True,
}

KUBERNETES = "1.34.0"  # tests/upstream/helm-go-install-kube-version.sh
"""Without it a helm of `go install` takes every cluster for 1.20."""


def helm(*arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart; values by their paths."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("helm is not on PATH, so the chart cannot be rendered.")
    nested: dict[str, Any] = {}
    for path, value in (values or {}).items():
        *above, name = path.split(".")
        place = nested
        for part in above:
            place = place.setdefault(part, {})
        place[name] = value
    command = [program, *arguments, "--values", "-", "--kube-version", KUBERNETES]
    return subprocess.run(
        command, input=yaml.safe_dump(nested), capture_output=True, text=True, timeout=60, check=False
    )


def rendered(values: dict[str, Any] | None = None, release: str = "alb-provider", chart: Path = CHART) -> Objects:
    """The objects of a release, by kind and name."""
    done = helm("template", release, str(chart), "--namespace", "alb-provider", values=values)
    assert done.returncode == 0, done.stderr
    return by_name(done.stdout)


def kustomized(directory: Path, *components: str) -> Objects:
    """What the overlay for EKS Pod Identity makes with these components, in a folder beside it."""
    deploy = directory / "deploy"
    shutil.copytree(ROOT / "deploy", deploy)
    overlay = deploy / "overlays" / "compared"
    overlay.mkdir()
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "alb-provider",
        "resources": ["../pod-identity"],
        "components": [f"../../components/{name}" for name in components],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return by_name(kustomize.rendered(overlay))


def comparable(one: dict[str, Any]) -> dict[str, Any]:
    """An object without what Helm adds to labels, and with lists of named things in one order."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: plain(value) for name, value in node.items() if name not in OF_HELM}
        if isinstance(node, list):
            values = [plain(value) for value in node]
            named = all(isinstance(value, dict) and isinstance(value.get("name"), str) for value in values)
            return sorted(values, key=lambda value: value["name"]) if named else values
        return node

    found: dict[str, Any] = plain(one)
    return found


NOT_COMPARED = {"Namespace"}
"""What `helm --create-namespace` does."""


@pytest.mark.parametrize(
    ("components", "values"),
    [
        ((), {"region": "eu-west-1"}),
        (
            ("token", "tls", "floors", "network-policy", "events", "preflight", "monitoring"),
            {name: value for name, value in EVERYTHING.items() if not name.startswith("handover")},
        ),
    ],
    ids=["plain", "everything"],
)
def test_helm_and_kustomize_make_the_same(tmp_path, components, values):
    """Every object of the overlay with its components is made by the chart too, and nothing else is."""
    ours, theirs = rendered(values), kustomized(tmp_path, *components)
    for found in (ours, theirs):
        for manifest in found.values():  # Kubernetes' own default
            for container in manifest.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
                container.setdefault("imagePullPolicy", "IfNotPresent")

    assert ours.keys() == {key for key in theirs if key[0] not in NOT_COMPARED}
    for key, one in ours.items():
        assert comparable(one) == comparable(theirs[key]), key


def test_the_handover_instance_is_the_components(tmp_path):
    """The second instance of the chart is what the component handover makes, beside the one that reads."""
    values = {"region": "eu-west-1", "tokensSecret": "alb-provider-tokens", "handover.enabled": True}
    ours, theirs = rendered(values), kustomized(tmp_path, "token", "handover")

    for key in (key for key in theirs if key[0] not in NOT_COMPARED):
        found, wanted = comparable(ours[key]), comparable(theirs[key])
        if key[0] == "Deployment":
            found["spec"]["template"]["spec"]["containers"][0].pop("imagePullPolicy")
        assert found == wanted, key
    reading = ours["Deployment", "alb-provider"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "PROVIDER_HANDOVER" not in {item["name"] for item in reading}


def test_the_chart_is_linted_and_says_what_to_ask(tmp_path):
    """`helm lint` finds nothing with every value set, and NOTES have a first question."""
    linted = helm("lint", "--strict", str(CHART), values=EVERYTHING)
    copy = tmp_path / "chart"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "NOTES.txt").rename(copy / "notes.txt")  # helm prints notes only where there is a cluster
    wrapped = 'kind: Notes\nmetadata: {name: notes}\ntext: |\n{{ tpl (.Files.Get "notes.txt") . | indent 2 }}\n'
    (copy / "templates" / "notes.yaml").write_text(wrapped, encoding="utf-8")
    notes = rendered(EVERYTHING, chart=copy)["Notes", "notes"]["text"]

    assert "0 chart(s) failed" in linted.stdout, linted.stdout + linted.stderr
    assert "curl 'localhost:8080/v1/target-health?namespace=<namespace>&rollout=<rollout>'" in notes
    assert "alb-provider-handover.alb-provider.svc:8080" in notes


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replica": 2}, "replica"),
        ({"replicas": 0}, "replicas"),
        ({"settings": {"LOG_LEVEL": "DEBUG"}}, "LOG_LEVEL"),
        ({"networkPolicy.argoNamespace": ""}, "argoNamespace"),
        ({"handover.enabled": True}, "handover.enabled needs handover.tokensSecret"),
    ],
)
def test_wrong_values_are_refused(values, sentence):
    """An unknown, malformed or contradictory value is an error that names it, before anything is installed."""
    done = helm("template", "alb-provider", str(CHART), values=values)

    assert done.returncode != 0
    assert sentence in done.stderr


def test_names_follow_the_release():
    """Two releases share no object, and templates ask their own release; Argo's braces come through unchanged."""
    values = {"analysisTemplates.namespaces": ["shop"], "clusterAnalysisTemplate.enabled": True}
    first, second = rendered(values), rendered(values, release="staging")
    shared = {key for key in first if key in second}

    assert {kind for kind, _ in shared} == {"AnalysisTemplate", "ClusterAnalysisTemplate"}
    gate = second["AnalysisTemplate", "alb-gate"]
    url = gate["spec"]["metrics"][0]["provider"]["web"]["url"]
    assert gate["metadata"]["namespace"] == "shop"
    assert url.startswith("http://staging-alb-provider.alb-provider.svc:8080/v1/gate?namespace={{args.namespace}}&")
    assert ("Role", "alb-provider") in rendered({"rbac.namespaces": ["shop"]})


def test_the_charts_files_are_those_of_the_repository():
    """What the chart brings along is what kustomize and the examples use (make docs)."""
    copies = {copy: (CHART / "files" / copy).read_bytes() for copy in CHART_FILES}

    assert [copy for copy, original in CHART_FILES.items() if copies[copy] != (ROOT / original).read_bytes()] == []


def test_every_value_is_described():
    """values.yaml and its schema have the same values, each of them described, and the version is the provider's."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    def names(properties: dict[str, Any]) -> Any:
        return {
            name: names(field["properties"]) if "properties" in field else bool(field["description"])
            for name, field in properties.items()
            if name != "global"
        }

    def of(node: Any, like: Any) -> Any:
        return {name: of(node[name], like[name]) for name in node} if isinstance(like, dict) else True

    assert of(values, names(schema["properties"])) == names(schema["properties"])
    assert chart["version"] == chart["appVersion"] == __version__
