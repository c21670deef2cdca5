"""The same answers for real Argo Rollouts and for the embedded one: their AnalysisRuns must say the same."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from tests.world.argo.analysis_runs import AnalysisRunController
from tests.world.argo.web import Web
from tests.world.cluster.store import KubernetesStore
from tests.world.server.http_server import HttpServer

Manifest = dict[str, Any]

BOTH = {"successCondition": 'result[1] == "Successful"', "failureCondition": 'result[1] == "Failed"'}
EVERY = {"interval": "1s", "count": 5, "inconclusiveLimit": 5}
PASS, FAIL, WAIT = ([100, phase, "<b> & ä"] for phase in ("Successful", "Failed", "Inconclusive"))
DOWN, PAGE = 500, "a page"
"""A status without a measurement, and a body that is not JSON."""

RUNS: dict[str, dict[str, tuple[Manifest, list[Any]]]] = {
    "three-passes": {"gate": (EVERY | BOTH | {"consecutiveSuccessLimit": 3}, [WAIT, PASS, PASS, PASS])},
    "one-failure": {"gate": (EVERY | BOTH, [WAIT, FAIL])},
    "tolerated-failure": {"gate": (EVERY | BOTH | {"failureLimit": 1}, [FAIL, PASS])},
    "waits-to-the-end": {"gate": (EVERY | BOTH | {"consecutiveSuccessLimit": 3}, [WAIT, PASS, WAIT])},
    "waits-too-often": {"gate": (EVERY | BOTH | {"inconclusiveLimit": 1}, [PASS, WAIT])},
    "retried-after-an-error": {"gate": (BOTH, [DOWN, PASS])},
    "too-many-errors": {"gate": (BOTH | {"consecutiveErrorLimit": 0}, [DOWN])},
    "no-such-element": {"gate": (BOTH | {"consecutiveErrorLimit": 0}, [[]])},
    "no-such-path": {"gate": (BOTH | {"consecutiveErrorLimit": 0, "path": "{$.nothing}"}, [PASS])},
    "not-json": {"gate": (BOTH, [PAGE])},
    "decimals": {"gate": (BOTH, [[66.6, "Successful", None]])},
    "success-only": {"gate": ({"successCondition": BOTH["successCondition"]}, [WAIT])},
    "failure-only": {"gate": ({"failureCondition": BOTH["failureCondition"]}, [WAIT])},
    "worst-of-two": {"bad": (EVERY | BOTH | {"interval": "2s"}, [WAIT, FAIL]), "waits": (EVERY | BOTH, [WAIT])},
    "two-passes": {"early": (BOTH, [PASS]), "late": (BOTH | {"initialDelay": "3s"}, [PASS])},
    "dry-run": {"dry": (BOTH, [FAIL]), "gate": (BOTH, [PASS])},
    "refused-limits": {"gate": (EVERY | BOTH | {"failureLimit": 9}, [PASS])},
}
"""By run and metric: what the metric says beside its provider, and the answers, of which the last one is repeated."""


class Script:
    """Answers each metric of each run by the script; the first part of the path is who asks."""

    def __init__(self) -> None:
        self.server = HttpServer(self._answer)
        self._asked: Counter[str] = Counter()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        _, run, metric = path.strip("/").split("/")
        _, answers = RUNS[run][metric]
        answer = answers[min(self._asked[path], len(answers) - 1)]
        self._asked[path] += 1
        status = "500 Down" if answer is DOWN else "200 OK"
        start_response(status, [("Content-Type", "application/json")])
        return [answer.encode() if answer is PAGE else json.dumps({"measurement": answer}).encode()]


def run_of(name: str, url: str, namespace: str) -> Manifest:
    """Return the AnalysisRun of this name, which asks at an address; an argument names the metric."""
    metrics = []
    for metric, (parts, _) in RUNS[name].items():
        path = parts.get("path", "{$.measurement}")
        web = {"url": f"{url}/{name}/{{{{args.{metric}}}}}", "jsonPath": path}
        rest = {key: value for key, value in parts.items() if key != "path"}
        metrics.append({"name": metric, **rest, "provider": {"web": web}})
    spec: Manifest = {"metrics": metrics, "args": [{"name": metric, "value": metric} for metric in RUNS[name]]}
    if "dry" in RUNS[name]:
        spec["dryRun"] = [{"metricName": "^dry$"}]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": metadata, "spec": spec}


def embedded(url: str, namespace: str) -> dict[str, Manifest]:
    """Let the embedded Argo run them all, and return how each ended."""
    store = KubernetesStore()
    for name in RUNS:
        store.put(run_of(name, url, namespace) | {"status": {}})
    with ThreadPoolExecutor() as executor:
        controller = AnalysisRunController(store, Web({}).measure, lambda: datetime.now(UTC), executor)

        def list_runs() -> dict[str, Manifest]:
            controller.reconcile()
            return {stored.name: stored.shared for stored in store.stored("AnalysisRun", namespace)}

        return until_all_end(list_runs)


def until_all_end(list_runs: Callable[[], dict[str, Manifest]]) -> dict[str, Manifest]:
    """Wait for at most a minute and a half until every run has ended; return what each says."""
    give_up_at = time.monotonic() + 90
    while True:
        runs = list_runs()
        open_ones = [name for name in RUNS if runs[name].get("status", {}).get("phase", "Running") == "Running"]
        if not open_ones:
            return {name: told(runs[name]["status"]) for name in RUNS}
        assert time.monotonic() < give_up_at, f"These AnalysisRuns did not end: {open_ones}"
        time.sleep(0.2)


def told(status: Manifest) -> Manifest:
    """Return what a run's status says, but for its times, and the words of an Error, which are the library's."""
    results = [
        {key: value for key, value in result.items() if key not in ("measurements", "message", "metadata")}
        | {"measurements": [_told(measurement) for measurement in result["measurements"]]}
        for result in sorted(status.get("metricResults", ()), key=lambda result: str(result["name"]))
    ]
    message = re.split(": .Error Message:|(?<=spec invalid):", str(status.get("message", "")))[0]
    return {
        "phase": status["phase"],
        "message": message,
        "results": results,
        "runSummary": status.get("runSummary", {}),
        "dryRunSummary": status.get("dryRunSummary", {}),
    }


def _told(measurement: Manifest) -> Manifest:
    message = measurement.get("message", "")
    return {
        "phase": measurement["phase"],
        "value": measurement.get("value", ""),
        "message": message if message.startswith("received non 2xx") else bool(message),
    }
