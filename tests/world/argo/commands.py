"""What a person does to a Rollout: `kubectl set image`, and `kubectl argo rollouts promote`, `abort` and `retry`."""

from __future__ import annotations

from typing import Any

from tests.world.cluster.store import KubernetesStore

Manifest = dict[str, Any]


class Commands:
    """Writes into one Rollout what the commands write."""

    def __init__(self, kubernetes: KubernetesStore, namespace: str, name: str) -> None:
        self._kubernetes, self._namespace, self._name = kubernetes, namespace, name

    def rollout(self) -> Manifest:
        """Return the Rollout as it is."""
        return self._kubernetes.get("Rollout", self._namespace, self._name)

    def exists(self) -> bool:
        """Tell whether there is such a Rollout."""
        return any(stored.name == self._name for stored in self._kubernetes.stored("Rollout", self._namespace))

    def set_image(self, tag: str) -> None:
        """Change the tag of the first container's image."""
        rollout = self.rollout()
        container = rollout["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"{container['image'].rpartition(':')[0]}:{tag}"
        self._put_spec(rollout)

    def edit(self, **spec: Any) -> None:
        """Replace parts of the spec."""
        rollout = self.rollout()
        rollout["spec"] |= spec
        self._put_spec(rollout)

    def promote(self) -> None:
        """End a pause; without one skip a canary's step. A blue-green Rollout in its analysis stays where it is."""
        rollout = self.rollout()
        status, steps = rollout["status"], rollout["spec"]["strategy"].get("canary", {}).get("steps", [])
        rollout["spec"].pop("paused", None)
        is_inconclusive = any(
            pause["reason"] == "InconclusiveAnalysisRun" for pause in status.get("pauseConditions", ())
        )
        skips = status.get("currentStepIndex", 0) < len(steps) and (
            is_inconclusive or not status.get("pauseConditions")
        )
        status.pop("pauseConditions", None)
        if skips:
            status.pop("controllerPause", None)
            status["currentStepIndex"] += 1
        self._kubernetes.put(rollout)

    def promote_full(self) -> None:
        """Promote without any analysis."""
        self._patch_status(promoteFull=True)

    def abort(self) -> None:
        """Abort the update."""
        self._patch_status(abort=True)

    def retry(self) -> None:
        """Try an aborted update again."""
        self._patch_status(abort=False)

    def _patch_status(self, **fields: Any) -> None:
        rollout = self.rollout()
        rollout["status"] |= fields
        self._kubernetes.put(rollout)

    def _put_spec(self, rollout: Manifest) -> None:
        rollout["metadata"]["generation"] += 1
        self._kubernetes.put(rollout)
