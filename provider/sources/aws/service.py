"""Calls to AWS: a client for each place, timeouts, retries, the call budget, and errors worded for the operator."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from provider.model.errors import CannotTell
from provider.model.lengths import ARN, cut, reference
from provider.model.reasons import Reason
from provider.model.records import Place
from provider.sources.aws.aws_errors import THROTTLED, malformed, naming, well_formed
from provider.sources.aws.roles import Roles
from provider.sources.aws.session import client_config
from provider.sources.budget import CallBudget
from provider.sources.clock import OtherClocks
from provider.sources.deadline import Deadline
from provider.telemetry import Metrics

Value = TypeVar("Value")

MAX_PAGES = 50
"""More pages than any query needs: 20,000 target groups, or 5 million data points."""

MAX_CLIENTS = 50
"""Clients of one service; the least recently used is dropped first. Bindings choose the regions and external ids."""

_SHOWN, _TOKENS = {"Message", "Description"}, {"NextToken", "NextMarker"}
"""Keys of texts that are only shown, and of texts that are sent back unchanged."""

CALL_SECONDS = 1.5
"""Time of a query that is reserved for the call itself while it waits in the queue."""


@dataclass(frozen=True, slots=True)
class Account:
    """The credentials to read with, and the timeouts of a call. The session's region is the home region.

    `roles` are the roles that may be assumed in other accounts. The call budget is timed by `seconds`, a monotonic
    clock.
    """

    session: boto3.Session
    connect_timeout_seconds: float
    read_timeout_seconds: float
    pool_size: int
    roles: Roles = field(default_factory=Roles)
    seconds: Callable[[], float] = monotonic

    @property
    def config(self) -> Config:
        """The configuration of every client."""
        return client_config(
            self.connect_timeout_seconds,
            self.read_timeout_seconds,
            max_pool_connections=self.pool_size,
            tcp_keepalive=True,
        )

    def client(self, service: str, place: Place) -> Any:
        """Return a new client, which fetches its credentials when it first signs.

        Sessions are not thread-safe, clients are.
        """
        session: Any = self.roles.session(place, self.session, self.config) if place.role_arn else self.session
        return session.client(service, region_name=place.region, config=self.config)

    def home_region(self, what: str) -> str:
        """Return the configured region, for `what` has no ARN. Raises CannotTell (AwsRegionMissing)."""
        region: str | None = self.session.region_name
        if not region:
            raise CannotTell(
                Reason.AWS_REGION_MISSING, f"No AWS region is configured, which is needed for {what}: set AWS_REGION"
            )
        return region


@dataclass(frozen=True, slots=True)
class Api:
    """One service of AWS, as boto3 (`elbv2`) and as IAM (`elasticloadbalancing`) name it, and its call budget.

    `calls_per_second` and `burst` are per account and region; with `takes_turns` Rollouts queue for them. `events` are
    handlers of botocore's events by name; `page_token` has the token's names in an answer and in a request.
    """

    name: str
    iam_prefix: str
    calls_per_second: float
    burst: float
    events: Mapping[str, Callable[..., None]]
    takes_turns: bool = True
    page_token: tuple[str, str] = ("NextMarker", "Marker")


class Service:
    """One service of AWS, in every region and account."""

    _making_clients = Lock()  # of any service: they share sessions

    def __init__(self, account: Account, api: Api, metrics: Metrics, clocks: OtherClocks | None = None) -> None:
        """Call this API with the account's credentials or as one of its roles; `clocks` read the Date of answers."""
        self._account = account
        self._api = api
        self._metrics = metrics
        self._clocks = clocks
        self._clients: OrderedDict[Place, Any] = OrderedDict()
        self._budgets: dict[tuple[str, str], CallBudget] = {}
        self.answered = False
        """Whether the service has ever answered, even with a refusal."""

    def require_turn(self, deadline: Deadline) -> None:
        """Refuse a query whose Rollout is in a queue. Raises CannotTell (AwsBudget)."""
        for budget in tuple(self._budgets.values()):
            budget.require_turn(deadline.rollout)

    def give_turn(self, rollout: str) -> None:
        """Serve a Rollout's next calls ahead of the queue."""
        for budget in tuple(self._budgets.values()):
            budget.give_turn(rollout)

    def call(self, operation: str, place: Place, what: str, deadline: Deadline, **arguments: Any) -> Any:
        """Call an operation about `what` (in words), once the budget allows it.

        Raises CannotTell: AwsBudget if the deadline comes first, and errors that name the IAM action.
        """
        self._budget(place).take(deadline.rollout, max(deadline.remaining_seconds() - CALL_SECONDS, 0))
        action = self.action(operation)
        note_time = self._clocks.observer(self._api.name, place.region) if self._clocks else lambda _: None
        with self._metrics.upstream(self._api.name, operation):
            try:
                with naming(action, what, place.role_arn):
                    answer = getattr(self._client(place), xform_name(operation))(**arguments)
            except CannotTell as error:
                if isinstance(error.__cause__, ClientError):
                    self.answered = True
                    note_time(_headers(error.__cause__.response))
                    if error.reason is Reason.AWS_CREDENTIALS and error.__cause__.operation_name == operation:
                        self._forget(place)
                raise
            self.answered = True
            note_time(_headers(answer))
            return answer

    def pages(
        self, operation: str, place: Place, what: str, deadline: Deadline, **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield every page of an operation. Raises as `call`, and AwsMalformed after MAX_PAGES."""
        in_answer, in_request = self._api.page_token
        for _ in range(MAX_PAGES):
            page = self.call(operation, place, what, deadline, **arguments)
            yield page
            if not page.get(in_answer):
                return
            arguments[in_request] = page[in_answer]
        raise malformed(self.action(operation), what)

    def items(
        self,
        operation: str,
        key: str,
        parse: Callable[[dict[str, Any]], Value],
        place: Place,
        what: str,
        deadline: Deadline,
        **arguments: Any,
    ) -> Iterator[Value]:
        """Yield each entry of the list `key`, parsed, page by page. Raises as `pages`, and AwsMalformed without it."""
        for page in self.pages(operation, place, what, deadline, **arguments):
            with well_formed(self.action(operation), what):
                parsed = [parse(entry) for entry in page[key]]
            yield from parsed

    def calls_per_second(self, place: Place) -> float:
        """Return the current rate at a place in calls per second: lower after AWS throttled."""
        return self._budget(place).per_second

    def calls_left(self) -> float:
        """Return the calls that may be made at once, in the account and region with the fewest."""
        return min((budget.level for budget in tuple(self._budgets.values())), default=self._api.burst)

    def waiting(self) -> int:
        """Return how many Rollouts are in the longest queue."""
        return max((budget.queued for budget in tuple(self._budgets.values())), default=0)

    def action(self, operation: str) -> str:
        """Return the IAM action of an operation."""
        return f"{self._api.iam_prefix}:{operation}"

    def _budget(self, place: Place) -> CallBudget:
        with self._making_clients:
            if place.scope not in self._budgets:
                api, seconds = self._api, self._account.seconds
                self._budgets[place.scope] = CallBudget(
                    api.calls_per_second, api.burst, seconds, takes_turns=api.takes_turns
                )
            return self._budgets[place.scope]

    def _client(self, place: Place) -> Any:
        with self._making_clients:
            if place in self._clients:
                self._clients.move_to_end(place)
                return self._clients[place]
            client = self._account.client(self._api.name, place)
        for event, handler in self._api.events.items():
            client.meta.events.register(event, handler)
        client.meta.events.register(
            "response-received", _ResponseHandler(self._metrics, self._api.name, self._budget(place))
        )
        with self._making_clients:
            client = self._clients.setdefault(place, client)
            while len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
            return client

    def _forget(self, place: Place) -> None:
        """Discard the role's credentials: AWS rejected them."""
        if not place.role_arn:
            return  # botocore renews the default credentials itself
        with self._making_clients:
            self._clients.pop(place, None)
            self._account.roles.forget(place)


def _headers(answer: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


@dataclass(frozen=True, slots=True)
class _ResponseHandler:
    """Handles botocore's event `response-received`: every answer, also those before a retry.

    It bounds the texts of an answer before they are used, so that an error does not quote a whole page.
    """

    metrics: Metrics
    service: str
    budget: CallBudget

    def __call__(self, parsed_response: Any, context: Any, **_: Any) -> None:
        _bound(parsed_response)
        is_retry = context.get("retries", {}).get("attempt", 1) > 1
        if is_retry:
            self.budget.charge()
        throttled = (parsed_response or {}).get("Error", {}).get("Code") in THROTTLED
        if throttled:
            self.budget.throttled()
        self.metrics.aws_call(self.service, throttled=throttled, retry=is_retry)


def _bound(answer: Any) -> None:
    """Bound every text of a parsed answer, in place."""
    pairs = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
    for key, value in pairs:
        if isinstance(value, dict | list):
            _bound(value)
        elif isinstance(value, str) and key not in _TOKENS:
            answer[key] = cut(value) if key in _SHOWN else reference(value, ARN)
