"""The session of the provider's credentials: a boto3 session with the default credential chain.

Three things differ from the default:

- Timeouts are short, also those of the client with which botocore asks STS for a role's credentials (IRSA).
- An answer of STS without credentials or expiry is not cached. botocore would cache it until the process ends.
- White space around a credential is dropped: a Secret or file made with `echo` ends in a newline.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import create_credential_resolver
from botocore.exceptions import BotoCoreError, CredentialRetrievalError

from provider import __version__
from provider.model.errors import NotConfigured, first_line
from provider.redaction import hide

ATTEMPTS = 2
"""Attempts of one call, the first included (botocore's default: 3, with sleeps in between)."""

USER_AGENT = f"alb-provider/{__version__}"
"""What CloudTrail shows as the caller. botocore would compose a longer one for each request."""


def client_config(connect_timeout_seconds: float, read_timeout_seconds: float, **options: Any) -> Config:
    """Return the configuration of a client: explicit timeouts and attempts."""
    return Config(
        connect_timeout=connect_timeout_seconds,
        read_timeout=read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent=USER_AGENT,
        **options,
    )


def open_session(region: str | None, config: Config) -> boto3.Session:
    """Return the session; `config` also applies to the clients that the SDK makes itself.

    Raises NotConfigured if the profile of AWS_PROFILE does not exist or a configuration file is malformed.
    """
    try:
        core = botocore.session.get_session()
        core.set_default_client_config(config)
        core.register("before-parameter-build.sts.AssumeRoleWithWebIdentity", _trim_web_identity)
        resolver: Any = create_credential_resolver(core, cache=_CompleteAnswers(), region_name=region)
        trimmed = _TrimmedEnvironment()
        resolver.get_provider("env").environ = trimmed
        resolver.get_provider("container-role")._environ = trimmed  # noqa: SLF001 - profiles use the same object
        core.register_component("credential_provider", resolver)
        return boto3.Session(botocore_session=core, region_name=region)
    except BotoCoreError as error:
        raise NotConfigured(f"No usable AWS configuration: {first_line(error)}") from error


class _CompleteAnswers(dict[str, Any]):
    """A cache of answers that have credentials and an expiration."""

    def __setitem__(self, key: str, answer: Any) -> None:
        """Drop any other answer, so that STS is called again."""
        if (answer.get("Credentials") or {}).get("Expiration"):
            super().__setitem__(key, answer)


class _TrimmedEnvironment(Mapping[str, str]):
    """The environment with trimmed values, and with the token in place of its file.

    A value that does not fit a header raises CredentialRetrievalError, which does not quote it.
    """

    _TOKEN, _TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
    _KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

    def __getitem__(self, name: str) -> str:
        if name == self._TOKEN_FILE:  # so botocore reads the token's variable
            raise KeyError(name)
        is_file = name == self._TOKEN and self._TOKEN_FILE in os.environ
        value = Path(os.environ[self._TOKEN_FILE].strip()).read_text("utf-8") if is_file else os.environ[name]
        if name in (*self._KEYS, self._TOKEN):
            hide(value)
            if not re.fullmatch(r"[!-~]*" if name in self._KEYS else r"[ -~]*", value.strip()):
                where = self._TOKEN_FILE if is_file else name
                raise CredentialRetrievalError(provider=where, error_msg="it does not fit in a header")
        return value.strip()

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


def _trim_web_identity(**event: Any) -> None:
    """Trim the ServiceAccount token that STS exchanges for a role's credentials (IRSA)."""
    params = event["params"]
    token = params["WebIdentityToken"].strip()
    hide(token)
    if not re.fullmatch(r"[!-~]+", token):
        raise CredentialRetrievalError(
            provider="AWS_WEB_IDENTITY_TOKEN_FILE", error_msg="it does not hold one word of ASCII characters"
        )
    params["WebIdentityToken"] = token
