"""Every fault of an AWS call, and what each call makes of it. ELBv2 speaks XML, CloudWatch JSON."""

import json

from provider.model.reasons import Reason
from tests.faults.calls import AWS_CALLS
from tests.faults.kinds import HTML, HTML_OF_A_BALANCER, aws_error, headed, saying, wire_faults
from tests.faults.matrix import CACHES, As, Combination, Fault

_BROKEN, _DOWN, _REFUSED = Reason.AWS_MALFORMED, Reason.AWS_UNAVAILABLE, Reason.AWS_REJECTED
_FORBIDDEN, _THROTTLED, _KEYS = Reason.AWS_FORBIDDEN, Reason.AWS_THROTTLED, Reason.AWS_CREDENTIALS
_MINUTE = {"Retry-After": "60"}

OF_ANY_CALL: tuple[Fault, ...] = (
    *wire_faults(_DOWN, Reason.AWS_TIMEOUT, _BROKEN),
    headed("says gzip and is not", As.WITHOUT, **{"Content-Encoding": "gzip"}),  # botocore never unpacks
    aws_error("AccessDenied", _FORBIDDEN, 403),
    aws_error("AccessDeniedException", _FORBIDDEN),
    aws_error("UnauthorizedOperation", _FORBIDDEN, 403),
    aws_error("OptInRequired", _FORBIDDEN, 403),
    aws_error("Throttling", _THROTTLED),
    aws_error("ThrottlingException", _THROTTLED),
    aws_error("RequestLimitExceeded", _THROTTLED, 503),
    aws_error("TooManyRequestsException", _THROTTLED, 429),
    aws_error("Throttling", _THROTTLED, 429, "Throttling for a minute", **_MINUTE),
    aws_error("ThrottlingException", _THROTTLED, 503, "ThrottlingException for a minute", **_MINUTE),
    aws_error("ExpiredToken", _KEYS, 403),
    aws_error("ExpiredTokenException", _KEYS, 403),
    aws_error("InvalidClientTokenId", _KEYS, 403),
    aws_error("UnrecognizedClientException", _KEYS),
    aws_error("SignatureDoesNotMatch", _KEYS, 403),
    aws_error("InvalidSignatureException", _KEYS, 403),
    aws_error("IncompleteSignatureException", _KEYS, 403),
    aws_error("MissingAuthenticationToken", _KEYS, 403),
    aws_error("RequestExpired", _KEYS),
    aws_error("RequestTimeTooSkewed", _KEYS, 403),
    aws_error("TargetGroupNotFound", Reason.TARGET_GROUP_NOT_FOUND),
    aws_error("ValidationError", _REFUSED),
    aws_error("ResourceNotFound", _REFUSED, 404),
    aws_error("OperationAborted", _REFUSED, 409),
    aws_error("InvalidAction", _REFUSED, 410),
    aws_error("InternalFailure", _DOWN, 500),
    aws_error("ServiceUnavailable", _DOWN, 503),
    aws_error("ServiceUnavailable", _DOWN, 503, "ServiceUnavailable for a minute", **_MINUTE),
    aws_error("HealthUnavailable", _DOWN, 500),
    saying("403 of a proxy", HTML, _BROKEN, 403, "text/html"),
    saying("404 of a proxy", HTML, _BROKEN, 404, "text/html"),
    saying("429 of a proxy", HTML, _BROKEN, 429, "text/html"),
    saying("500 of a load balancer", HTML_OF_A_BALANCER, _DOWN, 500, "text/html"),
    saying("502 of a load balancer", HTML_OF_A_BALANCER, _DOWN, 502, "text/html"),
    saying("503 of a load balancer", HTML_OF_A_BALANCER, _DOWN, 503, "text/html"),
    saying("504 of a load balancer", HTML_OF_A_BALANCER, _DOWN, 504, "text/html"),
    saying("503 of a proxy", HTML, (_DOWN, _BROKEN), 503, "text/html"),  # the latter where it should have been XML
    saying("sent elsewhere", "", _BROKEN, 302, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
    saying("204", "", _BROKEN, 204),
    saying("HTML with 200", HTML, _BROKEN, kind="text/html"),
    saying("not XML and not JSON", "ok", _BROKEN, kind="text/plain"),
    saying("not UTF-8", b"\xff\xfe\xff", _BROKEN),
    saying("nothing", "", _BROKEN, kind="text/xml"),
)


def _answering(action: str, result: str) -> str:
    return f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"


def _target(**parts: str) -> str:
    texts = {"Id": "10.0.0.1", "Port": "8080", "State": "healthy"} | parts
    target = "".join(f"<{name}>{texts[name]}</{name}>" for name in ("Id", "Port") if texts[name])
    state = f"<State>{texts['State']}</State>" if texts["State"] else ""
    member = f"<member><Target>{target}</Target><TargetHealth>{state}</TargetHealth></member>"
    return f"<TargetHealthDescriptions>{member}</TargetHealthDescriptions>"


def _xml(action: str) -> tuple[Fault, ...]:
    """What is XML and still no answer to this action."""
    bomb = "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
        f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
    )
    return (
        saying("XHTML with 200", "<html><body>Sign in</body></html>", _BROKEN, kind="text/xml"),
        saying("another root", "<a/>", _BROKEN, kind="text/xml"),
        saying("no result", f"<{action}Response/>", _BROKEN, kind="text/xml"),
        saying("no list", _answering(action, ""), _BROKEN, kind="text/xml"),
        saying("half XML", f"<{action}Response><{action}Res", _BROKEN, kind="text/xml"),
        saying("very deep XML", "<a>" * 100_000 + "</a>" * 100_000, _BROKEN, kind="text/xml"),
        saying("an XML bomb", f"{bomb}]><a>&j;</a>", _BROKEN, kind="text/xml"),
    )


