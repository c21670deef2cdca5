"""Who may query: bearer tokens from a file, each optionally limited to namespaces.

One token per line, optionally followed by the namespaces it may query, separated by commas; `#` begins a comment:

    kWq3vX0m5TzR8bYc                    # any namespace
    Zp7LdN2sHf4QjUe9  shop,shop-test    # one team's

The file is read from disk again when it changes (a mounted Secret does so within about a minute). To rotate a token,
add the new one before you remove the old one. A line with a fault is ignored and logged. Without the file no token is
valid. Without PROVIDER_TOKENS_FILE anyone may query.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from provider.http.reread import Reread, words_of
from provider.model import lengths

SCHEME = "Bearer"

SETTING = "PROVIDER_TOKENS_FILE"


class Unauthorized(Exception):
    """The request has no valid token (401)."""


class Forbidden(Exception):
    """The token is not valid for this namespace (403), whether or not anything exists there."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The namespaces that a token may query; None means all."""

    namespaces: frozenset[str] | None

    def allows(self, namespace: str) -> bool:
        """Tell whether the token may query this namespace."""
        return self.namespaces is None or namespace in self.namespaces

    def require(self, namespace: str) -> None:
        """Raise Forbidden unless the token may query this namespace."""
        if not self.allows(namespace):
            raise Forbidden(f"This token may not query namespace {namespace}")

    def namespaces_of(self, asked: str | None) -> tuple[str, ...]:
        """Return the namespaces of a list: the one that is asked for, else all of the token, else "" for every one.

        Raises Forbidden.
        """
        if asked:
            self.require(asked)
            return (asked,)
        return ("",) if self.namespaces is None else tuple(sorted(self.namespaces))


ANYTHING = Grant(None)


class OpenAccess:
    """Anyone who reaches the port may query."""

    def grant(self, authorization: str | None) -> Grant:  # noqa: ARG002 - the signature of TokenAccess.grant
        """Grant everything."""
        return ANYTHING

    def describe(self) -> str:
        """Say that no token is required."""
        return f"No token is required: anyone who reaches the port may query ({SETTING} is not set)"


class TokenAccess:
    """Only clients with a token of the file may query."""

    def __init__(self, path: Path) -> None:
        """Read the file now. Raises NotConfigured if it cannot be read or has a fault."""
        self._file = Reread(SETTING, path, _parse, "Only the tokens in its other lines are valid.")

    def grant(self, authorization: str | None) -> Grant:
        """Return what the token of an Authorization header allows. Raises Unauthorized."""
        tokens = self._file.content()
        if not tokens:
            why = self._file.wrong or "it is empty"
            raise Unauthorized(f"The file of {SETTING} has no valid token ({why}): restore it, with one token per line")
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != SCHEME.lower():  # in any case of letters (RFC 9110, 11.1)
            raise Unauthorized("This provider requires a bearer token in the Authorization header")
        digest = _digest(token.strip())
        # Compare with all of them, so that the time reveals nothing.
        grants = [grant for valid, grant in tokens if hmac.compare_digest(valid, digest)]
        if not grants:
            raise Unauthorized("The bearer token is not valid")
        return grants[0]

    def describe(self) -> str:
        """Say how many tokens are valid."""
        return f"A bearer token is required: {len(self._file.content())} are valid"


def _parse(text: str, faults: list[str]) -> list[tuple[bytes, Grant]]:
    grants: list[tuple[bytes, Grant]] = []
    lines: dict[bytes, int] = {}
    for number, words in words_of(text, faults):
        names = frozenset(name for word in words[1:] for name in word.split(",") if name)
        digest = _digest(words[0])
        if len(words[0]) < lengths.TOKEN or not words[0].isascii():
            faults.append(f"the token in line {number} must have at least {lengths.TOKEN} characters, ASCII only")
        elif len(words) > 1 and not names:
            faults.append(f"line {number} names no namespace after its token")
        elif lines.setdefault(digest, number) != number:
            faults.append(f"line {number} repeats the token of line {lines[digest]}: join their namespaces in one line")
        else:
            grants.append((digest, Grant(names or None)))
    return grants


def _digest(token: str) -> bytes:
    """Hash a token, so that all have the same length and none is kept in memory."""
    return sha256(token.encode("utf-8", "replace")).digest()
