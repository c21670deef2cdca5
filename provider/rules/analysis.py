"""What does a Rollout's gate ask? From its templates and the Rollout's arguments, or from an AnalysisRun.

The one place that knows: `explain`, the status page, `check --as-argo` and preflight use it. It reads the objects as
Argo does, never raises for a malformed one, and names what is wrong instead.

Source: Argo Rollouts 1.10.1, rollout/analysis.go and utils/analysis/helpers.go (templates), utils/analysis/factory.go
(metrics), metricproviders/webmetric/webmetric.go (requests), analysis/analysis.go (AnalysisRuns).
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from provider.model.analysis import (
    BACKGROUND,
    POST_PROMOTION,
    PRE_PROMOTION,
    Analysis,
    AnalysisMetric,
    Argument,
    EndpointQuery,
    Object,
    Problem,
    ProblemKind,
    TemplateKey,
    WebRequest,
)
from provider.rules.analysis_arguments import inserted, mapping, merged, name_in, passed_by, placeholders

_CLUSTERED, _NAMESPACED = "ClusterAnalysisTemplate", "AnalysisTemplate"
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DURATION = re.compile(r"([+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+|0")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1, "m": 60, "h": 3600}
_RETENTION, _ERROR_LIMIT, _TIMEOUT_SECONDS = 10, 4, 10
"""Argo's defaults."""


