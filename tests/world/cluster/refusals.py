"""Responses of an API server that are not what was asked for."""

from __future__ import annotations

from enum import Enum, auto
from http import HTTPStatus
from typing import Any


class Refusal(Exception):
    """An error response with a Status object."""

    def __init__(self, status: HTTPStatus, reason: str, message: str, **details: str | int) -> None:
        super().__init__(message)
        self.status = status
        answer: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        answer["message"] = message
        answer |= {"reason": reason, "details": details, "code": status.value}
        self.body = {name: part for name, part in answer.items() if name != "details" or details}
        seconds = details.get("retryAfterSeconds")
        self.headers = [] if seconds is None else [("Retry-After", str(seconds))]


class NoSuchPath(Exception):
    """A path that no API group serves: plain text, not a Status."""


class Absence(Enum):
    """How an API server answers for a group that it does not serve.

    All of them come from k8s.io/apiserver's `pkg/util/notfoundhandler`, to which the handler of custom resources
    delegates while a CustomResourceDefinition is missing or not established (again).
    """

    TEXT = auto()
    """404 with the text `404 page not found`."""
    STATUS = auto()
    """404 with a Status, as newer servers write it and proxies that translate errors."""
    STARTING = auto()
    """503: the server has not installed all its paths yet."""
    NOT_ESTABLISHED = auto()
    """404 with the text, and `/apis/<group>` has the version: the definition exists and is not established (again)."""

    def error(self) -> Exception:
        """Return what to raise."""
        if self is Absence.STATUS:
            return Refusal(HTTPStatus.NOT_FOUND, "NotFound", "the server could not find the requested resource")
        if self is Absence.STARTING:
            message = "the request has been made before all known HTTP paths have been installed, please try again"
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", message, retryAfterSeconds=5)
        return NoSuchPath()
