"""What is remembered of one Rollout: answers and their changes, samples of its health, switches, the last evidence."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil
from typing import Any

from provider.checks import target_health
from provider.checks.body import MAX_MESSAGE
from provider.checks.parameters import Query
from provider.checks.question import Look
from provider.checks.traffic import Traffic
from provider.model.answer import Observed
from provider.model.lengths import cut
from provider.model.records import TargetGroup, Verdict
from provider.rules.switch_seen import SwitchSeen
from provider.rules.ungated import Seen

MOST_CHANGES, MOST_SAMPLES, MOST_SWITCHES, MOST_QUERIES = 50, 360, 10, 16
"""Kept of one Rollout: changes of an answer, samples (an hour at one in 10 s), switches, distinct queries."""

ALL = 100.0

Key = tuple[str, str]
"""Namespace and name of a Rollout."""


@dataclass(frozen=True, slots=True)
class Change:
    """An answer whose phase or reason differs from the last one to the same query."""

    at: datetime
    endpoint: str
    verdict: Verdict

    @classmethod
    def of(cls, verdict: Verdict, endpoint: str, at: datetime) -> "Change":
        """Keep of an answer what the history shows, and a sentence as long as the answer's was."""
        observed, shown = verdict.observed, Observed()
        if "podTemplateHash" in observed:
            shown["podTemplateHash"] = observed["podTemplateHash"]
        if "stage" in observed:
            shown["stage"] = observed["stage"]
        return cls(at, endpoint, replace(verdict, message=cut(verdict.message, MAX_MESSAGE), observed=shown))

    def observed(self) -> dict[str, Any]:
        """Return it as the history shows it."""
        verdict = self.verdict
        return {
            "at": self.at.isoformat(timespec="seconds"),
            "endpoint": self.endpoint,
            "phase": verdict.phase.value,
            "reason": verdict.reason.value,
            "message": verdict.message,
            **verdict.observed,
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """How much of green was healthy at one time, in the worst target group."""

    at: datetime
    pod_hash: str
    percent: float
    desired: int

    @property
    def healthy(self) -> int:
        """The healthy targets; exact for up to 1,000, as the percentage is rounded down to a tenth."""
        return ceil(round(self.percent * self.desired / ALL, 6))


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The last answer to a query, and since when its phase and reason are what they are."""

    endpoint: str
    query: Query
    verdict: Verdict
    since: datetime
    at: datetime


@dataclass(slots=True)
class Remembered:
    """What is remembered of one Rollout; `look` and `traffic` are the last evidence of each kind."""

    key: Key
    asked_at: datetime
    answers: OrderedDict[Any, LastAnswer] = field(default_factory=OrderedDict)
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=MOST_CHANGES))
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    switches: OrderedDict[str, SwitchSeen] = field(default_factory=OrderedDict)
    production: tuple[TargetGroup, ...] = ()
    look: Look | None = None
    health: target_health.Evidence | None = None
    traffic: Traffic | None = None
    seen: Seen = field(default_factory=Seen)

    @property
    def latest(self) -> LastAnswer | None:
        """The newest answer."""
        return max(self.answers.values(), key=lambda one: one.at, default=None)
