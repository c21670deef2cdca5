"""What every way of answering gives."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tests.bench.subjects import Subject


@dataclass(frozen=True)
class Opinion:
    """A verdict in three words: Argo's phase, how many of green's targets are healthy, and how many it wants."""

    phase: str
    healthy_count: int
    wanted_count: int


class Way(Protocol):
    """A client of the cluster and the account, with connections that it keeps."""

    def ask(self, subject: Subject) -> Opinion | None:
        """Answer `target-health`; the floor has no opinion."""


@runtime_checkable
class Prepared(Protocol):
    """A way that learns something before it is measured."""

    def prepare(self, subject: Subject) -> None:
        """Learn it."""
