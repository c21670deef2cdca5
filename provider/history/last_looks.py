"""The last evidence of each Rollout, so that a page that refreshes itself calls nobody. In memory and bounded."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any

from provider.checks import target_health
from provider.checks.question import Look
from provider.checks.traffic import Traffic
from provider.model.records import GroupHealth

MOST_ROLLOUTS = 200
"""Rollouts remembered; beyond that the one queried longest ago is forgotten."""

MOST_RECORDS = 100_000
"""Pods, endpoints and targets kept of all Rollouts together (about 50 MiB)."""

Key = tuple[str, str]
"""Namespace and name of a Rollout."""


@dataclass(slots=True)
class Evidence:
    """The last evidence about a Rollout, whoever asked: of its targets, and of its users' requests.

    `answers` are those to the last look of a person, at `answered_at`, and `production` are production's target groups
    then, if the answers were about others.
    """

    look: Look
    health: target_health.Evidence | None = None
    traffic: Traffic | None = None
    production: tuple[GroupHealth, ...] = ()
    answers: tuple[Any, ...] = ()
    answered_at: datetime | None = None

    def __len__(self) -> int:
        """Return the number of its records."""
        groups = self.health.groups if self.health else ()
        return len(self.look.topology) + sum(len(health.targets) for health in groups)


class LastLooks:
    """The last evidence by Rollout. Thread-safe."""

    def __init__(self, most_records: int = MOST_RECORDS) -> None:
        """Keep so many records, and at most MOST_ROLLOUTS Rollouts."""
        self._most_records = most_records
        self._lock = Lock()
        self._evidence: OrderedDict[Key, Evidence] = OrderedDict()

    def keep(self, look: Look) -> None:
        """Keep the evidence of an answer, to Argo or to a person, and forget the oldest beyond the bounds."""
        key, parts = (look.query.namespace, look.query.rollout), look.by_check
        health, traffic = parts.get("target-health"), parts.get("errors")
        with self._lock:
            before = self._evidence.pop(key, None)
            evidence = self._evidence[key] = before or Evidence(look)
            evidence.look = look
            evidence.health = health if isinstance(health, target_health.Evidence) else evidence.health
            evidence.traffic = traffic if isinstance(traffic, Traffic) else evidence.traffic
            size = 0
            for number, (other, kept) in enumerate(reversed(list(self._evidence.items()))):
                size += len(kept)
                if number and (size > self._most_records or number >= MOST_ROLLOUTS):
                    del self._evidence[other]

    def keep_answers(
        self, key: Key, answers: tuple[Any, ...], production: tuple[GroupHealth, ...], at: datetime
    ) -> None:
        """Keep the answers of a look of a person beside their evidence."""
        with self._lock:
            evidence = self._evidence.get(key)
            if evidence is not None:
                evidence.answers, evidence.production, evidence.answered_at = answers, production, at

    def of(self, key: Key) -> Evidence | None:
        """Return a copy of the last evidence about a Rollout; None if there is none."""
        with self._lock:
            evidence = self._evidence.get(key)
            return None if evidence is None else replace(evidence)

    def forget(self, key: Key) -> None:
        """Forget a Rollout."""
        with self._lock:
            self._evidence.pop(key, None)
