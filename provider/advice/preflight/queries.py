"""What the metrics ask this provider.

Source: Argo Rollouts 1.10.1 (metricproviders/webmetric/webmetric.go).
"""

import re
from collections.abc import Iterator

from provider.advice.preflight.findings import BLOCKS, RISK, Hits, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.metrics import MetricPlace
from provider.advice.preflight.setup import Setup
from provider.checks.parameters import accepted_text, parse_as
from provider.checks.strictness import strictness_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model.analysis import POST_PROMOTION, AnalysisMetric
from provider.model.errors import BadQuery
from provider.model.records import Stage
from provider.rules.analysis_arguments import PLACEHOLDER, name_in

_BREAKS = re.compile(r"[\s&#+]|%(?![0-9a-fA-F]{2})")


def _parameters(metric: AnalysisMetric) -> dict[str, str]:
    return dict(metric.query.parameters) if metric.query else {}


def sent(metric: AnalysisMetric, place: MetricPlace) -> Iterator[tuple[str, str]]:
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
            parse_as(endpoint.query, name, list(sent(metric, place)))
        except BadQuery as error:
            for problem in error.problems:
                yield place.web_hit(f"{says}: {problem.parameter} {problem.detail}", "url")
        method = metric.request.method.upper() if metric.request else endpoint.methods[0]
        if method not in endpoint.methods:
            yield place.hit(f"{says} with {method}; it is a {endpoint.methods[0]} with a jsonBody")


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
