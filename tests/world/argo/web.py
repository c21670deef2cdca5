"""Argo's web provider: asks over HTTP, cuts a value out of the answer, and evaluates the conditions on it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.world.argo.assessment import Phase, measure

TIMEOUT_SECONDS = 10.0
_JSON_PATH = re.compile(r"\{\$((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}

Manifest = dict[str, Any]


class Web:
    """Measures metrics of the provider `web`.

    `addresses` is the cluster's DNS: the host and port of a URL, and the base URL of who answers there.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses

    def measure(self, metric: Manifest) -> Manifest:
        """Return a measurement's phase, with its value or its message."""
        web = metric.get("provider", {}).get("web")
        if web is None:
            return _error("no valid provider in metric '" + metric["name"] + "'")
        try:
            response = self._ask(web)
        except requests.RequestException as error:
            return _error(f'{web.get("method", "GET").capitalize()} "{web["url"]}": {_cause(error)}')
        if not 200 <= response.status_code < 300:
            return _error(f"received non 2xx response code: {response.status_code}")
        try:
            body = response.json()
        except ValueError:
            return {"phase": Phase.SUCCESSFUL, "value": response.text}  # no release evaluates the conditions on it
        try:
            result = _at(web.get("jsonPath") or "{$}", body)
        except (LookupError, TypeError, ValueError) as error:
            return _error(f"Could not find JSONPath in body: {error}")
        phase = measure(metric, result)
        if phase is Phase.ERROR:
            return _error("a condition cannot be evaluated on the result")
        return {"phase": phase, "value": _as_go_writes(result)}

    def _ask(self, web: Manifest) -> requests.Response:
        parts = urlsplit(web["url"])
        base = self._addresses.get(parts.netloc, f"{parts.scheme}://{parts.netloc}")
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                web.get("method", "GET"),
                web["url"].replace(f"{parts.scheme}://{parts.netloc}", base, 1),
                headers={header["key"]: header["value"] for header in web.get("headers", ())},
                json=web.get("jsonBody"),
                data=web.get("body"),
                timeout=web.get("timeoutSeconds") or TIMEOUT_SECONDS,
                verify=not web.get("insecure"),
            )


def _error(message: str) -> Manifest:
    return {"phase": Phase.ERROR, "message": message}


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    return "connect: connection refused" if isinstance(error, requests.ConnectionError) else str(error)


def _at(path: str, body: Any) -> Any:
    match = _JSON_PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"the embedded Argo does not know the path {path}")
    for name, index in _STEP.findall(match[1]):
        body = body[name] if name else body[int(index)]
    return body


def _as_go_writes(value: Any) -> str:
    """Return JSON as Go's encoder writes it: compact, keys sorted, 100 for 100.0, and three characters escaped."""
    text = json.dumps(_whole(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return re.sub("[<>&]", lambda match: _ESCAPES[match[0]], text)


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_whole(part) for part in value]
        case dict():
            return {key: _whole(part) for key, part in value.items()}
    return value
