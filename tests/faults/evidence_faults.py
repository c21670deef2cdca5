"""Right answers with something in them that cannot be, or that nobody asked for."""

import json
from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import Any

from provider.model.reasons import Reason
from tests.faults.calls import AWS_CALLS, KUBERNETES_CALLS, Call, with_traffic
from tests.faults.kinds import rewritten
from tests.faults.matrix import As, Combination, Fault, LeadsTo

Json = dict[str, Any]
_CALLS = {call.name: call for call in (*KUBERNETES_CALLS, *AWS_CALLS)}
_K8S, _AWS = Reason.KUBERNETES_MALFORMED, Reason.AWS_MALFORMED
_FUTURE, _LAST_DAY, _FIRST_DAY = "2999-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"
_HUGE = 10**30

ASKED_FOR_ERRORS = (
    Call(
        "errors: list ReplicaSets",
        "/{lane}/replicasets?",
        "list replicasets.apps in namespace {lane}",
        with_traffic,
        ("Successful", "ErrorsWithinLimit"),
        question="errors",
    ),
    Call(
        "errors: get green Service",
        "/services/{lane}-preview",
        "get services {lane}-preview in namespace {lane}",
        with_traffic,
        ("Successful", "ErrorsWithinLimit"),
        question="errors",
    ),
)
"""The times in these objects open the window of metrics."""


def changed(name: str, change: Callable[[Any], object], leads_to: LeadsTo) -> Fault:
    """Change the right answer."""

    def rewrite(body: bytes) -> bytes:
        answer = json.loads(body)
        change(answer)
        return json.dumps(answer).encode()

    return rewritten(name, rewrite, leads_to)


def _holders(answer: Any, path: tuple[str | int, ...]) -> list[Any]:
    """What holds the last key of a path: in the object, or in every item of the list."""
    return [reduce(getitem, path[:-1], item) for item in answer.get("items", [answer])]


def put(*path: str | int, value: object) -> Callable[[Any], None]:
    """Set the value at a path of keys, in every item."""

    def change(answer: Any) -> None:
        for holder in _holders(answer, path):
            holder[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[Any], None]:
    """Remove the value at a path of keys, in every item."""

    def change(answer: Any) -> None:
        for holder in _holders(answer, path):
            del holder[path[-1]]

    return change


def twice(answer: Json) -> None:
    """List every item twice."""
    answer["items"] *= 2


def first_for_last(answer: Json) -> None:
    """List the first item twice, and the last not at all."""
    answer["items"][-1] = answer["items"][0]


def at_other_addresses(answer: Json) -> None:
    """Give every endpoint another address."""
    for endpoint_slice in answer["items"]:
        for number, endpoint in enumerate(endpoint_slice["endpoints"]):
            endpoint["addresses"] = [f"192.0.2.{number}"]


