"""The command `preflight`: what a topology will do at its switch, from its manifests or from the cluster."""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any

import click
import yaml

from provider.advice.preflight.findings import ROWS, Code, Finding, Severity
from provider.advice.preflight.inspection import Report, inspect
from provider.advice.preflight.live import ANCHOR, observed
from provider.advice.preflight.manifests import Analysis, Setup, at, name_of
from provider.cli.manifests import FILES, LIVE, NAMESPACE, ROLLOUT, manifests_of, not_checked, of_files
from provider.model.printable import printable
from provider.model.records import GroupHealth
from provider.rules.expected_targets import State

SYMBOLS = {Severity.BLOCKS: "✗", Severity.RISK: "!", Severity.ADVICE: "·"}
COLOURS = {"✗": "red", "!": "yellow", "·": "cyan", "?": "yellow", "✓": "green"}
"""By the sign that begins a line of the tree."""

LEVELS = {Severity.BLOCKS: "error", Severity.RISK: "warning", Severity.ADVICE: "note"}
"""SARIF's words."""

ANNOTATIONS = {Severity.BLOCKS: "error", Severity.RISK: "warning", Severity.ADVICE: "notice"}
"""GitHub's."""

TITLE = "alb-provider preflight"

BLOCKED = 1
"""The exit code if something cannot work."""


@click.command(params=[FILES, LIVE, ROLLOUT, NAMESPACE])
@click.option(
    "--output",
    "-o",
    type=click.Choice(["tree", "json", "yaml", "sarif"]),
    default="tree",
    show_default=True,
    help="What to print.",
)
@click.option(
    "--before",
    multiple=True,
    help="Files or folders as before an edit: tells which Services would get a new target group. May be repeated.",
)
@click.option("--github", is_flag=True, help="Print everything as annotations of a GitHub workflow instead.")
def preflight(
    files: tuple[str, ...],
    live: bool,  # noqa: FBT001 - click passes names
    rollout: str | None,
    namespace: str,
    output: str,
    before: tuple[str, ...],
    github: bool,  # noqa: FBT001 - click passes names
) -> None:
    """Tell before the first deploy what a Rollout's topology will do at its switch.

    Prints a tree for each Rollout, with what blocks (✗), what is a risk (!) and advice (·). What `kubectl argo
    rollouts lint` accepts is checked too: templates, arguments, conditions, paths and limits that cannot work, and
    Services that do not exist. Exits with 1 if something blocks, with 3 if the manifests cannot be read.
    """
    try:
        manifests = manifests_of(files, namespace, rollout, live=live)
        if before:
            manifests = replace(manifests, before=of_files(before, namespace))
    except click.ClickException as error:
        raise _Annotation(error.format_message()) if github else error from error
    for sentence in not_checked(manifests):
        click.echo(_annotation("warning", TITLE, sentence) if github else printable(sentence), err=True)
    reports = inspect(manifests)
    show: Callable[[list[Report]], str] = _github if github else _FORMATS[output]
    click.echo(show(reports), color=None if sys.stdout.isatty() and "NO_COLOR" not in os.environ else False)
    sys.exit(BLOCKED if any(one.blocks for one in reports) else 0)


def _tree(reports: list[Report]) -> str:
    return "\n\n".join("\n".join(_coloured(printable(line)) for line in _lines(one)) for one in reports)


def _coloured(line: str) -> str:
    """Colour the sign that begins a line. Only now, since a control sequence that stands in a name is no colour."""
    sign = re.match(f" *([{''.join(COLOURS)}]) ", line)
    return line if sign is None else line.replace(sign[1], click.style(sign[1], fg=COLOURS[sign[1]], bold=True), 1)


def _lines(report: Report) -> list[str]:
    """Return the tree of one Rollout, and each finding below it with what to change."""
    setup = report.setup
    by_object: dict[str, list[Finding]] = {}
    for found in report.findings:
        by_object.setdefault(found.objects[0], []).append(found)
    lines = [f"{_mark(by_object, f'Rollout/{setup.name}')} Rollout {setup.namespace}/{setup.name} ({_strategy(setup)})"]
    for field, name in setup.service_names.items():
        lines.append(f"  {_mark(by_object, f'Service/{name}')} {field} {name}")
        lines += [
            f"    {_mark(by_object, f'TargetGroupBinding/{name_of(one)}')} TargetGroupBinding {name_of(one)}"
            for one in setup.bindings
            if at(one, "spec.serviceRef.name") == name
        ]
        lines += [f"      {line}" for one in setup.manifests.seen.health.get(name, ()) for line in _group(one)]
    lines += [f"  {_mark(by_object, f'Ingress/{name_of(one)}')} Ingress {name_of(one)}" for one in setup.ingresses]
    pods = setup.manifests.seen.pods
    if pods:
        ready = sum(not pod.state for pod in pods)
        lines.append(f"  {_passed(ready == len(pods))} Pods of green: {ready} of {len(pods)} ready")
    lines += [line for analysis in setup.analyses for line in _analysis(analysis, by_object)]
    if not report.findings:
        return [*lines, "", "Nothing was found."]
    for found in report.findings:
        lines += ["", f"{SYMBOLS[found.severity]} {found.severity.value} {found.code.value}: {found.says}"]
        lines.append(f"  {found.todo} ({ANCHOR.format(code=found.code.value.lower())})")
    return lines


