"""The command `preflight`: what a topology will do at its switch, from its manifests or from the cluster."""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import click
import yaml

from provider.advice.preflight import inspect, not_seen
from provider.advice.preflight.findings import RULES, Finding, Report, Severity
from provider.advice.preflight.manifests import name_of
from provider.advice.preflight.routing import ingresses
from provider.advice.preflight.setup import Setup, setups
from provider.cli import code_scanning
from provider.cli.manifests import FILES, LIVE, NAMESPACE, ROLLOUT, manifests_of, not_checked, of_files
from provider.model.analysis import Analysis, ProblemKind
from provider.model.printable import printable
from provider.model.records import GroupHealth
from provider.rules.expected_targets import State

SYMBOLS = {Severity.BLOCKS: "✗", Severity.RISK: "!", Severity.ADVICE: "·"}
COLOURS = {"✗": "red", "!": "yellow", "·": "cyan", "?": "yellow", "✓": "green"}
"""By the sign that begins a line of the tree."""

BLOCKED = 1
"""The exit code if something is as bad as --fail-on says."""


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
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="CODE[@OBJECT]",
    help="Leave out findings of a code, or only those about an object. May be repeated. The annotation "
    "`alb-provider/ignore` of the Rollout does the same, with a reason: a line `CODE[@OBJECT]: reason` for each.",
)
@click.option(
    "--fail-on",
    type=click.Choice([severity.value for severity in Severity]),
    default=Severity.BLOCKS.value,
    show_default=True,
    help="The least severity with which to exit with 1.",
)
@click.option("--github", is_flag=True, help="Print everything as annotations of a GitHub workflow instead.")
def preflight(
    files: tuple[str, ...],
    live: bool,  # noqa: FBT001 - click passes names
    rollout: str | None,
    namespace: str,
    output: str,
    before: tuple[str, ...],
    ignored: tuple[str, ...],
    fail_on: str,
    github: bool,  # noqa: FBT001 - click passes names
) -> None:
    """Tell before the first deploy what a Rollout's topology will do at its switch.

    Prints a tree for each Rollout, with what blocks (✗), what is a risk (!) and advice (·). What `kubectl argo
    rollouts lint` accepts is checked too: templates, arguments, conditions, paths and limits that cannot work, and
    Services that do not exist. Exits with 1 if something blocks (--fail-on), with 3 if the manifests cannot be read.
    """
    try:
        manifests = manifests_of(files, namespace, rollout, live=live)
        if before:
            manifests = replace(manifests, before=of_files(before, namespace))
    except click.ClickException as error:
        raise code_scanning.Annotation(error.format_message()) if github else error from error
    unknown = {one.partition("@")[0] for one in ignored} - RULES.keys()
    if unknown:
        raise click.UsageError(f"There is no finding {', '.join(sorted(unknown))}")
    unseen = [f"Not seen: {one}" for setup in setups(manifests) for one in not_seen(setup)]
    for sentence in [*not_checked(manifests), *dict.fromkeys(unseen)]:
        click.echo(
            code_scanning.annotation("warning", code_scanning.TITLE, sentence) if github else printable(sentence),
            err=True,
        )
    reports = inspect(manifests, ignored)
    show: Callable[[list[Report]], str] = code_scanning.github if github else _FORMATS[output]
    click.echo(show(reports), color=None if sys.stdout.isatty() and "NO_COLOR" not in os.environ else False)
    sys.exit(BLOCKED if any(report.has(Severity(fail_on)) for report in reports) else 0)


def _tree(reports: list[Report]) -> str:
    blocks = ["\n".join(_coloured(printable(line)) for line in _lines(report)) for report in reports]
    is_clean = not any(report.findings or report.ignored for report in reports)
    return "\n\n".join(blocks if is_clean else [*blocks, _sum(reports)])


def _sum(reports: list[Report]) -> str:
    """Return how many findings there are of each severity."""
    counts = Counter(finding.severity for report in reports for finding in report.findings)
    ignored = sum(len(report.ignored) for report in reports)
    told = [f"{counts[severity]} {severity.value}" for severity in Severity]
    return f"Sum: {', '.join(told)}{f', {ignored} ignored' if ignored else ''}"


def _coloured(line: str) -> str:
    """Colour the sign that begins a line. Only now, since a control sequence that stands in a name is no colour."""
    sign = re.match(f" *([{''.join(COLOURS)}]) ", line)
    return line if sign is None else line.replace(sign[1], click.style(sign[1], fg=COLOURS[sign[1]], bold=True), 1)


