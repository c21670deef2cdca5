"""Turns errors of the Kubernetes API into reasons and sentences that tell the operator what to fix."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import msgspec
from urllib3 import exceptions as http

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.sources.kubernetes import shapes

_NOT_SERVED = b"404 page not found", "the server could not find the requested resource"
"""The API server's 404 for a resource that it does not serve, told apart from a proxy's 404.

A text, or in newer servers (kubernetes#138219) the message of a Status. The message for an absent object names it.
"""


class TooLarge(CannotTell):
    """An answer that is larger than the limit."""

    def __init__(self, what: str, max_bytes: int) -> None:
        """Name the request."""
        sentence = f"The Kubernetes API's answer to {what} is larger than {max_bytes // 2**20} MiB"
        super().__init__(Reason.KUBERNETES_MALFORMED, sentence)


class Absent(Exception):
    """The API server says that the object does not exist."""


class Conflict(Exception):
    """Another write came first: the object exists already, or is not the one that was read."""


@contextmanager
def well_formed(what: str) -> Iterator[None]:
    """Raise CannotTell for an answer of another shape."""
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # RecursionError: too deeply nested
        raise malformed(what) from error


def malformed(what: str) -> CannotTell:
    """Return the CannotTell for an answer that is not the API server's."""
    return CannotTell(
        Reason.KUBERNETES_MALFORMED,
        f"The Kubernetes API's answer to {what} does not match its schema; is there a proxy in between?",
    )


def unreachable(what: str, error: Exception) -> CannotTell:
    """Return the CannotTell for a request without a complete answer."""
    cause = error.reason if isinstance(error, http.MaxRetryError) else error
    # A redirect is not followed, since the token would go along; DecodeError: the body is not gzip as declared.
    if isinstance(cause, http.ResponseError | http.DecodeError):
        return malformed(what)
    # urllib3 derives a refused connection from ConnectTimeoutError, but it is not a timeout.
    if isinstance(cause, http.TimeoutError) and not isinstance(cause, http.NewConnectionError):
        return CannotTell(Reason.KUBERNETES_TIMEOUT, f"The Kubernetes API did not answer in time: {what}")
    why = f"cannot resolve {cause.conn.host}" if isinstance(cause, http.NameResolutionError) else type(cause).__name__
    return CannotTell(Reason.KUBERNETES_UNAVAILABLE, f"The Kubernetes API cannot be reached ({why}): {what}")


def refused(what: str, status: int, body: bytes) -> Exception:
    """Return what to raise for a status that is not the expected one."""
    verb, _, resource = what.partition(" ")
    match status:
        case HTTPStatus.NOT_FOUND:
            return _not_found(what, body)
        case HTTPStatus.CONFLICT if verb not in {"get", "list"}:
            return Conflict()
        case HTTPStatus.UNAUTHORIZED:
            return CannotTell(
                Reason.KUBERNETES_UNAUTHORIZED,
                f"The Kubernetes API rejects the provider's credentials (401): {what}; renew its ServiceAccount token "
                "or kubeconfig",
            )
        case HTTPStatus.FORBIDDEN:
            return CannotTell(
                Reason.KUBERNETES_FORBIDDEN,
                f"Forbidden (403): the provider may not {what}. Grant the verb {verb} on {resource} in its RBAC role.",
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return CannotTell(Reason.KUBERNETES_THROTTLED, f"The Kubernetes API throttles requests (429): {what}")
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.GATEWAY_TIMEOUT:
            return CannotTell(Reason.KUBERNETES_TIMEOUT, f"The Kubernetes API timed out ({status}): {what}")
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return CannotTell(Reason.KUBERNETES_UNAVAILABLE, f"The Kubernetes API has an error ({status}): {what}")
        case _:
            return CannotTell(Reason.KUBERNETES_REJECTED, f"The Kubernetes API refused to answer ({status}): {what}")


def _not_found(what: str, body: bytes) -> Exception:
    """Tell an absent object from an API that is not served, and from the 404 of a proxy."""
    text, message = _NOT_SERVED
    try:
        status: shapes.Status = shapes.decoder(shapes.Status).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = shapes.Status(kind="")
    is_not_found = status.kind == "Status" and status.reason == "NotFound"
    if body.strip() == text or (is_not_found and status.message == message):
        return CannotTell(
            Reason.KUBERNETES_API_MISSING, f"The cluster does not serve this API ({what}): are its CRDs installed?"
        )
    return Absent() if is_not_found else malformed(what)
