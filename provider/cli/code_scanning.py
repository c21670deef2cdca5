"""Findings of a preflight as code-scanning pages and GitHub's workflows take them."""

import json
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click

from provider import DOCUMENTATION
from provider.advice.preflight.findings import RULES, Finding, Place, Report, Severity
from provider.model.printable import printable

LEVELS = {Severity.BLOCKS: "error", Severity.RISK: "warning", Severity.ADVICE: "note"}
"""SARIF's words."""

ANNOTATIONS = {Severity.BLOCKS: "error", Severity.RISK: "warning", Severity.ADVICE: "notice"}
"""GitHub's."""

TITLE = "alb-provider preflight"


def sarif(reports: list[Report]) -> str:
    """Return SARIF 2.1.0 (OASIS), with the place in a file that code-scanning pages need."""
    rules = [
        {
            "id": rule.code,
            "shortDescription": {"text": rule.meaning},
            "help": {"text": rule.todo},
            "helpUri": rule.more,
            "defaultConfiguration": {"level": LEVELS[rule.severity]},
        }
        for rule in RULES.values()
    ]
    results = [
        {
            "ruleId": finding.code,
            "level": LEVELS[finding.severity],
            "message": {"text": f"{finding.says}. {finding.todo}"},
            "locations": [_location(report, finding)],
        }
        for report in reports
        for finding in report.findings
    ]
    driver = {"name": TITLE, "informationUri": DOCUMENTATION, "rules": rules}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    runs = [{"tool": {"driver": driver}, "results": results}]
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": runs}, indent=1)


def _location(report: Report, finding: Finding) -> dict[str, Any]:
    names = [{"fullyQualifiedName": f"{report.setup.namespace}/{label}"} for label in finding.objects]
    place = finding.place or next((source.place(()) for source in report.setup.manifests.sources.values()), None)
    if place is None:  # read from a cluster: there is no file
        return {"logicalLocations": names}
    region = {"startLine": place.line, "startColumn": place.column}
    return {
        "physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": region},
        "logicalLocations": names,
    }


def _uri(file: str) -> str:
    """Return a path relative to the working directory, as code-scanning pages want it; `stdin` for standard input."""
    path = Path(file or "stdin")
    try:
        return quote(path.resolve().relative_to(Path.cwd()).as_posix())
    except ValueError:
        return path.resolve().as_uri()


def github(reports: list[Report]) -> str:
    """Return an annotation for each finding."""
    lines = [
        annotation(
            ANNOTATIONS[finding.severity],
            finding.code,
            f"{finding.objects[0]}: {finding.says}. {finding.todo}",
            finding.place,
        )
        for report in reports
        for finding in report.findings
    ]
    return "\n".join(lines) or annotation("notice", TITLE, "Nothing was found")


def annotation(level: str, title: str, text: str, place: Place | None = None) -> str:
    """Return a workflow command of GitHub, which is one line whatever is in its parts."""
    where = ""
    if place and place.file:
        where = f"file={_escaped(place.file, ':,')},line={place.line},col={place.column},"
    return printable(f"::{level} {where}title={_escaped(title, ':,')}::{_escaped(text)}")


def _escaped(text: str, more: str = "") -> str:
    """Write characters as GitHub's own toolkit does (packages/core/src/command.ts); a property has some more."""
    for char in f"%\r\n{more}":  # the percent sign first
        text = text.replace(char, f"%{ord(char):02X}")
    return text


class Annotation(click.ClickException):
    """What prevents a preflight, as an annotation."""

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's
        """Print it."""
        click.echo(annotation("error", TITLE, self.message), err=True)
