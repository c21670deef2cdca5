"""The query that a metric sends to this provider: would it be answered, and about the right version?"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from provider.advice.preflight.findings import Code, Finding, finding
from provider.advice.preflight.manifests import ARGUMENT, Analysis, Object, Setup, at, is_ours, name_of
from provider.checks.parameters import accepted_text, parse_as, strictness_of
from provider.endpoints import endpoints
from provider.handover import question as handover
from provider.model.errors import BadQuery

_BREAKS = re.compile(r"[\s&#+%]")


def _ours(setup: Setup) -> Iterator[tuple[Analysis, Object, Object]]:
    for analysis in setup.analyses:
        for template in analysis.templates:
            for metric in at(template, "spec.metrics", []):
                if is_ours(metric):
                    yield analysis, template, metric


def _asked(metric: Object) -> tuple[str, dict[str, str]]:
    """Return the endpoint of a metric and its parameters as they are written, with arguments in braces."""
    web = at(metric, "provider.web", {})
    parts = urlsplit(str(web.get("url", "")))
    body: Mapping[str, Any] = at(web, "jsonBody", {})
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True)) | {name: str(one) for name, one in body.items()}
    return parts.path.rpartition("/")[2], parameters


def _values(setup: Setup, analysis: Analysis, template: Object) -> dict[str, str]:
    """Return the values of arguments that are known: what the Rollout passes, else the template's default."""
    found = {}
    for argument in [*at(template, "spec.args", []), *analysis.arguments]:
        name, path = str(argument.get("name")), at(argument, "valueFrom.fieldRef.fieldPath")
        if argument.get("value") is not None:
            found[name] = str(argument["value"])
        elif path == "metadata.namespace":
            found[name] = setup.namespace
        elif path == "metadata.name":
            found[name] = setup.name
    return found


def accepted(setup: Setup) -> Iterator[Finding]:
    """The provider accepts the query as it will be sent."""
    for analysis, template, metric in _ours(setup):
        endpoint, parameters = _asked(metric)
        values = _values(setup, analysis, template)

        model, methods = endpoints()[endpoint].query, endpoints()[endpoint].methods
        accepted = {str(field.alias): accepted_text(field) for field in model.model_fields.values()}

        def filled(
            name: str, written: str, values: Mapping[str, str] = values, accepted: Mapping[str, str] = accepted
        ) -> str:
            return ARGUMENT.sub(lambda found: values.get(found[1], accepted.get(name, "1")), written)

        try:
            parse_as(model, endpoint, [(name, filled(name, written)) for name, written in parameters.items()])
        except BadQuery as error:
            for problem in error.problems:
                says = f"Metric {metric.get('name')} asks {endpoint}: {problem.parameter} {problem.detail}"
                yield finding(Code.QUERY_REFUSED, (f"{template['kind']}/{name_of(template)}",), says)
        if str(at(metric, "provider.web.method", "GET")).upper() not in methods:
            says = f"Metric {metric.get('name')} asks {endpoint} with GET; it is a {methods[0]} with a jsonBody"
            yield finding(Code.QUERY_REFUSED, (f"{template['kind']}/{name_of(template)}",), says)


def about_green(setup: Setup) -> Iterator[Finding]:
    """The query names the version and the stage that it is about."""
    for analysis, template, metric in _ours(setup):
        endpoint, parameters = _asked(metric)
        objects, says = (f"{template['kind']}/{name_of(template)}",), f"Metric {metric.get('name')} in {analysis.use}"
        if "podTemplateHash" not in parameters:
            yield finding(Code.HASH_NOT_PASSED, objects, f"{says} does not pass podTemplateHash")
        # A canary's Services change roles only after its last step, so within the steps there is one stage.
        if setup.blue_green is not None and "stage" not in parameters and endpoint != handover.NAME:
            yield finding(Code.STAGE_NOT_PASSED, objects, f"{says} does not pass stage")


def arguments(setup: Setup) -> Iterator[Finding]:
    """No argument breaks the URL, loosens the gate, or turns into an exponent."""
    for analysis, template, metric in _ours(setup):
        endpoint, parameters = _asked(metric)
        decisive = {
            str(field.alias)
            for field in endpoints()[endpoint].query.model_fields.values()
            if strictness_of(field) is not None
        }
        objects, says = (f"{template['kind']}/{name_of(template)}",), f"Metric {metric.get('name')} in {analysis.use}"
        by_argument = {found: name for name, written in parameters.items() for found in ARGUMENT.findall(written)}
        in_url = set(ARGUMENT.findall(str(at(metric, "provider.web.url", ""))))
        for name, value in _values(setup, analysis, template).items():
            if name in in_url and _BREAKS.search(value):
                yield finding(Code.ARGUMENT_BREAKS_URL, objects, f"{says} has {value!r} (argument {name}) in its URL")
        for argument, parameter in by_argument.items():
            # Whoever writes a Rollout writes its namespace's own templates too.
            if parameter in decisive and template["kind"] == "ClusterAnalysisTemplate":
                yield finding(
                    Code.ARGUMENT_LOOSENS_GATE, objects, f"{says} takes {parameter} from the argument {argument}"
                )
        for one in analysis.arguments:
            path = str(at(one, "valueFrom.fieldRef.fieldPath", ""))
            if one.get("name") in by_argument and isinstance(at(setup.rollout, path), int | float):
                says_path = f"{says} takes {one.get('name')} from {path}, a number"
                yield finding(Code.NUMBER_BY_FIELD_REF, (f"Rollout/{setup.name}",), says_path)


def proxies(setup: Setup) -> Iterator[Finding]:
    """Nothing between Argo and the provider can answer for it."""
    for analysis, template, metric in _ours(setup):
        url = str(at(metric, "provider.web.url", ""))
        if url.startswith("http://") and not at(metric, "provider.web.insecure"):
            says = f"Metric {metric.get('name')} in {analysis.use} asks over http:// without insecure: true"
            yield finding(Code.PROXY_MAY_ANSWER, (f"{template['kind']}/{name_of(template)}",), says)
