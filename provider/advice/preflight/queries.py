"""What the metrics ask this provider, and what Argo makes of its answers.

Sources: Argo Rollouts 1.10.1 (utils/analysis/factory.go, analysis/analysis.go, utils/evaluate/evaluate.go,
pkg/apis/rollouts/validation/validation_references.go), and runs of it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from provider.advice.preflight.argo import is_misspelt, url_of
from provider.advice.preflight.findings import Hit, Severity, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.setup import Setup
from provider.checks.parameters import accepted_text, parse_as, strictness_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model.analysis import POST_PROMOTION, AnalysisMetric
from provider.model.argo import PROGRESS_DEADLINE_SECONDS
from provider.model.errors import BadQuery
from provider.rules.analysis import places_of
from provider.rules.analysis_arguments import PLACEHOLDER, mapping, name_in
from provider.rules.conditions import EvaluationError, Unknown, mistake, outcome

BLOCKS, RISK, ADVICE = Severity.BLOCKS, Severity.RISK, Severity.ADVICE
ANSWER_SECONDS = 8
"""The longest that an answer of this provider takes (PROVIDER_BUDGET_SECONDS)."""

ERROR_SECONDS = 10
"""After an Error Argo measures again in 10 s, whatever the interval is."""

RESTART_SECONDS = 120
"""About the time for a pod to be rescheduled, pull its image and become ready."""

LIMITS = ("count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")
_BREAKS = re.compile(r"[\s&#+%]")
_WEB = ("provider", "web")


def _written_limits(metric: AnalysisMetric) -> tuple[int, int, int, int]:
    """Return count (0: none), failureLimit, inconclusiveLimit and consecutiveSuccessLimit as Argo reads them."""
    return metric.count or 0, metric.failure_limit, metric.inconclusive_limit, metric.consecutive_success_limit


def _has_arguments(metric: AnalysisMetric, *fields: str) -> bool:
    """Tell whether a field is set by an argument whose value is not known."""
    return any(PLACEHOLDER.search(str(metric.spec.get(field, ""))) for field in fields)


@rule(
    "ConditionInvalid",
    BLOCKS,
    "A condition does not compile, so every measurement is an Error, and enough of them abort the Rollout.",
    'Correct it; the examples have `result[1] == "Successful"`.',
)
def conditions(setup: Setup) -> Iterator[Hit]:
    """Each condition compiles, as far as that can be told."""
    for _, metric, label, path, says in setup.metrics():
        for field in ("successCondition", "failureCondition"):
            text = str(metric.spec.get(field) or "")
            wrong = mistake(text) if text and not PLACEHOLDER.search(text) else ""
            if wrong:
                yield Hit(f"{says}: {field} does not compile: {wrong}", (label,), (*path, field))


_ANSWERS: tuple[Mapping[str, Any], ...] = tuple(
    {
        "measurement": [number, phase, Unknown],
        "message": Unknown,
        "observed": Unknown,
        "phase": phase,
        "reason": Unknown,
    }
    for phase in ("Successful", "Inconclusive", "Failed")
    for number in (0.0, 0.4, 1.0, 50.0, 99.9, 100.0, 1000.0)
)
"""What the provider answers, as far as conditions can depend on it."""


def _results(metric: AnalysisMetric) -> list[Any]:
    """Return what conditions get for each answer; empty if the jsonPath is not understood."""
    path = str(at(metric.spec, "provider.web.jsonPath", "{$}"))
    found = re.fullmatch(r"\{\s*\$?((?:\.\w+|\[\d+\]|\['\w+'\])*)\.?\s*\}", path)
    if found is None or metric.provider != "web":
        return []
    results = []
    for answer in _ANSWERS:
        node: Any = answer
        for name, number, quoted in re.findall(r"\.(\w+)|\[(\d+)\]|\['(\w+)'\]", found[1]):
            if number:
                node = node[int(number)] if isinstance(node, list) and int(number) < len(node) else None
            else:
                node = node.get(name or quoted) if isinstance(node, Mapping) else None
            if node is None or node is Unknown:
                return []
        results.append(node)
    return results


def _outcomes(condition: str, results: list[Any]) -> list[bool | str | None]:
    """Return what a condition gives for each result: true, false, None for unknown, or a text for an error."""
    found: list[bool | str | None] = []
    for result in results:
        try:
            found.append(outcome(condition, result))
        except EvaluationError as error:
            found.append(str(error))
    return found


@rule(
    "ConditionNeverTrue",
    BLOCKS,
    "No answer of the provider makes the condition true, or every one makes it an Error: the gate never passes.",
    'Write `jsonPath: "{$.measurement}"`, `result[1] == "Successful"` and `result[1] == "Failed"`.',
)
def never_true(setup: Setup) -> Iterator[Hit]:
    """A successCondition is true for some answer, and no condition is always an Error."""
    for _, metric, label, path, says in setup.metrics(of_ours=True):
        results = _results(metric)
        found = {}
        for field, text in (
            ("failureCondition", metric.failure_condition),
            ("successCondition", metric.success_condition),
        ):
            if results and text and not PLACEHOLDER.search(text) and not mistake(text):
                found[field] = _outcomes(text, results)
        for field, outcomes in found.items():
            errors = [one for one in outcomes if isinstance(one, str)]
            if len(errors) == len(outcomes):
                yield Hit(f"{says}: {field} is an error for every answer: {errors[0]}", (label,), (*path, field))
        success, failure = found.get("successCondition"), found.get("failureCondition", [False] * len(results))
        if not success or all(isinstance(one, str) for one in success):
            continue
        passing = [one for one, failed in zip(success, failure, strict=True) if failed is not True]
        if all(one is False or isinstance(one, str) for one in passing):
            yield Hit(
                f"{says}: no answer of the provider makes successCondition true", (label,), (*path, "successCondition")
            )


@rule(
    "JsonPathInvalid",
    BLOCKS,
    "Without braces, or with a blank before them, `jsonPath` is a text and not a path: the result is that text, "
    "whatever is answered.",
    'Write `jsonPath: "{$.measurement}"`.',
)
def json_paths(setup: Setup) -> Iterator[Hit]:
    """Each jsonPath is a path."""
    for _, metric, label, path, says in setup.metrics():
        text = metric.request.json_path if metric.request else ""
        if text and not PLACEHOLDER.search(text) and not re.fullmatch(r"\{.*\}", text, re.DOTALL):
            yield Hit(f"{says}: jsonPath {text!r} is a text, not a path", (label,), (*path, *_WEB, "jsonPath"))


@rule(
    "JsonPathFilters",
    BLOCKS,
    "`jsonPath` filters an array of texts and numbers, which is an Error in every measurement.",
    'Write `jsonPath: "{$.measurement}"` and compare in the conditions.',
)
def json_path_filters(setup: Setup) -> Iterator[Hit]:
    """No jsonPath filters an array of mixed kinds."""
    for _, metric, label, path, says in setup.metrics(of_ours=True):
        text = metric.request.json_path if metric.request else ""
        if "?(" in text and "measurement" in text and text.startswith("{"):
            yield Hit(f"{says}: jsonPath filters the array `measurement`", (label,), (*path, *_WEB, "jsonPath"))


@rule(
    "LimitIsNoNumber",
    BLOCKS,
    'A text that is not a whole number is accepted: as `count` (`"5.0"`, `"10%"`) it means endless, as a limit 0.',
    "Write a whole number.",
)
def limits(setup: Setup) -> Iterator[Hit]:
    """Each count and limit is a whole number."""
    for _, metric, label, path, says in setup.metrics():
        for field in LIMITS:
            value = metric.spec.get(field)
            # tests/upstream/argo-count-as-text.sh
            if isinstance(value, str) and not re.fullmatch(r"-?\d+", value) and not PLACEHOLDER.search(value):
                means = "endless" if field == "count" else "0"
                yield Hit(f"{says}: {field} {value!r} means {means}", (label,), (*path, field))


@rule(
    "MetricEndless",
    BLOCKS,
    "A metric with `interval` and without `count` never ends: Argo refuses it but in a canary's background analysis.",
    "Set `count`.",
)
def endless(setup: Setup) -> Iterator[Hit]:
    """Only a background metric is endless."""
    for analysis, metric, label, path, says in setup.metrics():
        is_known = not _has_arguments(metric, "count") or "count" not in metric.spec
        if metric.interval_seconds and metric.count is None and not analysis.is_background and is_known:
            yield Hit(f"{says} has an interval and no count, in {analysis.place}", (label,), path)


@rule(
    "MetricInvalid",
    BLOCKS,
    "Argo refuses the metric: the Rollout is InvalidSpec, or its AnalysisRun ends in Error.",
    "Correct the field in the sentence.",
)
def metric_limits(setup: Setup) -> Iterator[Hit]:
    """Argo accepts each metric."""
    for _, metric, label, path, says in setup.metrics():
        for problem in metric.problems:
            if "cannot be resolved" not in problem:
                yield Hit(f"{says}: {problem}", (label,), path)
        if _has_arguments(metric, *LIMITS, "interval"):
            continue
        count, failures, waits, in_a_row = _written_limits(metric)
        if count > 1 and not metric.spec.get("interval"):
            yield Hit(f"{says}: count is {count} and there is no interval", (label,), (*path, "count"))
        if count > 0 and count < max(failures, 0) + in_a_row:
            needs = f"failureLimit {failures} and consecutiveSuccessLimit {in_a_row}"
            yield Hit(f"{says}: count {count} is less than {needs} together", (label,), (*path, "count"))
        if 0 < count < waits:
            yield Hit(f"{says}: count {count} is less than inconclusiveLimit {waits}", (label,), (*path, "count"))
        least = {
            "inconclusiveLimit": waits,
            "consecutiveSuccessLimit": in_a_row,
            "consecutiveErrorLimit": metric.consecutive_error_limit,
        }
        for name in (name for name, value in least.items() if value < 0):
            yield Hit(f"{says}: {name} is negative", (label,), (*path, name))


@rule(
    "SucceedsWithoutPass",
    BLOCKS,
    "A metric can end Successful without one Successful answer of the provider.",
    "Set both conditions, and `consecutiveSuccessLimit`, or keep failureLimit + inconclusiveLimit below `count`.",
)
def passes(setup: Setup) -> Iterator[Hit]:
    """A metric of ours ends Successful only after a Successful answer."""
    for analysis in setup.analyses:
        if analysis.metrics and all(metric.is_dry_run for metric in analysis.metrics):
            objects = tuple(f"{kind}/{name}" for kind, name in analysis.templates)
            yield Hit(f"Every metric of {analysis.place} is a dry run, which always succeeds", objects)
    for _, metric, label, path, says in setup.metrics(of_ours=True):
        count, failures, waits, in_a_row = _written_limits(metric)
        if metric.provider != "web":
            continue
        if not metric.success_condition:
            why = "has no successCondition, so whatever is not a failure counts as a success"
            yield Hit(f"{says} {why}", (label,), path)
        elif not _has_arguments(metric, *LIMITS) and in_a_row <= 0 < count <= max(failures, 0) + max(waits, 0):
            limits_are = f"failureLimit {failures}, inconclusiveLimit {waits}"
            why = f"succeeds after {count} measurements of which none passed ({limits_are})"
            yield Hit(f"{says} {why}", (label,), path)


@rule(
    "NoFailureCondition",
    RISK,
    "Without `failureCondition` whatever is not a success is a failure: an answer that asks to wait aborts the "
    "Rollout.",
    'Add `failureCondition: result[1] == "Failed"`.',
)
def failure_conditions(setup: Setup) -> Iterator[Hit]:
    """An answer that asks to wait does not count as a failure."""
    for _, metric, label, path, says in setup.metrics(of_ours=True):
        if metric.provider == "web" and metric.success_condition and not metric.failure_condition:
            yield Hit(f"{says} has no failureCondition, so waiting counts as a failure and aborts", (label,), path)


@rule(
    "WaitsTooLong",
    RISK,
    "The analysis may take longer than `progressDeadlineSeconds`, which keeps running: the Rollout is Degraded, "
    "or aborted, while it still waits.",
    "Raise `progressDeadlineSeconds`, or lower `count`.",
)
def times(setup: Setup) -> Iterator[Hit]:
    """An analysis ends before Argo's deadline."""
    deadline = at(setup.rollout, "spec.progressDeadlineSeconds", PROGRESS_DEADLINE_SECONDS)
    for _, metric, label, path, says in setup.metrics(of_ours=True):
        lasts = metric.initial_delay_seconds + (metric.count or 0) * (metric.interval_seconds + ANSWER_SECONDS)
        if setup.blue_green is not None and lasts > deadline:
            sentence = (
                f"{says} may take {lasts:.0f} s at {ANSWER_SECONDS} s an answer; progressDeadlineSeconds is {deadline}"
            )
            yield Hit(sentence, (label, setup.label), (*path, "count"))


