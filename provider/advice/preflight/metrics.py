"""Where a metric is that an analysis measures, in its template and among the analyses of the Rollout."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

from provider.advice.preflight.findings import Hit
from provider.advice.preflight.manifests import Object, at
from provider.model.analysis import Analysis, AnalysisMetric, TemplateKey
from provider.rules.analysis_arguments import PLACEHOLDER, mapping, name_in
from provider.sources.kubernetes.schemas import FieldPath


@dataclass(frozen=True)
class MetricPlace:
    """Where a metric is: its analysis, its template, and itself as the template has it, with arguments in braces."""

    analysis: Analysis
    metric: AnalysisMetric
    path: FieldPath
    written: Object

    def __str__(self) -> str:
        return f"Metric {self.metric.name or '(no name)'} of {self.metric.template[1]}"

    @property
    def here(self) -> str:
        """How a sentence names the metric and its analysis."""
        return f"Metric {self.metric.name} in {self.analysis.place}"

    @property
    def label(self) -> str:
        """The template's kind and name."""
        return "/".join(self.metric.template)

    def hit(self, says: str, *path: str | int, also: tuple[str, ...] = ()) -> Hit:
        """Return what was found in a field of the metric."""
        return Hit(says, (self.label, *also), (*self.path, *path))

    def web_hit(self, says: str, field: str, also: tuple[str, ...] = ()) -> Hit:
        """Return what was found in its request; a Job has none."""
        return self.hit(says, *(("provider", "web", field) if self.metric.provider == "web" else ()), also=also)

    @property
    def misspelt_endpoint(self) -> str:
        """The path of an endpoint that there is not, if the parameters are those of this provider; else empty."""
        url = self.metric.request.url if self.metric.request and self.metric.query is None else ""
        _, is_versioned, end = url.partition("/v1/")
        is_ours = is_versioned and {"namespace", "rollout"} <= set(re.findall(r"[?&](\w+)=", url))
        return f"/v1/{end.partition('?')[0]}" if is_ours else ""

    @cached_property
    def arguments(self) -> dict[str, list[str]]:
        """The arguments that stand in each parameter of its query."""
        web = mapping(at(self.written, "provider.web"))
        try:
            pairs = parse_qsl(urlsplit(str(web.get("url", ""))).query, keep_blank_values=True)
        except ValueError:
            pairs = []
        pairs += [(str(name), str(value)) for name, value in mapping(web.get("jsonBody")).items()]
        return {name: [name_in(text) for text in PLACEHOLDER.findall(value) if name_in(text)] for name, value in pairs}


def places(
    analyses: Iterable[Analysis], templates: Mapping[TemplateKey, Object]
) -> Iterator[tuple[AnalysisMetric, MetricPlace]]:
    """Yield each metric with its place."""
    for analysis in analyses:
        for metric in analysis.metrics:
            several = at(templates.get(metric.template), "spec.metrics", [])
            number = next((number for number, item in enumerate(several) if at(item, "name") == metric.name), None)
            written = several[number] if number is not None else {}
            yield metric, MetricPlace(analysis, metric, ("spec", "metrics", number or 0), written)
