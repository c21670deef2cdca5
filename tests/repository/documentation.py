"""The generated parts of docs/, made from the code: `make docs` writes them, test_docs.py compares them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from provider.advice.preflight.findings import RULES, Severity
from provider.endpoints import endpoints
from provider.model.answer import Observed
from provider.model.reasons import Reason
from provider.settings import Settings
from tests import ROOT

TUNED = frozenset(
    {
        *("read_threads", "budget_seconds", "connect_timeout_seconds", "read_timeout_seconds"),
        *("topology_fresh_seconds", "pods_fresh_seconds", "target_health_fresh_seconds", "target_groups_fresh_seconds"),
        *("metrics_fresh_seconds", "failures_fresh_seconds"),
        *("graceful_timeout_seconds", "connections", "client_timeout_seconds"),
    }
)
"""Settings whose defaults fit together: nobody should have to change them."""

DOCS = ROOT / "docs"


def parameters() -> list[str]:
    """One row per parameter, with the endpoints that take it."""
    taken: dict[str, tuple[list[str], dict[str, Any], bool]] = {}
    queries = {name: endpoint.query for name, endpoint in endpoints().items()}
    for endpoint, query in queries.items():
        schema = query.model_json_schema(by_alias=True)
        for name, field in schema["properties"].items():
            taken.setdefault(name, ([], field, name in schema["required"]))[0].append(endpoint)
    rows = ["| parameter | endpoints | default | meaning |", "|---|---|---|---|"]
    for name, (names, field, required) in taken.items():
        default = "required" if required else "" if field.get("default") is None else f"`{field['default']}`"
        of = "all" if len(names) == len(queries) else ", ".join(names)
        rows.append(f"| `{name}` | {of} | {default} | {field['description']}{_bounds(field)} |")
    return rows


def _bounds(field: dict[str, Any]) -> str:
    plain = next((schema for schema in field.get("anyOf", [field]) if schema.get("type") != "null"), field)
    if "maximum" not in plain:
        return ""
    least = f"{plain['minimum']:g}" if "minimum" in plain else f"more than {plain['exclusiveMinimum']:g}"
    step = f", a multiple of {plain['multipleOf']:g}" if "multipleOf" in plain else ""
    return f" {least} to {plain['maximum']:,.10g}{step}."


def observed() -> list[str]:
    """One row per key of `observed`."""
    _, schemas = msgspec.json.schema_components([Observed])
    rows = ["| key | content |", "|---|---|"]
    for name in get_type_hints(Observed):
        field = schemas["Observed"]["properties"][name]
        parts = schemas.get((field.get("$ref") or field.get("items", {}).get("$ref", "")).rpartition("/")[2], {})
        keys = ", ".join(f"`{key}`" for key in parts.get("properties", {}))
        rows.append(f"| `{name}` | {field['description']}{f' Keys: {keys}.' if keys else ''} |")
    return rows


def reasons() -> list[str]:
    """One heading per reason, by phase: GitHub makes an anchor of it, the reason in lower case."""
    lines = []
    for phase in ("Successful", "Failed", "Inconclusive"):
        of_phase = [reason for reason in Reason if reason.phase == phase]
        links = ", ".join(f"[{reason}](#{reason.lower()})" for reason in of_phase)
        lines += [f"### {phase}", "", f"{links}.", ""]
        for reason in of_phase:
            row = reason
            lines += [
                f"#### {reason}",
                "",
                f"{phase}, action `{row.action}`. {row.meaning}",
                "",
                f"**What to do:** {row.todo}",
                "",
            ]
    return lines[:-1]


def preflight() -> list[str]:
    """One heading per finding, by severity."""
    lines = []
    for severity in Severity:
        of_severity = [code for code, rule in RULES.items() if rule.severity is severity]
        links = ", ".join(f"[{code}](#{code.lower()})" for code in of_severity)
        lines += [f"## {severity.title()}", "", f"{links}.", ""]
        for code in of_severity:
            row = RULES[code]
            lines += [f"### {code}", "", f"{row.meaning}", "", f"**What to do:** {row.todo}", ""]
    return lines[:-1]


def settings() -> list[str]:
    """One row per setting, and those to leave as they are."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    tuned = []
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default in {"", None} else f"`{field.default}`"
        if name in TUNED:
            tuned.append(f"`PROVIDER_{name.upper()}` ({field.default})")
        else:
            rows.append(f"| `PROVIDER_{name.upper()}` | {default} | {field.description} |")
    return [*rows, "", f"Leave these as they are; their defaults fit together: {', '.join(tuned)}."]


GENERATED: dict[Path, tuple[Callable[[], list[str]], ...]] = {
    DOCS / "reference.md": (observed, parameters, settings, reasons),
    DOCS / "preflight.md": (preflight,),
}
"""The generated parts of each file; each stands between two comments of its name."""


def rendered(path: Path) -> str:
    """Return a file with its generated parts as the code is now."""
    text = path.read_text(encoding="utf-8")
    for generate in GENERATED[path]:
        begin, end = f"<!-- {generate.__name__} -->", f"<!-- /{generate.__name__} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"{path.relative_to(ROOT)} must have {begin} and {end} exactly once")
        before, _, rest = text.partition(begin)
        text = before + "\n".join([begin, *generate(), end]) + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    for file in GENERATED:
        file.write_text(rendered(file), encoding="utf-8")
