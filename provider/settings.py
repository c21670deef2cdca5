"""The only reader of the environment: one frozen, validated object.

Every setting is `PROVIDER_` and its name in capitals. The clients' own settings (KUBECONFIG, AWS's credential chain)
are read by the clients themselves, but for AWS_REGION: every AWS SDK knows it except boto3.

The times on paper: a read has 1 s to connect and 3 s without a byte, and is tried twice: 2 x (1 + 3) s = the budget of
8 s, which is under the 10 s that Argo waits.
"""

import os
import re
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from provider.records import Freshness

PREFIX = "PROVIDER_"

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=.@/-]+")

RESERVE_CONNECTIONS = 32
"""Connections that are left when as many questions are answered as may be."""


class Settings(BaseSettings):
    """Settings of the provider, with their defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=False)

    host: str = Field(default="0.0.0.0", min_length=1, description="Address to listen on.")  # noqa: S104 - a cluster service
    port: int = Field(default=8080, ge=1, le=65535, description="Port to listen on.")
    threads: int = Field(
        default=64, ge=1, le=256, description="Questions answered at the same time; one more is refused with 503."
    )
    read_threads: int = Field(default=32, ge=4, le=512, description="Reads of Kubernetes and AWS at the same time.")
    budget_seconds: float = Field(
        default=8,
        ge=1,
        le=60,
        description="Time one question may take; keep it under the metric's timeoutSeconds (10).",
    )
    topology_fresh_seconds: float = Field(
        default=5, ge=0, le=60, description="Time for which questions share one look at a Rollout and its pods."
    )
    target_health_fresh_seconds: float = Field(
        default=2, ge=0, le=60, description="Time for which they share what the load balancer says of targets."
    )
    target_groups_fresh_seconds: float = Field(
        default=300, ge=0, le=3600, description="Time for which they share the settings of a target group in use."
    )
    metrics_fresh_seconds: float = Field(
        default=60, ge=0, le=300, description="Time for which they share the CloudWatch metrics of the same minutes."
    )
    failures_fresh_seconds: float = Field(
        default=1, ge=0, le=60, description="Time for which they share a failure to read."
    )
    elbv2_calls_per_second: float = Field(
        default=5,
        gt=0,
        le=1000,
        description="ELBv2 calls in each region that are the provider's to make; four times as many may come at once. "
        "AWS gives an account 10, shared with the load balancer controller. Divide it by the number of replicas.",
    )
    connect_timeout_seconds: float = Field(default=1, gt=0, le=30, description="Time to connect to Kubernetes or AWS.")
    read_timeout_seconds: float = Field(
        default=3, gt=0, le=30, description="Time without a byte from Kubernetes or AWS before a read is tried again."
    )
    graceful_timeout_seconds: int = Field(
        default=20, ge=1, le=300, description="Time for questions under way when the server is told to stop."
    )
    tokens_file: str | None = Field(
        default=None,
        min_length=1,
        description="File of bearer tokens, one per line, each with the namespaces it may ask about. Unset: access is "
        "open.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        description="Least level that is logged; INFO has one line per question, but for answers that are only "
        "repeated.",
    )
    connections: int = Field(
        default=256,
        ge=1 + RESERVE_CONNECTIONS,
        le=1024,
        description="Connections open at the same time; for one more the idlest or slowest one is closed.",
    )
    client_timeout_seconds: float = Field(
        default=5, ge=0.1, le=60, description="Time a client has to send its request, and again to take its answer."
    )
    tls_cert_file: str | None = Field(
        default=None,
        min_length=1,
        description="File of the server's certificate chain (PEM); with PROVIDER_TLS_KEY_FILE the server speaks HTTPS "
        "only.",
    )
    tls_key_file: str | None = Field(
        default=None, min_length=1, description="File of the key to that certificate (PEM, without a passphrase)."
    )
    assume_role_arns: str = Field(
        default="",
        description="Roles that may be assumed for TargetGroupBindings with `iamRoleArnToAssume`: their ARNs, with "
        "commas between them. Empty: none.",
    )

    @field_validator("assume_role_arns")
    @classmethod
    def _are_roles(cls, value: str) -> str:
        """A list with a mistyped role would look like one that allows it."""
        wrong = [one for one in _split(value) if not _ROLE_ARN.fullmatch(one)]
        if wrong:
            raise ValueError(
                f"not the ARN of a role: {', '.join(one[:200] or '(nothing)' for one in wrong)} (one looks "
                "like arn:aws:iam::123456789012:role/targets)"
            )
        return value

    @model_validator(mode="after")
    def _have_both_tls_files(self) -> Self:
        """A certificate without its key must not mean to answer unencrypted."""
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "CERT" if self.tls_cert_file is None else "KEY"
            raise ValueError(
                f"{PREFIX}TLS_{missing}_FILE is missing: TLS needs {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE"
            )
        return self

    @model_validator(mode="after")
    def _leave_connections_to_others(self) -> Self:
        """Questions must not take every connection: probes, scrapes and refusals need some."""
        if self.connections < self.threads + RESERVE_CONNECTIONS:
            raise ValueError(
                f"{PREFIX}CONNECTIONS ({self.connections}) must be at least {PREFIX}THREADS ({self.threads}) + "
                f"{RESERVE_CONNECTIONS}: probes and metrics need some of their own"
            )
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """A stop must not cut questions off."""
        if self.graceful_timeout_seconds < self.budget_seconds:
            raise ValueError(
                f"{PREFIX}GRACEFUL_TIMEOUT_SECONDS ({self.graceful_timeout_seconds}) must not be less than "
                f"{PREFIX}BUDGET_SECONDS ({self.budget_seconds:g}): a stop would cut questions off"
            )
        return self

    @property
    def assumed_roles(self) -> frozenset[str]:
        """The roles that may be assumed, by ARN."""
        return frozenset(_split(self.assume_role_arns))

    @property
    def freshness(self) -> Freshness:
        """For how long each kind of evidence is shared."""
        return Freshness(
            topology=self.topology_fresh_seconds,
            target_health=self.target_health_fresh_seconds,
            target_groups=self.target_groups_fresh_seconds,
            metrics=self.metrics_fresh_seconds,
            failures=self.failures_fresh_seconds,
        )


def _split(arns: str) -> list[str]:
    return [one.strip() for one in arns.split(",")] if arns.strip() else []


_SERVICE_LINKS = (
    "Kubernetes sets such variables in every pod beside a Service named `provider`: set enableServiceLinks: false"
)


class BadSettings(Exception):
    """The environment holds a setting that is unknown or malformed; the text names each."""


def load() -> Settings:
    """Read and validate the environment. Raises BadSettings: a typo must never become a default."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        hint = f". {_SERVICE_LINKS}" if f"{PREFIX}SERVICE_HOST" in unknown else ""
        raise BadSettings(f"Unknown settings: {', '.join(unknown)}. Known ones: {', '.join(sorted(known))}{hint}")
    try:
        return Settings()
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(one["loc"], one["msg"]) for one in error.errors())) from error


def aws_region() -> str | None:
    """Return the region that AWS_REGION names; None leaves the choice to boto3 (AWS_DEFAULT_REGION, a profile)."""
    return os.environ.get("AWS_REGION") or None


def _sentence(where: tuple[int | str, ...], message: str) -> str:
    name = f"{PREFIX}{where[0]}".upper() + ": " if where else ""
    return name + message.removeprefix("Value error, ")
