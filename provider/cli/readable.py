"""How a person reads an answer in a terminal."""

from datetime import UTC, datetime
from typing import Any

from provider.model.printable import printable
from provider.model.records import Kind

STAGES = {"BeforeSwitch": "before the switch", "AfterSwitch": "after the switch"}


def answer(found: dict[str, Any], name: str) -> str:
    """Return what it is about, phase and reason, the sentence, then tables of targets, requests and checks."""
    about = [subject(found, name), f"{found['phase']} ({found['reason']})", found["message"]]
    lines = [printable(line) for line in about]
    for rows in tables(found["observed"]):
        lines += ["", *rows]
    return "\n".join(lines)


def subject(found: dict[str, Any], name: str) -> str:
    """Return one line with the Rollout, green's hash, stage, Service, desired pods and the age of the evidence."""
    seen, age = found["observed"], _age(found["observed"].get("evidenceAgeSeconds", {}))
    parts = [
        name,
        f"green {seen['podTemplateHash']}" if "podTemplateHash" in seen else "",
        STAGES.get(seen.get("stage", ""), ""),
        f"Service {seen['service']}" if "service" in seen else "",
        f"{seen['desiredCount']} pods wanted" if "desiredCount" in seen else "",
        f"evidence {age:g} s old" if age is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _age(ages: dict[str, float]) -> float | None:
    """Return the age of target health; for a check without it the oldest of what decided."""
    if Kind.TARGET_HEALTH in ages:
        return ages[Kind.TARGET_HEALTH]
    # Both are cached for minutes, and no answer waits for them.
    return max((age for kind, age in ages.items() if kind not in {Kind.TARGET_GROUPS, Kind.PODS}), default=None)


def tables(observed: dict[str, Any]) -> list[list[str]]:
    """Return the lines of each table that has rows; each line is printable."""
    groups = observed.get("targetGroups", [])
    states = sorted({key for group in groups for key in group if key.endswith("Count")})
    found = [
        (
            ["TARGET GROUP", "HEALTHY %", *(state.removesuffix("Count").upper() for state in states)],
            [[one["name"], one["healthyPercent"], *(one.get(state, 0) for state in states)] for one in groups],
        ),
        (
            ["TARGET", "ADDRESS", "PORT", "STATE", "AWS REASON", "DESCRIPTION"],
            [[one.get(key, "-") for key in _EXAMPLE] for one in observed.get("examples", [])],
        ),
        (
            ["POD NOT READY", "STATE", "CONTAINER", "RESTARTS"],
            [[one.get(key, "-") for key in _NOT_READY] for one in observed.get("podsNotReady", [])],
        ),
        (
            ["TARGET GROUP", "REQUESTS", "TARGET 5XX", "CONNECTION ERRORS", "ERROR %"],
            [[one.get(key, "-") for key in _COUNTS] for one in observed.get("errorsByTargetGroup", [])],
        ),
        (
            ["CHECK", "PHASE", "REASON"],
            [[one["check"], one["phase"], one["reason"]] for one in observed.get("checks", [])],
        ),
    ]
    return [_table([head, *([printable(str(cell)) for cell in row] for row in rows)]) for head, rows in found if rows]


def change(found: dict[str, Any]) -> str:
    """Return one line of an answer that changed, with the time."""
    return printable(f"{datetime.now(UTC):%H:%M:%S} UTC  {found['phase']} ({found['reason']}): {found['message']}")


_COUNTS = ("name", "requestCount", "target5xxCount", "connectionErrorCount", "errorPercent")
_EXAMPLE = ("name", "address", "port", "state", "awsReason", "description")
_NOT_READY = ("name", "state", "container", "restartCount")


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
