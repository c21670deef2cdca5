"""The manifests of a running Rollout, as somebody would have written them: without what a server or Argo added."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from provider.advice.preflight.manifests import Object, at
from provider.advice.preflight.routing import backends_of, ingresses
from provider.advice.preflight.setup import Setup
from provider.model.records import HASH_LABEL

OF_PEOPLE = ("name", "namespace", "labels", "annotations")
"""What people write of an object's metadata; the rest is the API server's."""

WRITTEN_BY_MACHINES = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "rollout.argoproj.io/",
    "argo-rollouts.argoproj.io/",
)
"""Annotations that kubectl and Argo write, by their beginning."""

ASSIGNED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "sessionAffinity")
"""Fields of a Service that the API server fills in."""


def text_of(setup: Setup) -> str:
    """Return the Rollout, its Services, Ingresses and templates as YAML."""
    keys = dict.fromkeys(key for analysis in setup.analyses for key in analysis.templates)
    names = set(setup.service_names.values())
    near = [one for one in ingresses(setup) if names & {backend.name for backend in backends_of(one)}]
    objects = [setup.rollout, *setup.services.values(), *near, *(setup.templates[key] for key in keys)]
    return yaml.safe_dump_all(_written(objects), sort_keys=False, width=float("inf"))


def _written(objects: Iterable[Object]) -> Iterable[dict[str, Any]]:
    for one in objects:
        metadata = {key: at(one, f"metadata.{key}") for key in OF_PEOPLE if at(one, f"metadata.{key}")}
        if "annotations" in metadata:
            metadata["annotations"] = _of_people(metadata["annotations"])
        head = {"apiVersion": one.get("apiVersion") or _API_VERSIONS[one["kind"]], "kind": one["kind"]}
        yield {**head, "metadata": {key: value for key, value in metadata.items() if value}, "spec": _spec(one)}


_API_VERSIONS = {"Service": "v1", "Ingress": "networking.k8s.io/v1"}
"""Of kinds whose lists leave it out of their items."""


def _of_people(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if not key.startswith(WRITTEN_BY_MACHINES)}


def _spec(one: Object) -> dict[str, Any]:
    spec = dict(one.get("spec") or {})
    if one["kind"] != "Service":
        return spec
    selector = {key: value for key, value in at(one, "spec.selector", {}).items() if key != HASH_LABEL}
    return {**{key: value for key, value in spec.items() if key not in ASSIGNED}, "selector": selector}
