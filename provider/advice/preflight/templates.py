"""What the templates are: what they ask this provider, and what Argo makes of their arguments, conditions and limits.

Sources: Argo Rollouts 1.10.1 (utils/analysis/factory.go, analysis/analysis.go, metricproviders/webmetric,
pkg/apis/rollouts/validation/validation_references.go), and runs of it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator

from provider.advice.preflight.findings import ADVICE, BLOCKS, RISK, Hit, Hits, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.setup import MetricPlace, Setup
from provider.checks.parameters import accepted_text, parse_as
from provider.checks.strictness import strictness_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model.analysis import POST_PROMOTION, Analysis, AnalysisMetric, ProblemKind
from provider.model.errors import BadQuery
from provider.model.records import Stage
from provider.rules.analysis import wanted_templates
from provider.rules.analysis_arguments import PLACEHOLDER, mapping, name_in
from provider.rules.conditions import mistake

_BREAKS = re.compile(r"[\s&#+]|%(?![0-9a-fA-F]{2})")
_STAGES = {stage.value.lower() for stage in Stage}


def sent(place: MetricPlace) -> Iterator[tuple[str, str]]:
    """Yield the parameters as they will be sent, with an accepted value for what is not known."""
    query = place.metric.query
    fields = endpoints()[query.endpoint].query.model_fields.values() if query else ()
    accepted = {str(field.alias): accepted_text(field) for field in fields}
    for name, value in query.parameters if query else ():
        example = str(accepted.get(name, "1"))
        is_empty = not value and place.arguments.get(name)  # ArgumentEmpty reports it
        yield name, example if is_empty else example.join(PLACEHOLDER.split(value)[::2])


@rule("QueryRefused", BLOCKS, "Correct the parameter in the sentence.", "queries")
def accepted(place: MetricPlace) -> Hits:
    """The provider refuses the query: every measurement is an Error."""
    name, request = place.endpoint, place.metric.request
    endpoint, says = endpoints()[name], f"Metric {place.metric.name} asks {name}"
    try:
        parse_as(endpoint.query, name, list(sent(place)))
    except BadQuery as error:
        for problem in error.problems:
            yield place.web_hit(f"{says}: {problem.parameter} {problem.detail}", "url")
    method = request.method.upper() if request else endpoint.methods[0]
    if method not in endpoint.methods:
        yield place.hit(f"{says} with {method}; it is a {endpoint.methods[0]} with a jsonBody")


@rule("ArgumentEmpty", BLOCKS, "Give the argument a value or a `valueFrom`.", "queries")
def empty_arguments(place: MetricPlace) -> Hits:
    """An argument without a value is sent as an empty text, which the provider refuses: every measurement is an Error,
    and a good version is aborted.
    """
    empty = {argument.name for argument in place.analysis.arguments if argument.value == ""}
    for parameter, names in place.arguments.items():
        for name in names if place.parameters.get(parameter) == "" else ():
            if name in empty:
                says = f"{place.analysis.place} gives the argument {name} no value, so Metric {place.metric.name} sends"
                yield place.argument_hit(f"{says} {parameter} empty", name)


@rule("AsksAboutAnother", BLOCKS, "Pass `metadata.name` and `metadata.namespace` by `fieldRef`.", "queries")
def about_itself(place: MetricPlace) -> Hits:
    """The query names another Rollout or namespace than the Rollout's own: the provider answers 404, or about a Rollout
    that this gate is not for.
    """
    for name, right in (("rollout", place.setup.name), ("namespace", place.setup.namespace)):
        value, arguments = place.parameters.get(name), place.arguments.get(name, ())
        if value and value != right and "{{" not in value and right:
            by = f" (argument {arguments[0]} of {place.analysis.place})" if arguments else ""
            says = f"{place} asks about {name} {value}{by}, and the Rollout's own is {right}"
            if arguments:
                yield place.argument_hit(says, arguments[0], also=True)
            else:
                yield place.web_hit(says, "url", also=(place.setup.label,))


@rule("AsksAboutBlue", BLOCKS, "Pass `podTemplateHashValue: Latest`.", "queries")
def about_blue(place: MetricPlace) -> Hits:
    """The query passes the hash of the stable version: the answer is Superseded for ever."""
    sources = {argument.name: argument.source for argument in place.analysis.arguments}
    for name in place.arguments.get("podTemplateHash", ()):
        if "stable" in sources.get(name, ""):
            says = f"{place.analysis.place} passes the hash of the stable version as {name}: the answer is Superseded"
            yield place.argument_hit(says, name)


@rule("StageDoesNotFit", BLOCKS, "Use a template with `stage=afterSwitch` in `postPromotionAnalysis` only.", "queries")
def stages(place: MetricPlace) -> Hits:
    """The query asks about the other side of the switch than its analysis is on: it never passes. Before the switch,
    and in the steps of a canary, the stage is `beforeSwitch`; in `postPromotionAnalysis` it is `afterSwitch`.
    """
    where, stage = place.analysis.place, place.parameters.get("stage", "")
    wanted = "afterSwitch" if where == POST_PROMOTION else "beforeSwitch"
    if stage.lower() in _STAGES - {wanted.lower()}:
        says = f"{place} asks with stage={stage} in {where}, where only {wanted} passes"
        yield place.web_hit(says, "url", also=(place.setup.label,))


@rule("HashNotPassed", RISK, "Pass `podTemplateHash` from an argument with `podTemplateHashValue: Latest`.", "queries")
def hashes(place: MetricPlace) -> Hits:
    """Without `podTemplateHash` an answer about another version counts for this one."""
    if "podTemplateHash" not in place.parameters:
        yield place.hit(f"{place.here} does not pass podTemplateHash")


@rule(
    "StageNotPassed", RISK, "Add `stage=beforeSwitch`, in an analysis after the switch `stage=afterSwitch`.", "queries"
)
def stage_passed(place: MetricPlace) -> Hits:
    """Without `stage` an answer from before the switch may count after it, and the other way round."""
    has_stages = place.setup.blue_green is not None and place.endpoint != handover.NAME  # a canary's steps have one
    if has_stages and "stage" not in place.parameters:
        yield place.hit(f"{place.here} does not pass stage")


@rule(
    "EndpointUnknown",
    RISK,
    "Correct the end of the URL: `/v1/gate`, or another endpoint of docs/reference.md.",
    "metrics",
)
def endpoint_names(place: MetricPlace) -> Hits:
    """The metric has the parameters of this provider, and asks an endpoint that it does not have: 404 at every
    measurement.
    """
    if place.misspelt_endpoint:
        yield place.web_hit(f"{place} asks {place.misspelt_endpoint}, which the provider does not have", "url")


@rule("ArgumentBreaksUrl", BLOCKS, "Remove it from the value, or percent-encode it.", "queries")
def breaking_arguments(place: MetricPlace) -> Hits:
    """An argument with a blank, `&`, `#`, `+` or `%` goes into the URL as it is, and breaks it."""
    names = {name_in(text) for text in PLACEHOLDER.findall(place.url.partition("?")[2])}
    for argument in place.analysis.arguments:
        value = argument.value or ""
        if argument.name in names and _BREAKS.search(value):
            yield place.web_hit(f"{place.here} has {value!r} (argument {argument.name}) in its URL", "url")


@rule(
    "ArgumentLoosensGate",
    RISK,
    "Write the limit into the template, or set floors (`deploy/components/floors`).",
    "queries",
)
def loosening_arguments(place: MetricPlace) -> Hits:
    """An argument sets a limit of the query in a ClusterAnalysisTemplate, so whoever writes the Rollout can loosen the
    gate. A template of a namespace belongs to whoever writes its Rollouts anyway.
    """
    fields = endpoints()[place.endpoint].query.model_fields.values()
    decisive = {str(field.alias) for field in fields if strictness_of(field) is not None}
    for parameter, names in place.arguments.items() if place.metric.template[0] == "ClusterAnalysisTemplate" else ():
        if names and parameter in decisive:
            yield place.hit(f"{place.here} takes {parameter} from the argument {names[0]}")


@rule("NumberByFieldRef", RISK, "Pass it as `value`.", "queries")
def numbers(place: MetricPlace) -> Hits:
    """A number from a fieldRef becomes an exponent from a million on (1e+06)."""
    used = {name for names in place.arguments.values() for name in names}
    for given in place.setup.passed(place.analysis.place):
        path, name = str(at(given, "valueFrom.fieldRef.fieldPath", "")), at(given, "name")
        value = at(place.setup.rollout, path) if path else None
        if name in used and isinstance(value, int | float) and not isinstance(value, bool):
            yield place.argument_hit(f"{place.here} takes {name} from {path}, a number", str(name))


@rule("ProxyMayAnswer", RISK, "On `http://` set `insecure: true`: Argo then uses no proxy for this metric.", "queries")
def proxies(place: MetricPlace) -> Hits:
    """Argo takes any answer with status 200 that is no JSON for Successful, such as the page of a proxy in its
    environment.
    """
    request = place.metric.request
    if request and request.url.startswith("http://") and not request.is_insecure:
        yield place.web_hit(f"{place.here} asks over http:// without insecure: true", "url")


LIMITS = ("count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")


def objects_of(analysis: Analysis) -> tuple[str, ...]:
    """Return the templates of an analysis, by kind and name."""
    return tuple(f"{kind}/{name}" for kind, name in analysis.templates)


def has_arguments(metric: AnalysisMetric, *fields: str) -> bool:
    """Tell whether a field is set by an argument whose value is not known."""
    return any(PLACEHOLDER.search(str(metric.spec.get(field, ""))) for field in fields)


@rule("ArgumentMissing", BLOCKS, "Pass it, or give it a default.")
def arguments(setup: Setup) -> Hits:
    """A template declares an argument without a value, and the Rollout passes none: no AnalysisRun is created, or it
    ends in Error.
    """
    for analysis in setup.analyses:
        says = [
            f"{analysis.place} does not pass the argument {argument.name}, which has no default"
            for argument in analysis.arguments
            if argument.value is None and not argument.source
        ]
        says += [f"{analysis.place}: {each}" for each in analysis.problems if each.kind is ProblemKind.ARGUMENT]
        yield from (setup.strategy_hit(sentence, *setup.field_path(analysis.place)) for sentence in says)
    for place in setup.metrics:
        for problem in place.metric.problems:
            if problem.kind is ProblemKind.ARGUMENT:
                yield place.hit(f"{place}: {problem}")


@rule("ArgumentUnknown", ADVICE, "Correct its name.")
def unknown_arguments(setup: Setup) -> Hits:
    """The Rollout passes an argument that no template of the analysis declares: Argo drops it."""
    are_known = wanted_templates(setup.rollout, setup.templates) <= setup.templates.keys()
    for analysis in setup.analyses if are_known else ():
        declared = {argument.name for argument in analysis.arguments}
        passed = dict.fromkeys(str(at(given, "name", "")) for given in setup.passed(analysis.place))
        for name in [name for name in passed if name not in declared]:
            says = f"{analysis.place} passes the argument {name}, which none of its templates declares"
            yield setup.strategy_hit(says, *setup.field_path(analysis.place))


@rule("SecretArgumentOverridden", ADVICE, "Remove it from the Rollout.")
def secrets(setup: Setup) -> Hits:
    """The Rollout passes an argument that the template takes from a Secret: the Secret wins, in silence."""
    for analysis in setup.analyses:
        passed = {at(given, "name") for given in setup.passed(analysis.place)}
        for argument in analysis.arguments:
            if argument.name in passed and argument.source.startswith("key "):
                says = f"{analysis.place} passes {argument.name}, which the template takes from a Secret"
                yield setup.strategy_hit(says, *setup.field_path(analysis.place, argument.name))


@rule("DefaultsContradict", BLOCKS, "Give it the same default, or none.")
def defaults(setup: Setup) -> Hits:
    """Two templates of one analysis give an argument different defaults: Argo refuses it, even if the Rollout passes
    its own.
    """
    for analysis in setup.analyses:
        for problem in analysis.problems:
            if problem.kind is ProblemKind.DEFAULTS:
                yield Hit(f"{analysis.place}: {problem}", objects_of(analysis))


@rule("SameNameTwice", ADVICE, "Rename one of them.")
def same_names(setup: Setup) -> Hits:
    """A ClusterAnalysisTemplate and an AnalysisTemplate have the same name: `clusterScope` decides which is used."""
    for analysis in setup.analyses:
        for kind, name in analysis.templates:
            other = "AnalysisTemplate" if kind == "ClusterAnalysisTemplate" else "ClusterAnalysisTemplate"
            if (other, name) in setup.templates:
                says = f"{analysis.place} uses {kind} {name}; there is an {other} of that name too"
                yield Hit(says, (f"{kind}/{name}", f"{other}/{name}"))


@rule("MetricNamedTwice", BLOCKS, "Rename one of them.")
def metric_names(setup: Setup) -> Hits:
    """Two metrics of one analysis have the same name: Argo refuses it."""
    for analysis in setup.analyses:
        for name, number in Counter(metric.name for metric in analysis.metrics).items():
            if number > 1:
                yield Hit(f"{analysis.place} has {number} metrics named {name}", objects_of(analysis))


@rule("ArgumentInDryRun", BLOCKS, "Write the name.")
def dry_runs(setup: Setup) -> Hits:
    """`dryRun` and `measurementRetention` take no arguments: the AnalysisRun ends in Error."""
    for key in wanted_templates(setup.rollout, setup.templates) & setup.templates.keys():
        spec = mapping(setup.templates[key].get("spec"))
        for field in ("dryRun", "measurementRetention"):
            if PLACEHOLDER.search(json.dumps(spec.get(field) or [], default=str)):
                says = f"{key[1]} uses an argument in {field}, where none is taken"
                yield Hit(says, ("/".join(key),), ("spec", field))


@rule("ConditionInvalid", BLOCKS, 'Correct it; the examples have `result[1] == "Successful"`.', "metrics")
def conditions(place: MetricPlace) -> Hits:
    """A condition does not compile, so every measurement is an Error, and enough of them abort the Rollout."""
    for field in ("successCondition", "failureCondition"):
        text = str(place.metric.spec.get(field) or "")
        wrong = mistake(text) if text and not PLACEHOLDER.search(text) else ""
        if wrong:
            yield place.hit(f"{place}: {field} does not compile: {wrong}", field)


@rule("JsonPathInvalid", BLOCKS, 'Write `jsonPath: "{$.measurement}"`.', "metrics")
def json_paths(place: MetricPlace) -> Hits:
    """Without braces, or with a blank before them, `jsonPath` is a text and not a path: the result is that text,
    whatever is answered.
    """
    text = place.metric.request.json_path if place.metric.request else ""
    if text and not PLACEHOLDER.search(text) and not re.fullmatch(r"\{.*\}", text, re.DOTALL):
        yield place.web_hit(f"{place}: jsonPath {text!r} is a text, not a path", "jsonPath")


@rule("LimitIsNoNumber", BLOCKS, "Write a whole number.", "metrics")
def limits(place: MetricPlace) -> Hits:
    """A text that is not a whole number is accepted: as `count` (`"5.0"`, `"10%"`) it means endless, as a limit 0."""
    for field in LIMITS:
        value = place.metric.spec.get(field)
        # tests/upstream/argo-count-as-text.sh
        if isinstance(value, str) and not re.fullmatch(r"-?\d+", value) and not PLACEHOLDER.search(value):
            yield place.hit(f"{place}: {field} {value!r} means {'endless' if field == 'count' else '0'}", field)


@rule("MetricEndless", BLOCKS, "Set `count`.", "metrics")
def endless(place: MetricPlace) -> Hits:
    """A metric with `interval` and no `count` never ends: Argo refuses it but in a canary's background analysis."""
    metric = place.metric
    is_endless = metric.interval_seconds and metric.count is None and not has_arguments(metric, "count")
    if is_endless and not place.analysis.is_background:
        yield place.hit(f"{place} has an interval and no count, in {place.analysis.place}")