@rule(
    "ToleratesNoRestart",
    RISK,
    "So few errors in a row abort the Rollout that a restart of the provider, or of a node, can do it.",
    "Raise `consecutiveErrorLimit`; the examples have 30, about five minutes.",
)
def restarts(setup: Setup) -> Iterator[Hit]:
    """An analysis outlasts a restart of the provider."""
    for analysis, metric, label, path, says in setup.metrics(of_ours=True):
        limit = metric.consecutive_error_limit
        seconds = (limit + 1) * ERROR_SECONDS
        if seconds < RESTART_SECONDS and metric.provider == "web" and not _has_arguments(metric, LIMITS[3]):
            sentence = f"{says} ends in Error after {seconds} s without an answer (consecutiveErrorLimit {limit})"
            yield Hit(f"{sentence}, which aborts in {analysis.place}", (label,), path)


@rule(
    "TimeoutTooShort",
    RISK,
    f"Argo waits a shorter time for an answer than it may take ({ANSWER_SECONDS} s): an answer that comes later is"
    " an Error.",
    "Raise `timeoutSeconds`; the examples have 10.",
)
def timeouts(setup: Setup) -> Iterator[Hit]:
    """Argo waits as long as an answer may take."""
    for _, metric, label, path, says in setup.metrics(of_ours=True):
        if metric.request and metric.request.timeout_seconds < ANSWER_SECONDS:
            sentence = (
                f"{says}: timeoutSeconds is {metric.request.timeout_seconds}, and an answer may take {ANSWER_SECONDS} s"
            )
            yield Hit(sentence, (label,), (*path, *_WEB, "timeoutSeconds"))


