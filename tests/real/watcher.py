"""Writes down what Argo does, as it happens."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.real.api import Api, Manifest
from tests.real.loop import Loop


@dataclass(frozen=True)
class Event:
    """One change: `what` is now `value`."""

    second: float
    """When, by time.monotonic()."""
    what: str
    value: Any

    def __str__(self) -> str:
        return f"{self.what}: {self.value}"


class Watcher(Loop):
    """Keeps for every namespace what changed and when."""

    def __init__(self, api: Api) -> None:
        super().__init__("watcher", 0.3)
        self._api = api
        self._last: dict[tuple[str, str], Any] = {}
        self._events: dict[str, list[Event]] = {}

    def events(self, namespace: str, what: str = "") -> list[Event]:
        """Return the changes of a namespace, oldest first, of one thing or of everything."""
        return [event for event in list(self._events.get(namespace, ())) if what in ("", event.what)]

    def step(self) -> None:
        """Look at everything once."""
        now = time.monotonic()
        for namespace, what, value in self._look():
            if self._last.get((namespace, what)) != value:
                self._last[namespace, what] = value
                self._events.setdefault(namespace, []).append(Event(now, what, value))

    def _look(self) -> Iterator[tuple[str, str, Any]]:
        services = self._api.list("Service")
        hashes = {(one["metadata"]["namespace"], one["metadata"]["name"]): _hash_of(one) for one in services}
        weights: dict[str, dict[str, int]] = {}
        for ingress in self._api.list("Ingress"):
            for name, value in ingress["metadata"].get("annotations", {}).items():
                if name.startswith("alb.ingress.kubernetes.io/actions."):
                    groups = json.loads(value)["ForwardConfig"]["TargetGroups"]
                    weights[ingress["metadata"]["namespace"]] = {
                        group["ServiceName"]: group.get("Weight", 0) for group in groups
                    }
        for rollout in self._api.list("Rollout"):
            namespace, status = rollout["metadata"]["namespace"], rollout.get("status", {})
            reasons = [pause["reason"] for pause in status.get("pauseConditions") or ()]
            yield namespace, "phase", " ".join([status.get("phase", "None"), *reasons])
            yield namespace, "aborted", bool(status.get("abort"))
            yield namespace, "green", status.get("currentPodHash", "")
            yield namespace, "stable", status.get("stableRS", "")
            yield namespace, "production", _production(rollout, hashes, weights.get(namespace, {}))
        for run in self._api.list("AnalysisRun"):
            yield run["metadata"]["namespace"], f"run {run['metadata']['name']}", run.get("status", {}).get("phase")


def _hash_of(service: Manifest) -> str:
    return str((service["spec"].get("selector") or {}).get("rollouts-pod-template-hash", ""))


def _production(rollout: Manifest, hashes: dict[tuple[str, str], str], weights: dict[str, int]) -> str:
    """Return the version that has all of the traffic, or each version with its weight."""
    namespace, strategy = rollout["metadata"]["namespace"], rollout["spec"]["strategy"]
    if "blueGreen" in strategy:
        return hashes.get((namespace, strategy["blueGreen"]["activeService"]), "")
    shares = {hashes.get((namespace, service), ""): weight for service, weight in weights.items() if weight}
    if len(shares) == 1:
        return next(iter(shares))
    return " ".join(f"{pod_hash}={weight}" for pod_hash, weight in sorted(shares.items()))
