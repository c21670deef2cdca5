"""Writes `provider/sources/kubernetes/schemas.json`: the fields that preflight checks, with their types.

    python -m tests.write_schemas FOLDER

FOLDER has the CRDs of Argo Rollouts (rollout-crd.yaml, analysis-template-crd.yaml) and the TargetGroupBinding's
(elbv2.k8s.aws_targetgroupbindings.yaml). Kubernetes' own kinds come from `kubernetes-validate`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from provider.sources.kubernetes.schemas import PATH

KINDS = {
    "v1/Service": "core.v1.Service",
    "v1/Namespace": "core.v1.Namespace",
    "v1/Pod": "core.v1.Pod",
    "apps/v1/Deployment": "apps.v1.Deployment",
    "apps/v1/ReplicaSet": "apps.v1.ReplicaSet",
    "networking.k8s.io/v1/Ingress": "networking.v1.Ingress",
    "networking.k8s.io/v1/IngressClass": "networking.v1.IngressClass",
    "autoscaling/v2/HorizontalPodAutoscaler": "autoscaling.v2.HorizontalPodAutoscaler",
    "autoscaling/v1/HorizontalPodAutoscaler": "autoscaling.v1.HorizontalPodAutoscaler",
}
"""By API version and kind, the end of the definition's name."""

METADATA, POD = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "io.k8s.api.core.v1.PodTemplateSpec"


def of_crd(node: dict[str, Any], *, name: str = "") -> Any:
    """Return a node of a CRD's schema in the short form of `schemas.json`."""
    if name == "template" and "spec" in node.get("properties", {}) and "metadata" in node["properties"]:
        return {"ref": POD}
    if node.get("x-kubernetes-int-or-string"):
        return "intOrString"
    if name == "job" or (node.get("x-kubernetes-preserve-unknown-fields") and "properties" not in node):
        return "any"
    if "properties" in node:
        fields = {key: of_crd(value, name=key) for key, value in sorted(node["properties"].items())}
        return {"fields": fields, **({"required": node["required"]} if node.get("required") else {})}
    if isinstance(node.get("additionalProperties"), dict):
        return {"map": of_crd(node["additionalProperties"])}
    if node.get("type") == "array":
        return {"list": of_crd(node["items"])}
    return "any" if node.get("type") in {None, "object"} else node["type"]


def of_kubernetes(node: dict[str, Any], known: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """Return a node of Kubernetes' OpenAPI in the short form; what it refers to is added to the definitions."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if known[name].get("type") != "object" and "properties" not in known[name]:
            return of_kubernetes(known[name], known, definitions)
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = of_kubernetes(known[name], known, definitions)
        return {"ref": name}
    if "oneOf" in node or node.get("format") == "int-or-string":
        return "any" if '"number"' in json.dumps(node.get("oneOf", ())) else "intOrString"  # a quantity may be a number
    if "properties" in node:
        fields = {key: of_kubernetes(value, known, definitions) for key, value in sorted(node["properties"].items())}
        return {"fields": fields, **({"required": node["required"]} if node.get("required") else {})}
    kind = node.get("type")
    kind = next((one for one in kind if one != "null"), None) if isinstance(kind, list) else kind
    if isinstance(node.get("additionalProperties"), dict):
        return {"map": of_kubernetes(node["additionalProperties"], known, definitions)}
    if kind == "array":
        return {"list": of_kubernetes(node["items"], known, definitions)}
    return "any" if kind in {None, "object"} or node.get("format") == "date-time" else kind


def main() -> None:
    """Write the file."""
    folder = Path(sys.argv[1])
    definitions: dict[str, Any] = {}
    kinds: dict[str, Any] = {}
    schemas = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    newest = max(schemas.glob("v*-local-strict"), key=lambda path: [int(one) for one in re.findall(r"\d+", path.name)])
    known = json.loads((newest / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    for key, name in KINDS.items():
        kinds[key] = of_kubernetes({"$ref": f"#/$defs/io.k8s.api.{name}"}, known, definitions)
    for name in (METADATA, POD):
        of_kubernetes({"$ref": f"#/$defs/{name}"}, known, definitions)
    for file in ("rollout-crd", "analysis-template-crd", "elbv2.k8s.aws_targetgroupbindings"):
        crd = yaml.safe_load((folder / f"{file}.yaml").read_text(encoding="utf-8"))
        group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
        for version in crd["spec"]["versions"]:
            node = of_crd(version["schema"]["openAPIV3Schema"])
            node["fields"]["metadata"] = {"ref": METADATA}
            node["fields"]["status"] = "any"
            kinds[f"{group}/{version['name']}/{kind}"] = node
    kinds["argoproj.io/v1alpha1/ClusterAnalysisTemplate"] = kinds["argoproj.io/v1alpha1/AnalysisTemplate"]
    kinds["eks.amazonaws.com/v1/TargetGroupBinding"] = kinds["elbv2.k8s.aws/v1beta1/TargetGroupBinding"]
    text = json.dumps({"kinds": kinds, "definitions": definitions}, sort_keys=True, separators=(",", ":"))
    PATH.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
