"""A Rollout and everything that it leads to, in the records and by the rules of the live gate."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from provider.advice.preflight.findings import Hit
from provider.advice.preflight.manifests import Manifests, Object, at, label_of, name_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model import records
from provider.model.analysis import Analysis, AnalysisMetric
from provider.rules.analysis import analyses_of, places_of
from provider.rules.analysis_arguments import PLACEHOLDER, mapping, name_in
from provider.rules.green import production_of
from provider.sources.kubernetes.schemas import FieldPath
from provider.sources.kubernetes.shapes.answers import record_of
from provider.sources.kubernetes.shapes.rollout import Rollout as RolloutShape
from provider.sources.kubernetes.shapes.service import Service as ServiceShape

_TEMPLATES = ("AnalysisTemplate", "ClusterAnalysisTemplate")


@dataclass(frozen=True, eq=False)
class Setup:
    """What every rule gets."""

    rollout: Object
    namespace: str
    manifests: Manifests

    @property
    def name(self) -> str:
        """The Rollout's name."""
        return name_of(self.rollout)

    @property
    def label(self) -> str:
        """The Rollout's kind and name."""
        return label_of(self.rollout)

    def find(self, kind: str, name: str) -> Object | None:
        """Return an object of its namespace."""
        return self.manifests.find(kind, self.namespace, name)

    def of(self, kind: str) -> list[Object]:
        """Return every object of a kind in its namespace."""
        return self.manifests.of(kind, self.namespace)

    def hit(self, says: str, *path: str | int, also: tuple[str, ...] = (), is_certain: bool = True) -> Hit:
        """Return what was found in a field of the Rollout; `also` has other objects concerned."""
        return Hit(says, (self.label, *also), path, is_certain)

    def strategy_hit(self, says: str, *path: str | int, also: tuple[str, ...] = (), is_certain: bool = True) -> Hit:
        """Return what was found in a field of the Rollout's strategy."""
        return self.hit(says, "spec", "strategy", self.strategy, *path, also=also, is_certain=is_certain)

    def field_path(self, field: str, argument: str = "") -> FieldPath:
        """Return where a Service or an analysis is below the strategy, or an argument that is passed to it."""
        if field in {"pingService", "pongService"}:
            return "pingPong", field
        path: FieldPath = ("steps", int(field[6:-1]), "analysis") if field.startswith("steps[") else (field,)
        numbers = [number for number, given in enumerate(self.passed(field)) if at(given, "name") == argument]
        return (*path, "args", numbers[-1]) if argument and numbers else path

    @property
    def strategy(self) -> str:
        """The field of the strategy."""
        return "blueGreen" if self.blue_green is not None else "canary"

    @property
    def has_strategy(self) -> bool:
        """Whether the strategy is one of Argo's."""
        return self.blue_green is not None or self.canary is not None

    @cached_property
    def places(self) -> dict[str, Object]:
        """Each analysis of the strategy, by its place there."""
        return places_of(self.rollout)

    def passed(self, place: str) -> list[Any]:
        """Return the arguments that the Rollout passes to an analysis."""
        return list(at(self.places.get(place), "args", ()))

    @cached_property
    def blue_green(self) -> Object | None:
        """`spec.strategy.blueGreen`, if that is the strategy."""
        value = at(self.rollout, "spec.strategy.blueGreen")
        return value if isinstance(value, Mapping) else None

    @cached_property
    def canary(self) -> Object | None:
        """`spec.strategy.canary`, if that is the strategy."""
        value = at(self.rollout, "spec.strategy.canary")
        return value if isinstance(value, Mapping) and self.blue_green is None else None

    @cached_property
    def _decoded(self) -> tuple[records.Rollout, str]:
        metadata = at(self.rollout, "metadata", {}) | {"name": self.name, "namespace": self.namespace}
        manifest = {"spec": {}, **self.rollout, "metadata": {"uid": "manifest", **metadata}}
        try:
            return record_of(RolloutShape, manifest), ""
        except msgspec.ValidationError as error:
            metadata = {"uid": "manifest", "name": self.name[:253], "namespace": self.namespace[:253]}
            return record_of(RolloutShape, {"metadata": metadata, "spec": {}}), str(error)

    @property
    def unreadable(self) -> str:
        """Why the provider could not read the Rollout; empty if it can."""
        return self._decoded[1]

    @cached_property
    def record(self) -> records.Rollout:
        """The Rollout as the live gate reads it, at full size: an autoscaler keeps its range, but leaves 0 alone."""
        written, (least, most) = self._decoded[0], self.scale_range
        if self.autoscaler is None or (written.replicas == 0 and at(self.rollout, "spec.replicas") == 0):
            return written
        return replace(written, replicas=int(min(max(written.replicas, least), max(most, least))))

    @cached_property
    def autoscaler(self) -> Object | None:
        """The HorizontalPodAutoscaler that scales the Rollout."""
        for scaler in self.of("HorizontalPodAutoscaler"):
            target = at(scaler, "spec.scaleTargetRef", {})
            if (at(target, "kind"), at(target, "name")) == ("Rollout", self.name):
                return scaler
        return None

    @property
    def scale_range(self) -> tuple[int, int]:
        """The least and the most pods that the autoscaler wants, with the API's defaults."""
        return at(self.autoscaler, "spec.minReplicas", 1), at(self.autoscaler, "spec.maxReplicas", 1)

    @cached_property
    def service_names(self) -> dict[str, str]:
        """The names of the Services that get traffic, by their field; beside a pair the others are a mesh's."""
        strategy = self.record.strategy
        if isinstance(strategy, records.BlueGreen):
            names = {"activeService": strategy.active_service, "previewService": strategy.preview_service}
        elif strategy.is_ping_pong:
            names = {"pingService": strategy.ping_service, "pongService": strategy.pong_service}
        else:
            names = {"stableService": strategy.stable_service, "canaryService": strategy.canary_service}
        return {field: name for field, name in names.items() if name}

    @property
    def named_services(self) -> dict[str, str]:
        """Every Service that Argo looks for, by its field: beside a pair that of a mesh too."""
        names = {field: str(at(self.canary, field, "")) for field in ("stableService", "canaryService")}
        return {field: name for field, name in names.items() if name} | self.service_names

    @property
    def production(self) -> str:
        """The Service by which users reach the stable version, as the live gate finds it; empty without one."""
        return production_of(self.record) or ""

    @property
    def green_service(self) -> str:
        """The Service by which green is checked before the switch; empty without one."""
        names = self.service_names
        if self.record.is_ping_pong:
            return next((name for name in names.values() if name != self.production), "")
        return names.get("previewService") or names.get("canaryService", "")

    @cached_property
    def root(self) -> str:
        """The Service whose rules Argo gives an action (`rootService`, else the stable Service); empty without ALB."""
        alb = at(self.canary, "trafficRouting.alb")
        return "" if alb is None else str(at(alb, "rootService") or at(self.canary, "stableService", ""))

    @cached_property
    def routed_ingresses(self) -> list[str]:
        """The names of the Ingresses whose actions Argo writes."""
        alb = at(self.canary, "trafficRouting.alb", {})
        several = at(alb, "ingresses")
        names = several if isinstance(several, list) and several else [at(alb, "ingress")]
        return [str(name) for name in names if name]

    @cached_property
    def services(self) -> dict[str, Object]:
        """The strategy's Services that are among the manifests, by name."""
        found = {name: self.find("Service", name) for name in self.service_names.values()}
        return {name: manifest for name, manifest in found.items() if manifest is not None}

    def service(self, name: str) -> records.Service | None:
        """Return a Service of the namespace as the live gate reads it; None if it is absent or cannot be read."""
        manifest = self.find("Service", name)
        try:
            return None if manifest is None else record_of(ServiceShape, {"spec": {}, **manifest})
        except msgspec.ValidationError:
            return None

    @cached_property
    def bindings(self) -> list[Object]:
        """The TargetGroupBindings of its namespace that name one of its Services."""
        names = set(self.service_names.values())
        every = self.of("TargetGroupBinding")
        return [manifest for manifest in every if at(manifest, "spec.serviceRef.name") in names]

    @cached_property
    def workload(self) -> Object | None:
        """What has the pod template: the Rollout, or the workload that it names; None if that is not known."""
        reference = at(self.rollout, "spec.workloadRef")
        return self.rollout if reference is None else self.find(*self.workload_key)

    @property
    def workload_key(self) -> tuple[str, str]:
        """Its kind and name."""
        reference = at(self.rollout, "spec.workloadRef", {"kind": "Rollout", "name": self.name})
        return str(at(reference, "kind", "Deployment")), str(at(reference, "name", ""))

    @cached_property
    def pod(self) -> Object:
        """The pod template; empty if it is of a workload that is not known."""
        template: Object = at(self.workload, "spec.template") or at(self.workload, "template", {})
        return template

    def selects_pods(self, service: str) -> bool:
        """Tell whether a Service selects the Rollout's pods, of whatever version."""
        selector = at(self.find("Service", service), "spec.selector", {})
        labels = at(self.pod, "metadata.labels", {})
        return bool(selector) and all(labels.get(key) == value for key, value in selector.items())

    @cached_property
    def templates(self) -> dict[tuple[str, str], Object]:
        """The templates that analyses of its namespace can use."""
        return {
            (kind, name_of(manifest)): manifest
            for kind, namespace in zip(_TEMPLATES, (self.namespace, ""), strict=True)
            for manifest in self.manifests.of(kind, namespace)
        }

    @cached_property
    def analyses(self) -> tuple[Analysis, ...]:
        """Every analysis of the strategy as Argo would run it."""
        metadata = {**at(self.rollout, "metadata", {}), "namespace": self.namespace}
        return analyses_of({**self.rollout, "metadata": metadata}, self.templates, endpoints())

    @cached_property
    def gates(self) -> list[Analysis]:
        """The analyses that decide before the switch: of a canary those before all weight is green's."""
        steps = self.record.strategy.steps if isinstance(self.record.strategy, records.Canary) else ()
        last = next((number for number, step in enumerate(steps) if (step.weight or 0) >= 100), len(steps))
        before = {f"steps[{number}]" for number in range(last)}
        wanted = {"prePromotionAnalysis"} if self.blue_green is not None else before
        return [analysis for analysis in self.analyses if analysis.place in wanted]

    @property
    def asking_steps(self) -> dict[int, Analysis]:
        """The steps of a canary before the switch that ask this provider, by their number."""
        gates = self.gates if self.canary is not None else ()
        return {int(gate.place[6:-1]): gate for gate in gates if gate.queries}

    @property
    def asks_provider(self) -> bool:
        """Whether an analysis before the switch asks this provider, as far as its templates are known."""
        return any(analysis.queries for analysis in self.gates)

    @property
    def hands_over(self) -> bool:
        """Whether an analysis that the switch waits for asks for a handover; of a canary that is its last step too."""
        queries = [metric.query for one in self.analyses if one.is_before_switch for metric in one.queries]
        return any(query is not None and query.endpoint == handover.NAME for query in queries)

    @cached_property
    def metrics(self) -> list["MetricPlace"]:
        """Each metric of each analysis, with its place."""
        return [MetricPlace(self, analysis, metric) for analysis in self.analyses for metric in analysis.metrics]

    @cached_property
    def queries(self) -> list["MetricPlace"]:
        """Each metric that asks this provider, with its place."""
        return [place for place in self.metrics if place.metric.query is not None]


