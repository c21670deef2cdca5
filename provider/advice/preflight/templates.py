"""The metrics of an analysis: what Argo reads otherwise than it is written, and whether a pass is needed.

Sources: Argo Rollouts 1.10.1 (utils/analysis/factory.go, analysis/analysis.go, utils/evaluate/evaluate.go,
pkg/apis/rollouts/validation/validation_references.go), and runs of it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator

from provider.advice.preflight.conditions import mistake
from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.known_fields import unknown
from provider.advice.preflight.manifests import ARGUMENT, Analysis, Object, Setup, at, is_ours, name_of

ANSWER_SECONDS = 8
"""The longest that an answer of this provider takes (PROVIDER_BUDGET_SECONDS)."""

ERROR_SECONDS = 10
"""After an Error Argo measures again in 10 s, whatever the interval is."""

RESTART_SECONDS = 120
"""A pod that is rescheduled, pulls its image and becomes ready takes about so long."""

PROGRESS_DEADLINE_SECONDS = 600
"""Argo's default."""

LIMITS = ("count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")
DEFAULTS = {
    "count": 0,
    "failureLimit": 0,
    "inconclusiveLimit": 0,
    "consecutiveErrorLimit": 4,
    "consecutiveSuccessLimit": 0,
}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds_of(text: object) -> float:
    """Return a Go duration in seconds; 0 for none, or for what is none."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(str(text or "")))


def limit_of(metric: Object, field: str) -> int | None:
    """Return a count or limit; None if it is set by an argument, or is no whole number."""
    value = metric.get(field, DEFAULTS[field])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else None


def _named(setup: Setup) -> Iterator[tuple[Analysis, Object, Object, str]]:
    """Yield each metric with its analysis, its template, and how a sentence names it."""
    for analysis in setup.analyses:
        for template in analysis.templates:
            for metric in at(template, "spec.metrics", []):
                yield analysis, template, metric, f"Metric {metric.get('name', '(no name)')} of {name_of(template)}"


def _of(template: Object) -> tuple[str, ...]:
    return (f"{template['kind']}/{name_of(template)}",)


def fields(setup: Setup) -> Iterator[Finding]:
    """Every field of a template is one that Argo knows."""
    for analysis in setup.analyses:
        for template in analysis.templates:
            for path in unknown(template.get("spec")):
                yield finding(Code.FIELD_UNKNOWN, _of(template), f"{name_of(template)} has the field {path}")


def names(setup: Setup) -> Iterator[Finding]:
    """No two metrics of one analysis have the same name."""
    for analysis in setup.analyses:
        for name, number in Counter(str(one.get("name")) for one in analysis.metrics).items():
            if number > 1:
                objects = tuple(f"{one['kind']}/{name_of(one)}" for one in analysis.templates)
                yield finding(Code.METRIC_NAMED_TWICE, objects, f"{analysis.use} has {number} metrics named {name}")


def conditions(setup: Setup) -> Iterator[Finding]:
    """Each condition compiles, as far as that can be told."""
    for _, template, metric, says in _named(setup):
        for field in ("successCondition", "failureCondition"):
            wrong = mistake(str(metric[field])) if metric.get(field) is not None else ""
            if wrong and not ARGUMENT.search(str(metric[field])):
                yield finding(Code.CONDITION_INVALID, _of(template), f"{says}: {field} does not compile: {wrong}")


def json_paths(setup: Setup) -> Iterator[Finding]:
    """Each jsonPath is a path, and filters no array of mixed kinds."""
    for _, template, metric, says in _named(setup):
        path = at(metric, "provider.web.jsonPath")
        if path is None:
            continue
        if not re.fullmatch(r"\{.*\}", str(path), re.DOTALL):
            yield finding(Code.JSON_PATH_INVALID, _of(template), f"{says}: jsonPath {path!r} is a text, not a path")
        elif is_ours(metric) and "?(" in str(path) and "measurement" in str(path):
            yield finding(Code.JSON_PATH_FILTERS, _of(template), f"{says}: jsonPath filters the array `measurement`")


def limits(setup: Setup) -> Iterator[Finding]:
    """Each count and limit is a whole number, and only a background metric is endless."""
    for analysis, template, metric, says in _named(setup):
        for field in LIMITS:
            value = metric.get(field)
            # tests/upstream/argo-count-as-text.sh
            if isinstance(value, str) and not re.fullmatch(r"-?\d+", value) and not ARGUMENT.search(value):
                means = "endless" if field == "count" else "0"
                yield finding(Code.LIMIT_IS_NO_NUMBER, _of(template), f"{says}: {field} {value!r} means {means}")
        endless = metric.get("interval") and limit_of(metric, "count") == 0
        if endless and not analysis.is_background:
            yield finding(Code.METRIC_ENDLESS, _of(template), f"{says} has an interval and no count, in {analysis.use}")


def dry_runs(setup: Setup) -> Iterator[Finding]:
    """DryRun and measurementRetention name metrics, and not all of them are dry."""
    for analysis in setup.analyses:
        spoken = [*analysis.dry_run]
        for template in analysis.templates:
            of_template = [*at(template, "spec.dryRun", []), *at(template, "spec.measurementRetention", [])]
            if ARGUMENT.search(json.dumps(of_template, default=str)):
                yield finding(
                    Code.ARGUMENT_IN_DRY_RUN, _of(template), f"{name_of(template)} uses an argument where none is taken"
                )
            spoken += at(template, "spec.dryRun", [])
        patterns = [str(one.get("metricName", "")) for one in spoken]
        dry = [one for one in analysis.metrics if any(_hits(pattern, str(one.get("name"))) for pattern in patterns)]
        if analysis.metrics and len(dry) == len(analysis.metrics):
            objects = tuple(f"{one['kind']}/{name_of(one)}" for one in analysis.templates)
            yield finding(
                Code.SUCCEEDS_WITHOUT_PASS,
                objects,
                f"Every metric of {analysis.use} is a dry run, which always succeeds",
            )


def _hits(pattern: str, name: str) -> bool:
    """Tell whether a dryRun names a metric: an unanchored regular expression."""
    try:
        return bool(pattern) and re.search(pattern, name) is not None
    except re.error:
        return False


def passes(setup: Setup) -> Iterator[Finding]:
    """A metric of ours ends Successful only after a Successful answer."""
    for _, template, metric, says in _named(setup):
        if not is_ours(metric):
            continue
        why = _without_pass(metric)
        if why:
            yield finding(Code.SUCCEEDS_WITHOUT_PASS, _of(template), f"{says} {why}")


def _without_pass(metric: Object) -> str:
    """Return how a metric can succeed without a pass; empty if it cannot.

    Without consecutiveSuccessLimit it is Successful at `count` if neither limit was exceeded, so with
    failureLimit + inconclusiveLimit >= count no pass is needed.
    """
    if not metric.get("successCondition"):
        return "has no successCondition, so whatever is not a failure counts as a success"
    if not metric.get("failureCondition"):
        return "has no failureCondition, so an Inconclusive answer counts as a failure, and aborts instead of waiting"
    count, failures, waits = (limit_of(metric, field) for field in ("count", "failureLimit", "inconclusiveLimit"))
    in_a_row = limit_of(metric, "consecutiveSuccessLimit")
    if in_a_row is None or in_a_row > 0 or count is None or failures is None or waits is None:
        return ""
    least = count - max(failures, 0) - max(waits, 0)
    if count > 0 and least <= 0:
        limits_are = f"failureLimit {failures}, inconclusiveLimit {waits}"
        return f"succeeds after {count} measurements of which none passed ({limits_are})"
    return ""


def times(setup: Setup) -> Iterator[Finding]:
    """An analysis ends before Argo's deadline, and outlasts a restart of the provider."""
    deadline = at(setup.rollout, "spec.progressDeadlineSeconds", PROGRESS_DEADLINE_SECONDS)
    for analysis, template, metric, says in _named(setup):
        if not is_ours(metric):
            continue
        count, errors = limit_of(metric, "count"), limit_of(metric, "consecutiveErrorLimit")
        lasts = seconds_of(metric.get("initialDelay")) + (count or 0) * (
            seconds_of(metric.get("interval")) + ANSWER_SECONDS
        )
        if setup.blue_green is not None and lasts > deadline:
            yield finding(
                Code.WAITS_TOO_LONG,
                (*_of(template), f"Rollout/{setup.name}"),
                f"{says} may take {lasts:.0f} s at {ANSWER_SECONDS} s an answer; progressDeadlineSeconds is {deadline}",
            )
        if errors is not None and (errors + 1) * ERROR_SECONDS < RESTART_SECONDS:
            yield finding(
                Code.TOLERATES_NO_RESTART,
                _of(template),
                f"{says} ends in Error after {(errors + 1) * ERROR_SECONDS} s without an answer "
                f"(consecutiveErrorLimit {errors}), which aborts in {analysis.use}",
            )
