"""Who may ask: bearer tokens from a file, each optionally tied to namespaces.

One token per line, then optionally the namespaces it may ask about, separated by commas; `#` begins a comment:

    kWq3vX0m5TzR8bYc                    # any namespace
    Zp7LdN2sHf4QjUe9  shop,shop-test    # one team's

The file is read again when it changes (a mounted Secret does, within a minute), so a token is rotated by adding the new
one before the old one goes. Without a file access is open.
"""

import hmac
import logging
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

from provider.errors import NotConfigured

MIN_LENGTH = 16
"""Characters of a token: a shorter one could be guessed."""

SCHEME = "Bearer "


class Unauthorized(Exception):
    """The request has no valid token (401)."""


class Forbidden(Exception):
    """The token is valid, but not for this namespace (403). Whether anything exists there is not said."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one token may ask about; None means any namespace."""

    namespaces: frozenset[str] | None

    def require(self, namespace: str) -> None:
        """Raise Forbidden unless this namespace may be asked about."""
        if self.namespaces is not None and namespace not in self.namespaces:
            raise Forbidden(f"This token may not ask about namespace {namespace}")


ANYTHING = Grant(None)


class OpenAccess:
    """Anybody who reaches the port may ask."""

    def grant(self, authorization: str | None) -> Grant:  # noqa: ARG002 - what TokenAccess needs
        """Grant everything."""
        return ANYTHING

    def describe(self) -> str:
        """Say plainly that access is open."""
        return "Access is open: anybody who reaches the port may ask (PROVIDER_TOKENS_FILE is not set)"


class TokenAccess:
    """Only who has a token of the file may ask."""

    def __init__(self, path: Path) -> None:
        """Read the file now. Raises NotConfigured if it cannot be read or is malformed."""
        self._path = path
        self._reading = Lock()
        self._seen: tuple[int, int, int] | None = None
        self._grants: tuple[tuple[bytes, Grant], ...] = ()
        try:
            self._read_if_changed()
        except (OSError, ValueError) as error:
            raise NotConfigured(f"PROVIDER_TOKENS_FILE {path} cannot be used: {_why(error)}") from error

    def grant(self, authorization: str | None) -> Grant:
        """Return what the token of an Authorization header may ask about. Raises Unauthorized."""
        try:
            self._read_if_changed()
        except (OSError, ValueError) as error:  # the tokens that were valid stay valid until the file is whole again
            logging.getLogger(__name__).warning("The tokens file cannot be read again: %s", _why(error))
        if authorization is None or not authorization.startswith(SCHEME):
            raise Unauthorized("A bearer token is needed: send it in the Authorization header")
        asked = _digest(authorization.removeprefix(SCHEME).strip())
        found = None
        for known, grant in self._grants:  # all of them, so that the time tells nothing
            if hmac.compare_digest(known, asked):
                found = grant
        if found is None:
            raise Unauthorized("The bearer token is not valid")
        return found

    def describe(self) -> str:
        """Say how many tokens there are."""
        return f"Access is by bearer token: {len(self._grants)} are valid"

    def _read_if_changed(self) -> None:
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._reading:
            if seen != self._seen:
                self._grants = tuple(_parse(self._path.read_text(encoding="utf-8")))
                self._seen = seen  # only now: a read that failed is tried again, or a revoked token would stay valid


def _parse(text: str) -> list[tuple[bytes, Grant]]:
    grants: list[tuple[bytes, Grant]] = []
    lines: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words[0]) < MIN_LENGTH or not words[0].isascii():
            raise ValueError(f"the token in line {number} must have at least {MIN_LENGTH} characters, ASCII only")
        names = frozenset(name for word in words[1:] for name in word.split(",") if name)
        if len(words) > 1 and not names:
            raise ValueError(f"line {number} names no namespace after its token")
        digest = _digest(words[0])
        if lines.setdefault(digest, number) != number:  # which of the two lines was meant to count?
            raise ValueError(f"line {number} has the token of line {lines[digest]} again: put its namespaces into one")
        grants.append((digest, Grant(names or None)))
    return grants


def _digest(token: str) -> bytes:
    """Hash a token: digests have one length, and what is kept is of no use to anybody."""
    return sha256(token.encode("utf-8", "replace")).digest()


def _why(error: Exception) -> str:
    """Say what is wrong with the file without a word of what is in it."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return str(error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
