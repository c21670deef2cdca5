"""The provider's own way, in process: the one place of the benchmark that knows how the provider is put together.

The build before is run with this too, so it uses only what both have.
"""

import gc
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from provider import settings
from provider.checks import QUESTIONS, question
from provider.settings import Settings
from provider.start import sources_of
from provider.telemetry import Metrics
from tests.bench.subjects import GREEN, Opinion, Subject

QUESTION = "target-health"

EVERY = timedelta(seconds=10)
"""As often as Argo asks."""


def path_of(subject: Subject) -> str:
    """Return the path of a query over HTTP, as an AnalysisTemplate writes it."""
    return f"/v1/{QUESTION}?namespace={subject.namespace}&rollout={subject.name}&podTemplateHash={GREEN}"


class Ours:
    """Readers with warm connections. A query is a first one, or `shared` the next one, ten seconds after the last."""

    def __init__(self, *, shared: bool = False) -> None:
        if not shared:
            names = [name for name in Settings.model_fields if name.endswith("fresh_seconds")]
            os.environ.update({f"{settings.PREFIX}{name}".upper(): "0" for name in names})
        sources: Any = sources_of(settings.load(), Metrics())
        self._sources = sources
        self._now = datetime.now(UTC)
        self._passes = EVERY if shared else timedelta(0)
        if shared:
            cache = getattr(sources, "shared", None) or sources.sharing  # its name in the build before
            cache.clock = lambda: self._now
        self._memoised = [] if shared else [one for one in gc.get_objects() if type(one).__name__ == "Unchanged"]

    def ask(self, subject: Subject) -> Opinion:
        """Ask as an AnalysisTemplate does."""
        self._now += self._passes
        for one in self._memoised:  # what the build before made of answers that did not change: a first look has none
            one.__init__()
        check = QUESTIONS[QUESTION]
        fields = {"namespace": subject.namespace, "rollout": subject.name, "podTemplateHash": GREEN}
        verdict = question.answer(check, question.parse(check, fields.items()), self._sources)
        groups = verdict.observed.get("targetGroups") or [{}]
        return Opinion(verdict.phase.value, groups[0].get("healthyCount", 0), verdict.observed.get("desiredCount", 0))