@rule("MetricInvalid", BLOCKS, "Correct the field in the sentence.", "metrics")
def metric_limits(place: MetricPlace) -> Hits:
    """Argo refuses the metric: the Rollout is InvalidSpec, or its AnalysisRun ends in Error."""
    metric, count, waits = place.metric, place.metric.count or 0, place.metric.inconclusive_limit
    for problem in metric.problems:
        if problem.kind is ProblemKind.INVALID:
            yield place.hit(f"{place}: {problem}")
    if has_arguments(metric, *LIMITS, "interval"):
        return
    failures, in_a_row = metric.failure_limit, metric.consecutive_success_limit
    if count > 1 and not metric.spec.get("interval"):
        yield place.hit(f"{place}: count is {count} and there is no interval", "count")
    if 0 < count < max(failures, 0) + in_a_row:
        needs = f"failureLimit {failures} and consecutiveSuccessLimit {in_a_row}"
        yield place.hit(f"{place}: count {count} is less than {needs} together", "count")
    if 0 < count < waits:
        yield place.hit(f"{place}: count {count} is less than inconclusiveLimit {waits}", "count")
    for name, value in zip(LIMITS[2:], (waits, metric.consecutive_error_limit, in_a_row), strict=True):
        if value < 0:
            yield place.hit(f"{place}: {name} is negative", name)
