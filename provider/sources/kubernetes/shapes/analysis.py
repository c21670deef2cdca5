"""The AnalysisRun (argoproj.io/v1alpha1), for the counters of its metrics."""

from provider.model import records
from provider.sources.kubernetes.shapes.fields import MAX_SHOWN, NO_TEXT, Metadata, Shape, Text


class _Measurement(Shape):
    value: Text = NO_TEXT
    message: Text = NO_TEXT


class _MetricResult(Shape):
    name: Text = NO_TEXT
    phase: Text = NO_TEXT
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    measurements: list[_Measurement] | None = None

    def record(self) -> records.MetricResult:
        last = (self.measurements or [_Measurement()])[-1]
        return records.MetricResult(
            self.name, self.phase, self.successful, self.failed, self.inconclusive, self.error, last.value, last.message
        )


class _AnalysisRunStatus(Shape):
    metric_results: list[_MetricResult] | None = None


class AnalysisRun(Shape):
    """argoproj.io/v1alpha1 AnalysisRun."""

    metadata: Metadata
    status: _AnalysisRunStatus | None = None

    def record(self) -> tuple[records.MetricResult, ...]:
        """Return the counters of each metric, with the value and message of its last measurement."""
        results = (self.status.metric_results if self.status else None) or []
        return tuple(result.record() for result in results[:MAX_SHOWN])
