"""Takes what looks like a credential out of everything that is logged.

The log quotes what AWS, Kubernetes and what stands in between say about an error, since that names the role or the
account at fault. But some of it echoes the request: AWS's SignatureDoesNotMatch repeats the signed headers, session
token included, and proxies like to quote headers too. So the formatter, through which every line goes, looks at all of
it. What it takes away: what comes after a name such as `token:`, `Signature=` or `Bearer`, access key ids, JSON web
tokens, and long runs of base64.
"""

import re
from functools import lru_cache
from typing import Any

from pythonjsonlogger.json import JsonFormatter

REMOVED = "[removed]"

REMEMBERED, SHORT = 4096, 500
"""So many texts of so many characters are not searched again: one question's line is much like that of the next."""

_MIN_SECRET = 8
"""Characters of a value after such a name: "tokens: 3 are valid" is a sentence."""

_SECRET = re.compile(
    rf"""
    (?P<name>
        (?i:\b(?:bearer|basic)\s+
        | [\w-]*(?:token|secret|password|passwd|signature|credential|authorization|cookie|api[-_]?key)[\w-]*
          \\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|basic|AWS4-HMAC-SHA256)\s+)?)
    )
    [^\s"'\\,;&<]{{{_MIN_SECRET},}}
    | \b(?:AKIA|ASIA)[A-Z0-9]{{12,}}
    | \beyJ[\w-]{{8,}}(?:\.[\w-]*){{1,2}}
    | (?=[a-z0-9+/=]*[A-Z])(?=[A-Z0-9+/=]*[a-z])[A-Za-z0-9+/=]{{40,}}
    """,
    re.VERBOSE,
)


def redacted(text: str) -> str:
    """Return the text without what looks like a credential; the name before it stays."""
    return _SECRET.sub(lambda found: f"{found['name'] or ''}{REMOVED}", text)


class RedactingFormatter(JsonFormatter):
    """Writes a log record as one line of JSON, ASCII only, without credentials."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Redact every text of a record, however deep."""
        found: dict[str, Any] = _redacted(log_data)
        return found


_remembered = lru_cache(REMEMBERED)(redacted)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _remembered(value) if len(value) <= SHORT else redacted(value)
    if isinstance(value, dict):
        return {name: _redacted(one) for name, one in value.items()}  # names are our own
    if isinstance(value, list | tuple):
        return [_redacted(one) for one in value]
    return value
