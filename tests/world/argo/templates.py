"""Makes an AnalysisRun of a Rollout's analysis, as Argo does: templates are merged, and arguments are resolved."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.world.cluster.naming import HASH_LABEL, controller_reference, timestamp
from tests.world.cluster.store import KubernetesStore

REVISION = "rollout.argoproj.io/revision"
_ARGUMENT = re.compile(r"\{\{\s*args\.([\w.-]+)\s*\}\}")
_LISTS = ("metrics", "args", "dryRun", "measurementRetention")

Manifest = dict[str, Any]


class InvalidSpec(Exception):
    """What Argo cannot make an AnalysisRun of; the text is its error message."""


def new_run(
    kubernetes: KubernetesStore, rollout: Manifest, analysis: Manifest, name: str, labels: dict[str, str], now: Any
) -> Manifest:
    """Return an AnalysisRun of `analysis`, which is the part of a Rollout with `templates` and `args`.

    Raises InvalidSpec.
    """
    metadata = rollout["metadata"]
    merged = _merged(kubernetes, metadata["namespace"], analysis.get("templates", ()))
    passed = {arg["name"]: _passed(arg, rollout, labels[HASH_LABEL]) for arg in analysis.get("args", ())}
    spec: Manifest = {"metrics": merged["metrics"], "args": [_argument(arg, passed) for arg in merged["args"]]}
    for name_of_list in ("dryRun", "measurementRetention"):
        if entries := [*merged[name_of_list], *analysis.get(name_of_list, ())]:
            spec[name_of_list] = entries
    extra = analysis.get("analysisRunMetadata", {})
    matched = rollout["spec"].get("selector", {}).get("matchLabels", {})
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "creationTimestamp": timestamp(now),
            "labels": labels | extra.get("labels", {}) | matched,
            "annotations": {REVISION: metadata["annotations"][REVISION]} | extra.get("annotations", {}),
            "ownerReferences": [controller_reference(rollout)],
        },
        "spec": {key: part for key, part in spec.items() if part},
        "status": {},
    }


def resolved(metric: Manifest, args: dict[str, str]) -> Manifest:
    """Replace `{{args.x}}` in every text of a metric; a value stays a string. Raises InvalidSpec for an unknown one."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in args:
            raise InvalidSpec(f"failed to resolve {match[0]}")
        return json.dumps(args[match[1]])[1:-1]

    replaced: Manifest = json.loads(_ARGUMENT.sub(value, json.dumps(metric)))
    return replaced


def arguments(kubernetes: KubernetesStore, run: Manifest) -> tuple[dict[str, str], list[str]]:
    """Return a run's arguments by name, and which of the values are secret. Raises InvalidSpec."""
    values, secrets = {}, []
    for arg in run["spec"].get("args", ()):
        reference = arg.get("valueFrom", {}).get("secretKeyRef")
        if reference is None:
            values[arg["name"]] = arg["value"]
            continue
        try:
            secret = kubernetes.get("Secret", run["metadata"]["namespace"], reference["name"])
            values[arg["name"]] = secret["stringData"][reference["key"]]
        except KeyError:
            raise InvalidSpec(f'secrets "{reference["name"]}" not found') from None
        secrets.append(values[arg["name"]])
    return values, secrets


def _merged(kubernetes: KubernetesStore, namespace: str, references: Any) -> Manifest:
    """Join all templates that are named, and those that they name, each once."""
    merged: dict[str, list[Any]] = {name: [] for name in _LISTS}
    waiting, seen = list(references), set()
    while waiting:
        reference = waiting.pop(0)
        kind = "ClusterAnalysisTemplate" if reference.get("clusterScope") else "AnalysisTemplate"
        key = (kind, reference["templateName"])
        if key in seen:
            continue
        seen.add(key)
        try:
            spec = kubernetes.get(kind, None if reference.get("clusterScope") else namespace, key[1])["spec"]
        except KeyError:
            raise InvalidSpec(f"{kind} '{key[1]}' not found") from None
        for name in _LISTS:
            present = [entry.get("name") for entry in merged[name]]
            merged[name] += [entry for entry in spec.get(name, ()) if name != "args" or entry["name"] not in present]
        waiting += spec.get("templates", ())
    names = [metric["name"] for metric in merged["metrics"]]
    if len(set(names)) < len(names):
        raise InvalidSpec(f"two metrics have the same name '{next(n for n in names if names.count(n) > 1)}'")
    return merged


def _argument(declared: Manifest, passed: dict[str, str]) -> Manifest:
    """Return an argument of the run: a Secret's stays a reference, what the Rollout passes beats the default."""
    if "secretKeyRef" in declared.get("valueFrom", {}):
        return declared
    value = passed.get(declared["name"], declared.get("value"))
    if value is None:
        raise InvalidSpec(f"args.{declared['name']} was not resolved")
    return {"name": declared["name"], "value": value}


def _passed(arg: Manifest, rollout: Manifest, latest: str) -> str:
    if "value" in arg:
        return str(arg["value"])
    source = arg["valueFrom"]
    if "podTemplateHashValue" in source:
        return latest if source["podTemplateHashValue"] == "Latest" else str(rollout["status"].get("stableRS", ""))
    node: Any = rollout
    path = source["fieldRef"]["fieldPath"]
    for key in re.findall(r"[^.\[\]']+", path):
        if not isinstance(node, dict) or key not in node:
            raise InvalidSpec(f"invalid path {path} in rollout")
        node = node[key]
    return str(node)
