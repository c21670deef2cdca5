"""What can go wrong with a question, named by who must act.

Two kinds. `CannotTell`: the question was fine, but the world gives no answer; it becomes an Inconclusive verdict, since
Argo throws away the body of anything but a 200 and aborts after a few. `BadQuery` and `RolloutNotFound`: the asker
must correct the question; they become 400 and 404. Readers chain the client library's own error; its text reaches
the log, never the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provider.reasons import Reason


class _Shared(Exception):
    """A failure that others are told of too, for a moment."""

    read_at: datetime | None = None
    """When the read was begun that failed first: what fails because of it is as old as that."""


class CannotTell(_Shared):
    """There is no evidence for a yes or a no: `reason` says why, `str()` is a sentence for the operator."""

    def __init__(self, reason: Reason, sentence: str, observed: Mapping[str, Any] | None = None) -> None:
        """Keep the reason beside its sentence, and what the answer shall show of it (JSON)."""
        super().__init__(sentence)
        self.reason = reason
        self.observed = observed or {}


class DeadlineExceeded(CannotTell):
    """The question's time budget ran out before every read had its answer."""

    def __init__(self, sentence: str) -> None:
        """Name in the sentence what was still being read."""
        super().__init__(Reason.DEADLINE_EXCEEDED, sentence)


class NotConfigured(Exception):
    """The environment names no cluster or no account that could be read; the sentence says what is wrong with it."""


class RolloutNotFound(_Shared):
    """The Rollout that the question is about does not exist."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One parameter and what is wrong with it."""

    parameter: str
    detail: str


class BadQuery(Exception):
    """The question is malformed: every parameter at fault, each with its own sentence."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep all problems, so that a template is corrected in one go."""
        super().__init__("; ".join(f"{problem.parameter}: {problem.detail}" for problem in problems))
        self.problems = problems


def first_line(error: Exception) -> str:
    """Return the first line of another library's error, for a sentence about the operator's own files."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
