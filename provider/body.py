"""The JSON of an answer, and its size.

Argo keeps the last ten measurements of every metric in one etcd object, so a body stays under 2 KiB whatever is wrong:
examples go first, then target groups, then the tail of a sentence.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from provider.records import Verdict

MAX_BYTES = 2047
"""A body is less than 2 KiB."""

_MAX_MESSAGE = 400
_MAX_TEXT = 120
_SHORT_TEXT = 40


def encode(verdict: Verdict) -> bytes:
    """Return the body of an answer as JSON with sorted keys, under 2 KiB."""
    message = _cut(verdict.message, _MAX_MESSAGE)
    observed = _cut_texts(verdict.observed, _MAX_TEXT)
    body = _json(verdict, message, observed)
    for smaller in _SMALLER:
        while len(body) > MAX_BYTES and smaller(observed):
            body = _json(verdict, message, observed)
    if len(body) > MAX_BYTES:  # only names of hundreds of characters come this far
        body = _json(verdict, _cut(message, _MAX_TEXT), _cut_texts(observed, _SHORT_TEXT))
    return body


def _json(verdict: Verdict, message: str, observed: Mapping[str, Any]) -> bytes:
    answer = {
        "measurement": [verdict.number, verdict.phase, message],
        "message": message,
        "observed": observed,
        "phase": verdict.phase,
        "reason": verdict.reason,
    }
    return json.dumps(answer, sort_keys=True, separators=(", ", ": "), ensure_ascii=True).encode()


def _drop_last(key: str, keep: int) -> Callable[[dict[str, Any]], bool]:
    """Return a function that drops the last entry of a list and says whether there was one to drop."""

    def drop(observed: dict[str, Any]) -> bool:
        entries = observed.get(key, [])
        if len(entries) <= keep:
            return False
        entries.pop()
        return True

    return drop


_SMALLER = (_drop_last("examples", 1), _drop_last("targetGroups", 1), _drop_last("examples", 0))


def _cut(text: str, length: int) -> str:
    """Keep the beginning of a text, printable ASCII only: what Kubernetes and AWS say must not grow or hide."""
    clean = text.isascii() and text.isprintable()
    plain = text if clean else "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return plain if len(plain) <= length else plain[: length - 3] + "..."


def _cut_texts(value: Any, length: int) -> Any:
    """Copy a JSON value with every text cut."""
    match value:
        case str():
            return _cut(value, length)
        case int() | float():  # before Mapping, which is dear to ask about
            return value
        case Mapping():
            return {key: _cut_texts(one, length) for key, one in value.items()}
        case list() | tuple():
            return [_cut_texts(one, length) for one in value]
        case _:
            return value
