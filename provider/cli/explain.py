"""The command `explain`: what holds a Rollout up, since when, and what to do, on one screen."""

import sys
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

from provider import DOCUMENTATION
from provider.checks import QUESTIONS
from provider.checks.gate import PARTS
from provider.cli import readable
from provider.cli.asking import NAMESPACE, TOKEN_FILE, URL, Asks, There, asks
from provider.cli.check import EXIT_CODES_HELP, exit_code
from provider.cli.watching import INTERVAL, WATCH, follow
from provider.http.page.headline import ACTIONS, ago
from provider.http.page.rollout import CHECKS
from provider.model.answer import Answer, RolloutState
from provider.model.printable import printable
from provider.model.reasons import Reason

MOST_CHANGES = 5
"""The newest changes that are printed."""


class _Look(Answer):
    """An answer, since when it has been so, and the changes before it."""

    since: datetime
    changes: list[dict[str, Any]]


@click.command(params=[NAMESPACE, URL, TOKEN_FILE, WATCH, INTERVAL], epilog=EXIT_CODES_HELP)
@click.option("--rollout", required=True, help="Name of the Rollout.")
@click.option(
    "--checks",
    default=CHECKS,
    show_default=True,
    help=f"The checks to make, separated by commas: {', '.join(part.name for part in PARTS)}.",
)
def explain(
    namespace: str,
    rollout: str,
    checks: str,
    url: str | None,
    token_file: str | None,
    watch: bool,  # noqa: FBT001 - click passes names
    interval: float,
) -> NoReturn:
    """Tell on one screen why a Rollout does or does not move: the cause, since when, and what to do.

    With --url the answer and its history come from a provider, and the status page is named. With --watch the screen is
    printed again whenever it changes.
    """
    source = asks(url, token_file)
    fields = [("namespace", namespace), ("rollout", rollout), ("checks", checks)]
    name = f"{namespace}/{rollout}"
    last: list[_Look] = []

    def look() -> _Look:
        found = source.ask(QUESTIONS["gate"], fields)
        changes = source.history(namespace, rollout).get("changes", [])
        is_same = bool(last) and (last[0]["phase"], last[0]["reason"]) == (found["phase"], found["reason"])
        since = _since(found, changes) or (last[0]["since"] if is_same else datetime.now(UTC))
        last[:] = [{**found, "since": since, "changes": changes}]
        return last[0]

    def show(found: _Look) -> None:
        click.clear()  # only on a terminal
        click.echo(screen(found, name, source))

    found = look()
    click.echo(screen(found, name, source))
    if watch:
        found = follow(found, look, show, interval)
    sys.exit(exit_code(found))


def screen(found: _Look, name: str, source: Asks) -> str:
    """Return everything that is printed."""
    seen, reason = found["observed"], Reason(found["reason"])
    reasons = f"{source.base}/reasons" if isinstance(source, There) else f"{DOCUMENTATION}/reference.md"
    facts = {
        "What to do": ". ".join(part for part in (ACTIONS[reason.action], reason.todo) if part),
        "Meaning": reason.meaning,
        "Read more": f"{reasons}#{reason.value.lower()}",
        "Argo": _argo(seen.get("rollout", {})),
        "Green": readable.subject(found, "").removeprefix("green "),
        "Page": f"{source.base}/rollouts/{name}" if isinstance(source, There) else "",
    }
    since = f"since {found['since']:%H:%M:%S} UTC ({ago(found['since'], datetime.now(UTC))})"
    lines = [f"{name}: {found['phase']} ({reason.value}) {since}", found["message"], "", *_facts(facts)]
    for rows in readable.tables(seen):
        lines += ["", *rows]
    changes = found["changes"][:MOST_CHANGES]
    if changes:
        lines += ["", "LAST CHANGES (UTC)"]
        lines += [f"{one['at'][11:19]}  {one['endpoint']}: {one['phase']} ({one['reason']})" for one in changes]
    return "\n".join(printable(line) for line in lines)


def _facts(facts: dict[str, str]) -> list[str]:
    width = max(len(name) for name in facts)
    return [f"{name.ljust(width)}  {text}" for name, text in facts.items() if text]


def _argo(rollout: RolloutState) -> str:
    """Say what Argo is doing."""
    message, aborted = rollout.get("message", ""), rollout.get("abortedAt", "")
    when = f" at {aborted[11:19]} UTC" if "T" in aborted else ""
    parts = [
        rollout.get("phase", ""),
        message if message not in rollout.get("pauses", []) else "",
        f"step {rollout['step']}" if "step" in rollout else "",
        f"paused: {', '.join(rollout['pauses'])}" if rollout.get("pauses") else "",
        f"aborted{when}" if aborted else "",
        "full promotion: no analysis runs" if rollout.get("fullPromotion") else "",
    ]
    return "; ".join(part for part in parts if part)


def _since(found: Answer, changes: list[dict[str, Any]]) -> datetime | None:
    """Return since when a provider's answers have had this phase and reason; None if it remembers none."""
    since = None
    for one in changes:  # the newest first
        if (one["phase"], one["reason"]) != (found["phase"], found["reason"]):
            break
        since = datetime.fromisoformat(one["at"])
    return since