def _parameters(metric: AnalysisMetric) -> dict[str, str]:
    return dict(metric.query.parameters) if metric.query else {}


def _by_argument(setup: Setup, metric: AnalysisMetric) -> dict[str, list[str]]:
    """Return the arguments that stand in each parameter of a metric, as its template writes it."""
    web = mapping(at(setup.written(metric), "provider.web"))
    try:
        pairs = parse_qsl(urlsplit(str(web.get("url", ""))).query, keep_blank_values=True)
    except ValueError:
        pairs = []
    body = mapping(web.get("jsonBody"))
    pairs += [(str(name), str(value)) for name, value in body.items()]
    return {name: [name_in(one) for one in PLACEHOLDER.findall(value) if name_in(one)] for name, value in pairs}


@rule(
    "QueryRefused",
    BLOCKS,
    "The provider refuses the query: every measurement is an Error.",
    "Correct the parameter in the sentence.",
)
def accepted(setup: Setup) -> Iterator[Hit]:
    """The provider accepts the query as it will be sent."""
    for _, metric, label, path, _ in setup.metrics(of_ours=True):
        if metric.query is None:
            continue
        endpoint = endpoints()[metric.query.endpoint]
        accepted = {str(field.alias): accepted_text(field) for field in endpoint.query.model_fields.values()}
        arguments = _by_argument(setup, metric)
        sent = []
        for name, value in metric.query.parameters:
            example = str(accepted.get(name, "1"))
            is_empty = not value and bool(arguments.get(name))  # ArgumentEmpty tells it
            sent.append((name, example if is_empty else example.join(PLACEHOLDER.split(value)[::2])))
        where = (*path, *_WEB, "url") if metric.provider == "web" else path
        try:
            parse_as(endpoint.query, metric.query.endpoint, sent)
        except BadQuery as error:
            for problem in error.problems:
                says = f"Metric {metric.name} asks {metric.query.endpoint}: {problem.parameter} {problem.detail}"
                yield Hit(says, (label,), where)
        method = metric.request.method.upper() if metric.request else endpoint.methods[0]
        if method not in endpoint.methods:
            says = f"Metric {metric.name} asks {metric.query.endpoint} with {method}"
            says += f"; it is a {endpoint.methods[0]} with a jsonBody"
            yield Hit(says, (label,), path)


