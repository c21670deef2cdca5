"""What the metrics ask this provider.

Source: Argo Rollouts 1.10.1 (metricproviders/webmetric/webmetric.go).
"""

import re
from collections.abc import Iterator

from provider.advice.preflight.findings import BLOCKS, RISK, Hits, rule
from provider.advice.preflight.manifests import at
from provider.advice.preflight.setup import MetricPlace
from provider.checks.parameters import accepted_text, parse_as
from provider.checks.strictness import strictness_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model.analysis import POST_PROMOTION
from provider.model.errors import BadQuery
from provider.model.records import Stage
from provider.rules.analysis_arguments import PLACEHOLDER, name_in

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
