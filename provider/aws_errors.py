"""Names what AWS refuses, or fails to say, by what the operator must do."""

import re

from botocore import exceptions as boto

from provider.errors import CannotTell
from provider.reasons import Reason

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
_CLOCK = {"RequestExpired", "RequestTimeTooSkewed"}
"""A signature is good for minutes (five before and after its time), so a clock that is wrong makes it invalid."""
_OF_STS = ("AssumeRole", "GetSessionToken")
_UNAVAILABLE = {"InternalFailure", "InternalError", "ServiceUnavailable", "HealthUnavailable"}
_SERVER_ERROR = 500
_CODE = re.compile(r"[A-Za-z0-9.:_-]{1,64}")


def named(error: boto.BotoCoreError | boto.ClientError, action: str, what: str) -> CannotTell:
    """Return the CannotTell for an error of a call; `action` is the IAM action, `what` the resource in words."""
    match error:
        case boto.ClientError():
            return _refused(error, action, what)
        case boto.ConnectTimeoutError() | boto.ReadTimeoutError():
            return CannotTell(Reason.AWS_TIMEOUT, f"AWS did not answer {action} of {what} in time")
        case (
            boto.NoCredentialsError()
            | boto.PartialCredentialsError()
            | boto.CredentialRetrievalError()
            | boto.NoAuthTokenError()
            | boto.TokenRetrievalError()
            | boto.ProfileNotFound()
        ):
            return no_credentials(action)
        case boto.HTTPClientError() | boto.ConnectionError():
            return CannotTell(
                Reason.AWS_UNAVAILABLE, f"AWS cannot be reached ({type(error).__name__}) for {action} of {what}"
            )
        case _:
            return malformed(action, what)


def no_credentials(action: str) -> CannotTell:
    """Return the CannotTell for a provider that has nothing to sign its requests with."""
    return CannotTell(
        Reason.AWS_CREDENTIALS,
        f"There are no usable AWS credentials for {action}: give the provider's ServiceAccount a role "
        "(EKS Pod Identity or IRSA)",
    )


def malformed(action: str, what: str) -> CannotTell:
    """Return the CannotTell for an answer that is not what the API promises."""
    return CannotTell(Reason.AWS_MALFORMED, f"AWS's answer to {action} of {what} is not what its API promises")


def _refused(error: boto.ClientError, action: str, what: str) -> CannotTell:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if not _CODE.fullmatch(code):  # it becomes part of a sentence: nothing but a code may
        code = "no code"
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    by_sts = error.operation_name.startswith(_OF_STS)
    asked = f"{error.operation_name} for {action}" if by_sts else f"{action} of {what}"
    if code in THROTTLED:
        return CannotTell(Reason.AWS_THROTTLED, f"AWS throttles {asked} ({code})")
    if code in _UNAVAILABLE or status >= _SERVER_ERROR:
        return CannotTell(Reason.AWS_UNAVAILABLE, f"AWS has an error ({status} {code}) at {asked}")
    if code in _CLOCK:
        return CannotTell(
            Reason.AWS_CREDENTIALS,
            f"AWS rejects the time in the provider's signature ({code}) for {action}: set the clock of its node",
        )
    # A role that cannot be assumed says AccessDenied too, but by another operation than ours.
    if code in _CREDENTIALS or by_sts:
        return CannotTell(
            Reason.AWS_CREDENTIALS,
            f"AWS rejects the provider's credentials ({code}) for {action}: check its role (EKS Pod Identity or IRSA)",
        )
    if code.isdigit():  # botocore takes the status for the code where there is none: this was not AWS
        return malformed(action, what)
    if code in _FORBIDDEN:
        return CannotTell(
            Reason.AWS_FORBIDDEN,
            f"AWS forbids {action} of {what} ({code}): allow the action in the provider's IAM role",
        )
    if code == "TargetGroupNotFound":
        return CannotTell(
            Reason.TARGET_GROUP_NOT_FOUND,
            f"AWS does not know {what} ({code}): correct the TargetGroupBinding, or the account the provider runs in",
        )
    return CannotTell(Reason.AWS_REJECTED, f"AWS refuses {action} of {what} ({status} {code})")
