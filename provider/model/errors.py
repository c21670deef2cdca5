"""What can go wrong with a query, named by who must act.

`CannotTell`: the query is valid, but its evidence cannot be read. It becomes an Inconclusive verdict, because Argo
discards the body of any status but 200 and aborts after a few of them. `BadQuery` and `RolloutNotFound`: the caller
must correct the query; they become 400 and 404. Readers chain the error of the client library; its text goes to the
log, never into the answer.
"""

from dataclasses import dataclass
from datetime import datetime

from provider.model.answer import Observed
from provider.model.reasons import Reason


class _Shared(Exception):
    """A failure that is cached briefly, for other queries too."""

    read_at: datetime | None = None
    """When the read started that failed first; a failure that it caused is as old."""

    def detach(self) -> None:
        """Drop the logged cause and traceback: their frames hold the whole answer of an upstream."""
        self.__cause__ = self.__context__ = self.__traceback__ = None


class CannotTell(_Shared):
    """There is no evidence to judge: `reason` tells why, `str()` is a sentence for the operator."""

    def __init__(self, reason: Reason, sentence: str, observed: Observed | None = None) -> None:
        """Keep the reason, its sentence, and what the answer shows."""
        super().__init__(sentence)
        self.reason = reason
        self.observed: Observed = observed or {}


class DeadlineExceeded(CannotTell):
    """The query's time limit ended before all its reads did."""

    def __init__(self, sentence: str) -> None:
        """Name the read that was still in flight."""
        super().__init__(Reason.DEADLINE_EXCEEDED, sentence)


class NotConfigured(Exception):
    """There is no usable cluster or AWS account in the environment; the sentence names the fault."""


class RolloutNotFound(_Shared):
    """The Rollout of the query does not exist."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One parameter and what is wrong with it."""

    parameter: str
    detail: str


class BadQuery(Exception):
    """The query is malformed: every parameter at fault, each with its own sentence."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep all problems, so that a template can be corrected at once."""
        super().__init__("; ".join(f"{problem.parameter} {problem.detail}" for problem in problems))
        self.problems = problems


def first_line(error: Exception) -> str:
    """Return the first line of a library's error, for a sentence about the operator's files."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
