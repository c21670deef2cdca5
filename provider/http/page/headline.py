"""Which of a Rollout's answers tells how it stands, and how the page shows it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from provider.history.remembered import Remembered
from provider.model.reasons import Phase, Reason
from provider.model.records import Verdict

TOGETHER = timedelta(seconds=60)
"""Answers to different queries within this time of the newest one are of one moment: the worst of them tells."""

SYMBOLS = {Phase.SUCCESSFUL: "✓", Phase.INCONCLUSIVE: "…", Phase.FAILED: "✗"}
"""Beside the word, so that nothing depends on a colour."""

ACTIONS = {"none": "", "wait": "Wait: time alone can make it pass", "fix": "Fix: a person must act"}


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer that tells how a Rollout stands. `endpoint` is empty for the page's own look."""

    verdict: Verdict
    since: datetime
    at: datetime
    endpoint: str = ""

    @property
    def symbol(self) -> str:
        """A sign for the phase."""
        return SYMBOLS[self.verdict.phase]

    @property
    def meaning(self) -> Reason:
        """What the reason means and what to do."""
        return self.verdict.reason

    @property
    def action(self) -> str:
        """What it asks of people, in words; empty if nothing."""
        return ACTIONS[self.meaning.action]

    @property
    def stage(self) -> str:
        """Before or after the switch, in words."""
        return {"BeforeSwitch": "before the switch", "AfterSwitch": "after the switch"}.get(
            str(self.verdict.observed.get("stage", "")), ""
        )


def headline(known: Remembered) -> Headline | None:
    """Return the worst answer of the last moment, or the last look if that is newer; None without either."""
    latest = known.latest
    look = known.look
    if look is not None and (latest is None or look.at - latest.at > TOGETHER):
        return Headline(look.verdict, look.at, look.at)
    if latest is None:
        return None
    moment = [one for one in known.answers.values() if latest.at - one.at <= TOGETHER]
    worst = max(moment, key=lambda one: (one.verdict.phase.severity, one.at))
    return Headline(worst.verdict, worst.since, worst.at, worst.endpoint)


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago something was."""
    seconds = max((now - moment).total_seconds(), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
