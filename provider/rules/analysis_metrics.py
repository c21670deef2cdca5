"""A metric of an analysis as Argo reads it: its limits, its request, and its query to this provider.

Source: Argo Rollouts 1.10.1, utils/analysis/factory.go, metricproviders/webmetric/webmetric.go.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from provider.model.analysis import (
    AnalysisMetric,
    Argument,
    EndpointQuery,
    Object,
    Problem,
    TemplateKey,
    WebRequest,
)
from provider.rules.analysis_arguments import mapping

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DURATION = re.compile(r"([+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+|0")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1, "m": 60, "h": 3600}
_ERROR_LIMIT, _TIMEOUT_SECONDS = 4, 10
"""Argo's defaults."""


def metric_of(
    spec: Object,
    template: TemplateKey,
    endpoints: Collection[str],
    *,
    is_dry_run: bool,
    unknown: tuple[Argument, ...],
    problems: list[Problem],
) -> AnalysisMetric:
    """Return a metric whose arguments are filled in, with what is wrong with it."""
    provider = mapping(spec.get("provider"))
    problems = problems + ([] if provider else [Problem("it has no provider")])
    request = _request(mapping(provider["web"]), problems) if "web" in provider else None
    query = _query(request, endpoints, problems) if request else _command(provider.get("job"), endpoints)
    interval, count = _seconds(spec, "interval", problems), whole(spec.get("count"))
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
        failure_limit=whole(spec.get("failureLimit")),
        inconclusive_limit=whole(spec.get("inconclusiveLimit")),
        consecutive_error_limit=whole(spec.get("consecutiveErrorLimit"), _ERROR_LIMIT),
        consecutive_success_limit=whole(spec.get("consecutiveSuccessLimit")),
        is_dry_run=is_dry_run,
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
        timeout_seconds=whole(web.get("timeoutSeconds")) or _TIMEOUT_SECONDS,
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
    for container in map(mapping, items(pod.get("containers"))):
        words = [str(word) for word in [*items(container.get("command")), *items(container.get("args"))]]
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


def whole(value: object, default: int = 0) -> int:
    """Return a count or limit as Argo reads it: a text that is not a whole number is 0."""
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(str(value)) if isinstance(value, str) and _WHOLE.fullmatch(value) else 0


def items(node: object) -> list[Any]:
    """Return a JSON array; anything else is an empty one."""
    return list(node) if isinstance(node, list | tuple) else []
