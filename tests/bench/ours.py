"""The provider's own way, in process: the one place of the benchmark that knows how the provider is put together."""

import gc
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from provider import settings
from provider.checks import QUESTIONS, question
from provider.settings import Settings
from provider.start import sources_of, spare_the_collector
from provider.telemetry import Metrics
from tests.bench.subjects import GREEN, Subject
from tests.bench.way import Opinion

QUESTION = "target-health"


def without_sharing() -> dict[str, str]:
    """Return the settings with which every question is a cold one: nothing stays fresh."""
    names = [name for name in Settings.model_fields if name.endswith("fresh_seconds")]
    return {f"{settings.PREFIX}{name}".upper(): "0" for name in names}


def path_of(subject: Subject, question: str = QUESTION) -> str:
    """Return the path of a question over HTTP, as an AnalysisTemplate writes it."""
    return f"/v1/{question}?namespace={subject.namespace}&rollout={subject.name}&podTemplateHash={GREEN}"


def target_health_age(observed: dict[str, Any]) -> float | None:
    """Return the age in seconds that an answer says its target health has; None where it had none."""
    age: float | None = observed.get("evidenceAgeSeconds", {}).get("targetHealth")
    return age


def oldest_allowed_seconds() -> float:
    """Return the age beyond which target health decides nothing, under the default settings."""
    return float(fresh_seconds() + Settings.model_fields["budget_seconds"].default)


def fresh_seconds() -> float:
    """Return for how long target health is shared under the default settings."""
    return float(Settings.model_fields["target_health_fresh_seconds"].default)


def _remembering() -> list[Any]:
    # By its name: the build before, with which this is run too, has no such class to import.
    return [one for one in gc.get_objects() if type(one).__name__ == "Unchanged"]


class Ours:
    """Readers with warm connections; each question reads its evidence anew, unless it is `shared` as in production."""

    def __init__(self, *, shared: bool = False, clock: Callable[[], datetime] | None = None) -> None:
        if not shared:
            os.environ.update(without_sharing())
        self.sources = sources_of(settings.load(), Metrics())
        if clock is not None:
            self.sources.shared.clock = clock
        self._forgets = not shared
        self._remembering = _remembering()
        spare_the_collector()  # and hide from it what there is now

    def prepare(self, _: Subject) -> None:
        """Forget what was made of answers that did not change: at a first look there is nothing of it."""
        for one in {*self._remembering, *_remembering()} if self._forgets else ():
            type(one).__init__(one)

    def records(self) -> int:
        """Return how many records of evidence are kept to be shared."""
        return self.sources.shared.records

    def ask(self, subject: Subject, name: str = QUESTION) -> Opinion:
        """Ask as an AnalysisTemplate does."""
        check = QUESTIONS[name]
        fields = {"namespace": subject.namespace, "rollout": subject.name, "podTemplateHash": GREEN}
        verdict = question.answer(check, question.parse(check, fields.items()), self.sources)
        groups = verdict.observed.get("targetGroups") or [{}]
        return Opinion(verdict.phase.value, groups[0].get("healthyCount", 0), verdict.observed.get("desiredCount", 0))
