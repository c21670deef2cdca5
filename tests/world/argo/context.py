"""One reconcile of a Rollout: what is there, and what both strategies do with Services, ReplicaSets and analyses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.world.argo.assessment import Phase
from tests.world.argo.templates import REVISION, InvalidSpec, new_run
from tests.world.cluster import objects
from tests.world.cluster.naming import HASH_LABEL, timestamp
from tests.world.cluster.store import KubernetesStore

DESIRED = "rollout.argoproj.io/desired-replicas"
DEADLINE = "scale-down-deadline"
MANAGED_BY = "argo-rollouts.argoproj.io/managed-by-rollouts"
INCONCLUSIVE = "InconclusiveAnalysisRun"
HISTORY_LIMIT = 5
"""Successful AnalysisRuns that are kept, and others."""

Manifest = dict[str, Any]


class Context:
    """A Rollout with its ReplicaSets. `green` is the ReplicaSet of the current template, `blue` the stable one or None.

    `status` is the status that this reconcile writes; `old` the one it found.
    """

    def __init__(self, kubernetes: KubernetesStore, rollout: Manifest, now: datetime) -> None:
        self.kubernetes, self.rollout, self.now = kubernetes, rollout, now
        self.spec, self.old = rollout["spec"], rollout.get("status", {})
        self.namespace, self.name = rollout["metadata"]["namespace"], rollout["metadata"]["name"]
        self.replicas = int(self.spec.get("replicas", 1))
        self.strategy: Manifest = self.spec["strategy"].get("blueGreen") or self.spec["strategy"]["canary"]
        self.status: Manifest = {}
        self.added_pauses: list[str] = []
        self.removed_pauses: set[str] = set()
        self.clears_pauses = self.removes_abort = False
        self.abort_message: str | None = None
        self.green_hash = objects.pod_template_hash(repr(self.spec["template"]))
        self.sets = {
            replica_set["metadata"]["labels"][HASH_LABEL]: replica_set for replica_set in self._owned("ReplicaSet")
        }
        self.is_new_template = self.old.get("currentPodHash", self.green_hash) != self.green_hash
        self.blue: Manifest | None = self.sets.get(self.old.get("stableRS", ""))
        self.green = self._green()
        deadline = annotations_of(self.green).get(DEADLINE)
        self.green_is_within_delay = deadline is not None and datetime.fromisoformat(deadline) > now
        self.runs = {run["metadata"]["name"]: run for run in self._owned("AnalysisRun")}
        self.current_runs: dict[str, Manifest | None] = {}

    def _owned(self, kind: str) -> list[Manifest]:
        uid = self.rollout["metadata"]["uid"]
        return [
            self.kubernetes.get(kind, stored.namespace, stored.name)
            for stored in self.kubernetes.stored(kind, self.namespace, **self.spec["selector"]["matchLabels"])
            if any(owner["uid"] == uid for owner in stored.shared["metadata"].get("ownerReferences", ()))
        ]

    def _green(self) -> Manifest:
        """Return the template's ReplicaSet, made without pods if it is new; its revision becomes the Rollout's."""
        numbers = [int(annotations_of(replica_set)[REVISION]) for replica_set in self.sets.values()]
        green = self.sets.get(self.green_hash)
        if green is None:
            green = objects.replica_set(self.rollout, self.green_hash, replicas=0)
            green["metadata"]["creationTimestamp"] = timestamp(self.now)
            green["metadata"]["annotations"] |= {REVISION: str(max(numbers, default=0) + 1)}
            self.sets[self.green_hash] = green = self.kubernetes.put(green)
        elif int(annotations_of(green)[REVISION]) < max(numbers):
            green["metadata"]["annotations"][REVISION] = str(max(numbers) + 1)
            self.kubernetes.put(green)
        annotations_of(self.rollout)[REVISION] = annotations_of(green)[REVISION]
        return green

    # What is there.

    @property
    def is_aborted(self) -> bool:
        """Whether the Rollout is aborted, or is from this reconcile on."""
        return not self.removes_abort and (self.abort_message is not None or bool(self.old.get("abort")))

    @property
    def is_promoted(self) -> bool:
        """Whether the current template is the stable one."""
        return bool(self.old.get("stableRS") == self.old.get("currentPodHash"))

    @property
    def is_fast_rollback(self) -> bool:
        """Whether Argo goes back without asking: to the stable ReplicaSet, or to an older one that still runs."""
        if self.blue is None or self.blue is self.green:
            return self.blue is not None
        is_older = bool(self.green["metadata"]["creationTimestamp"] < self.blue["metadata"]["creationTimestamp"])
        return is_older and self.green_is_within_delay and "blueGreen" in self.spec["strategy"]

    @property
    def is_halted(self) -> bool:
        """Whether a person or an inconclusive AnalysisRun has paused all progress."""
        return bool(self.spec.get("paused")) or self.pause(INCONCLUSIVE) is not None

    @property
    def others(self) -> list[Manifest]:
        """The ReplicaSets that are neither green nor blue, the newest revision first."""
        others = [
            replica_set
            for replica_set in self.sets.values()
            if replica_set is not self.green and replica_set is not self.blue
        ]
        return sorted(others, key=lambda replica_set: -int(annotations_of(replica_set)[REVISION]))

    def pause(self, reason: str) -> Manifest | None:
        """Return the pause condition of this reason that the last reconcile left."""
        return next((pause for pause in self.old.get("pauseConditions", ()) if pause["reason"] == reason), None)

    def is_saturated(self, replica_set: Manifest) -> bool:
        """Tell whether it has every pod that the Rollout wants, and all are available."""
        numbers = replica_set["spec"]["replicas"], int(annotations_of(replica_set)[DESIRED]), available(replica_set)
        return set(numbers) == {self.replicas}

    # Services and ReplicaSets.

    def _service(self, name: str) -> Manifest:
        try:
            return self.kubernetes.get("Service", self.namespace, name)
        except KeyError:
            raise InvalidSpec(f'service "{name}" not found') from None

    def select(self, service: str, replica_set: Manifest) -> None:
        """Point a Service at a ReplicaSet."""
        manifest = self._service(service)
        selector = manifest["spec"].setdefault("selector", {})
        pod_hash = replica_set["metadata"]["labels"][HASH_LABEL]
        if selector.get(HASH_LABEL) == pod_hash and MANAGED_BY in manifest["metadata"].get("annotations", {}):
            return
        selector[HASH_LABEL] = pod_hash
        manifest["metadata"].setdefault("annotations", {})[MANAGED_BY] = self.name
        kept = [
            entry
            for entry in manifest["metadata"].get("managedFields", ())
            if entry["manager"] != "rollouts-controller"
        ]
        manifest["metadata"]["managedFields"] = [*kept, objects.managed("rollouts-controller", self.now)]
        self.kubernetes.put(manifest)

    def selected(self, service: str) -> str:
        """Return the hash in a Service's selector; empty if it has none."""
        selecting = self._service(service)
        return str(selecting["spec"].get("selector", {}).get(HASH_LABEL, ""))

    def scale(self, replica_set: Manifest, replicas: int) -> bool:
        """Scale a ReplicaSet; tells whether that changed its size."""
        wanted = str(self.replicas)
        is_other = bool(replica_set["spec"]["replicas"] != replicas)
        if is_other or annotations_of(replica_set)[DESIRED] != wanted:
            replica_set["spec"]["replicas"] = replicas
            annotations_of(replica_set)[DESIRED] = wanted
            self.kubernetes.put(replica_set)
        return is_other

    def set_deadline(self, replica_set: Manifest, seconds: float | None) -> None:
        """Annotate when a ReplicaSet is scaled down; None removes that."""
        present = DEADLINE in annotations_of(replica_set)
        if seconds is None and present:
            del annotations_of(replica_set)[DEADLINE]
            self.kubernetes.put(replica_set)
        elif seconds is not None and not present:
            annotations_of(replica_set)[DEADLINE] = timestamp(self.now + timedelta(seconds=seconds))
            self.kubernetes.put(replica_set)

    def abort_delay(self) -> float | None:
        """Return after how many seconds an aborted green is scaled down; None for never (0 in the spec)."""
        return float(self.strategy.get("abortScaleDownDelaySeconds", 30)) or None

    def scale_green(self, replicas: int) -> bool:
        """Scale green, which after an abort keeps its pods until its deadline."""
        if self.is_aborted and self.blue is not None and self.abort_delay() is not None:
            deadline = annotations_of(self.green).get(DEADLINE)
            if deadline is None:
                if available(self.blue) >= self.replicas:
                    self.set_deadline(self.green, self.abort_delay())
                return False
            if datetime.fromisoformat(deadline) > self.now:
                return False
            replicas = 0
        return self.scale(self.green, replicas)

    def scale_down_others(self) -> bool:
        """Scale older ReplicaSets down once scaleDownDelaySeconds is over; tells whether one was."""
        if self.pause(INCONCLUSIVE) is not None:
            return False
        limit, delayed, has_scaled = self.strategy.get("scaleDownDelayRevisionLimit"), 0, False
        referenced = {self.old.get("blueGreen", {}).get(f"{role}Selector") for role in ("active", "preview")}
        for replica_set in self.others:
            deadline = annotations_of(replica_set).get(DEADLINE)
            is_referenced = replica_set["metadata"]["labels"][HASH_LABEL] in referenced
            if is_referenced or not replica_set["spec"]["replicas"]:
                continue
            delays = "blueGreen" in self.spec["strategy"] or self.is_promoted or deadline is not None
            delayed += delays
            if delays and (limit is None or delayed <= limit):
                if deadline is None:
                    self.set_deadline(replica_set, self.strategy.get("scaleDownDelaySeconds", 30))
                    continue
                if datetime.fromisoformat(deadline) > self.now:
                    continue
            has_scaled |= self.scale(replica_set, 0)
        return has_scaled

    def forget_old_revisions(self) -> None:
        """Delete ReplicaSets without pods beyond revisionHistoryLimit."""
        limit = int(self.spec.get("revisionHistoryLimit", 10))
        for replica_set in self.others[limit:]:
            if not replica_set["spec"]["replicas"] and not replica_set["status"]["replicas"]:
                del self.sets[replica_set["metadata"]["labels"][HASH_LABEL]]
                self.kubernetes.delete("ReplicaSet", self.namespace, replica_set["metadata"]["name"])

    # AnalysisRuns.

    def current_run(self, status: Manifest | None) -> Manifest | None:
        """Return the AnalysisRun that a status names."""
        return self.runs.get(status["name"]) if status else None

    def analyse(self, analysis: Manifest, run: Manifest | None, kind: str, infix: str = "", **labels: str) -> Manifest:
        """Return the AnalysisRun of an analysis: the current one, or a new one if there is none or it is over."""
        is_resumed = (
            bool(self.old.get("controllerPause"))
            and self.pause("CanaryPauseStep") is None
            and self.pause("BlueGreenPause") is None
        )
        if run is not None:
            if self.pause(INCONCLUSIVE) is not None:
                return run
            ended = run["status"].get("phase") == Phase.INCONCLUSIVE
            if not (ended if is_resumed else self.old.get("abortedAt") is not None):
                return run
        parts = [self.name, self.green_hash, annotations_of(self.green)[REVISION], infix]
        base = name = "-".join(filter(None, parts))
        number = 0
        while name in self.runs:
            number += 1
            name = f"{base}.{number}"
        labels = {HASH_LABEL: self.green_hash, "rollout-type": kind, **labels}
        created = new_run(self.kubernetes, self.rollout, analysis, name, labels, self.now)
        self.runs[name] = self.kubernetes.put(created)
        return self.runs[name]

    def follow(self, run: Manifest | None, of_what: str) -> None:
        """Pause when a run is inconclusive, abort when it has failed."""
        phase = run["status"].get("phase") if run else None
        if run and phase == Phase.INCONCLUSIVE:
            self.added_pauses.append(INCONCLUSIVE)
        if run and phase in (Phase.ERROR, Phase.FAILED):
            message = run["status"].get("message")
            self.abort_message = f"{of_what} analysis phase error/failed" + (f": {message}" if message else "")

    def keep_current(self, **runs: Manifest | None) -> None:
        """Note the runs that are current, by their field in the status; stop all others, and delete the oldest."""
        self.current_runs = runs
        current = {run["metadata"]["name"] for run in runs.values() if run}
        others = [run for name, run in self.runs.items() if name not in current]
        self.cancel(*others)
        others.sort(key=lambda run: run["metadata"]["creationTimestamp"], reverse=True)
        kept = {True: 0, False: 0}
        for run in others:
            passed = run["status"].get("phase") == Phase.SUCCESSFUL
            kept[passed] += 1
            if kept[passed] > HISTORY_LIMIT or run["metadata"]["labels"][HASH_LABEL] not in self.sets:
                self.kubernetes.delete("AnalysisRun", self.namespace, run["metadata"]["name"])

    def cancel(self, *runs: Manifest | None) -> None:
        """Terminate runs that have not ended."""
        for run in runs:
            if run and run["status"].get("phase", Phase.RUNNING) == Phase.RUNNING and "terminate" not in run["spec"]:
                run["spec"]["terminate"] = True
                self.kubernetes.put(run)

    def run_status(self, field: str) -> dict[str, Manifest]:
        """Return a status field that names a current run, or nothing."""
        run = self.current_runs.get(field)
        if run is None:
            return {}
        named = {"name": run["metadata"]["name"], "status": run["status"].get("phase", "")}
        message = run["status"].get("message")
        return {field: named | ({"message": message} if message else {})}


def annotations_of(manifest: Manifest) -> dict[str, str]:
    """Return an object's annotations, to be read and changed."""
    present: dict[str, str] = manifest["metadata"].setdefault("annotations", {})
    return present


def available(replica_set: Manifest | None) -> int:
    """Return how many pods of a ReplicaSet are available."""
    return int(replica_set["status"].get("availableReplicas", 0)) if replica_set else 0
