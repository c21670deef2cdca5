"""The session of the provider's own credentials: as boto3 finds them, with our own patience.

botocore asks STS for a role's credentials (IRSA) by a client of its own making, which would wait for a minute, and it
keeps what STS answered for as long as it says to be valid: an answer without credentials says nothing, and would be
kept until the process ends.
"""

from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import create_credential_resolver


def open_session(region: str | None, config: Config) -> boto3.Session:
    """Return the session; `config` has the timeouts and tries of every client made of it.

    Raises BotoCoreError where AWS_PROFILE names no profile or a configuration file is malformed.
    """
    core = botocore.session.get_session()
    core.set_default_client_config(config)
    core.register_component("credential_provider", create_credential_resolver(core, cache=_Whole(), region_name=region))
    return boto3.Session(botocore_session=core, region_name=region)


class _Whole(dict[str, Any]):
    """Keeps only answers that have credentials, and say how long they are valid."""

    def __setitem__(self, key: str, answer: Any) -> None:
        """Forget any other answer at once, so that STS is asked again."""
        if (answer.get("Credentials") or {}).get("Expiration"):
            super().__setitem__(key, answer)
