"""Parses DescribeTargetHealth's XML; botocore's own parser would be the largest CPU cost of a query.

It is called by botocore's event `before-parse`; signing, retries and errors stay with botocore. An answer of another
shape raises ValueError, and is never read as empty. Source: ELBv2 API Reference 2015-12-01, DescribeTargetHealth.
"""

from http import HTTPStatus
from sys import intern
from typing import Any
from xml.etree import ElementTree as ET

from provider.model.lengths import ARN, NAME, cut, reference
from provider.model.records import Target

OPERATION = "DescribeTargetHealth"

TARGETS = "TargetHealthDescriptions"
"""Key of the parsed answer that holds a tuple of Target."""

EVENT = f"before-parse.elastic-load-balancing-v2.{OPERATION}"

_NO_OVERRIDE = {"", "no_override", "unknown"}
"""AWS's words for a target without an override, or whose override it does not know."""

_EMPTY_ANSWER = f"<{OPERATION}Response><{OPERATION}Result/></{OPERATION}Response>".encode()
"""What botocore's parser gets instead."""


def before_parse(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Parse the targets of a successful answer. Raises ValueError if it does not match the API."""
    if response_dict["status_code"] == HTTPStatus.OK:
        customized_response_dict[TARGETS] = parse(response_dict["body"])
        response_dict["body"] = _EMPTY_ANSWER


def parse(body: bytes) -> tuple[Target, ...]:
    """Return every target of an answer, in its order. Raises ValueError."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - from AWS over TLS, and expat expands no external entities
    except ET.ParseError as error:
        raise ValueError("not XML") from error
    namespace = root.tag.rpartition("}")[0]
    prefix = f"{namespace}}}" if namespace else ""
    if root.tag != f"{prefix}{OPERATION}Response":
        raise ValueError(f"its root is {root.tag[:100]}")
    targets = root.find(f"{prefix}{OPERATION}Result/{prefix}{TARGETS}")
    if targets is None:
        raise ValueError(f"no {TARGETS}")
    names = _Names(prefix)
    return tuple(map(names.target, targets))


class _Names:
    """Element names, each with its XML namespace."""

    def __init__(self, prefix: str) -> None:
        self.target_of, self.health = prefix + "Target", prefix + "TargetHealth"
        self.id, self.port = prefix + "Id", prefix + "Port"
        self.state, self.reason, self.description = prefix + "State", prefix + "Reason", prefix + "Description"
        self.anomaly, self.result = prefix + "AnomalyDetection", prefix + "Result"
        self.override = prefix + "AdministrativeOverride"

    def target(self, member: ET.Element) -> Target:
        target, health = member.find(self.target_of), member.find(self.health)
        if target is None or health is None:
            raise ValueError("a member has no Target or no TargetHealth")
        id_, port, state = target.findtext(self.id), target.findtext(self.port), health.findtext(self.state)
        if not id_ or not port or not state:
            raise ValueError("a target has no Id, Port or State")
        # Interned: EndpointSlices have the address too, and thousands of targets the same state.
        id_, state = intern(reference(id_, ARN)), intern(reference(state, NAME))
        # find with a plain tag stays in the C code of ElementTree.
        anomaly, override = member.find(self.anomaly), member.find(self.override)
        is_anomalous = anomaly is not None and anomaly.findtext(self.result) == "anomalous"
        overridden = cut(override.findtext(self.state) or "") if override is not None else ""
        if overridden in _NO_OVERRIDE:
            overridden = ""
        if len(health) == 1:
            return Target(id_, int(port), state, "", "", is_anomalous, overridden)
        reason, description = health.findtext(self.reason), health.findtext(self.description)
        return Target(id_, int(port), state, cut(reason or ""), cut(description or ""), is_anomalous, overridden)
