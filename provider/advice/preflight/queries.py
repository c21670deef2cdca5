"""What the metrics ask this provider, and whether its answers can pass them.

Sources: Argo Rollouts 1.10.1 (utils/evaluate/evaluate.go, metricproviders/webmetric/webmetric.go), and runs of it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provider.advice.preflight.findings import BLOCKS, RISK, Hits, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.metrics import MetricPlace
from provider.advice.preflight.setup import Setup
from provider.advice.preflight.templates import ANSWER_SECONDS, LIMITS, has_arguments
from provider.checks import gate, traffic
from provider.checks.parameters import accepted_text, parse_as
from provider.checks.strictness import strictness_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model.analysis import POST_PROMOTION, AnalysisMetric
from provider.model.errors import BadQuery
from provider.model.records import Stage
from provider.rules.analysis_arguments import PLACEHOLDER, name_in
from provider.rules.condition_outcomes import EvaluationError, outcome
from provider.rules.conditions import Unknown, mistake

DURATIONS = ("interval", "initialDelay")
_BREAKS = re.compile(r"[\s&#+]|%(?![0-9a-fA-F]{2})")

_ANSWERS: tuple[Mapping[str, Any], ...] = tuple(
    {"measurement": [number, phase, Unknown], "message": Unknown, "observed": Unknown, "phase": phase,
     "reason": Unknown}
    for phase in ("Successful", "Inconclusive", "Failed")
    for number in (0.0, 0.4, 1.0, 50.0, 99.9, 100.0, 1000.0)
)  # fmt: skip
"""What the provider answers, as far as conditions can depend on it."""


def _results(metric: AnalysisMetric) -> list[Any]:
    """Return what conditions get for each answer; empty if the jsonPath is not understood."""
    path = str(at(metric.spec, "provider.web.jsonPath", "{$}"))
    parts = re.fullmatch(r"\{\s*\$?((?:\.\w+|\[\d+\]|\['\w+'\])*)\.?\s*\}", path)
    if parts is None or metric.provider != "web":
        return []
    results: list[Any] = list(_ANSWERS)
    for name, number, quoted in re.findall(r"\.(\w+)|\[(\d+)\]|\['(\w+)'\]", parts[1]):
        key = int(number) if number else name or quoted
        kind = list if number else Mapping
        try:
            results = [node[key] for node in results if isinstance(node, kind)]
        except (KeyError, IndexError):
            return []
    return [] if any(result is Unknown for result in results) else results


def _outcomes(condition: str, results: list[Any]) -> Iterator[bool | str | None]:
    """Yield what a condition gives for each result: true, false, None for unknown, or a text for an error."""
    for result in results if condition and not PLACEHOLDER.search(condition) and not mistake(condition) else ():
        try:
            yield outcome(condition, result)
        except EvaluationError as error:
            yield str(error)


@rule("ConditionNeverTrue", BLOCKS, 'Write `jsonPath: "{$.measurement}"` and `result[1] == "Successful"`.')
def never_true(setup: Setup) -> Hits:
    """No answer of the provider makes the condition true, or every one makes it an Error: the gate never passes."""
    for metric, place in setup.queries:
        results = _results(metric)
        failures = list(_outcomes(metric.failure_condition, results))
        successes = list(_outcomes(metric.success_condition, results))
        for field, outcomes in (("failureCondition", failures), ("successCondition", successes)):
            if outcomes and all(isinstance(each, str) for each in outcomes):
                yield place.hit(f"{place}: {field} is an error for every answer: {outcomes[0]}", field)
        if all(isinstance(each, str) for each in successes):
            continue
        pairs = zip(successes, failures or [False] * len(results), strict=True)
        if all(success is False or isinstance(success, str) for success, failure in pairs if failure is not True):
            yield place.hit(f"{place}: no answer of the provider makes successCondition true", "successCondition")


@rule("JsonPathFilters", BLOCKS, 'Write `jsonPath: "{$.measurement}"` and compare in the conditions.')
def json_path_filters(setup: Setup) -> Hits:
    """`jsonPath` filters an array of texts and numbers, which is an Error in every measurement."""
    for metric, place in setup.queries:
        text = metric.request.json_path if metric.request else ""
        if "?(" in text and "measurement" in text and text.startswith("{"):
            yield place.web_hit(f"{place}: jsonPath filters the array `measurement`", "jsonPath")


@rule("TimeoutTooShort", RISK, "Raise `timeoutSeconds`; the examples have 10.")
def timeouts(setup: Setup) -> Hits:
    """Argo waits a shorter time for an answer than it may take (8 s): an answer that comes later is an Error."""
    for metric, place in setup.queries:
        if metric.request and metric.request.timeout_seconds < ANSWER_SECONDS:
            says = f"{place}: timeoutSeconds is {metric.request.timeout_seconds}, and an answer may take"
            yield place.web_hit(f"{says} {ANSWER_SECONDS} s", "timeoutSeconds")


def _parameters(metric: AnalysisMetric) -> dict[str, str]:
    return dict(metric.query.parameters) if metric.query else {}


def _sent(metric: AnalysisMetric, place: MetricPlace) -> Iterator[tuple[str, str]]:
    """Yield the parameters as they will be sent, with an accepted value for what is not known."""
    query = metric.query
    fields = endpoints()[query.endpoint].query.model_fields.values() if query else ()
    accepted = {str(field.alias): accepted_text(field) for field in fields}
    for name, value in query.parameters if query else ():
        example = str(accepted.get(name, "1"))
        is_empty = not value and place.arguments.get(name)  # ArgumentEmpty tells it
        yield name, example if is_empty else example.join(PLACEHOLDER.split(value)[::2])


@rule("QueryRefused", BLOCKS, "Correct the parameter in the sentence.")
def accepted(setup: Setup) -> Hits:
    """The provider refuses the query: every measurement is an Error."""
    for metric, place in setup.queries:
        name = metric.query.endpoint if metric.query else ""
        endpoint, says = endpoints()[name], f"Metric {metric.name} asks {name}"
        try:
            parse_as(endpoint.query, name, list(_sent(metric, place)))
        except BadQuery as error:
            for problem in error.problems:
                yield place.web_hit(f"{says}: {problem.parameter} {problem.detail}", "url")
        method = metric.request.method.upper() if metric.request else endpoint.methods[0]
        if method not in endpoint.methods:
            yield place.hit(f"{says} with {method}; it is a {endpoint.methods[0]} with a jsonBody")


@rule("WaitsTooShort", RISK, "Raise `inconclusiveLimit` and `count`, or set `initialDelay`.")
def waits(setup: Setup) -> Hits:
    """The limits end before the provider can pass: it answers Inconclusive while waiting can help, and after more such
    answers than `inconclusiveLimit`, or after `count`, Argo pauses the Rollout until a person promotes it. After the
    switch `errors` needs a whole minute that CloudWatch has finished.
    """
    for metric, place in setup.queries:
        if metric.provider != "web" or not metric.failure_condition or has_arguments(metric, *LIMITS, *DURATIONS):
            continue
        passes = max(metric.consecutive_success_limit, 1)
        most = min(
            metric.inconclusive_limit, metric.inconclusive_limit if metric.count is None else metric.count - passes
        )
        lasts, least = (
            metric.initial_delay_seconds + max(most, 0) * metric.interval_seconds,
            _least_seconds(metric, place),
        )
        if most <= 0 and not least:
            yield place.hit(
                f"{place}: the first answer that asks to wait ends it, and Argo pauses", "inconclusiveLimit"
            )
        elif lasts < least:
            says = f"{place} waits for {lasts:g} s, and a pass after the switch takes at least {least:g} s"
            yield place.hit(says, "inconclusiveLimit")


def _least_seconds(metric: AnalysisMetric, place: MetricPlace) -> float:
    """Return when a pass is possible at the earliest, from the switch on; 0 before it, and without metrics."""
    try:
        query = (
            parse_as(endpoints()[metric.query.endpoint].query, "", list(_sent(metric, place))) if metric.query else None
        )
    except BadQuery:
        return 0
    if not isinstance(query, traffic.Query) or place.analysis.place != POST_PROMOTION:
        return 0
    is_judged = not isinstance(query, gate.Query) or any(issubclass(part.query, traffic.Query) for part in query.parts)
    return query.lag_seconds + 60 if is_judged else 0


@rule("ArgumentEmpty", BLOCKS, "Give the argument a value or a `valueFrom`.")
def empty_arguments(setup: Setup) -> Hits:
    """An argument without a value is sent as an empty text, which the provider refuses: every measurement is an Error,
    and a good version is aborted.
    """
    for metric, place in setup.queries:
        analysis = place.analysis
        empty = {argument.name for argument in analysis.arguments if argument.value == ""}
        for parameter, names in place.arguments.items():
            for name in names if _parameters(metric).get(parameter) == "" else ():
                if name in empty:
                    says = f"{analysis.place} gives the argument {name} no value, so Metric {metric.name} sends"
                    yield setup.analysis_hit(f"{says} {parameter} empty", analysis.place, name)


@rule("AsksAboutAnother", BLOCKS, "Pass `metadata.name` and `metadata.namespace` by `fieldRef`.")
def about_itself(setup: Setup) -> Hits:
    """The query names another Rollout or namespace than the Rollout's own: the provider answers 404, or about a Rollout
    that this gate is not for.
    """
    for metric, place in setup.queries:
        for name, right in (("rollout", setup.name), ("namespace", setup.namespace)):
            value, arguments = _parameters(metric).get(name), place.arguments.get(name, ())
            if not value or value == right or "{{" in value or not right:
                continue
            by = f" (argument {arguments[0]} of {place.analysis.place})" if arguments else ""
            says = f"{place} asks about {name} {value}{by}, and the Rollout's own is {right}"
            if arguments:
                yield setup.analysis_hit(says, place.analysis.place, arguments[0], also=(place.label,))
            else:
                yield place.web_hit(says, "url", also=(setup.label,))


@rule("AsksAboutBlue", BLOCKS, "Pass `podTemplateHashValue: Latest`.")
def about_blue(setup: Setup) -> Hits:
    """The query passes the hash of the stable version: the answer is Superseded for ever."""
    for _, place in setup.queries:
        sources = {argument.name: argument.source for argument in place.analysis.arguments}
        for name in place.arguments.get("podTemplateHash", ()):
            if "stable" in sources.get(name, ""):
                says = f"{place.analysis.place} passes the hash of the stable version as {name}"
                yield setup.analysis_hit(f"{says}: the answer is Superseded", place.analysis.place, name)


@rule("StageDoesNotFit", BLOCKS, "Use a template with `stage=afterSwitch` in `postPromotionAnalysis` only.")
def stages(setup: Setup) -> Hits:
    """The query asks about the other side of the switch than its analysis is on: it never passes. Before the switch,
    and in the steps of a canary, the stage is `beforeSwitch`; in `postPromotionAnalysis` it is `afterSwitch`.
    """
    known = {stage.value.lower() for stage in Stage}
    for metric, place in setup.queries:
        where, stage = place.analysis.place, _parameters(metric).get("stage", "")
        wanted = "afterSwitch" if where == POST_PROMOTION else "beforeSwitch"
        if stage.lower() in known - {wanted.lower()}:
            says = f"{place} asks with stage={stage} in {where}, where only {wanted} passes"
            yield place.web_hit(says, "url", also=(setup.label,))


@rule("HashNotPassed", RISK, "Pass `podTemplateHash` from an argument with `podTemplateHashValue: Latest`.")
def hashes(setup: Setup) -> Hits:
    """Without `podTemplateHash` an answer about another version counts for this one."""
    for metric, place in setup.queries:
        if "podTemplateHash" not in _parameters(metric):
            yield place.hit(f"{place.here} does not pass podTemplateHash")


@rule("StageNotPassed", RISK, "Add `stage=beforeSwitch`, in an analysis after the switch `stage=afterSwitch`.")
def stage_passed(setup: Setup) -> Hits:
    """Without `stage` an answer from before the switch may count after it, and the other way round."""
    for metric, place in setup.queries if setup.blue_green is not None else ():  # a canary's steps have one stage
        is_handover = metric.query is not None and metric.query.endpoint == handover.NAME
        if "stage" not in _parameters(metric) and not is_handover:
            yield place.hit(f"{place.here} does not pass stage")


@rule("EndpointUnknown", RISK, "Correct the end of the URL: `/v1/gate`, or another endpoint of docs/reference.md.")
def endpoint_names(setup: Setup) -> Hits:
    """The metric has the parameters of this provider, and asks an endpoint that it does not have: 404 at every
    measurement.
    """
    for _, place in setup.metrics:
        if place.misspelt_endpoint:
            yield place.web_hit(f"{place} asks {place.misspelt_endpoint}, which the provider does not have", "url")


@rule("ArgumentBreaksUrl", BLOCKS, "Remove it from the value, or percent-encode it.")
def breaking_arguments(setup: Setup) -> Hits:
    """An argument with a blank, `&`, `#`, `+` or `%` goes into the URL as it is, and breaks it."""
    for _, place in setup.queries:
        query = str(at(place.written, "provider.web.url", "")).partition("?")[2]
        names = {name_in(text) for text in PLACEHOLDER.findall(query)}
        for argument in place.analysis.arguments:
            value = argument.value or ""
            if argument.name in names and _BREAKS.search(value):
                yield place.web_hit(f"{place.here} has {value!r} (argument {argument.name}) in its URL", "url")


@rule("ArgumentLoosensGate", RISK, "Write the limit into the template, or set floors (`deploy/components/floors`).")
def loosening_arguments(setup: Setup) -> Hits:
    """An argument sets a limit of the query in a ClusterAnalysisTemplate, so whoever writes the Rollout can loosen the
    gate. A template of a namespace belongs to whoever writes its Rollouts anyway.
    """
    for metric, place in setup.queries:
        if metric.query is None or metric.template[0] != "ClusterAnalysisTemplate":
            continue
        fields = endpoints()[metric.query.endpoint].query.model_fields.values()
        decisive = {str(field.alias) for field in fields if strictness_of(field) is not None}
        for parameter, names in place.arguments.items():
            if names and parameter in decisive:
                yield place.hit(f"{place.here} takes {parameter} from the argument {names[0]}")


@rule("NumberByFieldRef", RISK, "Pass it as `value`.")
def numbers(setup: Setup) -> Hits:
    """A number from a fieldRef becomes an exponent from a million on (1e+06)."""
    for _, place in setup.queries:
        where = place.analysis.place
        used = {name for names in place.arguments.values() for name in names}
        for given in setup.passed(where):
            path, name = str(at(given, "valueFrom.fieldRef.fieldPath", "")), at(given, "name")
            value = at(setup.rollout, path) if path else None
            if name in used and isinstance(value, int | float) and not isinstance(value, bool):
                yield setup.analysis_hit(f"{place.here} takes {name} from {path}, a number", where, str(name))


@rule("ProxyMayAnswer", RISK, "On `http://` set `insecure: true`: Argo then uses no proxy for this metric.")
def proxies(setup: Setup) -> Hits:
    """Argo takes any answer with status 200 that is no JSON for Successful, such as the page of a proxy in its
    environment.
    """
    for metric, place in setup.queries:
        if metric.request and metric.request.url.startswith("http://") and not metric.request.is_insecure:
            yield place.web_hit(f"{place.here} asks over http:// without insecure: true", "url")