def _group(health: GroupHealth) -> list[str]:
    """Return a target group, with what its targets are, and the load balancer whose rules forward to it."""
    group = health.group
    states = Counter(one.state for one in health.targets)
    told = ", ".join(f"{number} {state}" for state, number in states.most_common()) or "no target"
    every = group.health_check_interval_seconds
    lines = [f"{_passed(states.keys() <= {State.HEALTHY})} target group {group.name} ({group.target_type}): {told}"]
    lines[0] += f"; checks {group.health_check.path or group.health_check.protocol} every {every} s"
    rules = [arn.partition(":loadbalancer/")[2] for arn in group.load_balancer_arns]
    return [*lines, f"  {_passed(group.in_use)} listener rules of {', '.join(rules) or 'no load balancer'}"]


def _passed(is_fine: bool) -> str:  # noqa: FBT001 - the only argument
    return "✓" if is_fine else "!"


def _analysis(analysis: Analysis, by_object: dict[str, list[Finding]]) -> list[str]:
    lines = [f"  ✓ {analysis.use}"]
    for one in analysis.templates:
        label = f"{one['kind']}/{name_of(one)}"
        metrics = ", ".join(str(metric.get("name")) for metric in at(one, "spec.metrics", []))
        lines.append(f"    {_mark(by_object, label)} {one['kind']} {name_of(one)}: {metrics}")
    return lines + [f"    ? {kind} {name}: not there" for kind, name in analysis.missing]


def _mark(by_object: dict[str, list[Finding]], label: str) -> str:
    worst = min((list(Severity).index(one.severity) for one in by_object.get(label, ())), default=None)
    return "✓" if worst is None else SYMBOLS[list(Severity)[worst]]


def _strategy(setup: Setup) -> str:
    if setup.blue_green is not None:
        return "blue-green"
    if setup.is_ping_pong:
        return "ping-pong canary"
    return "canary" if setup.canary is not None else "no strategy"


def _as_data(reports: list[Report]) -> list[dict[str, Any]]:
    return [
        {
            "namespace": one.setup.namespace,
            "rollout": one.setup.name,
            "findings": [dict(observed(found)) for found in one.findings],
        }
        for one in reports
    ]


def _json(reports: list[Report]) -> str:
    return json.dumps(_as_data(reports), indent=1)


def _yaml(reports: list[Report]) -> str:
    return yaml.safe_dump(_as_data(reports), sort_keys=False).rstrip()


def _sarif(reports: list[Report]) -> str:
    """Return SARIF 2.1.0 (OASIS), which code-scanning pages of GitHub and others show."""
    rules = [
        {
            "id": code.value,
            "shortDescription": {"text": ROWS[code].meaning},
            "help": {"text": ROWS[code].todo},
            "defaultConfiguration": {"level": LEVELS[ROWS[code].severity]},
        }
        for code in Code
    ]
    results = [
        {
            "ruleId": found.code.value,
            "level": LEVELS[found.severity],
            "message": {"text": f"{found.says}. {found.todo}"},
            "locations": [
                {"logicalLocations": [{"fullyQualifiedName": f"{one.setup.namespace}/{label}"}]}
                for label in found.objects
            ],
        }
        for one in reports
        for found in one.findings
    ]
    driver = {"name": TITLE, "rules": rules}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}, indent=1)


def _github(reports: list[Report]) -> str:
    """Return an annotation for each finding."""
    lines = [
        _annotation(ANNOTATIONS[found.severity], found.code.value, f"{found.objects[0]}: {found.says}. {found.todo}")
        for one in reports
        for found in one.findings
    ]
    return "\n".join(lines) or _annotation("notice", TITLE, "Nothing was found")


def _annotation(level: str, title: str, text: str) -> str:
    """Return a workflow command of GitHub, which is one line whatever is in its parts."""
    return printable(f"::{level} title={_escaped(title, ':,')}::{_escaped(text)}")


def _escaped(text: str, more: str = "") -> str:
    """Write characters as GitHub's own toolkit does (packages/core/src/command.ts); a property has some more."""
    for char in f"%\r\n{more}":  # the percent sign first
        text = text.replace(char, f"%{ord(char):02X}")
    return text


class _Annotation(click.ClickException):
    """What prevents a preflight, as an annotation."""

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's
        """Print it."""
        click.echo(_annotation("error", TITLE, self.message), err=True)


_FORMATS: dict[str, Callable[[list[Report]], str]] = {
    "tree": _tree,
    "json": _json,
    "yaml": _yaml,
    "sarif": _sarif,
}
