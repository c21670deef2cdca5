"""Whether the provider's answers can pass a metric, in time, and whether anything else can.

Sources: Argo Rollouts 1.10.1 (utils/evaluate/evaluate.go, analysis/analysis.go), and runs of it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provider.advice.preflight.findings import BLOCKS, RISK, Hit, Hits, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.setup import MetricPlace, Setup
from provider.advice.preflight.templates import LIMITS, has_arguments, objects_of, sent
from provider.checks import gate, traffic
from provider.checks.parameters import parse_as
from provider.endpoints import endpoints
from provider.model.analysis import POST_PROMOTION, AnalysisMetric
from provider.model.argo import PROGRESS_DEADLINE_SECONDS
from provider.model.errors import BadQuery
from provider.rules.analysis_arguments import PLACEHOLDER
from provider.rules.condition_outcomes import EvaluationError, outcome
from provider.rules.conditions import Unknown, mistake

ANSWER_SECONDS = 8
"""The longest that an answer of this provider takes (PROVIDER_BUDGET_SECONDS)."""

ERROR_SECONDS = 10
"""After an Error Argo measures again in 10 s, whatever the interval is."""

RESTART_SECONDS = 120
"""About the time for a pod to be rescheduled, pull its image and become ready."""

DURATIONS = ("interval", "initialDelay")

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


@rule("ConditionNeverTrue", BLOCKS, 'Write `jsonPath: "{$.measurement}"` and `result[1] == "Successful"`.', "queries")
def never_true(place: MetricPlace) -> Hits:
    """No answer of the provider makes the condition true, or every one makes it an Error: the gate never passes."""
    results = _results(place.metric)
    failures = list(_outcomes(place.metric.failure_condition, results))
    successes = list(_outcomes(place.metric.success_condition, results))
    for field, outcomes in (("failureCondition", failures), ("successCondition", successes)):
        if outcomes and all(isinstance(each, str) for each in outcomes):
            yield place.hit(f"{place}: {field} is an error for every answer: {outcomes[0]}", field)
    if all(isinstance(each, str) for each in successes):
        return
    pairs = zip(successes, failures or [False] * len(results), strict=True)
    if all(success is False or isinstance(success, str) for success, failure in pairs if failure is not True):
        yield place.hit(f"{place}: no answer of the provider makes successCondition true", "successCondition")


@rule("JsonPathFilters", BLOCKS, 'Write `jsonPath: "{$.measurement}"` and compare in the conditions.', "queries")
def json_path_filters(place: MetricPlace) -> Hits:
    """`jsonPath` filters an array of texts and numbers, which is an Error in every measurement."""
    text = place.metric.request.json_path if place.metric.request else ""
    if "?(" in text and "measurement" in text and text.startswith("{"):
        yield place.web_hit(f"{place}: jsonPath filters the array `measurement`", "jsonPath")


@rule("SucceedsWithoutPass", BLOCKS, "Set both conditions and `consecutiveSuccessLimit`.")
def passes(setup: Setup) -> Hits:
    """A metric can end Successful without one Successful answer of the provider: its `failureLimit` and
    `inconclusiveLimit` together reach `count`, it has no `successCondition`, or all metrics are dry runs.
    """
    for analysis in setup.analyses:
        if analysis.metrics and all(metric.is_dry_run for metric in analysis.metrics):
            yield Hit(f"Every metric of {analysis.place} is a dry run, which always succeeds", objects_of(analysis))
    for place in setup.queries:
        metric, count = place.metric, place.metric.count or 0
        failures, waits = metric.failure_limit, metric.inconclusive_limit
        if metric.provider == "web" and not metric.success_condition:
            yield place.hit(f"{place} has no successCondition, so whatever is not a failure counts as a success")
        is_tolerated = metric.consecutive_success_limit <= 0 < count <= max(failures, 0) + max(waits, 0)
        if (
            metric.provider == "web"
            and metric.success_condition
            and is_tolerated
            and not has_arguments(metric, *LIMITS)
        ):
            says = f"{place} succeeds after {count} measurements of which none passed"
            yield place.hit(f"{says} (failureLimit {failures}, inconclusiveLimit {waits})")


@rule("NoFailureCondition", RISK, 'Add `failureCondition: result[1] == "Failed"`.', "queries")
def failure_conditions(place: MetricPlace) -> Hits:
    """Without `failureCondition` whatever is not a success is a failure: an answer that asks to wait aborts the
    Rollout.
    """
    metric = place.metric
    if metric.provider == "web" and metric.success_condition and not metric.failure_condition:
        yield place.hit(f"{place} has no failureCondition, so waiting counts as a failure and aborts")


@rule("WaitsTooLong", RISK, "Raise `progressDeadlineSeconds`, or lower `count`.", "queries")
def times(place: MetricPlace) -> Hits:
    """The analysis may take longer than `progressDeadlineSeconds`, which keeps running: the Rollout is Degraded, or
    aborted, while it still waits.
    """
    metric, setup = place.metric, place.setup
    deadline = at(setup.rollout, "spec.progressDeadlineSeconds", PROGRESS_DEADLINE_SECONDS)
    lasts = metric.initial_delay_seconds + (metric.count or 0) * (metric.interval_seconds + ANSWER_SECONDS)
    if setup.blue_green is not None and lasts > deadline:
        says = f"{place} may take {lasts:.0f} s at {ANSWER_SECONDS} s an answer; progressDeadlineSeconds"
        yield place.hit(f"{says} is {deadline}", "count", also=(setup.label,))


@rule("ToleratesNoRestart", RISK, "Raise `consecutiveErrorLimit`; the examples have 30, about five minutes.", "queries")
def restarts(place: MetricPlace) -> Hits:
    """So few errors in a row abort the Rollout that a restart of the provider, or of a node, can do it."""
    metric, limit = place.metric, place.metric.consecutive_error_limit
    seconds = (limit + 1) * ERROR_SECONDS
    if seconds < RESTART_SECONDS and metric.provider == "web" and not has_arguments(metric, LIMITS[3]):
        says = f"{place} ends in Error after {seconds} s without an answer (consecutiveErrorLimit {limit})"
        yield place.hit(f"{says}, which aborts in {place.analysis.place}")


@rule("TimeoutTooShort", RISK, "Raise `timeoutSeconds`; the examples have 10.", "queries")
def timeouts(place: MetricPlace) -> Hits:
    """Argo waits a shorter time for an answer than it may take (8 s): an answer that comes later is an Error."""
    seconds = place.metric.request.timeout_seconds if place.metric.request else ANSWER_SECONDS
    if seconds < ANSWER_SECONDS:
        says = f"{place}: timeoutSeconds is {seconds}, and an answer may take {ANSWER_SECONDS} s"
        yield place.web_hit(says, "timeoutSeconds")


@rule("WaitsTooShort", RISK, "Raise `inconclusiveLimit` and `count`, or set `initialDelay`.", "queries")
def waits(place: MetricPlace) -> Hits:
    """The limits end before the provider can pass: it answers Inconclusive while waiting can help, and after more such
    answers than `inconclusiveLimit`, or after `count`, Argo pauses the Rollout until a person promotes it. After the
    switch `errors` needs a whole minute that CloudWatch has finished.
    """
    metric, limit = place.metric, place.metric.inconclusive_limit
    if metric.provider != "web" or not metric.failure_condition or has_arguments(metric, *LIMITS, *DURATIONS):
        return
    most = limit if metric.count is None else min(limit, metric.count - max(metric.consecutive_success_limit, 1))
    lasts, least = metric.initial_delay_seconds + max(most, 0) * metric.interval_seconds, _least_seconds(place)
    if most <= 0 and not least:
        yield place.hit(f"{place}: the first answer that asks to wait ends it, and Argo pauses", "inconclusiveLimit")
    elif lasts < least:
        says = f"{place} waits for {lasts:g} s, and a pass after the switch takes at least {least:g} s"
        yield place.hit(says, "inconclusiveLimit")


def _least_seconds(place: MetricPlace) -> float:
    """Return when a pass is possible at the earliest, from the switch on; 0 before it, and without metrics."""
    try:
        query = parse_as(endpoints()[place.endpoint].query, "", list(sent(place)))
    except BadQuery:
        return 0
    if not isinstance(query, traffic.Query) or place.analysis.place != POST_PROMOTION:
        return 0
    is_judged = not isinstance(query, gate.Query) or any(issubclass(part.query, traffic.Query) for part in query.parts)
    return query.lag_seconds + 60 if is_judged else 0
