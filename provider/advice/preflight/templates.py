"""What Argo makes of the templates: their arguments, and the conditions, limits and times of their metrics.

Sources: Argo Rollouts 1.10.1 (utils/analysis/factory.go, analysis/analysis.go, metricproviders/webmetric,
pkg/apis/rollouts/validation/validation_references.go), and runs of it.
"""

import json
import re
from collections import Counter

from provider.advice.preflight.findings import ADVICE, BLOCKS, Hit, Hits, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.setup import MetricPlace, Setup
from provider.model.analysis import Analysis, AnalysisMetric, ProblemKind
from provider.rules.analysis import wanted_templates
from provider.rules.analysis_arguments import PLACEHOLDER, mapping
from provider.rules.conditions import mistake

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
        yield from (setup.analysis_hit(sentence, analysis.place) for sentence in says)
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
            yield setup.analysis_hit(says, analysis.place)


@rule("SecretArgumentOverridden", ADVICE, "Remove it from the Rollout.")
def secrets(setup: Setup) -> Hits:
    """The Rollout passes an argument that the template takes from a Secret: the Secret wins, in silence."""
    for analysis in setup.analyses:
        passed = {at(given, "name") for given in setup.passed(analysis.place)}
        for argument in analysis.arguments:
            if argument.name in passed and argument.source.startswith("key "):
                says = f"{analysis.place} passes {argument.name}, which the template takes from a Secret"
                yield setup.analysis_hit(says, analysis.place, argument.name)


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
