"""Session policies: a role's session may do only what the policy allows that was given to AssumeRole."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from moto.sts.models import sts_backends

from tests.world.server.faults import action_of, aws_error_bodies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/[^/]+/([^/]+)/")
_IAM_PREFIXES = {"monitoring": "cloudwatch"}
"""Where a service signs under another name than its actions have."""

_ON_TARGET_GROUPS = ("RegisterTargets", "DeregisterTargets")
"""Actions with a resource; reads of target groups are on `*` only (Service Authorization Reference)."""

_NEEDS_NO_PERMISSION = "sts:GetCallerIdentity"
_UNDERSTOOD = {"Sid", "Effect", "Action", "Resource"}


class SessionPolicies:
    """WSGI middleware in front of moto, which gives out sessions and does not look at their policies."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        refused = _refusal(environ)
        if refused is None:
            return self._app(environ, start_response)
        status, code, message = refused
        xml, as_json = aws_error_bodies(code, message, status.value)
        is_json = "HTTP_X_AMZ_TARGET" in environ
        content_type = "application/x-amz-json-1.0" if is_json else "text/xml"
        start_response(f"{status.value} {status.phrase}", [("Content-Type", content_type)])
        return [as_json if is_json else xml]


def why_not(policy: str, action: str, resource: str) -> str | None:
    """Return in AWS's words why a policy does not allow an action on a resource, or None if it does.

    Raises ValueError for what is not a policy, or has more in it than effects, actions and resources.
    """
    effects = {
        statement["Effect"]
        for statement in _statements(policy)
        if _matches(statement["Action"], action.lower(), lower=True) and _matches(statement["Resource"], resource)
    }
    if "Deny" in effects:
        return "with an explicit deny in a session policy"
    return None if "Allow" in effects else f"because no session policy allows the {action} action"


def _refusal(environ: dict[str, Any]) -> tuple[HTTPStatus, str, str] | None:
    body = environ["wsgi.input"].read().decode("utf-8", "replace")
    environ["wsgi.input"].seek(0)
    operation, parameters = action_of(environ, body), parse_qs(body)
    if operation == "AssumeRole" and "Policy" in parameters:
        try:
            _statements(parameters["Policy"][0])
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, "MalformedPolicyDocument", str(error)
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    session = _session(signed.group(1)) if signed else None
    if signed is None or session is None or not session.policy:
        return None
    action = f"{_IAM_PREFIXES.get(signed.group(2), signed.group(2))}:{operation}"
    resource = parameters.get("TargetGroupArn", ["*"])[0] if operation in _ON_TARGET_GROUPS else "*"
    why = why_not(session.policy, action, resource)
    if why is None or action == _NEEDS_NO_PERMISSION:
        return None
    on = "" if resource == "*" else f" on resource: {resource}"
    message = f"User: {session.arn} is not authorized to perform: {action}{on} {why}"
    return HTTPStatus.FORBIDDEN, "AccessDenied", message


def _session(access_key_id: str) -> Any:
    """Return moto's session of an access key, or None."""
    backends = [sts_backends[account]["aws"] for account in tuple(sts_backends)]
    sessions = (backend.get_assumed_role_from_access_key(access_key_id) for backend in backends)
    return next(filter(None, sessions), None)


def _statements(policy: str) -> list[dict[str, Any]]:
    document = json.loads(policy)
    statements = document.get("Statement") if isinstance(document, dict) else None
    listed: list[Any] = statements if isinstance(statements, list) else [statements]
    for statement in listed:
        if not isinstance(statement, dict) or not {"Effect", "Action", "Resource"} <= statement.keys() <= _UNDERSTOOD:
            message = "A statement must have Effect, Action and Resource; the embedded AWS understands nothing else."
            raise ValueError(message)
    return listed


def _matches(patterns: str | list[str], text: str, *, lower: bool = False) -> bool:
    """Tell whether a pattern with the wildcards * and ? matches; names of actions do so in any case of letters."""
    listed = [patterns] if isinstance(patterns, str) else patterns
    # fnmatch's third wildcard [ is an ordinary letter to IAM.
    return any(fnmatchcase(text, (one.lower() if lower else one).replace("[", "[[]")) for one in listed)
