"""How the page says a phase, an action and a time."""

from datetime import datetime

from provider.model.reasons import Action, Phase

SYMBOLS = {Phase.SUCCESSFUL: "✓", Phase.INCONCLUSIVE: "…", Phase.FAILED: "✗"}
"""Beside the word, so that nothing depends on a colour."""

ACTIONS = {
    Action.NONE: ("✓", "Nothing to do", "successful"),
    Action.WAIT: ("…", "Wait", "inconclusive"),
    Action.FIX: ("✗", "A person must act", "failed"),
}
"""The sign, the words and the colour's name of each action."""


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago something was."""
    seconds = max((now - moment).total_seconds(), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
