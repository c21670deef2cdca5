"""Removes what looks like a credential from everything that is logged.

The log quotes what AWS, Kubernetes and proxies say about an error, since that names the role or account at fault. Some
of it echoes the request: AWS's SignatureDoesNotMatch repeats the signed headers, session token included. The formatter
therefore searches every line, and removes what follows a name such as `token:`, `Signature=` or `Bearer`, access key
ids, JSON web tokens, long runs of base64, user and password in a URL, the value of a header that http.client rejected,
and the credentials that the provider itself uses (`hide`).

Others choose the text, so the time must grow no faster than its length. Each pattern therefore reads a character only a
fixed number of times: it begins at the start of a word (a lookbehind), and its quantifiers never backtrack (`++`,
`*+`).
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from threading import Lock
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from provider.model.lengths import cut

REMOVED = "[removed]"

MAX_LINE = 16 * 1024
"""Characters of a log line: containerd and CRI-O split a longer one, and its parts are not JSON."""

_MAX_MESSAGE_BYTES = 1024
"""Maximum bytes of a message in a line that was cut: JSON may write six characters for each byte."""

_MAX_TRACEBACK = 8 * 1024
"""Maximum characters of a traceback: its end, which names the error."""

_MIN_SECRET = 8
"""Minimum length of a secret after such a name, so that "tokens: 3 are valid" stays."""

_MIN_BASE64 = 40

_MAX_HIDDEN = 100
"""Maximum number of words of our own credentials in memory: tokens are rotated about every hour."""

_VALUE = re.compile(r"""[^\s"'\\,;&<]++""")

_IS_VALUE = rf"""(?=[^\s"'\\,;&<]{{{_MIN_SECRET}}})"""

_ASSIGNED = re.compile(
    rf"""
    (?<![\w-]) [\w-]++ \\?["']? \s*+ [:=] \s*+ \\?["']? (?i: (?:bearer|basic|AWS4-HMAC-SHA256) \s++ )? {_IS_VALUE}
    """,
    re.VERBOSE,
)
"""A word, and what stands between it and its value."""

_OF_A_SECRET = re.compile(
    "token|secret|password|passwd|signature|credential|authorization|cookie|api[-_]?key", re.IGNORECASE
)

_SCHEME = re.compile(rf"(?i:\b(?:bearer|basic)\s++){_IS_VALUE}")

_BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/=])(?=[a-z0-9+/=]*+[A-Z])(?=[A-Z0-9+/=]*+[a-z])[A-Za-z0-9+/=]{{{_MIN_BASE64},}}+"
)

_CREDENTIALS = (
    re.compile(r"""://([^/@"'<>]{1,300}+)@"""),
    re.compile(r"[Ii]nvalid header value ([^\n]++)"),
    re.compile(r"(\b(?:AKIA|ASIA)[A-Z0-9]{12,}+)"),
    re.compile(r"(\beyJ[\w-]{8,}+(?:\.[\w-]*+)*+)"),
)
"""The group of each is the credential. A JSON web token begins with `eyJ`, which is `{"` in base64."""


class _Part(IntEnum):
    """The kind of a part of a text. Of two parts that begin together, a name comes first."""

    NAME = 0
    BASE64 = 1
    CREDENTIAL = 2


_hidden: tuple[str, ...] = ()
_hiding = Lock()


def hide(credential: str) -> None:
    """Remove the words of one of our own credentials from every later text, whatever they look like."""
    global _hidden  # noqa: PLW0603 - one log per process
    new = [word for word in credential.split() if len(word) >= _MIN_SECRET and word not in _hidden]
    if new:
        with _hiding:
            _hidden = (*_hidden, *new)[-_MAX_HIDDEN:]


def redacted(text: str) -> str:
    """Return the text without our credentials and without what looks like one; the name before it stays."""
    for word in _hidden:
        text = text.replace(word, REMOVED)
    kept: list[str] = []
    end = name_end = 0
    for start, part, stop in sorted(_parts(text)):
        if part is _Part.NAME:
            name_end = stop
        elif part is _Part.BASE64 and start < name_end < start + _MIN_BASE64:
            continue  # a name with its value, which is a part by itself
        else:
            if start > end or not kept:
                kept += text[end:start], REMOVED
            end = max(end, stop)
    return "".join([*kept, text[end:]])


def _parts(text: str) -> Iterator[tuple[int, _Part, int]]:
    """Yield the places of names and of what looks like a credential; they may overlap."""
    for pattern in (_ASSIGNED, _SCHEME):
        end = 0
        for name in pattern.finditer(text):
            if pattern is _ASSIGNED and not _OF_A_SECRET.search(name[0]):
                continue
            yield name.start(), _Part.NAME, name.end()
            if name.end() >= end:  # otherwise it is part of the last value
                value = _VALUE.match(text, name.end())
                assert value is not None  # noqa: S101 - _IS_VALUE requires one
                end = value.end()
                yield value.start(), _Part.CREDENTIAL, end
    for run in _BASE64.finditer(text):
        yield run.start(), _Part.BASE64, run.end()
    for pattern in _CREDENTIALS:
        for match in pattern.finditer(text):
            yield match.start(1), _Part.CREDENTIAL, match.end(1)


class RedactingFormatter(JsonFormatter):
    """Formats a log record as one line of JSON, ASCII only, without credentials, and no longer than `MAX_LINE`."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Redact every string of a record, at any depth, and cut it."""
        traceback = log_data.pop("exc_info", None)
        shown: dict[str, Any] = _redacted(log_data)
        return shown | ({"exc_info": redacted(traceback)[-_MAX_TRACEBACK:]} if traceback else {})

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the line; if it would be too long, only with the fields of every line."""
        line = super().serialize_log_record(log_data)
        if len(line) <= MAX_LINE:
            return line
        fields: dict[str, Any] = {name: log_data[name] for name in ("timestamp", "level", "logger") if name in log_data}
        message = cut(str(log_data.get("message", "")), _MAX_MESSAGE_BYTES)
        return super().serialize_log_record({**fields, "message": message, "cut": True})


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return cut(redacted(value))
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}  # the keys are our own
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value
