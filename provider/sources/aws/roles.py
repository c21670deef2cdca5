"""Roles in other accounts that this provider may assume, and their sessions.

A TargetGroupBinding can say that its target group is to be reached as another role (`iamRoleArnToAssume`). Whoever may
write a binding could so lend himself any role that trusts us; therefore only roles on the operator's list are assumed,
only for what we read, and credentials that were given for one external id are never used for another.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.exceptions import ClientError, ParamValidationError
from botocore.loaders import Loader

from provider.model.errors import CannotTell
from provider.model.reasons import Reason
from provider.model.records import Binding, Place
from provider.sources.aws.aws_errors import cannot_assume, naming

ACTION = "sts:AssumeRole"

SESSION_NAME = "alb-provider"
"""Session name that CloudTrail of the other account shows."""

READS = (
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeLoadBalancers",
    "cloudwatch:GetMetricData",
)
"""The only actions a session may use: the role itself may also allow the controller to register targets.

Only preflight and handover need attributes, listeners, rules and load balancers.
"""

WRITES = (
    "elasticloadbalancing:RegisterTargets",
    "elasticloadbalancing:DeregisterTargets",
    "elasticloadbalancing:DescribeTargetHealth",
)
"""Those of a session that hands over, and no others."""

MAX_SESSIONS = 50
"""Maximum sessions, least recently used ones go first: anyone who writes a TargetGroupBinding chooses external ids."""

PAUSE_SECONDS = 1.0
"""How long a refusal is reused, so that queries for one role do not wait for STS one after another."""


class Roles:
    """The listed roles and their sessions. Thread-safe."""

    def __init__(
        self, arns: frozenset[str] = frozenset(), loader: Loader | None = None, actions: Sequence[str] = READS
    ) -> None:
        """Allow these roles and no others, for these actions. `loader` has botocore's data, parsed once for all."""
        self._arns, self._actions = arns, tuple(actions)
        self._lock = Lock()
        self._loader = loader or Loader()
        self._sessions: OrderedDict[tuple[str, str], boto3.Session] = OrderedDict()

    def allow(self, binding: Binding) -> bool:
        """Tell whether a binding's target group may be read: with our own credentials, or as a role on the list."""
        return not binding.role_arn or binding.role_arn in self._arns

    def place(self, binding: Binding, region: str) -> Place:
        """Return where a binding's target group is. Raises CannotTell (BindingNeedsRole) for a role not on the list."""
        if not self.allow(binding):
            raise CannotTell(
                Reason.BINDING_NEEDS_ROLE,
                f"TargetGroupBinding {binding.name} is to be read as role {binding.role_arn[:200]} "
                "(iamRoleArnToAssume), which this provider may not assume. To allow it, add it to "
                "PROVIDER_ASSUME_ROLE_ARNS",
            )
        if not binding.role_arn:
            return Place(region)
        return Place(region, binding.role_arn, binding.external_id)

    def session(self, place: Place, home: boto3.Session, config: Config) -> boto3.Session:
        """Return the session that acts as the place's role, made at first need; AWS is asked when it first signs."""
        key = (place.role_arn, place.external_id)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                # STS answers in every region, for all regions: a private cluster has its endpoint in the home region.
                sts: Any = home.client("sts", region_name=home.region_name or place.region, config=config)
                session = self._sessions[key] = self._session(_Assumed(sts, *key, self._actions))
            self._sessions.move_to_end(key)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
            return session

    def forget(self, place: Place) -> None:
        """Discard the role's credentials: AWS rejects them."""
        with self._lock:
            self._sessions.pop((place.role_arn, place.external_id), None)

    def _session(self, role: "_Assumed") -> boto3.Session:
        core = botocore.session.get_session()
        core.register_component("data_loader", self._loader)
        core.register_component("credential_provider", CredentialResolver([role]))
        return boto3.Session(botocore_session=core)


class _Assumed(CredentialProvider):
    """Credentials of one role, assumed when needed and renewed before they expire."""

    METHOD = "assume-role"

    def __init__(self, sts: Any, role_arn: str, external_id: str, actions: tuple[str, ...]) -> None:
        super().__init__()
        self._sts = sts
        self._role_arn = role_arn
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._request = {"RoleArn": role_arn, "RoleSessionName": SESSION_NAME, "Policy": policy}
        if external_id:
            self._request["ExternalId"] = external_id
        self._refused: tuple[float, CannotTell] | None = None

    def load(self) -> DeferredRefreshableCredentials:
        """Return credentials that refresh themselves; botocore lets one thread refresh while the others wait."""
        return DeferredRefreshableCredentials(self._refresh, self.METHOD)

    def _refresh(self) -> dict[str, str]:
        """Assume the role, unless that was refused just now. Raises CannotTell."""
        if self._refused is not None and time.monotonic() - self._refused[0] < PAUSE_SECONDS:
            raise self._refused[1].with_traceback(None)
        try:
            return self._assume()
        except CannotTell as error:
            self._refused = (time.monotonic(), error)
            raise

    def _assume(self) -> dict[str, str]:
        with naming(ACTION, f"role {self._role_arn}"):
            try:
                given = self._sts.assume_role(**self._request)["Credentials"]
            except (ClientError, ParamValidationError) as error:
                raise cannot_assume(error, ACTION, self._role_arn) from error
            if given["Expiration"] <= datetime.now(UTC):
                raise CannotTell(
                    Reason.AWS_CREDENTIALS,
                    f"AWS gave credentials of role {self._role_arn} that have expired already: is this machine's clock "
                    "right?",
                )
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }
