"""Parses Kubernetes label selectors, and rejects what the API server rejects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORD = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_END = ""


class SelectorError(ValueError):
    """The selector cannot be parsed; the text is the API server's error message."""


@dataclass(frozen=True)
class Requirement:
    """One comma-separated part of a selector."""

    key: str
    operator: str
    """One of `in`, `notin`, `exists`, `!`; equality is `in` with one value."""
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        value = labels.get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        if self.operator == "in":
            return value in self.values
        return value not in self.values  # an absent label satisfies notin and !=, as in Kubernetes


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """Parse e.g. `app=web,tier in (a,b),!canary`; raises SelectorError."""
    words = _words(text)
    word = next(words)
    found: list[Requirement] = []
    while word != _END:
        requirement, word = _requirement(word, words)
        found.append(requirement)
        if word not in (",", _END):
            message = f"unable to parse requirement: found '{word}', expected: ',' or 'end of string'"
            raise SelectorError(message)
        if word == ",":
            word = next(words)
            if word == _END:
                message = "unable to parse requirement: found '', expected: identifier after ','"
                raise SelectorError(message)
    return tuple(found)


def _words(text: str) -> Iterator[str]:
    position, stripped = 0, text.rstrip()
    while position < len(stripped):
        match = _WORD.match(stripped, position)
        if match is None:  # cannot happen: every character is covered
            raise SelectorError(text)
        yield match.group(1)
        position = match.end()
    while True:
        yield _END


def _requirement(word: str, words: Iterator[str]) -> tuple[Requirement, str]:
    if word == "!":
        return Requirement(_key(next(words)), "!"), next(words)
    key, operator = _key(word), next(words)
    if operator in (",", _END):
        return Requirement(key, "exists"), operator
    if operator in ("=", "==", "!="):
        value = next(words)
        following = value if value in (",", _END) else next(words)
        values = frozenset({"" if value in (",", _END) else _value(key, value)})
        return Requirement(key, "notin" if operator == "!=" else "in", values), following
    if operator in ("in", "notin"):
        return Requirement(key, operator, _values(key, words)), next(words)
    message = f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
    raise SelectorError(message)


def _values(key: str, words: Iterator[str]) -> frozenset[str]:
    word = next(words)
    if word != "(":
        message = f"unable to parse requirement: found '{word}' expected: '('"
        raise SelectorError(message)
    values = set()
    while word != ")":
        word = next(words)
        if word == _END:
            message = "unable to parse requirement: found '', expected: ',', or ')'"
            raise SelectorError(message)
        if word not in (",", ")"):
            values.add(_value(key, word))
    return frozenset(values or {""})


def _key(word: str) -> str:
    if _KEY.fullmatch(word) is None:
        message = f"unable to parse requirement: found '{word}', expected: !, identifier, or 'end of string'"
        raise SelectorError(message)
    return word


def _value(key: str, word: str) -> str:
    if _VALUE.fullmatch(word) is None:
        message = f'unable to parse requirement: values[0][{key}]: Invalid value: "{word}": not a label value'
        raise SelectorError(message)
    return word