OF_KUBERNETES: dict[str, tuple[Fault, ...]] = {
    "get Rollout": (
        changed("an older generation observed", put("metadata", "generation", value=99), Reason.ROLLOUT_NOT_OBSERVED),
        changed("a generation of 31 digits", put("metadata", "generation", value=_HUGE), Reason.ROLLOUT_NOT_OBSERVED),
        changed("no uid", drop("metadata", "uid"), _K8S),
        changed("no status", drop("status"), Reason.ROLLOUT_NOT_OBSERVED),
        changed("another hash", put("status", "currentPodHash", value="77aa"), Reason.SUPERSEDED),
        changed("replicas of 31 digits", put("spec", "replicas", value=_HUGE), _K8S),
        changed("negative replicas", put("spec", "replicas", value=-1), _K8S),
        changed("replicas in a text", put("spec", "replicas", value="3"), _K8S),
        changed("replicas NaN", put("spec", "replicas", value=float("nan")), _K8S),
        changed("no strategy", put("spec", "strategy", value={}), Reason.NO_STRATEGY_SERVICE),
    ),
    "list ReplicaSets": (
        changed("twice", twice, As.WITHOUT),
        changed("of another namespace", put("metadata", "namespace", value="other"), _K8S),
        changed("no uid", drop("metadata", "uid"), _K8S),
        changed("no owner", drop("metadata", "ownerReferences"), Reason.REPLICA_SET_NOT_FOUND),
        changed("no creation", drop("metadata", "creationTimestamp"), _K8S),
        changed("replicas of an int32", put("spec", "replicas", value=2**31 - 1), _K8S),
        changed("replicas of 31 digits", put("spec", "replicas", value=_HUGE), _K8S),
        changed("all replicas of a cluster", put("spec", "replicas", value=150_000), Reason.TARGETS_MISSING),
        changed("more replicas than pods", put("spec", "replicas", value=4), Reason.TARGETS_MISSING),
        changed("no replicas", put("spec", "replicas", value=0), Reason.NO_PODS),
        changed("negative replicas", put("spec", "replicas", value=-1), _K8S),
        changed("half a replica", put("spec", "replicas", value=1.5), _K8S),
        changed("created in the future", put("metadata", "creationTimestamp", value=_FUTURE), As.WITHOUT),
        changed("created on the last day", put("metadata", "creationTimestamp", value=_LAST_DAY), _K8S),
        changed("created on the first day", put("metadata", "creationTimestamp", value=_FIRST_DAY), _K8S),
        changed(
            "an older generation observed", put("metadata", "generation", value=9), Reason.REPLICA_SET_NOT_OBSERVED
        ),
    ),
    "errors: list ReplicaSets": (
        changed("created in the future", put("metadata", "creationTimestamp", value=_FUTURE), Reason.WINDOW_NOT_OPEN),
    ),
    "list pods' metadata": (
        changed("twice", twice, As.WITHOUT),
        changed("one twice, one never", first_for_last, Reason.TARGETS_MISSING),
        changed("no uid", drop("metadata", "uid"), _K8S),
        changed("of another owner", put("metadata", "ownerReferences", 0, "uid", value="x"), Reason.TARGETS_MISSING),
        changed("all terminating", put("metadata", "deletionTimestamp", value=_FUTURE), Reason.TARGETS_MISSING),
        changed("created in the future", put("metadata", "creationTimestamp", value=_FUTURE), As.WITHOUT),
        changed("created on the last day", put("metadata", "creationTimestamp", value=_LAST_DAY), _K8S),
    ),
    "list EndpointSlices": (
        changed("twice", twice, As.WITHOUT),
        changed("of another namespace", put("metadata", "namespace", value="other"), _K8S),
        changed("unknown addresses", at_other_addresses, Reason.TARGETS_MISSING),
        changed("no endpoints", put("endpoints", value=None), Reason.TARGETS_MISSING),
        changed("no ports", put("ports", value=None), Reason.TARGET_PORT_NOT_FOUND),
        changed("no addresses", put("endpoints", 0, "addresses", value=[]), Reason.TARGETS_MISSING),
        changed("a port of 31 digits", put("ports", 0, "port", value=_HUGE), Reason.TARGETS_MISSING),
        changed("addresses that are none", put("endpoints", 0, "addresses", value=["::g"]), Reason.TARGETS_MISSING),
    ),
    "list TargetGroupBindings": (
        changed("twice", twice, As.WITHOUT),
        changed("of another namespace", put("metadata", "namespace", value="other"), _K8S),
        changed("an ARN that is none", put("spec", "targetGroupARN", value="arn:x"), Reason.TARGET_GROUP_NOT_FOUND),
        changed("an unknown port", put("spec", "serviceRef", "port", value=81), Reason.SERVICE_PORT_NOT_FOUND),
        changed("of another Service", put("spec", "serviceRef", "name", value="other"), Reason.NO_BINDING),
        changed("of another account", put("spec", "iamRoleArnToAssume", value="arn:x"), Reason.BINDING_NEEDS_ROLE),
    ),
    "get green Service": (
        changed("another hash", put("spec", "selector", value={"app": "other"}), Reason.SERVICE_NOT_SWITCHED),
        changed("no selector", drop("spec", "selector"), Reason.SERVICE_NOT_SWITCHED),
        changed("no ports", drop("spec", "ports"), Reason.SERVICE_PORT_NOT_FOUND),
        changed("another Service", put("metadata", "name", value="other"), Reason.KUBERNETES_MALFORMED),
    ),
    "errors: get green Service": (
        changed(
            "selector written in the future",
            put("metadata", "managedFields", 0, "time", value=_FUTURE),
            Reason.WINDOW_NOT_OPEN,
        ),
        changed("selector written on the last day", put("metadata", "managedFields", 0, "time", value=_LAST_DAY), _K8S),
        changed(
            "selector written on the first day", put("metadata", "managedFields", 0, "time", value=_FIRST_DAY), _K8S
        ),
        changed("nobody wrote the selector", drop("metadata", "managedFields"), Reason.SELECTOR_AGE_UNKNOWN),
    ),
    "get pod": (
        changed(
            "ready since the future",
            lambda pod: _set_ready_since(pod, _FUTURE),
            Reason.TARGETS_UNHEALTHY_IN_GRACE,
        ),
        changed(
            "ready since the last day",
            lambda pod: _set_ready_since(pod, _LAST_DAY),
            Reason.TARGETS_UNHEALTHY_IN_GRACE,
        ),
        changed("ready since the first day", lambda pod: _set_ready_since(pod, _FIRST_DAY), As.WITHOUT),
        changed("no conditions", put("status", "conditions", value=None), Reason.TARGETS_UNHEALTHY_IN_GRACE),
        changed("another pod", put("metadata", "uid", value="another"), Reason.TARGETS_UNHEALTHY_IN_GRACE),
    ),
    "get node": (
        changed("another instance", put("spec", "providerID", value="aws:///a/i-other"), Reason.TARGETS_MISSING),
        changed("no instance", drop("spec", "providerID"), Reason.TARGETS_MISSING),
    ),
}


