"""Removes what looks like a credential from everything that is logged.

The log quotes what AWS, Kubernetes and proxies say about an error, since that names the role or account at fault. Some
of it echoes the request: AWS's SignatureDoesNotMatch repeats the signed headers, session token included. The formatter
therefore searches every line, and removes what follows a name such as `token:`, `Signature=` or `Bearer`, access key
ids, JSON web tokens, long runs of base64, user and password in a URL, the value of a header that http.client rejected,
and the credentials that the provider itself uses (`hide`).
"""

import re
from functools import lru_cache
from threading import Lock
from typing import Any

from pythonjsonlogger.json import JsonFormatter

REMOVED = "[removed]"

REMEMBERED, SHORT = 4096, 500
"""Number of texts whose result is cached, and the longest text that is: one query's line resembles the next one's."""

_MIN_SECRET = 8
"""Minimum length of a value after such a name: "tokens: 3 are valid" is a sentence."""

_MOST_HIDDEN = 100
"""Words of our own credentials that are remembered: tokens are rotated every hour or so."""

_SECRET = re.compile(
    rf"""
    (?P<name>
        (?i:\b(?:bearer|basic)\s+
        | [\w-]*(?:token|secret|password|passwd|signature|credential|authorization|cookie|api[-_]?key)[\w-]*
          \\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|basic|AWS4-HMAC-SHA256)\s+)?)
    )
    [^\s"'\\,;&<]{{{_MIN_SECRET},}}
    | (?<=://)[^/@"'<>]{{1,300}}(?=@)
    | (?<=[Ii]nvalid\ header\ value\ )[^\n]+
    | \b(?:AKIA|ASIA)[A-Z0-9]{{12,}}
    | \beyJ[\w-]{{8,}}(?:\.[\w-]*){{1,2}}
    | (?=[a-z0-9+/=]*[A-Z])(?=[A-Z0-9+/=]*[a-z])[A-Za-z0-9+/=]{{40,}}
    """,
    re.VERBOSE,
)


_hidden: tuple[str, ...] = ()
_hiding = Lock()


def hide(credential: str) -> None:
    """Remove the words of a credential of ours from every text from now on, whatever they look like."""
    global _hidden  # noqa: PLW0603 - one log per process
    new = [word for word in credential.split() if len(word) >= _MIN_SECRET and word not in _hidden]
    if new:
        with _hiding:
            _hidden = (*_hidden, *new)[-_MOST_HIDDEN:]
            _remembered.cache_clear()


def redacted(text: str) -> str:
    """Return the text without our credentials and what looks like one; keep the name before it."""
    for word in _hidden:
        text = text.replace(word, REMOVED)
    return _SECRET.sub(lambda found: f"{found['name'] or ''}{REMOVED}", text)


class RedactingFormatter(JsonFormatter):
    """Formats a log record as one line of JSON, ASCII only, without credentials."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Redact every string of a record, at any depth."""
        found: dict[str, Any] = _redacted(log_data)
        return found


_remembered = lru_cache(REMEMBERED)(redacted)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _remembered(value) if len(value) <= SHORT else redacted(value)
    if isinstance(value, dict):
        return {name: _redacted(one) for name, one in value.items()}  # the keys are our own
    if isinstance(value, list | tuple):
        return [_redacted(one) for one in value]
    return value
