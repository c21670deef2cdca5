"""The settings, read from the environment and validated; nothing else reads PROVIDER_* variables.

The variable of a setting is `PROVIDER_` and its name in capitals. The client libraries read their own variables
(KUBECONFIG, the AWS credential chain), except AWS_REGION: every AWS SDK but boto3 knows it.

How the default times fit together: a read may take 1 s to connect and 3 s without a byte, and is tried twice. That is
2 x (1 + 3) s = 8 s, the time limit of a query, which is less than the 10 s that Argo waits.
"""

import os
import re
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from provider.model.records import Freshness

PREFIX = "PROVIDER_"

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=.@/-]+")

RESERVE_CONNECTIONS = 32
"""Minimum number of connections that queries cannot take."""


class Settings(BaseSettings):
    """Settings of the provider, with their defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=False, str_strip_whitespace=True
    )

    host: str = Field(default="0.0.0.0", min_length=1, description="Address to listen on.")  # noqa: S104 - a cluster service
    port: int = Field(default=8080, ge=1, le=65535, description="Port to listen on.")
    threads: int = Field(
        default=64, ge=1, le=256, description="Maximum number of queries answered at the same time; beyond that 503."
    )
    read_threads: int = Field(
        default=32,
        ge=4,
        le=512,
        description="Maximum number of reads at the same time, of Kubernetes and of each account and region of AWS.",
    )
    budget_seconds: float = Field(
        default=8,
        ge=1,
        le=60,
        description="Time limit of one query; keep it below the metric's timeoutSeconds (10).",
    )
    topology_fresh_seconds: float = Field(
        default=2, ge=0, le=60, description="How long a Rollout and its pods are cached."
    )
    pods_fresh_seconds: float = Field(
        default=300,
        ge=0,
        le=300,
        description="How long a list of green's pods is used while the ReplicaSet and the EndpointSlices account for "
        "each of them; 0: not at all. A pass before the switch and a failure always list them again.",
    )
    target_health_fresh_seconds: float = Field(default=2, ge=0, le=60, description="How long target health is cached.")
    target_groups_fresh_seconds: float = Field(
        default=300, ge=0, le=3600, description="How long the settings of a target group in use are cached."
    )
    metrics_fresh_seconds: float = Field(
        default=60, ge=0, le=300, description="How long the CloudWatch metrics of the same minutes are cached."
    )
    failures_fresh_seconds: float = Field(default=1, ge=0, le=60, description="How long a failed read is cached.")
    elbv2_calls_per_second: float = Field(
        default=5,
        gt=0,
        le=1000,
        description="Maximum ELBv2 calls per second and region (burst: four times that). AWS allows an account 10, "
        "shared with the load balancer controller. Divide by the number of replicas.",
    )
    connect_timeout_seconds: float = Field(
        default=1, gt=0, le=30, description="Time limit for connecting to Kubernetes or AWS."
    )
    read_timeout_seconds: float = Field(
        default=3, gt=0, le=30, description="Time without a byte from Kubernetes or AWS after which a read is retried."
    )
    graceful_timeout_seconds: int = Field(
        default=20, ge=1, le=300, description="Time for queries in flight when the server is told to stop."
    )
    tokens_file: str | None = Field(
        default=None,
        min_length=1,
        description="File of bearer tokens, one per line, each optionally followed by the namespaces it may query. "
        "Unset: anyone may query.",
    )
    floors_file: str | None = Field(
        default=None,
        min_length=1,
        description="File of minimums per namespace that no query may go below, such as `minHealthyPercent=100`. "
        "Unset: no floors.",
    )
    switch_watch_seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="Seconds between two reads of the production Service of a Rollout queried in the last 6 hours, to "
        "notice a switch that no pass preceded. 0: never.",
    )
    events: Literal["disabled", "enabled"] = Field(
        default="disabled",
        description="`enabled`: write a Kubernetes Event on the Rollout when phase or reason of an answer changes. It "
        "needs `create` on `events` (deploy/components/events).",
    )
    handover: Literal["disabled", "enabled"] = Field(
        default="disabled",
        description="`enabled`: POST /v1/handover registers green's pods in production target groups before a switch. "
        "It needs PROVIDER_TOKENS_FILE and an IAM role that may register targets (docs/handover.md).",
    )
    handover_undo_seconds: float = Field(
        default=60,
        ge=10,
        le=3600,
        description="Seconds without a query after which a handover that has not passed is undone.",
    )
    handover_without_tokens: bool = Field(
        default=False,
        description="`true`: enable handover without tokens, although anyone who reaches the port could request one.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        description="Minimum log level; INFO logs one line per query.",
    )
    connections: int = Field(
        default=256,
        ge=1 + RESERVE_CONNECTIONS,
        le=1024,
        description="Maximum number of open connections; beyond that the longest-idle connection is closed.",
    )
    client_timeout_seconds: float = Field(
        default=5,
        ge=0.1,
        le=60,
        description="Time limit for a client to send its request, and again to take its answer.",
    )
    tls_cert_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the server's certificate chain (PEM). With PROVIDER_TLS_KEY_FILE the server speaks "
        "HTTPS only.",
    )
    tls_key_file: str | None = Field(
        default=None, min_length=1, description="File with the key of that certificate (PEM, without a passphrase)."
    )
    assume_role_arns: str = Field(
        default="",
        description="ARNs of the roles that may be assumed for TargetGroupBindings with `iamRoleArnToAssume`, "
        "separated by commas. Empty: none.",
    )

    @field_validator("assume_role_arns")
    @classmethod
    def _are_roles(cls, value: str) -> str:
        """Refuse what is not the ARN of a role: otherwise a typo would only show when a query needs the role."""
        wrong = [arn for arn in _split(value) if not _ROLE_ARN.fullmatch(arn)]
        if wrong:
            raise ValueError(
                f"not the ARN of a role: {', '.join(arn[:200] or '(empty)' for arn in wrong)} (an example: "
                "arn:aws:iam::123456789012:role/targets)"
            )
        return value

    @model_validator(mode="after")
    def _have_both_tls_files(self) -> Self:
        """Refuse one file without the other: otherwise the server would answer unencrypted."""
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "CERT" if self.tls_cert_file is None else "KEY"
            raise ValueError(
                f"{PREFIX}TLS_{missing}_FILE is missing: TLS needs {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE"
            )
        return self

    @model_validator(mode="after")
    def _require_tokens_for_handover(self) -> Self:
        """Refuse handovers for anyone who reaches the port, unless that is set too."""
        if self.handover == "enabled" and not self.tokens_file and not self.handover_without_tokens:
            raise ValueError(
                f"{PREFIX}HANDOVER=enabled needs {PREFIX}TOKENS_FILE: otherwise anyone who reaches the port could "
                f"register targets. To allow that all the same, set {PREFIX}HANDOVER_WITHOUT_TOKENS=true"
            )
        return self

    @model_validator(mode="after")
    def _leave_connections_to_others(self) -> Self:
        """Keep connections free for probes, scrapes and refusals."""
        if self.connections < self.threads + RESERVE_CONNECTIONS:
            raise ValueError(
                f"{PREFIX}CONNECTIONS ({self.connections}) must be at least {PREFIX}THREADS ({self.threads}) + "
                f"{RESERVE_CONNECTIONS}, so that probes and metrics always get a connection"
            )
        return self

    @model_validator(mode="after")
    def _let_queries_finish(self) -> Self:
        """Give queries in flight enough time when the server stops."""
        if self.graceful_timeout_seconds < self.budget_seconds:
            raise ValueError(
                f"{PREFIX}GRACEFUL_TIMEOUT_SECONDS ({self.graceful_timeout_seconds}) must be at least "
                f"{PREFIX}BUDGET_SECONDS ({self.budget_seconds:g}): a stop would cut queries off"
            )
        return self

    @property
    def assumed_roles(self) -> frozenset[str]:
        """The roles that may be assumed, by ARN."""
        return frozenset(_split(self.assume_role_arns))

    @property
    def freshness(self) -> Freshness:
        """How long each kind of evidence is cached."""
        return Freshness(
            topology=self.topology_fresh_seconds,
            pods=self.pods_fresh_seconds,
            target_health=self.target_health_fresh_seconds,
            target_groups=self.target_groups_fresh_seconds,
            metrics=self.metrics_fresh_seconds,
            failures=self.failures_fresh_seconds,
        )


def _split(arns: str) -> list[str]:
    return [arn.strip() for arn in arns.split(",")] if arns.strip() else []


_SERVICE_LINKS = (
    "Kubernetes sets such variables in every pod beside a Service named `provider`: set enableServiceLinks: false"
)


class BadSettings(Exception):
    """A setting is unknown or malformed; the text names each such setting."""


def load() -> Settings:
    """Read and validate the environment. Raises BadSettings, also for an unknown name, which may be a typo."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        hint = f". {_SERVICE_LINKS}" if f"{PREFIX}SERVICE_HOST" in unknown else ""
        raise BadSettings(f"Unknown settings: {', '.join(unknown)}. Known settings: {', '.join(sorted(known))}{hint}")
    try:
        return Settings()
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(details["loc"], details["msg"]) for details in error.errors())) from error


def aws_region() -> str | None:
    """Return AWS_REGION. None leaves the choice to boto3 (AWS_DEFAULT_REGION, a profile)."""
    return os.environ.get("AWS_REGION", "").strip() or None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = f"{PREFIX}{location[0]}".upper() + ": " if location else ""
    return name + message.removeprefix("Value error, ")
