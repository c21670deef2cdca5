"""How a command prints an answer: for a person in a terminal, or as JSON or YAML."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
import yaml

from provider.model.answer import Answer, Observed
from provider.model.printable import printable
from provider.model.records import Kind

Show = Callable[[Any, str], str]
"""Prints an answer about a Rollout of this name."""

OUTPUT = click.Option(
    ["--output", "-o"],
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How to print the answer.",
)


def shown_as(output: str, for_people: Show) -> Show:
    """Return how to print an answer; `for_people` is the table."""
    match output:
        case "json":
            return lambda document, _: json.dumps(document, indent=1, sort_keys=True)
        case "yaml":
            return lambda document, _: yaml.safe_dump(document, sort_keys=True).rstrip()
        case _:
            return for_people


STAGES = {"BeforeSwitch": "before the switch", "AfterSwitch": "after the switch"}


def answer(document: Answer, name: str) -> str:
    """Return the subject, phase and reason, the sentence, then tables of targets, requests and checks."""
    head = [subject(document, name), f"{document['phase']} ({document['reason']})", document["message"]]
    lines = [printable(line) for line in head]
    for rows in tables(document["observed"]):
        lines += ["", *rows]
    return "\n".join(lines)


def subject(document: Answer, name: str) -> str:
    """Return one line with the Rollout, green's hash, stage, Service, desired pods and the age of the evidence."""
    observed = document["observed"]
    age = _age(observed.get("evidenceAgeSeconds", {}))
    parts = [
        name,
        f"green {observed['podTemplateHash']}" if "podTemplateHash" in observed else "",
        STAGES.get(observed.get("stage", ""), ""),
        f"Service {observed['service']}" if "service" in observed else "",
        f"{observed['desiredCount']} pods wanted" if "desiredCount" in observed else "",
        f"evidence {age:g} s old" if age is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _age(ages: dict[str, float]) -> float | None:
    """Return the age of target health; for a check without it, of the oldest evidence that decided."""
    if Kind.TARGET_HEALTH in ages:
        return ages[Kind.TARGET_HEALTH]
    # These two are cached for minutes, and no answer waits for them.
    return max((age for kind, age in ages.items() if kind not in {Kind.TARGET_GROUPS, Kind.PODS}), default=None)


def tables(observed: Observed) -> list[list[str]]:
    """Return the lines of each table that has rows; each line is printable."""
    groups = observed.get("targetGroups", [])
    states = sorted({key for group in groups for key in group if key.endswith("Count")})
    contents: list[tuple[list[str], list[list[object]]]] = [
        (
            ["TARGET GROUP", "HEALTHY %", *(state.removesuffix("Count").upper() for state in states)],
            _cells(groups, ("name", "healthyPercent", *states), missing=0),
        ),
        (
            ["TARGET", "ADDRESS", "PORT", "STATE", "AWS REASON", "DESCRIPTION"],
            _cells(observed.get("examples", []), _EXAMPLE),
        ),
        (
            ["POD NOT READY", "STATE", "CONTAINER", "RESTARTS"],
            _cells(observed.get("podsNotReady", []), _NOT_READY),
        ),
        (
            ["TARGET GROUP", "REQUESTS", "TARGET 5XX", "CONNECTION ERRORS", "ERROR %"],
            _cells(observed.get("errorsByTargetGroup", []), _COUNTS),
        ),
        (
            ["CHECK", "PHASE", "REASON"],
            _cells(observed.get("checks", []), ("check", "phase", "reason")),
        ),
    ]
    return [table([head, *([printable(str(cell)) for cell in row] for row in rows)]) for head, rows in contents if rows]


def _cells(rows: Iterable[Mapping[str, object]], keys: Iterable[str], missing: object = "-") -> list[list[object]]:
    return [[row.get(key, missing) for key in keys] for row in rows]


def change(document: Answer) -> str:
    """Return an answer that changed on one line, with the time."""
    outcome = f"{document['phase']} ({document['reason']}): {document['message']}"
    return printable(f"{datetime.now(UTC):%H:%M:%S} UTC  {outcome}")


_COUNTS = ("name", "requestCount", "target5xxCount", "connectionErrorCount", "errorPercent")
_EXAMPLE = ("name", "address", "port", "state", "awsReason", "description")
_NOT_READY = ("name", "state", "container", "restartCount")


def colour() -> bool | None:
    """Return whether to print colours: None on a terminal only, never with NO_COLOR (no-color.org)."""
    return False if os.environ.get("NO_COLOR") else None


def table(rows: list[list[str]]) -> list[str]:
    """Return the lines of a table; its first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