def _lines(report: Report) -> list[str]:
    """Return the tree of one Rollout, and each finding below it with its place and what to change."""
    setup = report.setup
    by_object: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_object.setdefault(finding.objects[0], []).append(finding)
    lines = [f"{_worst(report.findings)} Rollout {setup.namespace}/{setup.name} ({_strategy(setup)})"]
    for field, name in setup.service_names.items():
        lines.append(f"  {_mark(by_object, f'Service/{name}')} {field} {name}")
        for binding in setup.bindings:
            if binding["spec"]["serviceRef"].get("name") == name:
                label = f"TargetGroupBinding/{name_of(binding)}"
                lines.append(f"    {_mark(by_object, label)} TargetGroupBinding {name_of(binding)}")
        lines += [
            f"      {line}"
            for one in setup.manifests.seen.health
            if one.binding.service == name
            for line in _group(one)
        ]
    lines += [
        f"  {_mark(by_object, f'Ingress/{name_of(ingress)}')} Ingress {name_of(ingress)}"
        for ingress in ingresses(setup)
    ]
    pods = setup.manifests.seen.pods
    if pods:
        ready = sum(not pod.state for pod in pods)
        lines.append(f"  {_passed(ready == len(pods))} Pods of green: {ready} of {len(pods)} ready")
    lines += [line for analysis in setup.analyses for line in _analysis(analysis, by_object)]
    lines += [f"  Ignored: {finding.code}: {finding.says} ({reason})" for finding, reason in report.ignored.items()]
    if not report.findings:
        return [*lines, "", "Nothing was found."]
    for finding in report.findings:
        where = f" ({finding.place.file or 'standard input'}:{finding.place.line})" if finding.place else ""
        lines += ["", f"{SYMBOLS[finding.severity]} {finding.severity.value} {finding.code}: {finding.says}{where}"]
        lines.append(f"  {finding.todo} ({finding.more})")
    return lines


def _group(health: GroupHealth) -> list[str]:
    """Return a target group, with what its targets are, and the load balancer whose rules forward to it."""
    group = health.group
    states = Counter(target.state for target in health.targets)
    told = ", ".join(f"{number} {state}" for state, number in states.most_common()) or "no target"
    every = group.health_check_interval_seconds
    lines = [f"{_passed(states.keys() <= {State.HEALTHY})} target group {group.name} ({group.target_type}): {told}"]
    lines[0] += f"; checks {group.health_check.path or group.health_check.protocol} every {every} s"
    rules = [arn.partition(":loadbalancer/")[2] for arn in group.load_balancer_arns]
    return [*lines, f"  {_passed(group.in_use)} listener rules of {', '.join(rules) or 'no load balancer'}"]


def _passed(is_fine: bool) -> str:  # noqa: FBT001 - the only argument
    return "✓" if is_fine else "!"


def _analysis(analysis: Analysis, by_object: dict[str, list[Finding]]) -> list[str]:
    lines = [f"  ✓ {analysis.place}"]
    for kind, name in analysis.templates:
        metrics = ", ".join(metric.name for metric in analysis.metrics if metric.template == (kind, name))
        lines.append(f"    {_mark(by_object, f'{kind}/{name}')} {kind} {name}: {metrics}")
    missing = [problem.says for problem in analysis.problems if problem.kind is ProblemKind.TEMPLATE]
    return lines + [f"    ? {says.replace('does not exist', 'is not there')}" for says in missing]


def _mark(by_object: dict[str, list[Finding]], label: str) -> str:
    return _worst(by_object.get(label, ()))


def _worst(findings: Sequence[Finding]) -> str:
    """Return the sign of the worst of the findings."""
    worst = min((finding.severity for finding in findings), key=lambda severity: severity.rank, default=None)
    return "✓" if worst is None else SYMBOLS[worst]


def _strategy(setup: Setup) -> str:
    if setup.blue_green is not None:
        return "blue-green"
    if setup.record.is_ping_pong:
        return "ping-pong canary"
    return "canary" if setup.canary is not None else "no strategy"


def _as_data(reports: list[Report]) -> list[dict[str, Any]]:
    return [
        {
            "namespace": report.setup.namespace,
            "rollout": report.setup.name,
            "findings": [finding.observed for finding in report.findings],
        }
        for report in reports
    ]


_FORMATS: dict[str, Callable[[list[Report]], str]] = {
    "tree": _tree,
    "json": lambda reports: json.dumps(_as_data(reports), indent=1),
    "yaml": lambda reports: yaml.safe_dump(_as_data(reports), sort_keys=False).rstrip(),
    "sarif": code_scanning.sarif,
}
