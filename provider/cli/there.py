"""A running provider, asked over HTTP.

Whatever prevents an answer is a ClickException, for which the command line exits with 3.
"""

import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import click
import msgspec
import requests
from pydantic import BaseModel, ValidationError
from requests.auth import AuthBase

from provider.advice.preflight import live
from provider.advice.warm_up.sending import is_unknown_host
from provider.checks.question import AnyCheck
from provider.history import explanation, overview
from provider.http.openapi import Explanation, Rollouts
from provider.model.answer import Answer

HTTP_TIMEOUT_SECONDS = 15
"""More than a provider's time limit for an answer (8 s by default)."""

_TOKEN = re.compile(r"[!-~]+")

Fields = list[tuple[str, str]]


class There:
    """Asks a running provider over HTTP."""

    def __init__(self, url: str, token_file: str | None, flag: str) -> None:
        """Ask the provider at this address, which the option `flag` gave. Raises ClickException."""
        address = http_address(url, flag)
        if set("?#") & set(address):
            raise click.ClickException(f"{flag} must end before ? or #: give an address such as http://localhost:8080")
        self.base = re.sub(r"/v1(/[a-z-]*)?$", "", address)  # accept the address of an endpoint too
        self._has_token = token_file is not None
        self._auth = _Bearer(_token(token_file) if token_file is not None else None)

    def ask(self, question: AnyCheck, fields: Fields) -> Answer:
        """Return the answer as JSON. Raises ClickException."""
        document = self._get(question.name, fields)
        try:
            msgspec.convert(document, Answer)
        except msgspec.ValidationError as error:
            raise click.ClickException(f"{self.base}/v1/{question.name} answered 200: not an answer") from error
        return cast(Answer, document)  # with the keys that a newer provider adds

    def explain(self, namespace: str, rollout: str) -> dict[str, Any]:
        """Return why a Rollout moves or not, as JSON. Raises ClickException."""
        fields = [("namespace", namespace), ("rollout", rollout)]
        return self._get_as(Explanation, explanation.NAME, fields, "an explanation")

    def rollouts(self, namespace: str | None) -> dict[str, Any]:
        """Return the Rollouts of a namespace, or of all, as JSON. Raises ClickException."""
        return self._get_as(Rollouts, overview.NAME, [("namespace", namespace)] if namespace else [], "a list")

    def _get_as(self, model: type[BaseModel], endpoint: str, fields: Fields, what: str) -> dict[str, Any]:
        document = self._get(endpoint, fields)
        try:
            return model.model_validate(document).model_dump(mode="json", exclude_none=True)
        except ValidationError as error:
            raise click.ClickException(f"{self.base}/v1/{endpoint} answered 200: not {what}") from error

    def hosts(self, namespace: str, rollout: str) -> dict[str, list[str]]:
        """Return the hosts by which requests reach each of a Rollout's Services. Raises ClickException."""
        document = self._get(live.NAME, [("namespace", namespace), ("rollout", rollout)])
        if not isinstance(document, dict):
            raise click.ClickException(f"{self.base}/v1/{live.NAME} answered 200: not a preflight")
        return hosts_of(document)

    def _get(self, endpoint: str, fields: Fields) -> Any:
        url = f"{self.base}/v1/{endpoint}"
        try:
            response = requests.get(
                url, params=fields, auth=self._auth, timeout=HTTP_TIMEOUT_SECONDS, allow_redirects=False
            )
            document = response.json()
        except requests.JSONDecodeError as error:
            raise click.ClickException(
                f"{url} answered {response.status_code} without JSON: is it a provider?"
            ) from error
        except (requests.RequestException, ValueError) as error:  # its text may quote a proxy's password
            raise click.ClickException(f"Cannot reach {self.base}: {_why_not_reached(error, self.base)}") from error
        if response.status_code == requests.codes.ok:
            return document
        if response.status_code == requests.codes.unauthorized and not self._has_token:
            raise click.ClickException(f"{self.base} requires a bearer token (--token-file)")
        detail = document.get("detail", "") if isinstance(document, dict) else ""
        raise click.ClickException(f"{url} answered {response.status_code}: {detail or 'not an answer'}")


def hosts_of(preflight: dict[str, Any]) -> dict[str, list[str]]:
    """Return the hosts in an answer of preflight. Raises ClickException that says why there are none."""
    hosts: dict[str, list[str]] | None = preflight.get("hosts")
    if not hosts:
        unread = {part["kind"]: part["says"] for part in preflight.get("notChecked", [])}
        why = unread.get("ListenerRule") or unread.get("TargetGroup") or unread.get("Rollout") or "no answer has them"
        raise click.ClickException(f"The hosts of the Rollout's listener rules are not known ({why}); see --any-host")
    return hosts


def http_address(url: str, flag: str) -> str:
    """Return the address of a flag without a slash at its end. Raises ClickException if it is not an HTTP address."""
    try:
        parts = urlsplit(url.strip())
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError as error:  # a port that is not a number, a bracket that is not closed
        raise click.ClickException(f"{flag} is not a valid address") from error
    if user is not None:
        raise click.ClickException(f"{flag} must not contain a user name or password; use --token-file")
    if not url.strip():
        raise click.ClickException(f"{flag} is empty")
    if parts.scheme not in {"http", "https"}:
        raise click.ClickException(f"Cannot reach {url}: the address needs http:// or https:// in front")
    if not host:
        raise click.ClickException(f"Cannot reach {url}: the address has no host name")
    return url.strip().rstrip("/")


class _Bearer(AuthBase):
    """Sends the token, or nothing. Without an object like this requests sends the login that ~/.netrc has."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _token(token_file: str) -> str:
    """Read the token from a file. The sentences quote neither: some people pass the token itself to --token-file."""
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise click.ClickException(f"Cannot read the file of --token-file: {why}") from error
    if not _TOKEN.fullmatch(token):
        what = "is not one word of printable ASCII characters" if token else "is empty"
        raise click.ClickException(f"The content of the file of --token-file {what}")
    return token


def _why_not_reached(error: Exception, address: str) -> str:
    """Say what failed without the text of the error, which may quote a proxy's address or a credential."""
    match error:
        case requests.exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return "its TLS certificate is not trusted (REQUESTS_CA_BUNDLE names the authorities that are)"
        case requests.exceptions.SSLError():
            return "the TLS handshake failed; does it listen for http:// instead?"
        case requests.exceptions.ProxyError():
            return "the proxy of the environment does not answer (NO_PROXY leaves it out)"
        case requests.Timeout():
            return f"no answer within {HTTP_TIMEOUT_SECONDS} s"
        case requests.ConnectionError() if is_unknown_host(error):
            return f"cannot resolve {urlsplit(address).hostname}"
        case requests.ConnectionError():
            return "the connection failed; is it running there?"
        case ValueError():
            return "this address, or that of the environment's proxy, is not valid"
        case _:
            return type(error).__name__
