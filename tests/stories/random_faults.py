"""Faults of Kubernetes and AWS, drawn at random; and what happens in the middle of a question."""

import json
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Any
from wsgiref.types import StartResponse

from provider.sources.bulkheads import Bulkheads
from tests.world.server.faults import Faults
from tests.world.server.http_server import call_application
from tests.world.world import World

HANG_SECONDS = 30
"""Nobody waits for so long: clearing the faults ends it."""

KUBERNETES_CALLS = (
    "/rollouts/",
    "/replicasets?",
    "/pods?",
    "/pods/",
    "/endpointslices?",
    *("/elbv2.k8s.aws/", "/eks.amazonaws.com/") * 3,
    "/services/",
    "",
)
"""The lists of bindings come more often: to take one of them for empty hides a whole target group."""

AWS_CALLS = ("DescribeTargetHealth", "DescribeTargetGroups", "GetMetricData")

STATUSES = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
AWS_ERRORS = {
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "ValidationError": 400,
    "TargetGroupNotFound": 400,
    "SignatureDoesNotMatch": 403,
    "Throttling": 400,
    "ThrottlingException": 400,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}
SLOW_TO_RETRY = {"Throttling", "ThrottlingException", "InternalFailure", "ServiceUnavailable"}
"""botocore sleeps up to a second before it tries these again, in real time: they come less often."""

JSON_BODIES = (
    "null",
    "{}",
    "[]",
    '{"metadata": {}, "items": {}}',
    '{"metadata": {}, "items": [{}]}',
    '{"meta',
    "ok",
    "",
)
AWS_BODIES = (
    "",
    "<html>Sign in</html>",
    "<DescribeTargetHealthResponse",
    '{"MetricDataResults": [{}]}',
    '{"MetricDataResults": null}',
    "{}",
    "<DescribeTargetHealthResponse><DescribeTargetHealthResult/></DescribeTargetHealthResponse>",
    "<DescribeTargetGroupsResponse><DescribeTargetGroupsResult/></DescribeTargetGroupsResponse>",
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with which calls."""

    name: str
    hangs: bool
    put: Callable[[World], None]


def draw(random: Random) -> Fault:
    """Return any fault of either side."""
    return _kubernetes(random) if random.random() < 0.55 else _aws(random)


def hide_bindings(api: str) -> Fault:
    """Return a refusal of one API's TargetGroupBindings."""

    def put(world: World) -> None:
        world.kubernetes_faults.kubernetes_error(f"/{api}/", STATUSES[403], "as told", 403)

    return Fault(f"kubernetes status 403 of /{api}/", hangs=False, put=put)


def _kubernetes(random: Random) -> Fault:
    match, times = random.choice(KUBERNETES_CALLS), random.choice((None, None, 1, 2))
    kind = random.choice(("status", "status", "status", "body", "drop", "truncate", "page", "page", "hang"))
    status, content = random.choice((*STATUSES, 403, 403, 403)), random.choice(JSON_BODIES)

    def put(world: World) -> None:
        faults = world.kubernetes_faults
        match kind:
            case "status":
                faults.kubernetes_error(match, STATUSES[status], "as told", status, times)
            case "body":
                faults.add(match, status=200, body=content, content_type="application/json", times=times)
            case "page":
                faults.add(match, status=404, body="404 page not found\n", content_type="text/plain", times=times)
            case _:
                _cut(faults, kind, match, times)

    detail = {"status": str(status), "body": repr(content)}.get(kind, "")
    return Fault(f"kubernetes {kind} {detail} of {match or 'every call'}", kind == "hang", put)


def _aws(random: Random) -> Fault:
    some = random.choice([*((one,) for one in AWS_CALLS), AWS_CALLS])
    kind = random.choice(("error", "error", "error", "body", "body", "drop", "truncate", "hang"))
    times = random.choice((None, None, 1, 2))
    code = random.choice(list(AWS_ERRORS))
    if code in SLOW_TO_RETRY and random.random() < 0.6:
        code = "AccessDenied"
    content = random.choice(AWS_BODIES)

    def put(world: World) -> None:
        faults = world.aws.faults
        for action in some:
            match kind:
                case "error":
                    faults.aws_error(action, code, "as told", AWS_ERRORS[code], times)
                case "body":
                    faults.add(action, status=200, body=content, content_type=_type_of(content), times=times)
                case _:
                    _cut(faults, kind, action, times)

    detail = {"error": code, "body": repr(content)}.get(kind, "")
    return Fault(f"aws {kind} {detail} of {', '.join(some)}", kind == "hang", put)


def _cut(faults: Faults, kind: str, match: str, times: int | None) -> None:
    match kind:
        case "drop":
            faults.add(match, drop=True, times=times)
        case "truncate":
            faults.add(match, truncate=True, times=times)
        case "hang":
            faults.add(match, delay_seconds=HANG_SECONDS)


def _type_of(content: str) -> str:
    try:
        json.loads(content)
    except ValueError:
        return "text/xml"
    return "application/x-amz-json-1.0"


class Threads(Bulkheads):
    """Threads for reads that can be waited for: what hung in one question must not meddle with the next."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._reads: list[Future[Any]] = []

    def submit(self, place: Hashable, call: Callable[[], Any]) -> Future[Any]:
        """Run a read, and remember it."""
        future = super().submit(place, call)
        self._reads.append(future)
        return future

    def settle(self) -> None:
        """Wait for every read that is still in flight."""
        reads, self._reads = self._reads, []
        wait(reads, timeout=HANG_SECONDS)


class Midway:
    """Lets something happen in the middle of a question: after its Rollout was read, or before AWS is asked.

    Between those reads nothing else is in flight, so that a story is told the same way again.
    """

    def __init__(self, happening: AbstractContextManager[object]) -> None:
        """Hold `happening` meanwhile."""
        self._event: Callable[[], None] | None = None
        self._before_aws = False
        self._happening = happening

    def arm(self, event: Callable[[], None], *, before_aws: bool) -> None:
        """Let this happen, once, during the next question."""
        self._event, self._before_aws = event, before_aws

    def fire(self) -> None:
        """Let it happen now, if it has not yet; return when it has."""
        with self._happening:
            event, self._event = self._event, None
            if event is not None:
                event()

    def _fire_if_armed(self, *, before_aws: bool) -> None:
        # An event itself asks AWS for things: those requests find nothing armed and do not wait for it.
        if self._event is not None and self._before_aws == before_aws:
            self.fire()

    def install(self, world: World) -> None:
        """Stand in front of both stand-ins, behind their faults."""
        self._behind = kubernetes, aws = world.kubernetes_faults._app, world.aws.faults._app

        def answer_kubernetes(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            status, headers, body = call_application(kubernetes, environ)
            if "/rollouts/" in environ["PATH_INFO"]:
                self._fire_if_armed(before_aws=False)
            start_response(status, headers)
            return [body]

        def answer_aws(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            self._fire_if_armed(before_aws=True)
            return aws(environ, start_response)

        world.kubernetes_faults._app = answer_kubernetes
        world.aws.faults._app = answer_aws

    def remove(self, world: World) -> None:
        """Stand aside again."""
        world.kubernetes_faults._app, world.aws.faults._app = self._behind
