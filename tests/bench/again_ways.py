"""Our own way with evidence that lasts as in production, asked every ten seconds by a clock of its own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from provider.checks.question import Sources
from provider.model.records import Rollout, Switch, Topology
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.reader import Cluster
from tests.bench.ours import Ours
from tests.bench.subjects import Subject
from tests.bench.way import Opinion

EVERY = timedelta(seconds=10)


class OursAgain:
    """As Argo asks: each question ten seconds after the last."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._ours = Ours(shared=True, clock=lambda: self._now)

    def ask(self, subject: Subject) -> Opinion:
        """Let ten seconds pass, and ask."""
        self._now += EVERY
        return self._ours.ask(subject)


class WatchAgain:
    """The same, but that the cluster is known without being read."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._ours = Ours(shared=True, clock=lambda: self._now)
        self._watched = _Watched(self._ours.sources.cluster, lambda: self._now)
        self._ours.sources = replace(self._ours.sources, cluster=cast(Cluster, self._watched))
        self._seen: Subject | None = None

    def prepare(self, subject: Subject) -> None:
        """Learn what changed, which is not measured: an informer's events are not counted."""
        if subject != self._seen:
            self._watched.learn(subject, self._ours.sources)
            self._seen = subject

    def ask(self, subject: Subject) -> Opinion:
        """Let ten seconds pass, and ask."""
        self._now += EVERY
        return self._ours.ask(subject)


class _Watched:
    """A cluster that is known as it was learned, and as if it had just been read."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime]) -> None:
        self._cluster, self._clock = cluster, clock
        self._known: dict[tuple[str, str], Topology] = {}

    def learn(self, subject: Subject, sources: Sources) -> None:
        key = (subject.namespace, subject.name)
        deadline = Deadline(sources.budget_seconds, began_at=self._clock())
        self._known[key] = self._cluster.topology(*key, deadline, anew=True)

    def topology(self, namespace: str, name: str, *_: Any, **__: Any) -> Topology:
        now = self._clock()
        return replace(self._known[namespace, name], read_at=now, pods_read_at=now)

    def switch(self, rollout: Rollout, _: Deadline) -> Switch:
        known = self._known[rollout.namespace, rollout.name]
        return Switch(known.rollout, known.services.get(rollout.strategy.production_service or ""))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)
