"""The JSON of an answer, and its size.

Argo keeps the last ten measurements of every metric in one etcd object, so a body stays under 2 KiB in every case. To
make it fit, examples are dropped first, then target groups, then the end of the sentence.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from provider.model.records import Verdict

MAX_BYTES = 2047
"""A body is less than 2 KiB."""

MAX_MESSAGE = 400
_MAX_TEXT = 120
_SHORT_TEXT = 40


def encode(verdict: Verdict) -> bytes:
    """Return the body of an answer as JSON with sorted keys, under 2 KiB."""
    message = _cut(verdict.message, MAX_MESSAGE)
    observed = _cut_texts(verdict.observed, _MAX_TEXT)
    body = _json(verdict, message, observed)
    for smaller in _SMALLER:
        while len(body) > MAX_BYTES and smaller(observed):
            body = _json(verdict, message, observed)
    if len(body) > MAX_BYTES:  # only with names of hundreds of characters
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
    return json.dumps(answer, sort_keys=True).encode()


def _drop_last(key: str, keep: int) -> Callable[[dict[str, Any]], bool]:
    """Return a function that drops the last entry of a list and tells whether there was one."""

    def drop(observed: dict[str, Any]) -> bool:
        entries = observed.get(key, [])
        if len(entries) <= keep:
            return False
        entries.pop()
        return True

    return drop


def _drop(key: str) -> Callable[[dict[str, Any]], bool]:
    """Return a function that drops a value and tells whether it was there: the sentence has what decides."""
    return lambda observed: observed.pop(key, None) is not None


_SMALLER = (
    _drop_last("podsNotReady", 1),
    _drop_last("examples", 1),
    _drop_last("targetGroups", 1),
    _drop_last("uncheckedTargetGroups", 1),
    _drop("rollout"),
    _drop("unfinishedMinutes"),
    _drop_last("examples", 0),
    _drop_last("podsNotReady", 0),
    _drop_last("uncheckedTargetGroups", 0),
)


def _cut(text: str, length: int) -> str:
    """Cut a text, and replace all but printable ASCII and ×, since JSON escapes would make it longer."""
    plain = "".join(letter if " " <= letter <= "~" or letter == "×" else "?" for letter in text)
    return plain if len(plain) <= length else plain[: length - 3] + "..."


def _cut_texts(value: Any, length: int) -> Any:
    """Copy a JSON value with every text cut."""
    if isinstance(value, str):
        return _cut(value, length)
    if isinstance(value, int | float) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _cut_texts(item, length) for key, item in value.items()}
    return [_cut_texts(item, length) for item in value]
