"""What Argo says of a Rollout, read at once: its state, versions and AnalysisRuns, and what its analyses ask.

It is the same on every replica, after a restart, and for a Rollout that nobody has asked this process about. A part
that may not be read is a problem with a sentence; only the Rollout itself must be readable.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from provider.checks.question import Sources
from provider.model.analysis import Analysis, Object, Problem, TemplateKey
from provider.model.argo import AnalysisRun, RolloutState, Version
from provider.model.errors import CannotTell
from provider.model.lengths import MESSAGE_BYTES, cut
from provider.model.records import Kind
from provider.rules.analysis import analyses_of, analysis_of_run, wanted_templates
from provider.sources.deadline import Deadline
from provider.sources.kubernetes.resources import ROLLOUTS
from provider.sources.shared import Request

MOST_METRICS, MOST_PARAMETERS = 100, 50
"""Shown of one analysis and of one query: more than anybody needs."""

MOST_NESTED = 10
"""How deep templates may name templates."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ArgoRecord:
    """Argo's record of a Rollout.

    `runs` and `versions` are the newest first. `planned` is what its templates ask, `asked` what each AnalysisRun asks.
    """

    state: RolloutState
    versions: tuple[Version, ...] = ()
    runs: tuple[AnalysisRun, ...] = ()
    planned: tuple[Analysis, ...] = ()
    asked: Mapping[str, Analysis] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return roughly the number of its records."""
        return len(self.versions) + sum(len(result.measurements) for run in self.runs for result in run.results)

    @property
    def current_runs(self) -> tuple[AnalysisRun, ...]:
        """The AnalysisRuns that the Rollout's status names, the newest first."""
        names = {run.name for run in self.state.activity.runs}
        return tuple(run for run in self.runs if run.name in names)

    @property
    def current(self) -> tuple[Analysis, ...]:
        """What Argo asks now: its current AnalysisRuns, else the analyses that come next.

        In blue-green the analysis after the promotion is newer than the one before it. A canary's step and background
        analysis run side by side.
        """
        runs = self.current_runs[:1] if self.state.is_blue_green else self.current_runs
        if runs:
            return tuple(self.asked[run.name] for run in runs)
        before = [analysis for analysis in self.planned if analysis.is_before_switch]
        upcoming = [
            analysis
            for analysis in before
            if not self.state.steps or _step(analysis) >= (self.state.activity.step or 0)
        ]
        background = [analysis for analysis in self.planned if analysis.is_background]
        return tuple([*(upcoming or before)[:1], *background] or self.planned[:1])


def _step(analysis: Analysis) -> int:
    number = analysis.place.removeprefix("steps[").removesuffix("]")
    return int(number) if number.isdigit() else 0


def read(sources: Sources, namespace: str, rollout: str, endpoints: frozenset[str], deadline: Deadline) -> ArgoRecord:
    """Read Argo's record of a Rollout, at most once in five seconds. Raises RolloutNotFound and CannotTell."""
    call = partial(_read, sources, namespace, rollout, endpoints, deadline)
    request = Request(Kind.TOPOLOGY, ("argo record", namespace, rollout), f"{ROLLOUTS.rbac} {rollout}", call)
    return sources.shared.compose(request, deadline).value


def _read(sources: Sources, namespace: str, rollout: str, endpoints: frozenset[str], deadline: Deadline) -> ArgoRecord:
    argo, problems = sources.cluster.argo, list[str]()
    state, whole = argo.rollout(namespace, rollout, deadline)
    labels = _selector(whole)
    versions = _or_nothing(lambda: argo.versions(state, labels, deadline), problems)
    hashes = {state.current_hash, state.stable_hash, *(version.pod_hash for version in versions)}
    runs = _or_nothing(lambda: argo.runs(state, hashes, deadline), problems)
    planned = _planned(sources, whole, namespace, endpoints, deadline)
    if any(step.kind == "experiment" for step in state.steps):
        problems.append(
            "The analyses of experiment steps, which belong to Experiments, are not read: "
            f"`kubectl argo rollouts list experiments -n {namespace}` shows these."
        )
    return ArgoRecord(
        state=state if state.images or not versions else replace(state, images=versions[0].images),
        versions=versions,
        runs=tuple(replace(run, object={}) for run in runs),
        planned=tuple(_bounded(analysis) for analysis in planned),
        asked={run.name: _bounded(analysis_of_run(run.object, endpoints)) for run in runs},
        problems=tuple(problems),
    )


def _selector(rollout: Object) -> dict[str, str]:
    """Return the labels that a Rollout selects by; empty with a workloadRef, whose Rollout has no selector."""
    selector = (rollout.get("spec") or {}).get("selector") or {}
    return dict(selector.get("matchLabels") or {})


def _planned(
    sources: Sources, rollout: Object, namespace: str, endpoints: frozenset[str], deadline: Deadline
) -> tuple[Analysis, ...]:
    """Read the templates that the Rollout names, then those that these name."""
    objects: dict[TemplateKey, Object] = {}
    unread: dict[TemplateKey, str] = {}
    tried: set[TemplateKey] = set()
    for _ in range(MOST_NESTED):
        missing = wanted_templates(rollout, objects) - tried
        if not missing:
            break
        tried |= missing
        try:
            templates = sources.cluster.argo.templates(namespace, sorted(missing), deadline)
        except CannotTell as error:  # the deadline
            unread |= dict.fromkeys(missing, str(error))
            break
        objects |= templates.objects
        unread |= templates.unread
    return analyses_of(rollout, objects, endpoints, unread)


def _bounded(analysis: Analysis) -> Analysis:
    """Drop what no page shows and cut the rest: an object of 1.5 MB may consist of one text."""
    metrics = []
    for metric in analysis.metrics[:MOST_METRICS]:
        request, query = metric.request, metric.query
        if request is not None:
            body = request.json_body if len(str(request.json_body)) <= MESSAGE_BYTES else {}
            request = replace(request, url=cut(request.url), json_body=body, body="")
        if query is not None:
            parameters = query.parameters[:MOST_PARAMETERS]
            query = replace(query, parameters=tuple((cut(name), cut(value)) for name, value in parameters))
        metrics.append(
            replace(
                metric,
                name=cut(metric.name),
                spec={},
                request=request,
                query=query,
                success_condition=cut(metric.success_condition),
                failure_condition=cut(metric.failure_condition),
                unknown_arguments=metric.unknown_arguments[:MOST_PARAMETERS],
                problems=_cut(metric.problems),
            )
        )
    return replace(analysis, metrics=tuple(metrics), arguments=(), problems=_cut(analysis.problems))


def _cut(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(replace(problem, says=cut(problem.says)) for problem in problems[:MOST_PARAMETERS])


def _or_nothing(read_part: Callable[[], tuple[Value, ...]], problems: list[str]) -> tuple[Value, ...]:
    try:
        return read_part()
    except CannotTell as error:
        problems.append(str(error))
        return ()