@rule(
    "ArgumentEmpty",
    BLOCKS,
    "An argument without a value is sent as an empty text, which the provider refuses: every measurement is an "
    "Error, and a good version is aborted.",
    "Give the argument a value or a `valueFrom`.",
)
def empty_arguments(setup: Setup) -> Iterator[Hit]:
    """No parameter is empty by its argument."""
    for analysis, metric, *_ in setup.metrics(of_ours=True):
        values = {argument.name: argument.value for argument in analysis.arguments}
        for parameter, names in _by_argument(setup, metric).items():
            for name in names:
                if values.get(name) == "" and _parameters(metric).get(parameter) == "":
                    says = f"{analysis.place} gives the argument {name} no value"
                    says += f", so Metric {metric.name} sends {parameter} empty"
                    yield Hit(says, (setup.label,), _argument_path(setup, analysis.place, name))


def _argument_path(setup: Setup, place: str, name: str) -> tuple[str | int, ...]:
    strategy = "blueGreen" if setup.blue_green is not None else "canary"
    found = re.fullmatch(r"steps\[(\d+)\]", place)
    where: tuple[str | int, ...] = ("steps", int(found[1]), "analysis") if found else (place,)
    arguments = places_of(setup.rollout).get(place, {}).get("args", ())
    numbers = [number for number, one in enumerate(arguments) if at(one, "name") == name]
    return ("spec", "strategy", strategy, *where, *(("args", numbers[-1]) if numbers else ()))