def _set_ready_since(pod: Json, moment: str) -> None:
    for condition in pod["status"]["conditions"]:
        condition["lastTransitionTime"] = moment


def in_text(name: str, old: str, new: str, leads_to: LeadsTo) -> Fault:
    """Replace a text in XML; one that is not there is a mistake of the table."""

    def rewrite(body: bytes) -> bytes:
        if old.encode() not in body:
            raise ValueError(f"{old} is not in {body!r}")
        return body.replace(old.encode(), new.encode())

    return rewritten(name, rewrite, leads_to)


def _member(state: str, address: str = "10.0.0.1", port: str = "8080") -> str:
    health = f"<TargetHealth><State>{state}</State></TargetHealth>"
    return f"<member><Target><Id>{address}</Id><Port>{port}</Port></Target>{health}</member>"


def also(name: str, member: str, leads_to: LeadsTo) -> Fault:
    """Add a target to the right answer."""
    end = "</TargetHealthDescriptions>"
    return in_text(name, end, member + end, leads_to)


def series(name: str, metric: int, leads_to: LeadsTo, **changes: object) -> Fault:
    """Change one series of GetMetricData: 0 is green's 5xx, 1 its requests, 4 the load balancer's requests."""

    def change(answer: Any) -> None:
        changed_result = next(result for result in answer["MetricDataResults"] if result["Id"] == f"m{metric}")
        template = next(result for result in answer["MetricDataResults"] if result["Id"] == "m1")
        changed_result["Timestamps"] = list(template["Timestamps"])
        count = len(template["Timestamps"])
        for key, value in {"Values": 1.0, **changes}.items():
            changed_result[key] = [value] * count if key in ("Values", "Timestamps") else value

    return changed(name, change, leads_to)


def _only_the_future(answer: Any) -> None:
    for result in answer["MetricDataResults"]:
        result["Timestamps"] = [stamp + 86_400 for stamp in result["Timestamps"]]


def _too_much(answer: Any) -> None:
    for result in answer["MetricDataResults"]:
        result["Timestamps"] += [stamp + 86_400 for stamp in result["Timestamps"]]
        result["Values"] *= 2


def _the_same_minute_again(answer: Any) -> None:
    for result in answer["MetricDataResults"]:
        result["Timestamps"] *= 2
        result["Values"] *= 2


_STRANGE = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
    "1e300": 1e300,
    "1e18": 1e18,
    "negative": -5.0,
    "half a request": 0.5,
}

