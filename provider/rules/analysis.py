"""What does a Rollout's gate ask? From its templates and the Rollout's arguments, or from an AnalysisRun.

The one place that knows: `explain`, the status page, `check --as-argo` and preflight use it. It reads the objects as
Argo does, never raises for a malformed one, and names what is wrong instead.

Source: Argo Rollouts 1.10.1, rollout/analysis.go and utils/analysis/helpers.go (templates), analysis/analysis.go
(AnalysisRuns).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from provider.model.analysis import (
    BACKGROUND,
    POST_PROMOTION,
    PRE_PROMOTION,
    Analysis,
    AnalysisMetric,
    Argument,
    Object,
    Problem,
    ProblemKind,
    TemplateKey,
)
from provider.rules.analysis_arguments import inserted, mapping, merged, name_in, passed_by, placeholders
from provider.rules.analysis_metrics import items, metric_of

_CLUSTERED, _NAMESPACED = "ClusterAnalysisTemplate", "AnalysisTemplate"


def places_of(rollout: Object) -> dict[str, Object]:
    """Return each `RolloutAnalysis` of a Rollout's strategy by its path in it."""
    strategy = mapping(mapping(rollout.get("spec")).get("strategy"))
    blue_green, canary = mapping(strategy.get("blueGreen")), mapping(strategy.get("canary"))
    places = {place: mapping(blue_green.get(place)) for place in (PRE_PROMOTION, POST_PROMOTION)}
    places[BACKGROUND] = mapping(canary.get("analysis"))
    for number, step in enumerate(items(canary.get("steps"))):
        places[f"steps[{number}]"] = mapping(mapping(step).get("analysis"))
    return {place: analysis for place, analysis in places.items() if analysis}


def wanted_templates(rollout: Object, templates: Mapping[TemplateKey, Object]) -> set[TemplateKey]:
    """Return every template that the analyses name, directly or through the templates that are known."""
    return {key for analysis in places_of(rollout).values() for key in templates_of(analysis, templates)}


def templates_of(analysis: Object, templates: Mapping[TemplateKey, Object]) -> list[TemplateKey]:
    """Return every template that one analysis names, directly or through the templates that are known."""
    return list(dict.fromkeys(_walk(analysis.get("templates"), templates)))


def analyses_of(
    rollout: Object,
    templates: Mapping[TemplateKey, Object],
    endpoints: Collection[str],
    unread: Mapping[TemplateKey, str] | None = None,
) -> tuple[Analysis, ...]:
    """Return what each analysis of a Rollout asks, in the strategy's order.

    `unread` has a sentence for each template that could not be read; one that is in neither does not exist.
    """
    return tuple(
        _from_templates(place, analysis, rollout, templates, endpoints, unread or {})
        for place, analysis in places_of(rollout).items()
    )


def analysis_of_run(run: Object, endpoints: Collection[str]) -> Analysis:
    """Return what an AnalysisRun asks; its place is empty if its labels do not say."""
    metadata, spec = mapping(run.get("metadata")), mapping(run.get("spec"))
    declared = [("the AnalysisRun", mapping(argument)) for argument in items(spec.get("args"))]
    arguments, problems = merged({}, declared)
    metrics, wrong = _metrics(_named_metrics(spec, ("", "")), spec, {}, arguments, endpoints)
    return Analysis(
        place=place_of_run(run),
        metrics=metrics,
        arguments=arguments,
        problems=(*problems, *wrong),
        run=str(metadata.get("name", "")),
    )


def place_of_run(run: Object) -> str:
    """Return the place in the strategy that an AnalysisRun is for, by the labels that Argo gives it; else empty."""
    labels = mapping(mapping(run.get("metadata")).get("labels"))
    places = {"PrePromotion": PRE_PROMOTION, "PostPromotion": POST_PROMOTION, "Background": BACKGROUND}
    kind = str(labels.get("rollout-type", ""))
    return f"steps[{labels.get('step-index', '')}]" if kind == "Step" else places.get(kind, "")


