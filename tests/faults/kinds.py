"""Faults of any HTTP upstream, and the makers of those that only Kubernetes or only AWS has."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from provider.model.reasons import Reason
from tests.faults.matrix import As, Fault, LeadsTo, Running
from tests.world.aws.api import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from tests.world.server.deliveries import Wire
from tests.world.server.faults import Faults

TOKEN = "token-of-the-provider"
SECRETS = (TOKEN, ACCESS_KEY_ID, SECRET_ACCESS_KEY)
"""Planted in what upstreams say; none of them may come out again."""

HTML = f"<!doctype html><html><body>Sign in<br>{TOKEN} {ACCESS_KEY_ID}</body></html>"
HTML_OF_A_BALANCER = HTML.removeprefix("<!doctype html>")
"""As load balancers write it, so that botocore knows it for an error page."""

LONG = 60
"""Seconds of a delay that nobody waits for: the end of the fault ends it."""


def on_the_wire(name: str, wire: Wire, leads_to: LeadsTo, pause_seconds: float = 0.1) -> Fault:
    """The right answer, delivered wrongly."""
    return Fault(
        name,
        lambda faults, match, about: faults.add(match, about=about, wire=wire, pause_seconds=pause_seconds),
        leads_to,
    )


def lasting(fault: Fault) -> Fault:
    """A fault that only the question's own deadline ends, which then is a short one."""
    return replace(fault, lasts=True)


def late(name: str, seconds: float, leads_to: LeadsTo) -> Fault:
    """The right answer, its first byte after these seconds."""
    return Fault(name, lambda faults, match, about: faults.add(match, about=about, delay_seconds=seconds), leads_to)


def saying(
    name: str,
    content: str | bytes,
    leads_to: LeadsTo,
    status: int = 200,
    kind: str = "application/json",
    delay_seconds: float = 0.0,
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """Another answer in place of the right one."""
    return Fault(
        name,
        lambda faults, match, about: faults.add(
            match,
            about=about,
            status=status,
            body=content,
            content_type=kind,
            delay_seconds=delay_seconds,
            headers=dict(headers or {}),
        ),
        leads_to,
    )


def headed(name: str, leads_to: LeadsTo, **headers: str) -> Fault:
    """The right body under wrong headers."""
    return Fault(name, lambda faults, match, about: faults.add(match, about=about, headers=headers), leads_to)


def rewritten(name: str, rewrite: Callable[[bytes], bytes], leads_to: LeadsTo) -> Fault:
    """The right answer with something changed in its body."""
    return Fault(name, lambda faults, match, about: faults.add(match, about=about, rewrite=rewrite), leads_to)


def status_object(
    name: str, status: int, word: str, leads_to: LeadsTo, headers: Mapping[str, str] | None = None
) -> Fault:
    """A Kubernetes Status; its message has a secret that must stay out of the answer."""
    body = json.dumps({"kind": "Status", "status": "Failure", "reason": word, "code": status, "message": f"no {TOKEN}"})
    return saying(name, body, leads_to, status, headers=headers)


def aws_error(code: str, leads_to: LeadsTo, status: int = 400, name: str = "", **headers: str) -> Fault:
    """An AWS error, in XML or JSON; its message has secrets that must stay out of the answer."""
    message = f"User arn:aws:iam::123456789012:user/{ACCESS_KEY_ID} with {SECRET_ACCESS_KEY}"

    def begin(faults: Faults, match: str, about: str) -> Running:
        return faults.aws_error(match, code, message, status, about=about, headers=headers)

    return Fault(name or code, begin, leads_to)


def wire_faults(unavailable: Reason, timeout: Reason, cut: Reason) -> tuple[Fault, ...]:
    """What goes wrong before anybody looks at what is said; `cut` is the reason of a body that ends too early."""
    return (
        on_the_wire("hangs up", Wire.DROPPED, unavailable),
        on_the_wire("resets", Wire.RESET, unavailable),
        on_the_wire("resets in the body", Wire.RESET_IN_BODY, unavailable),
        on_the_wire("truncated", Wire.TRUNCATED, cut),
        on_the_wire("chunks without an end", Wire.CHUNKED_CUT, unavailable),
        on_the_wire("not HTTP", Wire.GARBAGE, unavailable),
        late("slow first byte", 0.2, As.WITHOUT),
        on_the_wire("slow body", Wire.SLOW, As.WITHOUT, 0.03),
        late("hangs", LONG, timeout),
        on_the_wire("hangs in the body", Wire.STALLED, timeout),
        lasting(on_the_wire("trickles", Wire.TRICKLED, (timeout, Reason.DEADLINE_EXCEEDED))),
        lasting(on_the_wire("trickles from the first byte", Wire.TRICKLED_HEAD, (timeout, Reason.DEADLINE_EXCEEDED))),
        headed("right body of another content type", As.WITHOUT, **{"Content-Type": "text/html"}),
        headed("right body without a content type", As.WITHOUT, **{"Content-Type": ""}),
    )