OF_AWS: dict[str, tuple[Fault, ...]] = {
    "DescribeTargetHealth": (
        also("a healthy target twice", _member("healthy"), As.WITHOUT),
        also("a healthy target initial in another zone", _member("initial"), Reason.TARGETS_INITIAL),
        also("a healthy target draining as well", _member("draining"), Reason.TARGETS_DRAINING),
        also("a healthy target unused as well", _member("unused"), Reason.TARGETS_UNUSED),
        also("a healthy target in a state of next year", _member("dreaming"), Reason.TARGETS_STATE_UNKNOWN),
        also("a healthy target missing as well", _member("missing"), Reason.TARGETS_STATE_UNKNOWN),
        also("a target of nobody", _member("unhealthy", "192.0.2.1"), As.WITHOUT),
        also("a target with a port of 31 digits", _member("unhealthy", port=str(_HUGE)), As.WITHOUT),
        also("a target with a negative port", _member("unhealthy", port="-1"), As.WITHOUT),
        in_text("other addresses", "<Id>10.", "<Id>192.", Reason.TARGETS_MISSING),
        in_text("other ports", "<Port>8080", "<Port>80", Reason.TARGETS_MISSING),
        in_text("ports of 31 digits", "<Port>8080", f"<Port>{_HUGE}", Reason.TARGETS_MISSING),
        in_text("states in capitals", "<State>healthy", "<State>HEALTHY", Reason.TARGETS_STATE_UNKNOWN),
        in_text("empty states", "<State>healthy", "<State>", _AWS),
    ),
    "DescribeTargetGroups": (
        in_text("another group", ":targetgroup/", ":targetgroup/x", _AWS),
        in_text(
            "an interval of 31 digits",
            "<HealthCheckIntervalSeconds>",
            f"<HealthCheckIntervalSeconds>{_HUGE}",
            As.WITHOUT,
        ),
        in_text("an interval of no number", "<HealthCheckIntervalSeconds>", "<HealthCheckIntervalSeconds>NaN", _AWS),
        in_text("a negative threshold", "<UnhealthyThresholdCount>", "<UnhealthyThresholdCount>-", As.WITHOUT),
        in_text("an unknown kind of targets", "<TargetType>ip", "<TargetType>pod", Reason.TARGET_TYPE_UNSUPPORTED),
        in_text("a load balancer of no name", "<LoadBalancerArns>", "<LoadBalancerArns><x>", _AWS),
    ),
    "GetMetricData": (
        *(series(f"requests: {name}", 1, _AWS, Values=value) for name, value in _STRANGE.items()),
        series("5xx: NaN", 0, _AWS, Values=float("nan")),
        series("5xx: negative", 0, _AWS, Values=-5.0),
        series("load balancer's requests: NaN", 4, _AWS, Values=float("nan")),
        series("load balancer's requests: half a request", 4, _AWS, Values=0.5),
        series("requests in a text", 1, _AWS, Values="many"),
        series("requests null", 1, _AWS, Values=None),
        series("times NaN", 1, _AWS, Timestamps=float("nan")),
        series("partial", 1, Reason.METRICS_INCOMPLETE, StatusCode="PartialData"),
        series("failed", 1, Reason.AWS_UNAVAILABLE, StatusCode="InternalError"),
        series("forbidden", 1, Reason.AWS_FORBIDDEN, StatusCode="Forbidden"),
        changed("other minutes only", _only_the_future, _AWS),
        changed("other minutes too", _too_much, As.WITHOUT),
        changed("every minute twice", _the_same_minute_again, As.WITHOUT),
        series("times of 31 digits", 1, _AWS, Timestamps=_HUGE),
        series("times of 1e300", 1, _AWS, Timestamps=1e300),
        series("times of the last day", 1, _AWS, Timestamps=253402300799),
        series("times infinite", 1, _AWS, Timestamps=float("inf")),
    ),
}


def combinations() -> list[Combination]:
    """Every strange answer to every call that can give it."""
    calls = _CALLS | {call.name: call for call in ASKED_FOR_ERRORS}
    return [
        Combination(calls[name], fault, fault.leads_to, "cold")
        for table in (OF_KUBERNETES, OF_AWS)
        for name, faults in table.items()
        for fault in faults
    ]
