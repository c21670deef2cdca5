"""The one way to call AWS: regional clients with explicit timeouts and tries, and errors named for the operator."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from provider.aws_budget import CallBudget
from provider.aws_errors import THROTTLED, malformed, named, no_credentials
from provider.budget import Budget
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.telemetry import Metrics

ATTEMPTS = 2
"""Tries of one call, the first included (botocore's default is 5, with sleeps beyond Argo's patience)."""


MAX_PAGES = 50
"""More pages than any question needs: 20,000 target groups, or 5 million data points."""

CALL_SECONDS = 1.5
"""What a question keeps of its time for the call itself, when it waits for its turn."""


@dataclass(frozen=True, slots=True)
class Account:
    """The credentials to read with, and how long a call may take. The session's region is the home region."""

    session: boto3.Session
    connect_timeout_seconds: float
    read_timeout_seconds: float
    pool_size: int

    @property
    def config(self) -> Config:
        """What every client is made with."""
        return Config(
            connect_timeout=self.connect_timeout_seconds,
            read_timeout=self.read_timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=self.pool_size,
            tcp_keepalive=True,
        )

    def home_region(self, what: str) -> str:
        """Return the region of what has no ARN. Raises CannotTell (AwsRegionMissing) if none is configured."""
        region: str | None = self.session.region_name
        if not region:
            raise CannotTell(
                Reason.AWS_REGION_MISSING, f"No AWS region is configured, which is needed for {what}: set AWS_REGION"
            )
        return region


@dataclass(frozen=True, slots=True)
class Api:
    """One service of AWS, as boto3 (`elbv2`) and as IAM (`elasticloadbalancing`) name it, and how much of it is ours.

    `calls_per_second` and `burst` are per account and region. `events` are handlers of botocore's events by name.
    """

    name: str
    iam_prefix: str
    calls_per_second: float
    burst: float
    events: Mapping[str, Callable[..., None]]


class Service:
    """One service of AWS, in every region."""

    _making_clients = Lock()  # of any service: sessions are not thread-safe, clients are

    def __init__(self, account: Account, api: Api, metrics: Metrics) -> None:
        """Call this API with the account's credentials."""
        self._account = account
        self._api = api
        self._metrics = metrics
        self._clients: dict[str, Any] = {}
        self._budgets: dict[str, CallBudget] = {}
        self.answered = False
        """Whether the service ever answered anything at all, a refusal included."""

    def require_turn(self, budget: Budget) -> None:
        """Send back a question whose Rollout stands in line in some region. Raises CannotTell (AwsBudget)."""
        for calls in tuple(self._budgets.values()):
            calls.require_turn(budget.asker)

    def admit(self, region: str, calls: int, budget: Budget) -> None:
        """Wait until a question may make so many calls. Raises CannotTell (AwsBudget) if that is not in its time."""
        patience = max(budget.remaining_seconds() - CALL_SECONDS, 0)
        self._calls(region).take(budget.asker, calls, patience)

    def admit_at_once(self, region: str, calls: int, budget: Budget) -> None:
        """Let a question make so many calls if it need not wait for them. Raises CannotTell (AwsBudget)."""
        self._calls(region).take(budget.asker, calls, 0)

    def call(self, operation: str, region: str, what: str, **arguments: Any) -> Any:
        """Call an operation about `what` (in words), once it is admitted. Raises CannotTell naming the IAM action."""
        action = self.action(operation)
        with self._metrics.upstream(self._api.name, operation):
            try:
                answer = getattr(self._client(region), xform_name(operation))(**arguments)
            except (BotoCoreError, ClientError) as error:
                self.answered = self.answered or isinstance(error, ClientError)
                raise named(error, action, what) from error
            except (ResponseParserError, ValueError, TypeError, LookupError, AttributeError) as error:
                # What botocore's parser raises for what is no XML, a number that is none, a tag in the wrong place.
                raise malformed(action, what) from error
            except OSError as error:  # the role's token file is not there, or not to be read
                raise no_credentials(action) from error
            self.answered = True
            return answer

    def pages(
        self, operation: str, region: str, what: str, token: tuple[str, str], **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield every page of an operation; `token` names it in the answer and in the next request.

        Raises CannotTell, also if there is no end: a reader must not go round for ever after its question.
        """
        answered, asked = token
        for _ in range(MAX_PAGES):
            page = self.call(operation, region, what, **arguments)
            yield page
            if not page.get(answered):
                return
            arguments[asked] = page[answered]
            self.charge(region)
        raise malformed(self.action(operation), what)

    def charge(self, region: str) -> None:
        """Count a call that nobody admitted: it was not foreseen, or it is our own."""
        self._calls(region).charge()

    def calls_per_second(self, region: str) -> float:
        """Return the calls a second that are ours in a region now: fewer after AWS said that they are too many."""
        return self._calls(region).per_second

    def action(self, operation: str) -> str:
        """Return the IAM action of an operation."""
        return f"{self._api.iam_prefix}:{operation}"

    def _calls(self, region: str) -> CallBudget:
        with self._making_clients:
            if region not in self._budgets:
                self._budgets[region] = CallBudget(self._api.calls_per_second, self._api.burst)
            return self._budgets[region]

    def _client(self, region: str) -> Any:
        with self._making_clients:
            if region in self._clients:
                return self._clients[region]
            make: Any = self._account.session.client  # typed per service; ours is named by a variable
            client = make(self._api.name, region_name=region, config=self._account.config)
        for event, handler in self._api.events.items():
            client.meta.events.register(event, handler)
        client.meta.events.register("response-received", _Watch(self._metrics, self._api.name, self._calls(region)))
        with self._making_clients:
            return self._clients.setdefault(region, client)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Sees every answer, those included that botocore asks again after: botocore's event `response-received`."""

    metrics: Metrics
    service: str
    calls: CallBudget

    def __call__(self, parsed_response: Any, context: Any, **_: Any) -> None:
        if context.get("retries", {}).get("attempt", 1) > 1:
            self.calls.charge()
        throttled = (parsed_response or {}).get("Error", {}).get("Code") in THROTTLED
        if throttled:
            self.calls.throttled()
        self.metrics.aws_call(self.service, throttled=throttled)
