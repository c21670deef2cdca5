"""Runs AnalysisRuns: measures what is due, counts, assesses, and writes all of it into the object's status."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tests.world.argo.assessment import Counters, Limits, Phase, exceeded, phase_of, phase_of_run
from tests.world.argo.templates import InvalidSpec, arguments, resolved
from tests.world.cluster.naming import timestamp
from tests.world.cluster.store import KubernetesStore

ERROR_RETRY = timedelta(seconds=10)
RETAINED = 10
"""Measurements that are kept of a metric without `measurementRetention`."""

Manifest = dict[str, Any]
_COUNTERS = {
    "successful": "successful",
    "failed": "failed",
    "inconclusive": "inconclusive",
    "consecutiveError": "errors_in_a_row",
    "consecutiveSuccess": "successes_in_a_row",
}


class Inline(Executor):
    """Runs what is submitted at once, in the same thread: for tests, whose clock stands still meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass
class _Measurement:
    started: datetime
    future: Future[Manifest]


class AnalysisRunController:
    """Reconciles every AnalysisRun. `measure(metric)` returns a measurement's phase, and its value or message."""

    def __init__(
        self,
        kubernetes: KubernetesStore,
        measure: Callable[[Manifest], Manifest],
        now: Callable[[], datetime],
        executor: Executor,
    ) -> None:
        self._kubernetes, self._measure, self._now, self._executor = kubernetes, measure, now, executor
        self._measuring: dict[tuple[str, str], _Measurement] = {}

    def reconcile(self) -> None:
        """Bring each AnalysisRun that has not ended up to date."""
        for stored in self._kubernetes.stored("AnalysisRun"):
            if stored.shared.get("status", {}).get("phase", Phase.RUNNING) == Phase.RUNNING:
                run = self._kubernetes.get("AnalysisRun", stored.namespace, stored.name)
                self._reconcile(run)
                if run != stored.shared:
                    self._kubernetes.put(run)

    def _reconcile(self, run: Manifest) -> None:
        try:
            args, secrets = arguments(self._kubernetes, run)
            metrics = [resolved(metric, args) for metric in run["spec"]["metrics"]]
            limits = {metric["name"]: Limits.of(metric) for metric in metrics}
        except InvalidSpec as error:
            run["status"] = {"phase": Phase.ERROR, "message": f"Unable to resolve metric arguments: {error}"}
            return
        except ValueError as error:
            run["status"] = {"phase": Phase.ERROR, "message": f"Analysis spec invalid: {error}"}
            return
        for metric in metrics:
            self._work_on(run, metric, limits[metric["name"]], secrets)
        assess(run, limits, self._now())
        _trim(run)

    def _work_on(self, run: Manifest, metric: Manifest, limits: Limits, secrets: Sequence[str]) -> None:
        key = (run["metadata"]["uid"], metric["name"])
        if key not in self._measuring and is_due(run, metric, limits, self._now()):
            self._measuring[key] = _Measurement(self._now(), self._executor.submit(self._measure, metric))
        if key in self._measuring and self._measuring[key].future.done():
            measurement = self._measuring.pop(key)
            answer = measurement.future.result()
            for secret in filter(None, secrets):
                answer = {name: part.replace(secret, "*****") for name, part in answer.items()}
            stamps = {"startedAt": timestamp(measurement.started), "finishedAt": timestamp(self._now())}
            count(run, metric["name"], answer | stamps)


def is_due(run: Manifest, metric: Manifest, limits: Limits, now: datetime) -> bool:
    """Tell whether a metric is measured now: at its initialDelay, then `interval` after each measurement's end."""
    status = run["status"]
    result = _result(run, metric["name"])
    if run["spec"].get("terminate") or is_ending(run) or result["phase"] != Phase.RUNNING:
        return False
    if not result["measurements"]:
        delay = duration(metric.get("initialDelay", "0s"))
        return not delay or ("startedAt" in status and now >= _moment(status["startedAt"]) + delay)
    if limits.count is not None and result.get("count", 0) >= limits.count:
        return False
    last = result["measurements"][-1]
    errs = last["phase"] == Phase.ERROR or "interval" not in metric
    return now >= _moment(last["finishedAt"]) + (ERROR_RETRY if errs else duration(metric["interval"]))


def is_ending(run: Manifest) -> bool:
    """Tell whether a metric that is no dry run has ended badly, which stops all others."""
    ended = (Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED)
    results = run["status"].get("metricResults", ())
    return any(result["phase"] in ended and not result.get("dryRun") for result in results)


def count(run: Manifest, name: str, measurement: Manifest) -> None:
    """Add a measurement to a metric's result."""
    result, phase = _result(run, name), Phase(measurement["phase"])
    results = run["status"].setdefault("metricResults", [])
    if result not in results:
        results.append(result)
    result["measurements"].append(measurement)
    after = _counters(result).after(phase)
    numbers = {field: getattr(after, counter) for field, counter in _COUNTERS.items()}
    numbers["count"] = after.counted
    numbers["error"] = result.get("error", 0) + (phase is Phase.ERROR)
    for field, number in numbers.items():
        result.pop(field, None)
        if number:  # Go leaves a zero out
            result[field] = number