@rule(
    "AsksAboutAnother",
    BLOCKS,
    "The query names another Rollout or namespace than the Rollout's own: the provider answers 404, or about a "
    "Rollout that this gate is not for.",
    "Pass `metadata.name` and `metadata.namespace` by `fieldRef`.",
)
def about_itself(setup: Setup) -> Iterator[Hit]:
    """The query is about the Rollout itself."""
    for analysis, metric, label, path, says in setup.metrics(of_ours=True):
        parameters = _parameters(metric)
        for name, own in (("rollout", setup.name), ("namespace", setup.namespace)):
            value = parameters.get(name)
            if value and value != own and "{{" not in value and own:
                arguments = _by_argument(setup, metric).get(name, ())
                by = f" (argument {arguments[0]} of {analysis.place})" if arguments else ""
                sentence = f"{says} asks about {name} {value}{by}, and the Rollout's own is {own}"
                where = (*path, *_WEB, "url") if metric.provider == "web" else path
                if arguments:
                    yield Hit(sentence, (setup.label, label), _argument_path(setup, analysis.place, arguments[0]))
                else:
                    yield Hit(sentence, (label, setup.label), where)


@rule(
    "AsksAboutBlue",
    BLOCKS,
    "The query passes the hash of the stable version: the answer is Superseded for ever.",
    "Pass `podTemplateHashValue: Latest`.",
)
def about_blue(setup: Setup) -> Iterator[Hit]:
    """The hash is that of green."""
    for analysis, metric, *_ in setup.metrics(of_ours=True):
        sources = {argument.name: argument.source for argument in analysis.arguments}
        for name in _by_argument(setup, metric).get("podTemplateHash", ()):
            if "stable" in sources.get(name, ""):
                says = f"{analysis.place} passes the hash of the stable version as {name}: the answer is Superseded"
                yield Hit(says, (setup.label,), _argument_path(setup, analysis.place, name))


