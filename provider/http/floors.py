"""Floors: minimums per namespace that no query may go below, from a file of the platform team.

One line per namespace, `*` for all others; `#` begins a comment:

    *       minHealthyPercent=100 checks=replicas,target-health
    batch   minHealthyPercent=80                                   # the other floors of * still hold here

A query below a floor is refused with 400, also if it leaves out a parameter whose default is below. The file is read
from disk again when it changes; while it has a fault, the floors of its last faultless version hold in addition to
those in its valid lines. Floors are about parameters: a caller can still query a single check.
"""

from pathlib import Path
from typing import Any

from provider.checks.parameters import Query
from provider.checks.strictness import Strictness, strictness_of
from provider.endpoints import endpoints
from provider.http.reread import Reread, words_of
from provider.model.errors import BadQuery, Problem

EVERYWHERE = "*"


def rules() -> dict[str, Strictness]:
    """Return the parameters that can have a floor, each with what makes it stricter."""
    fields = [field for endpoint in endpoints().values() for field in endpoint.query.model_fields.values()]
    kinds = {str(field.alias): strictness_of(field) for field in fields}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, Strictness)}


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
        limits, problems = rules(), dict[str, Problem]()
        for by_namespace in (self._file.content(), self._file.faultless):
            floors = {**by_namespace.get(EVERYWHERE, {}), **by_namespace.get(query.namespace, {})}
            for name, floor in floors.items():
                if name in given and name not in problems and not limits[name].holds(given[name], floor):
                    problems[name] = Problem(name, _sentence(limits[name], given[name], floor, query.namespace))
        if problems:
            raise BadQuery(tuple(problems.values()))


def _sentence(rule: Strictness, given: object, floor: object, namespace: str) -> str:
    got = "no limit" if given is None else f"{given:g}" if isinstance(given, float) else given
    limit = ",".join(floor) if isinstance(floor, tuple) else f"{floor:g}" if isinstance(floor, float) else floor
    return f"{rule.words} {limit} in namespace {namespace} (got {got}): this provider's floor"


def _parse(text: str, faults: list[str]) -> dict[str, dict[str, Any]]:
    limits, floors = rules(), dict[str, dict[str, Any]]()
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
            if not equals or name not in limits:
                faults.append(f"line {number}: {name} cannot have a floor. These parameters can: {', '.join(limits)}")
                continue
            try:
                floors[namespace][name] = limits[name].parse(value)
            except ValueError as error:
                faults.append(f"line {number}: the floor of {name} {error}")
    return floors
