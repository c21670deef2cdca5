"""What Argo's analyses ask: the analyses of a Rollout, their metrics, and the request of each.

Objects of Kubernetes are JSON objects here, as the API or a manifest has them: Argo puts arguments into the text of a
whole metric, so any field of it may hold one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

Object = Mapping[str, Any]
"""A JSON object of the Kubernetes API."""

TemplateKey = tuple[str, str]
"""Kind (AnalysisTemplate or ClusterAnalysisTemplate) and name."""

PRE_PROMOTION, POST_PROMOTION, BACKGROUND = "prePromotionAnalysis", "postPromotionAnalysis", "analysis"


class ProblemKind(Enum):
    """What a problem of an analysis is about."""

    INVALID = auto()
    """Argo refuses a field."""
    TEMPLATE = auto()
    """A template does not exist or cannot be read, so what it asks is not known."""
    ARGUMENT = auto()
    """An argument or its field does not exist."""
    DEFAULTS = auto()
    """Two templates give an argument different defaults."""
    UNKNOWN = auto()
    """Something else than Argo Rollouts may fill it in."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps Argo from running an analysis, or us from knowing what it asks, in a sentence."""

    says: str
    kind: ProblemKind = ProblemKind.INVALID

    def __str__(self) -> str:
        return self.says


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an analysis as Argo merges it. `value` is None if it is not known; then `source` says why."""

    name: str
    value: str | None
    source: str = ""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """The request that a `web` metric sends; `json_body` is None without one."""

    url: str
    method: str = "GET"
    json_body: Object | None = None
    body: str = ""
    json_path: str = ""
    is_insecure: bool = False
    timeout_seconds: int = 10


@dataclass(frozen=True, slots=True)
class EndpointQuery:
    """A request to this provider: the endpoint below /v1, and its parameters as they are sent, in order."""

    endpoint: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AnalysisMetric:
    """One metric of an analysis, with its arguments filled in as far as they are known.

    `spec` is the whole metric as Argo reads it. Limits are as Argo reads them too: a text that is not a whole number
    means 0. `count` is None for a metric that is measured without end. `query` is None if it does not ask this
    provider, `request` is None if it is not a `web` metric.
    """

    name: str
    template: TemplateKey
    spec: Object
    provider: str
    request: WebRequest | None = None
    query: EndpointQuery | None = None
    success_condition: str = ""
    failure_condition: str = ""
    interval_seconds: float = 0
    initial_delay_seconds: float = 0
    count: int | None = None
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0
    is_dry_run: bool = False
    unknown_arguments: tuple[Argument, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis of a Rollout.

    `place` is its path in the strategy (`prePromotionAnalysis`, `postPromotionAnalysis`, `analysis` for the background
    analysis of a canary, `steps[2]`). `run` is the AnalysisRun that it was read from, empty if it was read from
    templates.
    """

    place: str
    metrics: tuple[AnalysisMetric, ...]
    arguments: tuple[Argument, ...] = ()
    templates: tuple[TemplateKey, ...] = ()
    problems: tuple[Problem, ...] = ()
    run: str = ""

    @property
    def queries(self) -> tuple[AnalysisMetric, ...]:
        """The metrics that ask this provider."""
        return tuple(metric for metric in self.metrics if metric.query is not None)

    @property
    def is_background(self) -> bool:
        """Whether it runs beside the steps of a canary, where a metric may be endless."""
        return self.place == BACKGROUND

    @property
    def is_before_switch(self) -> bool:
        """Whether it can keep the switch from happening: before the promotion, or in a step."""
        return self.place == PRE_PROMOTION or self.place.startswith("steps[")