@rule(
    "StageDoesNotFit",
    BLOCKS,
    "The query asks about the other side of the switch than its analysis is on: it never passes.",
    "Use a template with `stage=beforeSwitch` before the switch and in the steps of a canary, and one with "
    "`stage=afterSwitch` in `postPromotionAnalysis`.",
)
def stages(setup: Setup) -> Iterator[Hit]:
    """The stage is that of the analysis."""
    for analysis, metric, label, path, says in setup.metrics(of_ours=True):
        wanted = "afterSwitch" if analysis.place == POST_PROMOTION else "beforeSwitch"
        stage = _parameters(metric).get("stage", "")
        if (
            stage
            and "{{" not in stage
            and stage.lower() != wanted.lower()
            and stage.lower() in {"beforeswitch", "afterswitch"}
        ):
            where = (*path, *_WEB, "url") if metric.provider == "web" else path
            yield Hit(
                f"{says} asks with stage={stage} in {analysis.place}, where only {wanted} passes",
                (label, setup.label),
                where,
            )


@rule(
    "HashNotPassed",
    RISK,
    "Without `podTemplateHash` an answer about another version counts for this one.",
    "Pass `podTemplateHash` from an argument with `podTemplateHashValue: Latest`.",
)
def hashes(setup: Setup) -> Iterator[Hit]:
    """The query names the version that it is about."""
    for analysis, metric, label, path, _ in setup.metrics(of_ours=True):
        if "podTemplateHash" not in _parameters(metric):
            yield Hit(f"Metric {metric.name} in {analysis.place} does not pass podTemplateHash", (label,), path)


@rule(
    "StageNotPassed",
    RISK,
    "Without `stage` an answer from before the switch may count after it, and the other way round.",
    "Add `stage=beforeSwitch`, in an analysis after the switch `stage=afterSwitch`.",
)
def stage_passed(setup: Setup) -> Iterator[Hit]:
    """The query names its stage; within the steps of a canary there is one only."""
    for analysis, metric, label, path, _ in setup.metrics(of_ours=True):
        is_handover = metric.query is not None and metric.query.endpoint == handover.NAME
        if setup.blue_green is not None and "stage" not in _parameters(metric) and not is_handover:
            yield Hit(f"Metric {metric.name} in {analysis.place} does not pass stage", (label,), path)


@rule(
    "EndpointUnknown",
    RISK,
    "The metric has the parameters of this provider, and asks an endpoint that it does not have: 404 at every "
    "measurement.",
    "Correct the end of the URL: `/v1/gate`, or another endpoint of docs/reference.md.",
)
def endpoint_names(setup: Setup) -> Iterator[Hit]:
    """The endpoint is one that there is."""
    for _, metric, label, path, says in setup.metrics():
        if is_misspelt(metric):
            asked = "/v1/" + url_of(metric).partition("/v1/")[2].partition("?")[0]
            yield Hit(f"{says} asks {asked}, which the provider does not have", (label,), (*path, *_WEB, "url"))


