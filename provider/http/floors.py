"""Limits that no caller can loosen: minimums per namespace, from a file of the platform team.

One line per namespace, `*` for all others; `#` begins a comment:

    *       minHealthyPercent=100 checks=replicas,target-health
    batch   minHealthyPercent=80                                   # the other floors of * still hold here

A query below a floor is refused with 400, also if it leaves the parameter out and its default is below. The file is
read from disk again when it changes; while it has a fault, the floors of its last version without one hold in addition
to those in its good lines. Floors are about parameters: a caller can still query one check alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from provider.checks import PARTS
from provider.checks.question import Query
from provider.http.reread import Reread, words_of
from provider.model.errors import BadQuery, Problem

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one parameter is limited: `holds(given, floor)`, and the words between name and floor."""

    holds: Callable[[Any, Any], bool]
    words: str
    parse: Callable[[str], Any]


def _at_least(given: float, floor: float) -> bool:
    return given >= floor


def _at_most(given: float | None, floor: float) -> bool:
    return given is not None and given <= floor  # None is no limit at all


def _number(text: str) -> float:
    number = float(text) if text[:1].isdigit() else nan
    if not isfinite(number):
        raise ValueError("is not a number")
    return number


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in {check.name for check in PARTS}:
            raise ValueError(f"names {name}, which is no check")
    return names


def _has_all(given: str | None, floor: tuple[str, ...]) -> bool:
    made = [check.name for check in PARTS if check.by_default] if given is None else given.split(",")
    return set(floor) <= set(made)


def _ordered(*words: str) -> _Rule:
    """Limit a parameter whose values are these words, from loose to strict."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return text

    return _Rule(lambda given, floor: words.index(given) >= words.index(floor), "must be no looser than", parse)


RULES: Mapping[str, _Rule] = {
    "minHealthyPercent": _Rule(_at_least, "must be at least", _number),
    "minRequests": _Rule(_at_least, "must be at least", _number),
    "windowSeconds": _Rule(_at_least, "must be at least", _number),
    "lagSeconds": _Rule(_at_least, "must be at least", _number),
    "significance": _Rule(_at_least, "must be at least", _number),
    "maxErrorPercent": _Rule(_at_most, "must be at most", _number),
    "maxErrors": _Rule(_at_most, "must be at most", _number),
    "maxLatencyFactor": _Rule(_at_most, "must be at most", _number),
    "checks": _Rule(_has_all, "must include", _names),
    "onNoData": _ordered("pass", "inconclusive", "fail"),
    "anomalies": _ordered("report", "fail"),
}
"""Every parameter that decides how little is enough for a pass."""


class NoFloors:
    """Every query is allowed."""

    def require(self, query: Query) -> None:
        """Allow the query."""


class Floors:
    """The floors of a file."""

    def __init__(self, path: Path) -> None:
        """Read the file now. Raises NotConfigured if it cannot be read or has a fault."""
        self._file = Reread("PROVIDER_FLOORS_FILE", path, _parse, "The floors read before this fault hold as well.")

    def require(self, query: Query) -> None:
        """Raise BadQuery naming every parameter that is below its floor."""
        given = {str(field.alias): getattr(query, name) for name, field in type(query).model_fields.items()}
        problems: dict[str, Problem] = {}
        for by_namespace in (self._file.content(), self._file.faultless):
            floors = {**by_namespace.get(EVERYWHERE, {}), **by_namespace.get(query.namespace, {})}
            for name, floor in floors.items():
                if name in given and name not in problems and not RULES[name].holds(given[name], floor):
                    problems[name] = Problem(name, _sentence(name, given[name], floor, query.namespace))
        if problems:
            raise BadQuery(tuple(problems.values()))


def _sentence(name: str, given: object, floor: object, namespace: str) -> str:
    got = "no limit" if given is None else f"{given:g}" if isinstance(given, float) else given
    limit = ",".join(floor) if isinstance(floor, tuple) else f"{floor:g}" if isinstance(floor, float) else floor
    return f"{RULES[name].words} {limit} in namespace {namespace} (got {got}): this provider's floor"


def _parse(text: str, faults: list[str]) -> dict[str, dict[str, Any]]:
    floors: dict[str, dict[str, Any]] = {}
    for number, (namespace, *settings) in words_of(text, faults):
        if not settings or "=" in namespace:
            faults.append(f"line {number} must be a namespace, or {EVERYWHERE}, followed by name=value")
            continue
        if namespace in floors:
            faults.append(f"line {number} repeats {namespace}: join its floors in one line")
            continue
        floors[namespace] = {}
        for setting in settings:
            name, equals, value = setting.partition("=")
            if not equals or name not in RULES:
                faults.append(f"line {number}: {name} has no floor. These have one: {', '.join(RULES)}")
                continue
            try:
                floors[namespace][name] = RULES[name].parse(value)
            except ValueError as error:
                faults.append(f"line {number}: the floor of {name} {error}")
    return floors
