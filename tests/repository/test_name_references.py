"""One file makes an example one's own: kustomize renames whatever a Rollout refers to by name."""

import os
from typing import Any

import pytest
import yaml

from provider.advice.preflight import inspect
from provider.advice.preflight.manifests import parse
from tests.advice.preflight.test_findings import KNOWN
from tests.examples import EXAMPLES, NAMES, VARIANTS, built, kustomized
from tests.repository.kustomize import rendered


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_base(name):
    """With a prefix and a namespace every object has both, and no text in it still has an old name of another one."""
    plain = built(name)

    objects = kustomized(*VARIANTS.get(name, (name,)), namePrefix="pre-", namespace="other")

    names = {manifest["metadata"]["name"] for manifest in plain if manifest["kind"] != "Namespace"}
    assert {manifest["kind"] for manifest in objects} == {manifest["kind"] for manifest in plain}
    for manifest in objects:
        if manifest["kind"] == "Namespace":
            assert manifest["metadata"]["name"] == "other"
            continue
        assert manifest["metadata"]["name"] in {f"pre-{name}" for name in names}
        assert manifest["metadata"]["namespace"] == "other"
        assert [where for where in references(manifest) if where[1] in names] == []


PLACEHOLDERS = ("shop.example.com", "registry.example/web:", "/healthz", "containerPort: 8080", "app: web")


def adopted(name: str) -> dict[str, Any]:
    """The kustomization of your-own for an example, with the second host where the example has one."""
    made: dict[str, Any] = yaml.safe_load((EXAMPLES / "your-own" / "kustomization.yaml").read_text(encoding="utf-8"))
    [ingress] = [manifest for manifest in built(name) if manifest["kind"] == "Ingress"]
    if len(ingress["spec"]["rules"]) == 2:
        made["patches"][0]["patch"] = made["patches"][0]["patch"].replace("# - {op", "- {op")
    return made


@pytest.mark.parametrize("name", NAMES)
def test_one_file_makes_an_example_ones_own(name):
    """With your-own/kustomization.yaml no placeholder of an example is left, and preflight finds nothing new."""
    objects = kustomized(*VARIANTS.get(name, (name,)), **adopted(name))

    [rollout] = [manifest for manifest in objects if manifest["kind"] == "Rollout"]
    mine = [manifest for manifest in objects if manifest["kind"] not in {"AnalysisTemplate", "Secret"}]
    assert [word for word in PLACEHOLDERS if word in yaml.safe_dump_all(mine)] == []
    assert {manifest["metadata"].get("namespace", manifest["metadata"]["name"]) for manifest in objects} == {"checkout"}
    assert rollout["spec"]["selector"]["matchLabels"] == {"app": "checkout"}
    [report] = inspect(parse(yaml.safe_dump_all(objects)))
    assert {finding.code for finding in report.findings} == KNOWN[name]


@pytest.mark.parametrize("folder", ["blue-green", "blue-green-without-gap", "ping-pong", "canary-without-gap"])
def test_names_of_ones_own_replace_all_names(folder):
    """With a patch of the name for each object no name of the example is left, and nothing dangles."""
    names = {(one["kind"], one["metadata"]["name"]): f"orders-{number}" for number, one in enumerate(built(folder))}
    renames = [
        {
            "target": {"kind": kind, "name": name},
            "patch": f"- {{op: replace, path: /metadata/name, value: {new}}}\n",
            "options": {"allowNameChange": True},
        }
        for (kind, name), new in names.items()
        if kind != "Namespace"
    ]
    kustomization = adopted(folder)
    kustomization["patches"] += renames
    del kustomization["namePrefix"]

    objects = kustomized(folder, **kustomization)

    old = {name for _, name in names}
    assert [where for manifest in objects for where in references(manifest) if where[1] in old] == []
    [report] = inspect(parse(yaml.safe_dump_all(objects)))
    assert {finding.code for finding in report.findings} == KNOWN[folder]


