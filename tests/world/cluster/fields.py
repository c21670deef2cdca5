"""Fields of objects that a list can be selected by, and field selectors (k8s.io/apimachinery, `pkg/fields`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.world.cluster.selectors import Requirement, SelectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_ALL = ("metadata.name", "metadata.namespace")
_OF_PODS = (
    *_OF_ALL,
    *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork"),
    *("status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"),
)
"""What `pkg/apis/core/v1/conversion.go` accepts for pods; `spec.host` is an old name of `spec.nodeName`."""

_TERM = re.compile(r"(?:\\.|[^,\\]|\\$)+")
_OPERATOR = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\,=])")


def fields_of(kind: str, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that field selectors compare; a field that is not set is empty."""
    metadata = manifest["metadata"]
    fields = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
    if kind != "Pod":
        return fields
    spec, status = manifest.get("spec") or {}, manifest["status"]
    addresses = status.get("podIPs") or [{"ip": ""}]
    return fields | {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", "Always"),
        "spec.schedulerName": spec.get("schedulerName", "default-scheduler"),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": str(bool(spec.get("hostNetwork"))).lower(),
        "status.phase": status["phase"],
        "status.podIP": addresses[0]["ip"],
        "status.podIPs": "",  # accepted in a selector, but never given a value (pkg/registry/core/pod/strategy.go)
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


def parse_field_selector(kind: str, text: str) -> tuple[Requirement, ...]:
    """Parse e.g. `status.phase!=Failed,metadata.name=x`; raises SelectorError."""
    terms = [_parse(term) for term in _TERM.findall(text)]
    return tuple(Requirement(_known(kind, key), operator, frozenset({value})) for key, operator, value in terms)


def _parse(term: str) -> tuple[str, str, str]:
    match = _OPERATOR.fullmatch(term)
    if match is None:
        message = f"invalid selector: '{term}'; can't understand '{term}'"
        raise SelectorError(message)
    key, operator, value = match.groups()
    rest = _ESCAPED.sub("", value)
    if "\\" in rest or "=" in rest:
        message = f"invalid field selector: invalid escape sequence or unescaped character in value: {value}"
        raise SelectorError(message)
    return key, "notin" if operator == "!=" else "in", _ESCAPED.sub(r"\1", value)


def _known(kind: str, field: str) -> str:
    if kind != "Pod" and field not in _OF_ALL:
        message = f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        raise SelectorError(message)
    if kind == "Pod" and field not in (*_OF_PODS, "spec.host"):
        message = f"field label not supported: {field}"
        raise SelectorError(message)
    return "spec.nodeName" if field == "spec.host" else field
