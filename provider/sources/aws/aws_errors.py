"""Turns AWS errors into reasons and sentences that tell the operator what to fix."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import NameResolutionError

from provider.model.errors import CannotTell
from provider.model.reasons import Reason

THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
}
"""Source: botocore retries/standard.py. ELBv2 is documented to send ThrottlingException; Throttling was seen too."""

_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired"}
_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_QUOTAS = {
    "TooManyTargets": "targets of the load balancer or the target group",
    "TooManyRegistrationsForTargetId": "registrations of one target",
}
"""Quotas that RegisterTargets can exceed, by AWS's code (ELBv2 API reference)."""
_CLOCK = {"RequestExpired", "RequestTimeTooSkewed"}
"""Codes for a wrong clock: a signature is valid for five minutes before and after its time."""
_STS_OPERATIONS = ("AssumeRole", "GetSessionToken")
_UNAVAILABLE = {"InternalFailure", "InternalError", "ServiceUnavailable", "HealthUnavailable"}
_SERVER_ERROR = 500
_CODE = re.compile(r"[A-Za-z0-9.:_-]{1,64}")


_PARSER_ERRORS = (  # tests/upstream/botocore-parser-errors.sh
    ResponseParserError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)
"""What botocore's parser raises for broken XML, numbers, times and JSON."""


@contextmanager
def naming(action: str, what: str, role_arn: str = "") -> Iterator[None]:
    """Turn the errors that botocore raises inside into CannotTell.

    `action` is the IAM action, `what` the resource in words, `role_arn` the role that signs, empty for the provider's.
    """
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError) as error:
        raise named(error, action, what, role_arn) from error
    except _PARSER_ERRORS as error:
        raise malformed(action, what) from error
    except OSError as error:  # the role's token file is missing or unreadable
        raise no_credentials(action) from error


def named(error: boto.BotoCoreError | boto.ClientError, action: str, what: str, role_arn: str = "") -> CannotTell:
    """Return the CannotTell for an error of a call; the arguments are those of `naming`."""
    match error:
        case boto.ClientError():
            return _refused(error, action, what, role_arn)
        case boto.ConnectTimeoutError() | boto.ReadTimeoutError():
            return CannotTell(Reason.AWS_TIMEOUT, f"AWS did not answer {action} of {what} in time")
        case (
            boto.NoCredentialsError()
            | boto.PartialCredentialsError()
            | boto.CredentialRetrievalError()
            | boto.NoAuthTokenError()
            | boto.TokenRetrievalError()
            | boto.ProfileNotFound()
            | boto.SSOError()
            | boto.LoginError()
            | boto.RefreshWithMFAUnsupportedError()
            | boto.InvalidConfigError()
            | boto.MetadataRetrievalError()
        ):
            return no_credentials(action)
        case boto.MissingDependencyException():
            return CannotTell(
                Reason.AWS_CREDENTIALS,
                f"The AWS profile signs in with `aws login`, for which {action} needs the package awscrt: "
                "install it beside the provider, or choose another profile (AWS_PROFILE)",
            )
        case boto.HTTPClientError() if type(error.kwargs.get("error")) in {ValueError, UnicodeEncodeError}:
            return no_credentials(action)  # http.client refused a header; only the credentials can be at fault
        case boto.EndpointConnectionError(kwargs={"error": NameResolutionError() as cause}):
            why = f"cannot resolve {cause.conn.host}"
            return CannotTell(Reason.AWS_UNAVAILABLE, f"AWS cannot be reached ({why}) for {action} of {what}")
        case boto.HTTPClientError() | boto.ConnectionError():
            return CannotTell(
                Reason.AWS_UNAVAILABLE, f"AWS cannot be reached ({type(error).__name__}) for {action} of {what}"
            )
        case _:
            return malformed(action, what)


def no_credentials(action: str) -> CannotTell:
    """Return the CannotTell for missing credentials."""
    return CannotTell(
        Reason.AWS_CREDENTIALS,
        f"There are no usable AWS credentials for {action}: {_way_to_credentials()}",
    )


