"""The one way to call AWS: regional clients with explicit timeouts and tries, and errors named for the operator."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from provider.aws_errors import malformed, named, no_credentials
from provider.errors import CannotTell
from provider.reasons import Reason
from provider.telemetry import Metrics

ATTEMPTS = 2
"""Tries of one call, the first included (botocore's default is 5, with sleeps beyond Argo's patience)."""


MAX_PAGES = 50
"""More pages than any question needs: 20,000 target groups, or 5 million data points."""


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


class Service:
    """One service of AWS, in every region."""

    _making_clients = Lock()  # of any service: sessions are not thread-safe, clients are

    def __init__(self, account: Account, name: str, iam_prefix: str, metrics: Metrics) -> None:
        """Name the service as boto3 does (`elbv2`) and as IAM does (`elasticloadbalancing`)."""
        self._account = account
        self._name = name
        self._iam_prefix = iam_prefix
        self._metrics = metrics
        self._clients: dict[str, Any] = {}
        self.answered = False
        """Whether the service ever answered anything at all, a refusal included."""

    def call(self, operation: str, region: str, what: str, **arguments: Any) -> Any:
        """Call an operation about `what` (in words). Raises CannotTell naming the IAM action."""
        action = self.action(operation)
        with self._metrics.upstream(self._name, operation):
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
        raise malformed(self.action(operation), what)

    def action(self, operation: str) -> str:
        """Return the IAM action of an operation."""
        return f"{self._iam_prefix}:{operation}"

    def _client(self, region: str) -> Any:
        with self._making_clients:
            if region not in self._clients:
                make: Any = self._account.session.client  # typed per service; ours is named by a variable
                self._clients[region] = make(self._name, region_name=region, config=self._account.config)
            return self._clients[region]