def _from_templates(
    place: str,
    analysis: Object,
    rollout: Object,
    templates: Mapping[TemplateKey, Object],
    endpoints: Collection[str],
    unread: Mapping[TemplateKey, str],
) -> Analysis:
    keys = templates_of(analysis, templates)
    # Argo joins templates of the namespace first, then those of the cluster.
    known = sorted((key for key in keys if key in templates), key=lambda key: key[0] == _CLUSTERED)
    problems = [
        Problem(unread.get(key) or f"{key[0]} {key[1] or '(no name)'} does not exist", ProblemKind.TEMPLATE)
        for key in keys
        if key not in templates
    ]
    specs = {key: mapping(mapping(templates[key]).get("spec")) for key in known}
    passed, wrong = passed_by(rollout, items(analysis.get("args")))
    declared = [
        (f"{key[0]} {key[1]}", mapping(argument)) for key, spec in specs.items() for argument in items(spec.get("args"))
    ]
    arguments, contradictions = merged(passed, declared)
    named = [metric for key, spec in specs.items() for metric in _named_metrics(spec, key)]
    rules = {
        field: [*items(analysis.get(field)), *(rule for spec in specs.values() for rule in items(spec.get(field)))]
        for field in ("dryRun", "measurementRetention")
    }
    metrics, invalid = _metrics(named, rules, passed, arguments, endpoints)
    if not keys:
        problems.append(Problem("it names no template"))
    return Analysis(
        place=place,
        metrics=metrics,
        arguments=arguments,
        templates=tuple(known),
        problems=(*problems, *wrong, *contradictions, *invalid),
    )


def _walk(
    references: object, templates: Mapping[TemplateKey, Object], above: tuple[TemplateKey, ...] = ()
) -> Iterator[TemplateKey]:
    """Yield each template that is named, then what it names itself; a circle is walked once."""
    for reference in items(references):
        named = mapping(reference)
        key = (_CLUSTERED if named.get("clusterScope") is True else _NAMESPACED, str(named.get("templateName", "")))
        if key in above:
            continue
        yield key
        inner = mapping(mapping(templates.get(key)).get("spec")).get("templates")
        yield from _walk(inner, templates, (*above, key))


def _named_metrics(spec: Object, template: TemplateKey) -> list[tuple[TemplateKey, Object]]:
    return [(template, mapping(metric)) for metric in items(spec.get("metrics"))]


def _metrics(
    named: list[tuple[TemplateKey, Object]],
    rules: Object,
    passed: Mapping[str, Argument],
    arguments: Iterable[Argument],
    endpoints: Collection[str],
) -> tuple[tuple[AnalysisMetric, ...], list[Problem]]:
    """Return the metrics with their arguments, and what is wrong with them together."""
    values = {argument.name: argument for argument in arguments}
    names = [str(metric.get("name", "")) for _, metric in named]
    twice = {name: number for name, number in Counter(names).items() if number > 1}
    problems = [Problem(f"{number} metrics are named {name}") for name, number in twice.items()]
    problems += [] if named else [Problem("it has no metric")]
    for field in ("dryRun", "measurementRetention"):
        problems += map(Problem, _wrong_rules(field, rules.get(field), names))
    dry = set(_matches(rules.get("dryRun"), names))
    metrics = []
    for template, metric in named:
        undeclared = [
            _unresolved(place, is_passed=name_in(place) in passed)
            for place in placeholders(metric)
            if name_in(place) not in values
        ]
        unknown = tuple(values[name] for place in placeholders(metric) if (name := name_in(place)) in values)
        resolved = mapping(inserted(metric, values))
        name = str(metric.get("name", ""))
        metrics.append(
            metric_of(
                resolved,
                template,
                endpoints,
                is_dry_run=name in dry,
                unknown=tuple(argument for argument in unknown if argument.value is None),
                problems=undeclared,
            )
        )
    return tuple(metrics), problems


def _unresolved(place: str, *, is_passed: bool) -> Problem:
    why = "no template declares it" if is_passed else "there is no such argument"
    kind = ProblemKind.UNKNOWN if "workflow" in place else ProblemKind.ARGUMENT
    return Problem(f"{{{{{place}}}}} cannot be resolved: {why}", kind)


def _wrong_rules(field: str, rules: object, names: list[str]) -> Iterator[str]:
    """Yield what makes Argo refuse an analysis: a rule that names no metric, or two for one name."""
    named = [str(mapping(rule).get("metricName", "")) for rule in items(rules)]
    yield from (f"two rules of {field} name {name}" for name, number in Counter(named).items() if number > 1)
    for rule in items(rules):
        if names and not any(True for _ in _matches([rule], names)):
            yield f"{field} {mapping(rule).get('metricName', '')} names no metric"


def _matches(rules: object, names: list[str]) -> Iterator[str]:
    """Yield the name of each metric that a rule names: by an unanchored regular expression, of which `*` is none."""
    for rule in map(mapping, items(rules)):
        try:
            pattern = re.compile(str(rule.get("metricName", "")))
        except re.error:
            continue
        yield from filter(pattern.search, names)
