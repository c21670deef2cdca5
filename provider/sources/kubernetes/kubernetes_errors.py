"""Names what the Kubernetes API refuses, or fails to say, by what the operator must do."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import msgspec
from urllib3 import exceptions as http

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.sources.kubernetes import shapes

_NOT_SERVED = b"404 page not found", "the server could not find the requested resource"
"""How the API server says that it does not know a resource; a proxy's own 404 must not read as that.

As a text, or in newer servers (kubernetes#138219) as the message of a Status; of an absent object the message names it.
"""


class TooLarge(CannotTell):
    """An answer that is larger than it may be."""

    def __init__(self, what: str, most_bytes: int) -> None:
        """Name the request."""
        sentence = f"The Kubernetes API's answer to {what} is larger than {most_bytes // 2**20} MiB"
        super().__init__(Reason.KUBERNETES_MALFORMED, sentence)


class Absent(Exception):
    """The API server says that the object does not exist."""


@contextmanager
def well_formed(what: str) -> Iterator[None]:
    """Turn an answer of another shape into a CannotTell."""
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested beyond reason
        raise malformed(what) from error


def malformed(what: str) -> CannotTell:
    """Return the CannotTell for an answer that the API server would not give."""
    return CannotTell(
        Reason.KUBERNETES_MALFORMED,
        f"The Kubernetes API's answer to {what} is not what its schema promises; is there a proxy in between?",
    )


def unreachable(what: str, error: Exception) -> CannotTell:
    """Return the CannotTell for a request without a complete answer."""
    cause = error.reason if isinstance(error, http.MaxRetryError) else error
    # A redirect, which is followed nowhere, since the token would go along; or what is no gzip, although it says so.
    if isinstance(cause, http.ResponseError | http.DecodeError):
        return malformed(what)
    # urllib3 derives a refused connection from its ConnectTimeoutError; that is no time-out.
    if isinstance(cause, http.TimeoutError) and not isinstance(cause, http.NewConnectionError):
        return CannotTell(Reason.KUBERNETES_TIMEOUT, f"The Kubernetes API did not answer in time: {what}")
    why = f"cannot resolve {cause.conn.host}" if isinstance(cause, http.NameResolutionError) else type(cause).__name__
    return CannotTell(Reason.KUBERNETES_UNAVAILABLE, f"The Kubernetes API cannot be reached ({why}): {what}")


def refused(what: str, status: int, body: bytes) -> Exception:
    """Return what to raise for a status other than 200: a reason and what the operator must do."""
    verb, _, resource = what.partition(" ")
    match status:
        case HTTPStatus.NOT_FOUND:
            return _not_found(what, body)
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
    """Tell an object that does not exist from an API that is not served, and from a 404 of somebody else."""
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