def _way_to_credentials() -> str:
    """Say how to get credentials: in a pod by its ServiceAccount, elsewhere by a profile."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "give the provider's ServiceAccount a role (EKS Pod Identity or IRSA)"
    return "choose a profile (AWS_PROFILE) and sign in (aws sso login)"


def cannot_assume(error: boto.ClientError | boto.ParamValidationError, action: str, role_arn: str) -> CannotTell:
    """Return the CannotTell for a failed AssumeRole.

    STS answers AccessDenied for all of: no such role, no permission, no trust, another external id.
    """
    if isinstance(error, boto.ParamValidationError):
        why = "the external id is not valid"
    else:
        why = _code(error)
        if _is_outage(error) or why in THROTTLED | _CREDENTIALS or error.operation_name != "AssumeRole":
            return named(error, action, f"role {role_arn}")
    return CannotTell(
        Reason.AWS_CREDENTIALS,
        f"AWS does not let the provider assume role {role_arn} ({why}): allow the provider's IAM role {action} on it, "
        "and let its trust policy trust the provider's role, with the TargetGroupBinding's assumeRoleExternalId if the "
        "policy requires one",
    )


def whose(role_arn: str) -> str:
    """Name the role that lacks a permission: the given one, or the provider's."""
    return f"role {role_arn}" if role_arn else "the provider's IAM role"


def malformed(action: str, what: str) -> CannotTell:
    """Return the CannotTell for an answer that does not match the API."""
    return CannotTell(Reason.AWS_MALFORMED, f"AWS's answer to {action} of {what} does not match its API")


@contextmanager
def well_formed(action: str, what: str) -> Iterator[None]:
    """Raise CannotTell for an answer that lacks a field of the API."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise malformed(action, what) from error


def _code(error: boto.ClientError) -> str:
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else "no code"  # it becomes part of a sentence


def _status(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_outage(error: boto.ClientError) -> bool:
    return _code(error) in _UNAVAILABLE or _status(error) >= _SERVER_ERROR


def _refused(error: boto.ClientError, action: str, what: str, role_arn: str) -> CannotTell:
    code, status = _code(error), _status(error)
    by_sts = error.operation_name.startswith(_STS_OPERATIONS)
    request = (
        f"{error.operation_name} for {action}" if by_sts and not action.startswith("sts:") else f"{action} of {what}"
    )
    if code in THROTTLED:
        return CannotTell(Reason.AWS_THROTTLED, f"AWS throttles {request} ({code})")
    if _is_outage(error):
        return CannotTell(Reason.AWS_UNAVAILABLE, f"AWS has an error ({status} {code}) at {request}")
    if code in _CLOCK or code in _CREDENTIALS or by_sts:
        return CannotTell(Reason.AWS_CREDENTIALS, _rejected_credentials(code, action, role_arn))
    if code.isdigit():  # botocore's substitute for a missing code: the answer is not from AWS
        return malformed(action, what)
    if code in _FORBIDDEN:
        return CannotTell(
            Reason.AWS_FORBIDDEN,
            f"AWS forbids {action} of {what} ({code}): allow the action in {whose(role_arn)}",
        )
    if code in _QUOTAS:
        return CannotTell(
            Reason.HANDOVER_IMPOSSIBLE,
            f"AWS's quota of {_QUOTAS[code]} is used up ({code}), and a handover needs blue's and green's at the same "
            f"time in {what}: raise the quota, or use fewer replicas",
        )
    if code == "TargetGroupNotFound":
        return CannotTell(
            Reason.TARGET_GROUP_NOT_FOUND,
            f"AWS does not know {what} ({code}): correct the TargetGroupBinding, or "
            + (f"the role that reads it ({role_arn})" if role_arn else "the account the provider runs in"),
        )
    return CannotTell(Reason.AWS_REJECTED, f"AWS refuses {action} of {what} ({status} {code})")


def _rejected_credentials(code: str, action: str, role_arn: str) -> str:
    """Say what to do about credentials that AWS rejects: the role's, or the provider's, which cannot assume a role."""
    if code in _CLOCK:
        return f"AWS rejects the time in the provider's signature ({code}) for {action}: set the clock of its node"
    if role_arn and code in _CREDENTIALS:
        return f"AWS rejects the credentials of role {role_arn} ({code}) for {action}: the role will be assumed again"
    return f"AWS rejects the provider's credentials ({code}) for {action}: {_way_to_credentials()}"
