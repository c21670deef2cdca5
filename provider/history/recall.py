"""What was Argo told about a Rollout, and what did this replica see of its switches?

It is read from Argo's own record, so it is the same on every replica, and there for a Rollout that nobody has asked
this replica about. The newest come first. `analysisRuns` have each metric's counters and the measurements that Argo
keeps. `changes` are the measurements whose phase or sentence differed from the one before (at most 50). `versions` are
the Rollout's ReplicaSets, `conditions` Argo's own.

Only `switches` are what this replica saw itself (`seenBy`), of Rollouts queried in the last 6 hours: when a version
went into production, whether a `Successful` answer of this replica preceded it, for how long queries found no healthy
target after it, and what CloudWatch counted in its first minutes (at most 10).
"""

from datetime import datetime
from typing import Any

from provider.history.argo_record import ArgoRecord
from provider.history.switches import Switches
from provider.model.analysis import Analysis
from provider.model.argo import AnalysisRun, Measurement, MetricResult
from provider.redaction import redacted
from provider.rules.progress import number_of, sentence_of

NAME = "history"

MOST_CHANGES = 50


def observed(record: ArgoRecord, switches: Switches) -> dict[str, Any]:
    """Return the history of a Rollout as JSON shows it."""
    state = record.state
    return {
        "namespace": state.namespace,
        "rollout": state.name,
        "rememberedSince": _time(switches.began_at),
        "analysisRuns": [_run(run, record.asked[run.name]) for run in record.runs],
        "changes": changes_of(record)[:MOST_CHANGES],
        "versions": [
            {
                "podTemplateHash": version.pod_hash,
                "revision": version.revision,
                "images": list(version.images),
                "desiredCount": version.replicas,
                "availableCount": version.available,
                **_at("createdAt", version.created_at),
                **_at("scaleDownAt", version.scale_down_at),
            }
            for version in record.versions
        ],
        "conditions": [
            {
                "type": kind,
                "isTrue": condition.is_true,
                "reason": condition.reason,
                "message": redacted(condition.message),
            }
            | _at("at", condition.at)
            for kind, condition in state.conditions.items()
        ],
        "switches": [{**switch.observed(), "seenBy": "this replica"} for switch in switches.of(state.key)],
        "notRead": list(record.problems),
    }


def changes_of(record: ArgoRecord) -> list[dict[str, Any]]:
    """Return the measurements whose phase or sentence differs from the one before, the newest first."""
    changes = []
    for run in record.runs:
        asked = record.asked[run.name]
        for result in run.results:
            before: tuple[str, str] | None = None
            for measurement in result.measurements:
                now = (measurement.phase, sentence_of(measurement))
                if now != before and measurement.at is not None:
                    shown = {"podTemplateHash": run.pod_hash, "revision": run.revision, "analysisRun": run.name}
                    endpoint = _endpoint(asked, result)
                    changes.append(shown | {"metric": result.name, "endpoint": endpoint} | _measurement(measurement))
                before = now
    return sorted(changes, key=lambda change: str(change["at"]), reverse=True)


def _run(run: AnalysisRun, asked: Analysis) -> dict[str, Any]:
    return {
        "name": run.name,
        "analysis": asked.place,
        "podTemplateHash": run.pod_hash,
        "revision": run.revision,
        "phase": run.phase,
        "message": redacted(run.message),
        "terminated": run.is_terminated,
        **_at("startedAt", run.started_at),
        **_at("completedAt", run.completed_at),
        "metrics": [
            {
                "name": result.name,
                "endpoint": _endpoint(asked, result),
                "phase": result.phase,
                "successfulCount": result.successful,
                "failedCount": result.failed,
                "inconclusiveCount": result.inconclusive,
                "errorCount": result.error,
                "measurements": [_measurement(each) for each in reversed(result.measurements)],
            }
            for result in run.results
        ],
    }


def _endpoint(asked: Analysis, result: MetricResult) -> str:
    """Return the endpoint of this provider that a metric asks; empty if it asks another."""
    metric = next((metric for metric in asked.metrics if metric.name == result.name), None)
    return metric.query.endpoint if metric and metric.query else ""


def _measurement(measurement: Measurement) -> dict[str, Any]:
    # Other providers' values and errors: they may quote a header or an address with a credential.
    shown: dict[str, Any] = {
        **_at("at", measurement.at),
        "phase": measurement.phase,
        "message": redacted(sentence_of(measurement)),
    }
    number = number_of(measurement)
    return shown if number is None else {**shown, "number": number}


def _at(name: str, moment: datetime | None) -> dict[str, str]:
    return {} if moment is None else {name: _time(moment)}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
