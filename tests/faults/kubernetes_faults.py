"""Every fault of a Kubernetes read, and what each read makes of it."""

import json

from provider.model.reasons import Reason
from tests.faults.calls import KUBERNETES_CALLS
from tests.faults.kinds import HTML, headed, lasting, saying, status_object, wire_faults
from tests.faults.matrix import CACHES, As, Combination, Fault, LeadsTo

_BROKEN = Reason.KUBERNETES_MALFORMED
_MINUTE = {"Retry-After": "60"}
_OTHER = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "uid": "u", "namespace": "y"}, "data": {}}
_OTHER["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"  # type: ignore[index]
_OTHERS = {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": [_OTHER]}

OF_ANY_READ: tuple[Fault, ...] = (
    *wire_faults(Reason.KUBERNETES_UNAVAILABLE, Reason.KUBERNETES_TIMEOUT, Reason.KUBERNETES_UNAVAILABLE),
    headed("says gzip and is not", _BROKEN, **{"Content-Encoding": "gzip"}),
    status_object("400", 400, "BadRequest", Reason.KUBERNETES_REJECTED),
    status_object("401", 401, "Unauthorized", Reason.KUBERNETES_UNAUTHORIZED),
    status_object("403", 403, "Forbidden", Reason.KUBERNETES_FORBIDDEN),
    status_object("404 NotFound", 404, "NotFound", _BROKEN),
    saying("404 page not found", "404 page not found\n", Reason.KUBERNETES_API_MISSING, 404, "text/plain"),
    saying("404 of a proxy", HTML, _BROKEN, 404, "text/html"),
    saying("very deep JSON with 404", "[" * 100_000, _BROKEN, 404),
    status_object("408", 408, "Timeout", Reason.KUBERNETES_TIMEOUT),
    status_object("409", 409, "Conflict", Reason.KUBERNETES_REJECTED),
    status_object("410", 410, "Expired", Reason.KUBERNETES_REJECTED),
    status_object("429", 429, "TooManyRequests", Reason.KUBERNETES_THROTTLED),
    status_object("429 for a minute", 429, "TooManyRequests", Reason.KUBERNETES_THROTTLED, headers=_MINUTE),
    status_object("500", 500, "InternalError", Reason.KUBERNETES_UNAVAILABLE),
    saying("502 of a proxy", HTML, Reason.KUBERNETES_UNAVAILABLE, 502, "text/html"),
    status_object("503", 503, "ServiceUnavailable", Reason.KUBERNETES_UNAVAILABLE),
    status_object("503 for a minute", 503, "ServiceUnavailable", Reason.KUBERNETES_UNAVAILABLE, headers=_MINUTE),
    status_object("504", 504, "Timeout", Reason.KUBERNETES_TIMEOUT),
    saying("sent elsewhere", "", _BROKEN, 302, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
    saying("204", "", Reason.KUBERNETES_REJECTED, 204),
    status_object("a Status with 200", 200, "Forbidden", _BROKEN),
    saying("HTML with 200", HTML, _BROKEN, kind="text/html"),
    saying("not JSON", "ok", _BROKEN),
    saying("half JSON", '{"metadata": {"name": "we', _BROKEN),
    saying("not UTF-8", b'{"metadata": {"name": "w\xff", "continue": "\xff"}, "spec": {}, "items": []}', _BROKEN),
    saying("nothing", "", _BROKEN),
    saying("null", "null", _BROKEN),
    saying("{}", "{}", _BROKEN),
    saying("[]", "[]", _BROKEN),
    saying("a number", "1e999", _BROKEN),
    saying("very deep JSON", '{"metadata": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}", _BROKEN),
    saying("another kind", json.dumps(_OTHER), _BROKEN),
)

OF_LISTS: tuple[Fault, ...] = (
    saying("items: {}", '{"metadata": {}, "items": {}}', _BROKEN),
    saying("items: [{}]", '{"metadata": {}, "items": [{}]}', _BROKEN),
    saying("no items", '{"metadata": {}}', _BROKEN),
    saying("a list of another kind", json.dumps(_OTHERS), _BROKEN),
    saying("empty list", '{"metadata": {}, "items": []}', As.WITHOUT),
    saying("null list", '{"metadata": {}, "items": null}', As.WITHOUT),
    lasting(
        saying(
            "pages without an end",
            '{"metadata": {"continue": "more"}, "items": []}',
            (Reason.DEADLINE_EXCEEDED, Reason.KUBERNETES_TIMEOUT),
            delay_seconds=0.1,
        )
    ),
)

_NONE_THERE = {
    "list ReplicaSets": Reason.REPLICA_SET_NOT_FOUND,
    "list pods' metadata": Reason.TARGETS_MISSING,
    "list EndpointSlices": Reason.TARGETS_MISSING,
    "list TargetGroupBindings": Reason.NO_BINDING,
    "list pods in full": Reason.TARGETS_UNHEALTHY_IN_GRACE,
    "list nodes": Reason.TARGETS_MISSING,
}
"""What it means when a list is truly empty. Auto Mode's has none of our bindings, so nothing is missing there."""

EXCEPTIONS: dict[tuple[str, str], LeadsTo] = {
    **{(call, "empty list"): reason for call, reason in _NONE_THERE.items()},
    ("list ReplicaSets", "null list"): _NONE_THERE["list ReplicaSets"],
    # The API server's own word for "there is none": the object is absent, which is an answer.
    ("get Rollout", "404 NotFound"): As.NOT_FOUND,
    ("gate: get Rollout", "404 NotFound"): As.NOT_FOUND,
    ("get green Service", "404 NotFound"): Reason.SERVICE_NOT_FOUND,
    ("get other Service", "404 NotFound"): Reason.SERVICE_NOT_FOUND,  # it may have selected green
    ("get pod", "404 NotFound"): Reason.TARGETS_UNHEALTHY_IN_GRACE,  # a pod that is gone proves nothing
    ("get node", "404 NotFound"): Reason.TARGETS_MISSING,
}


def combinations() -> list[Combination]:
    """Every read with the faults that are tried, and those that mean something else to it."""
    return [
        Combination(call, fault, EXCEPTIONS.get((call.name, fault.name), fault.leads_to), cache)
        for cache in CACHES
        for call in KUBERNETES_CALLS
        for fault in (*OF_ANY_READ, *(OF_LISTS if call.lists else ()))
        if call.can_have(fault.name, cache) or (cache == "cold" and (call.name, fault.name) in EXCEPTIONS)
    ]