def references(node, path=""):
    """Every text below a field that refers to another object: where, and what."""
    refer = ("Service", "templateName", "ingress", "service.name", "secretKeyRef.name")
    if isinstance(node, dict):
        for key, value in node.items():
            yield from references(value, f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from references(value, path)
    elif isinstance(node, str) and path.endswith(refer):
        yield path, node


OBJECTS = [
    ("v1", "Service", "a-service"),
    ("v1", "Secret", "a-secret"),
    ("v1", "ConfigMap", "a-config-map"),
    ("v1", "ServiceAccount", "an-account"),
    ("v1", "PersistentVolumeClaim", "a-claim"),
    ("apps/v1", "Deployment", "a-deployment"),
    ("networking.k8s.io/v1", "Ingress", "an-ingress"),
    ("networking.istio.io/v1", "VirtualService", "an-istio-service"),
    ("networking.istio.io/v1", "DestinationRule", "a-rule"),
    ("traefik.io/v1alpha1", "TraefikService", "a-traefik-service"),
    ("appmesh.k8s.aws/v1beta2", "VirtualService", "a-mesh-service"),
    ("appmesh.k8s.aws/v1beta2", "VirtualNode", "a-node"),
    ("argoproj.io/v1alpha1", "AnalysisTemplate", "a-template"),
    ("argoproj.io/v1alpha1", "ClusterAnalysisTemplate", "a-cluster-template"),
]
TEMPLATES: list[dict[str, Any]] = [
    {"templateName": "a-template"},
    {"templateName": "a-cluster-template", "clusterScope": True},
]
_KEY = {"name": "a-secret", "key": "k"}
_ENV = [
    {"name": "A", "valueFrom": {"secretKeyRef": _KEY}},
    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "a-config-map", "key": "k"}}},
]
_CONTAINER = {
    "name": "c",
    "env": _ENV,
    "envFrom": [{"secretRef": {"name": "a-secret"}}, {"configMapRef": {"name": "a-config-map"}}],
}
POD = {
    "serviceAccountName": "an-account",
    "imagePullSecrets": [{"name": "a-secret"}],
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [
        {"name": "s", "secret": {"secretName": "a-secret"}},
        {"name": "m", "configMap": {"name": "a-config-map"}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "a-claim"}},
        {
            "name": "j",
            "projected": {"sources": [{"secret": {"name": "a-secret"}}, {"configMap": {"name": "a-config-map"}}]},
        },
    ],
}
ROLLOUTS = {
    "blue-green": {
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a-deployment"},
        "strategy": {
            "blueGreen": {
                "activeService": "a-service",
                "previewService": "a-service",
                "prePromotionAnalysis": {"templates": TEMPLATES},
                "postPromotionAnalysis": {"templates": TEMPLATES},
            }
        },
    },
    "canary": {
        "template": {"spec": POD},
        "strategy": {
            "canary": {
                "canaryService": "a-service",
                "stableService": "a-service",
                "pingPong": {"pingService": "a-service", "pongService": "a-service"},
                "analysis": {"templates": TEMPLATES},
                "steps": [
                    {"analysis": {"templates": TEMPLATES}},
                    {"experiment": {"analyses": [{"name": "e", **template} for template in TEMPLATES]}},
                ],
                "trafficRouting": {
                    "alb": {"ingress": "an-ingress", "ingresses": ["an-ingress"], "rootService": "a-service"},
                    "nginx": {"stableIngress": "an-ingress", "stableIngresses": ["an-ingress"]},
                    "smi": {"rootService": "a-service"},
                    "istio": {
                        "virtualService": {"name": "an-istio-service"},
                        "virtualServices": [{"name": "an-istio-service"}],
                        "destinationRule": {"name": "a-rule"},
                    },
                    "traefik": {"weightedTraefikServiceName": "a-traefik-service"},
                    "appMesh": {
                        "virtualService": {"name": "a-mesh-service"},
                        "virtualNodeGroup": {
                            "canaryVirtualNodeRef": {"name": "a-node"},
                            "stableVirtualNodeRef": {"name": "a-node"},
                        },
                    },
                },
            }
        },
    },
}
REFERRING: list[dict[str, Any]] = [
    *({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec}
      for name, spec in ROLLOUTS.items()),
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "both"},
        "spec": {"templates": TEMPLATES, "args": [{"name": "token", "valueFrom": {"secretKeyRef": _KEY}}]},
    },
    {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaler"},
        "spec": {"scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "canary"}},
    },
]  # fmt: skip


def test_every_reference_of_a_rollout_is_renamed(tmp_path):
    """Each field of a Rollout, a template or an autoscaler that names another object gets the prefix."""
    named = [{"apiVersion": version, "kind": kind, "metadata": {"name": name}} for version, kind, name in OBJECTS]
    names = {manifest["metadata"]["name"] for manifest in [*named, *REFERRING]}

    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([*named, *REFERRING]), encoding="utf-8")
    component = os.path.relpath(EXAMPLES / "name-references", tmp_path)
    kustomization = {"resources": ["all.yaml"], "components": [component], "namePrefix": "pre-"}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    objects = list(yaml.safe_load_all(rendered(tmp_path)))

    assert len(objects) == len(named) + len(REFERRING)
    assert [text for manifest in objects for text in texts(manifest) if text in names] == []
    assert sum(text.startswith("pre-") for manifest in objects for text in texts(manifest)) == sum(
        text in names for manifest in [*named, *REFERRING] for text in texts(manifest)
    )


def texts(node):
    """Every text below a node."""
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node
