"""Where the provider's AWS credentials come from in EKS: STS for IRSA, the agent's endpoint for Pod Identity."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse

LIFE = timedelta(minutes=5)
"""Of credentials: less than the 10 minutes before their end in which botocore insists on new ones, so that every call
of AWS asks for them again."""


class CredentialsApi:
    """Gives credentials to who shows a token of the ServiceAccount; `expired` holds (lane, token) that is none."""

    def __init__(self, token: str) -> None:
        """Accept this token, and those that come after it: each is the one before and a `+`."""
        self._first = token
        self.expired: set[tuple[str, str]] = set()

    def _accepts(self, lane: str, token: str) -> bool:
        return token.rstrip("+") == self._first and (lane, token) not in self.expired

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer STS's AssumeRoleWithWebIdentity, or a GET of /v1/credentials/<lane>."""
        if environ["REQUEST_METHOD"] == "POST":
            asked = parse_qs(environ["wsgi.input"].read().decode())
            lane = asked["RoleArn"][0].rpartition("/")[2]
            status, kind, body = self._assume_role(lane, asked["WebIdentityToken"][0])
        else:
            lane = environ["PATH_INFO"].rpartition("/")[2]
            status, kind, body = self._credentials(lane, environ.get("HTTP_AUTHORIZATION", ""))
        start_response(status, [("Content-Type", kind)])
        return [body.encode()]

    def _assume_role(self, lane: str, token: str) -> tuple[str, str, str]:
        if not self._accepts(lane, token):
            error = f"<Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token {token} expired</Message>"
            return "400 Bad Request", "text/xml", f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        parts = self._parts()
        inner = "".join(f"<{name}>{parts[key]}</{name}>" for name, key in _OF_STS.items())
        result = (
            f"<AssumeRoleWithWebIdentityResult><Credentials>{inner}</Credentials></AssumeRoleWithWebIdentityResult>"
        )
        return "200 OK", "text/xml", f"<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>"

    def _credentials(self, lane: str, token: str) -> tuple[str, str, str]:
        if not self._accepts(lane, token):
            return "400 Bad Request", "text/plain", f"Service account token {token} has expired"
        return "200 OK", "application/json", json.dumps(self._parts())

    @staticmethod
    def _parts() -> dict[str, str]:
        expiration = (datetime.now(UTC) + LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "AccessKeyId": "ASIAOFTHEROLE0000000",
            "SecretAccessKey": "secret-of-the-role",
            "Token": "session-of-the-role",
            "Expiration": expiration,
        }


_OF_STS = {
    "AccessKeyId": "AccessKeyId",
    "SecretAccessKey": "SecretAccessKey",
    "SessionToken": "Token",
    "Expiration": "Expiration",
}


class Expiry:
    """The ServiceAccount's token has expired; the end is that kubelet writes a new one into its file."""

    def __init__(self, api: CredentialsApi, lane: str, file: Path) -> None:
        """Refuse the token that is there now."""
        self._file = file
        api.expired.add((lane, file.read_text(encoding="utf-8")))

    def end(self) -> None:
        """Rotate the file, in one step as kubelet does."""
        new = self._file.with_suffix(".new")
        new.write_text(self._file.read_text(encoding="utf-8") + "+", encoding="utf-8")
        new.replace(self._file)
