"""The command `explain`: why a Rollout moves or not, what Argo was told, and what to do, on one screen."""

import sys
from functools import partial
from typing import Any, NoReturn

import click

from provider import DOCUMENTATION
from provider.checks import QUESTIONS
from provider.checks.gate import NAMES
from provider.cli import readable
from provider.cli.asking import NAMESPACE, ROLLOUT, TOKEN_FILE, URL, Asks, asks
from provider.cli.check import EXIT_CODES_HELP, NEEDS_A_PERSON
from provider.cli.readable import OUTPUT, shown_as
from provider.cli.there import There
from provider.cli.watching import INTERVAL, WATCH, follow
from provider.model.printable import printable
from provider.model.reasons import Reason

MOST_CHANGES = 5
"""The newest measurements that are printed."""

ACTIONS = {
    "none": "Nothing",
    "wait": "Wait: it goes on by itself, or Argo ends it",
    "fix": "A person must act",
}
COLOURS = {"none": "green", "wait": "yellow", "fix": "red"}
PHASES = {"Successful": "green", "Inconclusive": "yellow", "Failed": "red"}


@click.command(params=[NAMESPACE, ROLLOUT, URL, TOKEN_FILE, OUTPUT, WATCH, INTERVAL], epilog=EXIT_CODES_HELP)
@click.option(
    "--checks",
    help="Ask the gate with these checks instead of what the Rollout's own analyses ask, separated by commas: "
    f"{', '.join(NAMES)}.",
)
def explain(
    namespace: str,
    rollout: str,
    checks: str | None,
    url: str | None,
    token_file: str | None,
    output: str,
    watch: bool,  # noqa: FBT001 - click passes names
    interval: float,
) -> NoReturn:
    """Tell on one screen why a Rollout does or does not move, what Argo asks and was told, and what to do.

    It asks what the Rollout's current AnalysisRun asks, else what its templates ask. Such a query is no answer to Argo:
    it is in no history, metric or alert. The exit code is that of the state: 4 if a person must act, whatever green's
    health is.
    """
    source = asks(url, token_file)
    show = shown_as(output, partial(screen, source=source))
    name = f"{namespace}/{rollout}"

    def look() -> dict[str, Any]:
        if checks is None:
            return source.explain(namespace, rollout)
        fields = [("namespace", namespace), ("rollout", rollout), ("checks", checks)]
        asked = source.ask(QUESTIONS["gate"], fields)
        answer = {key: value for key, value in asked.items() if key != "measurement"}
        query = {"endpoint": "gate", "parameters": dict(fields), **answer}
        return source.explain(namespace, rollout) | answer | {"queries": [query]}

    def print_again(explanation: dict[str, Any]) -> None:
        click.clear()  # only on a terminal
        click.echo(show(explanation, name), color=readable.colour())

    explanation = look()
    click.echo(show(explanation, name), color=readable.colour())
    if watch:
        follow(explanation, look, print_again, interval, ("state", "sentence", "phase", "message"))
    sys.exit(exit_code(explanation))


def exit_code(explanation: dict[str, Any]) -> int:
    """Return the exit code of a state: 1 if green is bad, 4 if a person must act, 2 to wait, else 0."""
    if explanation.get("phase") == "Failed":
        return 1
    return {"fix": NEEDS_A_PERSON, "wait": 2}.get(explanation["action"], 0)


def screen(explanation: dict[str, Any], name: str, source: Asks) -> str:
    """Return everything that is printed."""
    argo = explanation["argo"]
    versions = {version["podTemplateHash"]: version for version in explanation["history"]["versions"]}
    facts = {
        "What to do": ACTIONS[explanation["action"]],
        "Argo": "; ".join(part for part in (argo.get("phase", ""), argo.get("message", "")) if part),
        "Step": argo.get("step", ""),
        "Weight": f"{argo['weight']} %" if "weight" in argo else "",
        "New": _version(argo.get("podTemplateHash", ""), versions),
        "Stable": _version(argo.get("stablePodTemplateHash", ""), versions),
        "Page": f"{source.base}/rollouts/{name}" if isinstance(source, There) else "",
    }
    lines = [
        click.style(printable(f"{name}: {explanation['state']}"), bold=True, fg=COLOURS[explanation["action"]]),
        printable(explanation["sentence"]),
        "",
        *_facts(facts),
    ]
    for command in explanation["commands"]:
        lines += ["", f"  {printable(command['command'])}", f"      {printable(command['effect'])}"]
    for query in explanation["queries"]:
        lines += ["", *_query(query, source)]
    lines += [f"Not read: {printable(sentence)}" for sentence in explanation["notRead"]]
    changes = explanation["history"]["changes"][:MOST_CHANGES]
    if changes:
        lines += ["", "LAST MEASUREMENTS OF ARGO (UTC)"]
        lines += [
            printable(f"{change['at'][11:19]}  {change['metric']}: {change['phase']}: {change['message']}")
            for change in changes
        ]
    return "\n".join(lines)


def _version(pod_hash: str, versions: dict[str, Any]) -> str:
    version = versions.get(pod_hash)
    if version is None:
        return pod_hash
    images = ", ".join(image.rpartition("/")[2] for image in version["images"])
    pods = f"{version['availableCount']} of {version['desiredCount']} pods available"
    return f"{pod_hash}, revision {version['revision']}, {images}, {pods}"


def _facts(facts: dict[str, str]) -> list[str]:
    width = max(len(name) for name in facts)
    return [printable(f"{name.ljust(width)}  {text}") for name, text in facts.items() if text]


def _query(query: dict[str, Any], source: Asks) -> list[str]:
    """Return the lines of one query: its metric, its parameters, and the answer now."""
    given = "&".join(f"{name}={value}" for name, value in query.get("parameters", {}).items())
    asker = f"metric {query['metric']} of {query.get('analysisRun') or query['analysis']}" if "metric" in query else ""
    lines = [
        printable(f"ASKED BY {asker}" if asker else "NOT ASKED BY ARGO"),
        printable(f"{query['endpoint']}?{given}"),
    ]
    if "phase" in query:
        reason = Reason(query["reason"])
        reasons = f"{source.base}/reasons" if isinstance(source, There) else f"{DOCUMENTATION}/reference.md"
        answer = printable(f"{query['phase']} ({reason.value}): {query['message']}")
        lines.append(click.style(answer, fg=PHASES[query["phase"]]))
        lines += _facts({"Meaning": reason.meaning, "To do": reason.todo, "Read more": f"{reasons}#{reason.lower()}"})
    if query.get("note"):
        lines.append(printable(query["note"]))
    for rows in readable.tables(query.get("observed", {})):
        lines += ["", *rows]
    return lines