def places_of(rollout: Object) -> dict[str, Object]:
    """Return each `RolloutAnalysis` of a Rollout's strategy by its path in it."""
    strategy = mapping(mapping(rollout.get("spec")).get("strategy"))
    blue_green, canary = mapping(strategy.get("blueGreen")), mapping(strategy.get("canary"))
    places = {place: mapping(blue_green.get(place)) for place in (PRE_PROMOTION, POST_PROMOTION)}
    places[BACKGROUND] = mapping(canary.get("analysis"))
    for number, step in enumerate(_items(canary.get("steps"))):
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
    declared = [("the AnalysisRun", mapping(argument)) for argument in _items(spec.get("args"))]
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
    passed, wrong = passed_by(rollout, _items(analysis.get("args")))
    declared = [
        (f"{key[0]} {key[1]}", mapping(argument))
        for key, spec in specs.items()
        for argument in _items(spec.get("args"))
    ]
    arguments, contradictions = merged(passed, declared)
    named = [metric for key, spec in specs.items() for metric in _named_metrics(spec, key)]
    rules = {
        field: [*_items(analysis.get(field)), *(rule for spec in specs.values() for rule in _items(spec.get(field)))]
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
    for reference in _items(references):
        named = mapping(reference)
        key = (_CLUSTERED if named.get("clusterScope") is True else _NAMESPACED, str(named.get("templateName", "")))
        if key in above:
            continue
        yield key
        inner = mapping(mapping(templates.get(key)).get("spec")).get("templates")
        yield from _walk(inner, templates, (*above, key))


def _named_metrics(spec: Object, template: TemplateKey) -> list[tuple[TemplateKey, Object]]:
    return [(template, mapping(metric)) for metric in _items(spec.get("metrics"))]


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
    dry = {name for name, _ in _matches(rules.get("dryRun"), names)}
    kept = {name: _whole(rule.get("limit")) for name, rule in _matches(rules.get("measurementRetention"), names)}
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
            _metric(
                resolved,
                template,
                endpoints,
                is_dry_run=name in dry,
                retention=kept.get(name) or _RETENTION,
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
    named = [str(mapping(rule).get("metricName", "")) for rule in _items(rules)]
    yield from (f"two rules of {field} name {name}" for name, number in Counter(named).items() if number > 1)
    for rule in _items(rules):
        if names and not any(True for _ in _matches([rule], names)):
            yield f"{field} {mapping(rule).get('metricName', '')} names no metric"


def _matches(rules: object, names: list[str]) -> Iterator[tuple[str, Object]]:
    """Yield each metric's name with the rule that names it: an unanchored regular expression, of which `*` is none."""
    for rule in map(mapping, _items(rules)):
        try:
            pattern = re.compile(str(rule.get("metricName", "")))
        except re.error:
            continue
        yield from ((name, rule) for name in names if pattern.search(name))


def _metric(
    spec: Object,
    template: TemplateKey,
    endpoints: Collection[str],
    *,
    is_dry_run: bool,
    retention: int,
    unknown: tuple[Argument, ...],
    problems: list[Problem],
) -> AnalysisMetric:
    provider = mapping(spec.get("provider"))
    problems = problems + ([] if provider else [Problem("it has no provider")])
    request = _request(mapping(provider["web"]), problems) if "web" in provider else None
    query = _query(request, endpoints, problems) if request else _command(provider.get("job"), endpoints)
    interval, count = _seconds(spec, "interval", problems), _whole(spec.get("count"))
    return AnalysisMetric(
        name=str(spec.get("name", "")),
        template=template,
        spec=spec,
        provider=next(iter(provider), ""),
        request=request,
        query=query,
        success_condition=str(spec.get("successCondition") or ""),
        failure_condition=str(spec.get("failureCondition") or ""),
        interval_seconds=interval,
        initial_delay_seconds=_seconds(spec, "initialDelay", problems),
        count=count or (None if spec.get("interval") else 1),
        failure_limit=_whole(spec.get("failureLimit")),
        inconclusive_limit=_whole(spec.get("inconclusiveLimit")),
        consecutive_error_limit=_whole(spec.get("consecutiveErrorLimit"), _ERROR_LIMIT),
        consecutive_success_limit=_whole(spec.get("consecutiveSuccessLimit")),
        is_dry_run=is_dry_run,
        retention=retention,
        unknown_arguments=unknown,
        problems=tuple(problems),
    )


def _request(web: Object, problems: list[Problem]) -> WebRequest:
    method, body, json_body = str(web.get("method") or "GET"), str(web.get("body") or ""), web.get("jsonBody")
    if body and json_body is not None:
        problems.append(Problem("it has a body and a jsonBody"))
    elif (body or json_body is not None) and method == "GET":
        problems.append(Problem("a GET cannot have a body"))
    if json_body is not None and not isinstance(json_body, Mapping):
        problems.append(Problem("its jsonBody is not an object"))
    if not web.get("url"):
        problems.append(Problem("it has no url"))
    return WebRequest(
        url=str(web.get("url") or ""),
        method=method,
        json_body=json_body if isinstance(json_body, Mapping) else None,
        body=body,
        json_path=str(web.get("jsonPath") or ""),
        is_insecure=web.get("insecure") is True,
        timeout_seconds=_whole(web.get("timeoutSeconds")) or _TIMEOUT_SECONDS,
    )


def _query(request: WebRequest, endpoints: Collection[str], problems: list[Problem]) -> EndpointQuery | None:
    """Return the query to this provider: the path ends with /v1/ and the name of an endpoint."""
    try:
        url = urlsplit(request.url)
    except ValueError:
        problems.append(Problem("its url is not valid"))
        return None
    before, _, endpoint = url.path.rpartition("/")
    if endpoint not in endpoints or not before.endswith("/v1"):
        return None
    in_body = [
        (name, value if isinstance(value, str) else json.dumps(value, default=str)) for name, value in _fields(request)
    ]
    return EndpointQuery(endpoint, (*parse_qsl(url.query, keep_blank_values=True), *in_body))


def _fields(request: WebRequest) -> Iterable[tuple[str, Any]]:
    return request.json_body.items() if request.json_body is not None else ()


def _command(job: object, endpoints: Collection[str]) -> EndpointQuery | None:
    """Return the query of a Job that runs `alb-provider check <endpoint> --parameter=value`."""
    pod = mapping(mapping(mapping(mapping(job).get("spec")).get("template")).get("spec"))
    for container in map(mapping, _items(pod.get("containers"))):
        words = [str(word) for word in [*_items(container.get("command")), *_items(container.get("args"))]]
        for number, word in enumerate(words[:-1]):
            if word == "check" and words[number + 1] in endpoints:
                return EndpointQuery(words[number + 1], tuple(_flags(words[number + 2 :])))
    return None


_OF_COMMAND = {"url", "tokenFile", "output", "json", "watch", "wait", "interval", "timeout", "passes"}
"""Flags of the command that are not parameters of the query."""


def _flags(words: list[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(words):
        flag, has_value, value = word.partition("=")
        if flag.startswith("-"):
            first, *rest = (flag if flag != "-n" else "--namespace").removeprefix("--").split("-")
            name = first + "".join(part.title() for part in rest)
            if name not in _OF_COMMAND:
                yield name, value if has_value else next(iter(words[number + 1 : number + 2]), "")


def _seconds(spec: Object, field: str, problems: list[Problem]) -> float:
    """Return a Go duration in seconds; 0 for an absent one."""
    text = str(spec.get(field) or "")
    if text and not _DURATION.fullmatch(text):
        problems.append(Problem(f"{field} {text!r} is not a duration such as 10s or 5m"))
        return 0
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def _whole(value: object, default: int = 0) -> int:
    """Return a count or limit as Argo reads it: a text that is not a whole number is 0."""
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(str(value)) if isinstance(value, str) and _WHOLE.fullmatch(value) else 0


def _items(node: object) -> list[Any]:
    """Return a JSON array; anything else is an empty one."""
    return list(node) if isinstance(node, list | tuple) else []
