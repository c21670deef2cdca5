"""The README's reference tables, made from the code: `make docs` writes them, test_docs.py compares them."""

import sys
from pathlib import Path
from typing import Any

from provider.checks import QUESTIONS
from provider.reasons import MEANINGS, Reason
from provider.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def parameters() -> list[str]:
    """One row per parameter, with the questions that take it."""
    taken: dict[str, tuple[list[str], dict[str, Any], bool]] = {}
    for check in QUESTIONS.values():
        schema = check.query.model_json_schema(by_alias=True)
        for name, field in schema["properties"].items():
            taken.setdefault(name, ([], field, name in schema["required"]))[0].append(check.name)
    rows = ["| parameter | questions | default | meaning |", "|---|---|---|---|"]
    for name, (questions, field, required) in taken.items():
        default = "required" if required else "" if field.get("default") is None else f"`{field['default']}`"
        asked = "all" if len(questions) == len(QUESTIONS) else ", ".join(questions)
        rows.append(f"| `{name}` | {asked} | {default} | {field['description']}{_bounds(field)} |")
    return rows


def _bounds(field: dict[str, Any]) -> str:
    plain = next((one for one in field.get("anyOf", [field]) if one.get("type") != "null"), field)
    if "maximum" not in plain:
        return ""
    least = f"{plain['minimum']:g}" if "minimum" in plain else f"more than {plain['exclusiveMinimum']:g}"
    return f" {least} to {plain['maximum']:g}" + (f", times {plain['multipleOf']:g}." if "multipleOf" in plain else ".")


def reasons() -> list[str]:
    """One row per reason."""
    rows = ["| reason | phase | meaning | what to do |", "|---|---|---|---|"]
    for reason in Reason:
        row = MEANINGS[reason]
        rows.append(f"| `{reason.value}` | {row.phase} | {row.meaning} | {row.todo} |")
    return rows


def settings() -> list[str]:
    """One row per setting."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default == "" else f"`{field.default}`"
        rows.append(f"| `PROVIDER_{name.upper()}` | {default} | {field.description} |")
    return rows


TABLES = {"parameters": parameters, "reasons": reasons, "settings": settings}


def rendered(text: str) -> str:
    """Return the README with every table replaced by what the code says now."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"README.md must have the table {name} exactly once, between {begin} and {end}")
        before, _, rest = text.partition(begin)
        text = before + "\n".join([begin, *table(), end]) + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