def _json() -> tuple[Fault, ...]:
    """What is JSON and still no answer of GetMetricData."""
    contents = {
        "null": "null",
        "{}": "{}",
        "[]": "[]",
        "a number": "1e999",
        "half JSON": '{"MetricDataResults": [{"Id": "m0"',
        "results: [{}]": '{"MetricDataResults": [{}]}',
        "results: [null]": '{"MetricDataResults": [null]}',
        "results of another question": json.dumps({"MetricDataResults": [_result(Id="m99")]}),
        "values that are words": json.dumps({"MetricDataResults": [_result(Values=["many"])]}),
        "a value too few": json.dumps({"MetricDataResults": [_result(Values=[])]}),
        "a time that is none": json.dumps({"MetricDataResults": [_result(Timestamps=["noon"])]}),
        "very deep JSON": '{"MetricDataResults": ' + "[" * 100_000 + "]" * 100_000 + "}",
    }
    none = saying("results: {}", '{"MetricDataResults": {}}', Reason.METRICS_INCOMPLETE)  # botocore takes it for []
    return (none, *(saying(name, content, _BROKEN) for name, content in contents.items()))


def _result(**changes: object) -> dict[str, object]:
    return {"Id": "m0", "Label": "m0", "StatusCode": "Complete", "Timestamps": [1.8e9], "Values": [1.0]} | changes


OF_CALL: dict[str, tuple[Fault, ...]] = {
    "DescribeTargetGroups": _xml("DescribeTargetGroups"),  # read by botocore, target health by a reader of our own
    "DescribeTargetHealth": (
        *_xml("DescribeTargetHealth"),
        *(
            saying(name, _answering("DescribeTargetHealth", content), leads_to, kind="text/xml")
            for name, content, leads_to in (
                ("empty list", "<TargetHealthDescriptions/>", Reason.TARGETS_MISSING),
                ("a port that is a word", _target(Port="http"), _BROKEN),
                ("a port that is not a number", _target(Port="NaN"), _BROKEN),
                ("a port of 10,000 digits", _target(Port="9" * 10_000), _BROKEN),
                ("no port", _target(Port=""), _BROKEN),
                ("no id", _target(Id=""), _BROKEN),
                ("no state", _target(State=""), _BROKEN),
            )
        ),
    ),
    "GetMetricData": _json(),
}


def combinations() -> list[Combination]:
    """Every call with the faults that are tried, and those of its own form."""
    general = [
        Combination(call, fault, fault.leads_to, cache)
        for cache in CACHES
        for call in AWS_CALLS
        for fault in OF_ANY_CALL
        if call.can_have(fault.name, cache)
    ]
    own = [
        Combination(call, fault, fault.leads_to, "cold") for call in AWS_CALLS for fault in OF_CALL.get(call.name, ())
    ]
    return general + own