@dataclass(frozen=True)
class MetricPlace:
    """Where a metric is: its analysis, its template, and itself as the template has it, with arguments in braces."""

    setup: Setup
    analysis: Analysis
    metric: AnalysisMetric

    def __str__(self) -> str:
        return f"Metric {self.metric.name or '(no name)'} of {self.metric.template[1]}"

    @property
    def here(self) -> str:
        """How a sentence names the metric and its analysis."""
        return f"Metric {self.metric.name} in {self.analysis.place}"

    @cached_property
    def _written(self) -> tuple[int, Object]:
        several = at(self.setup.templates.get(self.metric.template), "spec.metrics", [])
        named = ((number, item) for number, item in enumerate(several) if at(item, "name") == self.metric.name)
        return next(named, (0, {}))

    def hit(self, says: str, *path: str | int, also: tuple[str, ...] = ()) -> Hit:
        """Return what was found in a field of the metric."""
        return Hit(says, ("/".join(self.metric.template), *also), ("spec", "metrics", self._written[0], *path))

    def web_hit(self, says: str, field: str, also: tuple[str, ...] = ()) -> Hit:
        """Return what was found in its request; a Job has none."""
        return self.hit(says, *(("provider", "web", field) if self.metric.provider == "web" else ()), also=also)

    def argument_hit(self, says: str, argument: str, *, also: bool = False) -> Hit:
        """Return what was found in an argument that the Rollout passes to its analysis."""
        template = ("/".join(self.metric.template),) if also else ()
        return self.setup.strategy_hit(says, *self.setup.field_path(self.analysis.place, argument), also=template)

    @property
    def endpoint(self) -> str:
        """The endpoint of this provider that it asks; empty for another metric."""
        return self.metric.query.endpoint if self.metric.query else ""

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of its query to this provider."""
        return dict(self.metric.query.parameters) if self.metric.query else {}

    @property
    def misspelt_endpoint(self) -> str:
        """The path of an endpoint that there is not, if the parameters are those of this provider; else empty."""
        url = self.metric.request.url if self.metric.request and self.metric.query is None else ""
        _, is_versioned, end = url.partition("/v1/")
        is_ours = is_versioned and {"namespace", "rollout"} <= set(re.findall(r"[?&](\w+)=", url))
        return f"/v1/{end.partition('?')[0]}" if is_ours else ""

    @property
    def url(self) -> str:
        """Its URL as the template has it."""
        return str(at(self._written[1], "provider.web.url", ""))

    @cached_property
    def arguments(self) -> dict[str, list[str]]:
        """The arguments that stand in each parameter of its query."""
        try:
            pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        except ValueError:
            pairs = []
        body = mapping(at(self._written[1], "provider.web.jsonBody"))
        pairs += [(str(name), str(value)) for name, value in body.items()]
        return {name: [name_in(text) for text in PLACEHOLDER.findall(value) if name_in(text)] for name, value in pairs}


def setups(manifests: Manifests) -> list[Setup]:
    """Return each Rollout among the manifests with what it leads to."""
    every = manifests.objects.items()
    return [Setup(manifest, namespace, manifests) for (kind, namespace, _), manifest in every if kind == "Rollout"]
