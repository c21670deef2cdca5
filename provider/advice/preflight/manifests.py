"""The manifests of a Rollout and of everything that it leads to, as plain objects of the API."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from provider.advice.preflight.seen import Seen
from provider.endpoints import endpoints

Object = Mapping[str, Any]

PROVIDER_PATH = "/v1/"

ARGUMENT = re.compile(r"\{\{\s*(?:inputs|args)\.([\w-]+)\s*\}\}")
"""How Argo's templates refer to an argument."""


class NotManifests(Exception):
    """The input is not YAML or JSON of Kubernetes objects; the text says where."""


def at(node: Any, path: str, default: Any = None) -> Any:
    """Return what lies at a path of keys separated by dots; the default where anything on the way is absent."""
    for key in path.split("."):
        if not isinstance(node, Mapping) or node.get(key) is None:
            return default
        node = node[key]
    return node


def name_of(one: Object) -> str:
    """Return an object's name."""
    return str(at(one, "metadata.name", ""))


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis of a Rollout: where it is in the strategy, its templates, and the arguments that it passes."""

    use: str
    templates: tuple[Object, ...]
    missing: tuple[tuple[str, str], ...]
    """Kind and name of templates that are not among the manifests."""
    arguments: tuple[Object, ...]
    dry_run: tuple[Object, ...]

    @property
    def metrics(self) -> list[Object]:
        """Every metric of its templates."""
        return [metric for one in self.templates for metric in at(one, "spec.metrics", [])]

    @property
    def is_background(self) -> bool:
        """Whether it runs beside the steps of a canary, where a metric may be endless."""
        return self.use == "analysis"


@dataclass(frozen=True, slots=True)
class Manifests:
    """Objects by kind, namespace and name; later ones of the same name replace earlier ones, as kubectl does."""

    objects: Mapping[tuple[str, str, str], Object]
    is_live: bool = False
    """Whether everything there is was read, so that what is absent does not exist."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Kinds that could not be read, each with a sentence: nothing is known of them."""
    seen: Seen = field(default_factory=Seen)
    """What the cluster and AWS say beyond the objects."""
    before: "Manifests | None" = None
    """The manifests before an edit, if they are known."""

    def of(self, kind: str, namespace: str) -> Iterator[Object]:
        """Yield every object of a kind in a namespace."""
        for (found, where, _), one in self.objects.items():
            if (found, where) == (kind, namespace):
                yield one

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return one object."""
        return self.objects.get((kind, namespace, name))


def parse(text: str, namespace: str = "default") -> Manifests:
    """Read a stream of YAML or JSON documents, Lists included. Raises NotManifests.

    `namespace` is where an object without one goes, as with `kubectl apply`.
    """
    found: dict[tuple[str, str, str], Object] = {}
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotManifests(f"it is not YAML (line {mark.line + 1})" if mark else "it is not YAML") from error
    for document in _each(documents):
        if not isinstance(document, Mapping) or not isinstance(document.get("kind"), str):
            raise NotManifests(f"a document is no Kubernetes object: {str(document)[:60]}")
        where = "" if document["kind"] in _CLUSTERED else str(at(document, "metadata.namespace", namespace))
        found[document["kind"], where, name_of(document)] = document
    return Manifests(found)


_CLUSTERED = {"Namespace", "ClusterAnalysisTemplate", "Node"}


def _each(documents: Iterable[Any]) -> Iterator[Any]:
    for one in documents:
        if isinstance(one, Mapping) and one.get("kind") == "List":
            yield from _each(one.get("items") or ())
        elif one is not None:
            yield one


@dataclass(frozen=True, slots=True)
class Setup:
    """A Rollout and what it leads to: what every rule gets."""

    rollout: Object
    manifests: Manifests

    @property
    def namespace(self) -> str:
        """The Rollout's namespace."""
        return next(where for (kind, where, _), one in self.manifests.objects.items() if one is self.rollout)

    @property
    def name(self) -> str:
        """The Rollout's name."""
        return name_of(self.rollout)

    @property
    def blue_green(self) -> Object | None:
        """`spec.strategy.blueGreen`, if that is the strategy."""
        found: Object | None = at(self.rollout, "spec.strategy.blueGreen")
        return found

    @property
    def canary(self) -> Object | None:
        """`spec.strategy.canary`, if that is the strategy."""
        found: Object | None = at(self.rollout, "spec.strategy.canary")
        return found

    @property
    def is_ping_pong(self) -> bool:
        """Whether no selector of production changes at a switch."""
        return bool(at(self.canary, "pingPong"))

    @property
    def pod(self) -> Object:
        """The pod template; empty with `workloadRef`, whose workload may be elsewhere."""
        template: Object = at(self.rollout, "spec.template", {})
        return template

    @property
    def service_names(self) -> dict[str, str]:
        """The names of the strategy's Services by their field."""
        fields = {
            "activeService": at(self.blue_green, "activeService"),
            "previewService": at(self.blue_green, "previewService"),
            "stableService": at(self.canary, "stableService"),
            "canaryService": at(self.canary, "canaryService"),
            "pingService": at(self.canary, "pingPong.pingService"),
            "pongService": at(self.canary, "pingPong.pongService"),
        }
        return {field: str(name) for field, name in fields.items() if name}

    @property
    def services(self) -> dict[str, Object]:
        """The strategy's Services that are among the manifests, by name."""
        found = {name: self.manifests.find("Service", self.namespace, name) for name in self.service_names.values()}
        return {name: one for name, one in found.items() if one is not None}

    @property
    def ingresses(self) -> list[Object]:
        """The Ingresses of its namespace."""
        return list(self.manifests.of("Ingress", self.namespace))

    @property
    def bindings(self) -> list[Object]:
        """The TargetGroupBindings of its namespace that name one of its Services."""
        names = set(self.service_names.values())
        every = self.manifests.of("TargetGroupBinding", self.namespace)
        return [one for one in every if at(one, "spec.serviceRef.name") in names]

    @property
    def analyses(self) -> list[Analysis]:
        """Every analysis of the strategy, in order."""
        specs = {use: at(self.blue_green, use) for use in ("prePromotionAnalysis", "postPromotionAnalysis")}
        specs["analysis"] = at(self.canary, "analysis")
        steps = enumerate(at(self.canary, "steps", []))
        specs |= {f"steps[{number}]": at(step, "analysis") for number, step in steps}
        return [self._analysis(use, spec) for use, spec in specs.items() if spec]

    def _analysis(self, use: str, spec: Object) -> Analysis:
        templates, missing = [], []
        for reference in spec.get("templates") or ():
            clustered = bool(reference.get("clusterScope"))
            kind = "ClusterAnalysisTemplate" if clustered else "AnalysisTemplate"
            name = str(reference.get("templateName", ""))
            found = self.manifests.find(kind, "" if clustered else self.namespace, name)
            if found is None:
                missing.append((kind, name))
            else:
                templates.append(found)
        arguments, dry_run = spec.get("args") or (), spec.get("dryRun") or ()
        return Analysis(use, tuple(templates), tuple(missing), tuple(arguments), tuple(dry_run))

    @property
    def gates(self) -> list[Analysis]:
        """The analyses that decide before the switch: of a canary those before its last weight."""
        return [one for one in self.analyses if one.use == "prePromotionAnalysis" or one.use.startswith("steps[")]

    @property
    def asks_provider(self) -> bool:
        """Whether an analysis before the switch asks this provider, as far as its templates are known."""
        return any(is_ours(metric) or _is_our_job(metric) for one in self.gates for metric in one.metrics)

    @property
    def hands_over(self) -> bool:
        """Whether an analysis before the switch asks for a handover."""
        urls = [str(at(metric, "provider.web.url", "")) for one in self.gates for metric in one.metrics]
        return any(url.split("?")[0].endswith("/v1/handover") for url in urls)


def is_ours(metric: Object) -> bool:
    """Tell whether a metric asks an endpoint of this provider."""
    path = str(at(metric, "provider.web.url", "")).split("?")[0]
    return PROVIDER_PATH in path and path.rpartition("/")[2] in endpoints()


def _is_our_job(metric: Object) -> bool:
    """Tell whether a metric is a Job that runs our command."""
    return "alb-provider" in json.dumps(at(metric, "provider.job", {}), default=str)


def setups(manifests: Manifests) -> list[Setup]:
    """Return each Rollout among the manifests with what it leads to."""
    return [Setup(one, manifests) for (kind, _, _), one in manifests.objects.items() if kind == "Rollout"]