@rule(
    "ArgumentBreaksUrl",
    BLOCKS,
    "An argument with a blank, `&`, `#`, `+` or `%` goes into the URL as it is, and breaks it.",
    "Remove it from the value, or percent-encode it.",
)
def breaking_arguments(setup: Setup) -> Iterator[Hit]:
    """No argument breaks the URL."""
    for analysis, metric, label, path, _ in setup.metrics(of_ours=True):
        query = str(at(setup.written(metric), "provider.web.url", "")).partition("?")[2]
        names = {name_in(one) for one in PLACEHOLDER.findall(query)}
        for argument in analysis.arguments:
            value = argument.value or ""
            if argument.name in names and _BREAKS.search(re.sub(r"%[0-9a-fA-F]{2}", "", value)):
                says = f"Metric {metric.name} in {analysis.place} has {value!r} (argument {argument.name}) in its URL"
                yield Hit(says, (label,), (*path, *_WEB, "url"))


@rule(
    "ArgumentLoosensGate",
    RISK,
    "An argument sets a limit of the query, so whoever writes the Rollout can loosen the gate.",
    "Write the limit into the template, or set floors (`deploy/components/floors`).",
)
def loosening_arguments(setup: Setup) -> Iterator[Hit]:
    """No argument decides in a cluster's template; a namespace's templates belong to whoever writes its Rollouts."""
    for analysis, metric, label, path, _ in setup.metrics(of_ours=True):
        if metric.query is None or metric.template[0] != "ClusterAnalysisTemplate":
            continue
        fields = endpoints()[metric.query.endpoint].query.model_fields.values()
        decisive = {str(field.alias) for field in fields if strictness_of(field) is not None}
        for parameter, names in _by_argument(setup, metric).items():
            if names and parameter in decisive:
                says = f"Metric {metric.name} in {analysis.place} takes {parameter} from the argument {names[0]}"
                yield Hit(says, (label,), path)


@rule(
    "NumberByFieldRef",
    RISK,
    "A number from a fieldRef becomes an exponent from a million on (1e+06).",
    "Pass it as `value`.",
)
def numbers(setup: Setup) -> Iterator[Hit]:
    """No number comes from a field of the Rollout."""
    for analysis, metric, *_ in setup.metrics(of_ours=True):
        used = {name for names in _by_argument(setup, metric).values() for name in names}
        for given in places_of(setup.rollout)[analysis.place].get("args", ()):
            path, name = str(at(given, "valueFrom.fieldRef.fieldPath", "")), at(given, "name")
            value = at(setup.rollout, path) if path else None
            if name in used and isinstance(value, int | float) and not isinstance(value, bool):
                says = f"Metric {metric.name} in {analysis.place} takes {name} from {path}, a number"
                yield Hit(says, (setup.label,), _argument_path(setup, analysis.place, str(name)))


@rule(
    "SecretArgumentOverridden",
    ADVICE,
    "The Rollout passes an argument that the template takes from a Secret: the Secret wins, in silence.",
    "Remove it from the Rollout.",
)
def secrets(setup: Setup) -> Iterator[Hit]:
    """No argument is passed that comes from a Secret."""
    for analysis in setup.analyses:
        passed = {at(one, "name") for one in places_of(setup.rollout)[analysis.place].get("args", ())}
        for argument in analysis.arguments:
            if argument.name in passed and argument.source.startswith("key "):
                says = f"{analysis.place} passes {argument.name}, which the template takes from a Secret"
                yield Hit(says, (setup.label,), _argument_path(setup, analysis.place, argument.name))


@rule(
    "ProxyMayAnswer",
    RISK,
    "Argo takes any answer with status 200 that is no JSON for Successful, such as the page of a proxy in its "
    "environment.",
    "On `http://` set `insecure: true`: Argo then uses no proxy for this metric.",
)
def proxies(setup: Setup) -> Iterator[Hit]:
    """Nothing between Argo and the provider can answer for it."""
    for analysis, metric, label, path, _ in setup.metrics(of_ours=True):
        if metric.request and url_of(metric).startswith("http://") and not metric.request.is_insecure:
            says = f"Metric {metric.name} in {analysis.place} asks over http:// without insecure: true"
            yield Hit(says, (label,), (*path, *_WEB, "url"))