def assess(run: Manifest, limits: Mapping[str, Limits], now: datetime) -> None:
    """Set the phase of each metric and of the run, as two reconciles of Argo do: the second stops the rest."""
    status = run["status"]
    if "startedAt" not in status:
        status |= {"startedAt": timestamp(now), "phase": Phase.RUNNING}
    results = status.setdefault("metricResults", [])
    is_terminated = run["spec"].get("terminate", False)
    _settle(results, limits, stops=is_terminated)
    if not is_terminated and is_ending(run):
        is_terminated = True
        _settle(results, limits, stops=True)
    _summarise(run, limits)
    ended = [result for result in results if result["phase"] != Phase.RUNNING]
    if not is_terminated and len(ended) < len(limits):
        return
    judged = [result for result in ended if not result.get("dryRun")]
    worst = phase_of_run(Phase(result["phase"]) for result in judged)
    status |= {"phase": worst, "completedAt": timestamp(now)}
    of_worst = [_sentence(limits[result["name"]], result) for result in judged if result["phase"] == worst]
    if message := of_worst[0] if of_worst and of_worst[0] else run["spec"].get("terminate") and "Run Terminated":
        status["message"] = message


def _settle(results: Sequence[Manifest], limits: Mapping[str, Limits], *, stops: bool) -> None:
    """Set the phase of each measured metric that has reached its end; all have if the run `stops`."""
    for result in results:
        if result["phase"] == Phase.RUNNING:
            phase = phase_of(limits[result["name"]], _counters(result))
            result["phase"] = Phase.SUCCESSFUL if stops and phase is Phase.RUNNING else phase
            if result["phase"] != Phase.RUNNING and (last := result["measurements"][-1].get("message")):
                result["message"] = last


def _sentence(limits: Limits, result: Manifest) -> str:
    end = exceeded(limits, _counters(result))
    if end is None:
        return ""
    text = f'Metric "{result["name"]}" assessed {end[0]} due to {end[1]}'
    return text + (f': "Error Message: {result["message"]}"' if result.get("message") else "")


def _summarise(run: Manifest, limits: Mapping[str, Limits]) -> None:
    """Write runSummary and dryRunSummary. A metric that exceeds no limit counts as successful, however it ended."""
    results = [_result(run, name) for name in limits]
    for field, is_dry in (("runSummary", False), ("dryRunSummary", True)):
        of_kind = [result for result in results if result.get("dryRun", False) is is_dry]
        ends = [
            exceeded(limits[result["name"]], _counters(result))
            for result in of_kind
            if result["phase"] != Phase.RUNNING
        ]
        kinds = Counter(end[0].lower() if end else "successful" for end in ends)
        run["status"][field] = ({"count": len(of_kind)} if of_kind else {}) | dict(kinds)


def _trim(run: Manifest) -> None:
    for result in run["status"].get("metricResults", ()):
        limit = next(
            (
                retention["limit"]
                for retention in run["spec"].get("measurementRetention", ())
                if re.search(retention["metricName"], result["name"]) and retention["limit"] > 0
            ),
            RETAINED,
        )
        result["measurements"] = result["measurements"][-limit:]


def _result(run: Manifest, name: str) -> Manifest:
    """Return a metric's result, a new one if it has none yet."""
    for result in run["status"].get("metricResults", ()):
        if result["name"] == name:
            present: Manifest = result
            return present
    dry = any(re.search(dry_run["metricName"], name) for dry_run in run["spec"].get("dryRun", ()))
    return {"name": name, "phase": Phase.RUNNING, "measurements": []} | ({"dryRun": True} if dry else {})


def _counters(result: Manifest) -> Counters:
    return Counters(**{counter: result.get(field, 0) for field, counter in _COUNTERS.items()})


@cache
def duration(text: str) -> timedelta:
    """Return one of Argo's durations: 90s, 1m30s, 1h. Raises ValueError for "90" and "1d", as Argo refuses them."""
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", text):
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    return timedelta(seconds=sum(float(number) * seconds[unit] for number, unit in parts))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an AnalysisRun ended: its phase, after how many seconds, and when each metric was measured."""

    phase: Phase
    seconds: float
    measured: Mapping[str, tuple[float, ...]]


def play(
    metrics: Sequence[Mapping[str, Any]], answer: Callable[[str, float], Phase], answer_seconds: float = 0.5
) -> Ended:
    """Run an AnalysisRun from second 0 to its end; `answer(metric, second)` is what a measurement begun then finds."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    run: Manifest = {"spec": {"metrics": metrics}, "status": {}}
    limits = {str(metric["name"]): Limits.of(metric) for metric in metrics}
    measured: dict[str, list[float]] = {name: [] for name in limits}
    measuring: dict[str, float] = {}
    second, step = 0.0, min(answer_seconds, 1.0)
    assess(run, limits, began)
    while run["status"]["phase"] == Phase.RUNNING:
        now = began + timedelta(seconds=second)
        for metric in metrics:
            name = str(metric["name"])
            if name not in measuring and is_due(run, dict(metric), limits[name], now):
                measured[name].append(second)
                measuring[name] = second + answer_seconds
        for name in [name for name, end in measuring.items() if second >= end]:
            del measuring[name]
            count(run, name, {"phase": answer(name, measured[name][-1]), "finishedAt": timestamp(now)})
            assess(run, limits, now)
        second = round(second + step, 1)
    return Ended(Phase(run["status"]["phase"]), second - step, {name: tuple(when) for name, when in measured.items()})
