"""The Ingresses of the ALB controller: which are, what their rules lead to, and what their annotations say.

Source: AWS Load Balancer Controller 3.5, pkg/ingress; docs/guide/ingress/ingress_class.md.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provider.advice.preflight.manifests import Object, at
from provider.advice.preflight.setup import Setup
from provider.sources.kubernetes.schemas import FieldPath

ALB = "alb.ingress.kubernetes.io/"
USE_ANNOTATION = "use-annotation"
CONTROLLERS = ("ingress.k8s.aws/alb", "eks.amazonaws.com/alb")
OTHERS = ("nginx", "traefik", "haproxy", "kong", "istio", "gce", "contour", "cilium", "azure", "openshift", "apisix")
"""How the IngressClass of other controllers begins, by their own documentation."""

Forward = tuple[str, int | str, int]
"""A Service, its port as written, and its weight."""


@dataclass(frozen=True)
class Backend:
    """A backend of an Ingress: the Service or action that a rule names, with its port as written, and where it is."""

    name: str
    port: int | str
    path: FieldPath
    host: str = ""
    route: str = "/"
    kind: str = ""

    @property
    def match(self) -> tuple[str, str, str]:
        """Which requests its rule takes."""
        return self.host, self.route, self.kind


def annotations_of(manifest: Object | None) -> Mapping[str, str]:
    """Return an object's annotations."""
    annotations: Mapping[str, str] = at(manifest, "metadata.annotations", {})
    return annotations


def ingresses(setup: Setup) -> list[Object]:
    """Return the Ingresses of the namespace that are the ALB controller's, or may be."""
    every = setup.of("Ingress")
    return [ingress for ingress in every if controller_of(setup, ingress) is not False]


def controller_of(setup: Setup, ingress: Object) -> bool | None:
    """Tell whether an Ingress is the ALB controller's; None if nothing tells."""
    name = _class_name(ingress)
    known = setup.manifests.find("IngressClass", "", name)
    if known is not None:
        return at(known, "spec.controller") in CONTROLLERS
    if name == "alb" or name.startswith(OTHERS):
        return name == "alb"
    if any(key.startswith(ALB) for key in annotations_of(ingress)):
        return True
    return False if any(".ingress.kubernetes.io/" in key for key in annotations_of(ingress)) else None


def _class_name(ingress: Object) -> str:
    return str(at(ingress, "spec.ingressClassName") or annotations_of(ingress).get("kubernetes.io/ingress.class", ""))


def class_params(setup: Setup, ingress: Object) -> Object:
    """Return the IngressClassParams of an Ingress, which beat its annotations; empty without any."""
    reference = at(setup.manifests.find("IngressClass", "", _class_name(ingress)), "spec.parameters.name", "")
    params: Object = at(setup.manifests.find("IngressClassParams", "", str(reference)), "spec", {})
    return params


def scheme_of(setup: Setup, ingress: Object) -> str:
    """Return whether an Ingress's load balancer is internal or internet-facing."""
    written = at(class_params(setup, ingress), "scheme") or annotations_of(ingress).get(f"{ALB}scheme")
    return str(written or "internal")


def actions_of(ingress: Object) -> dict[str, list[Forward]]:
    """Return the Services, ports and weights that each action in an annotation forwards to, by the action's name."""
    prefix = f"{ALB}actions."
    annotations = annotations_of(ingress).items()
    return {key.removeprefix(prefix): list(_forwards(text)) for key, text in annotations if key.startswith(prefix)}


def _forwards(text: str) -> Iterator[Forward]:
    try:
        groups = at(_lowered(json.loads(text)), "forwardconfig.targetgroups", [])
    except (ValueError, RecursionError):
        return
    for group in groups if isinstance(groups, list) else []:
        if at(group, "servicename"):
            weight = at(group, "weight", 1)
            yield str(group["servicename"]), at(group, "serviceport", ""), weight if isinstance(weight, int) else 1


def _lowered(node: Any) -> Any:
    """Return JSON with its keys in lower case: Go takes them in any."""
    if isinstance(node, Mapping):
        return {str(key).lower(): _lowered(value) for key, value in node.items()}
    return [_lowered(item) for item in node] if isinstance(node, list) else node


def backends_of(ingress: Object) -> list[Backend]:
    """Return every backend of an Ingress, in the order of its rules; the default one is the last."""
    backends = [
        _backend(at(path, "backend", {}), ("spec", "rules", number, "http", "paths", index), rule, path)
        for number, rule in enumerate(at(ingress, "spec.rules", []))
        for index, path in enumerate(at(rule, "http.paths", []))
    ]
    default = at(ingress, "spec.defaultBackend")
    return [*backends, *([_backend(default, ("spec", "defaultBackend"), {}, {})] if default else [])]


def _backend(backend: Object, where: FieldPath, rule: Object, path: Object) -> Backend:
    port = at(backend, "service.port.name") or at(backend, "service.port.number", "")
    route, kind = str(at(path, "path", "/")), str(at(path, "pathType", ""))
    return Backend(str(at(backend, "service.name", "")), port, where, str(at(rule, "host", "")), route, kind)


def forwards_of(setup: Setup, ingress: Object, backend: Backend) -> list[Forward]:
    """Return what a backend forwards to: itself, or its action, into which Argo writes the strategy's Services."""
    if backend.port != USE_ANNOTATION:
        return [(backend.name, backend.port, 1)]
    forwards = actions_of(ingress).get(backend.name, [])
    if backend.name != setup.root or at(ingress, "metadata.name") not in setup.routed_ingresses:
        return forwards
    named, port = {name for name, _, _ in forwards}, str(at(setup.canary, "trafficRouting.alb.servicePort", ""))
    return [*forwards, *((name, port, 0) for name in setup.service_names.values() if name not in named)]
