"""Reads what Argo says of Rollouts, to explain them to a person. No answer to Argo needs it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from provider.model.analysis import Object, TemplateKey
from provider.model.argo import AnalysisRun, RolloutState, Version
from provider.model.errors import CannotTell, RolloutNotFound
from provider.model.records import HASH_LABEL, Kind
from provider.sources.bulkheads import KUBERNETES, Read
from provider.sources.deadline import Deadline
from provider.sources.kubernetes import shapes
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.kubernetes_errors import well_formed
from provider.sources.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    CLUSTER_ANALYSIS_TEMPLATES,
    REPLICA_SETS,
    ROLLOUTS,
)
from provider.sources.shared import Request, Shared

KINDS = {"AnalysisTemplate": ANALYSIS_TEMPLATES, "ClusterAnalysisTemplate": CLUSTER_ANALYSIS_TEMPLATES}


LIST_SECONDS = 30
"""Time limit for the list of all Rollouts."""


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates by kind and name, and a sentence for each that could not be read."""

    objects: Mapping[TemplateKey, Object]
    unread: Mapping[TemplateKey, str]


class ArgoReader:
    """Rollouts, AnalysisRuns, templates and ReplicaSets, shared for seconds as all evidence is."""

    def __init__(self, server: ApiServer, shared: Shared) -> None:
        """Read from this API server."""
        self._server, self._shared = server, shared

    def states(self, namespace: str, deadline: Deadline) -> tuple[RolloutState, ...]:
        """List every Rollout of a namespace, of the cluster if that is empty, page by page. Raises CannotTell.

        The list of a large cluster may take longer than whoever asked waits; then it is there for the next one.
        """

        def call() -> tuple[RolloutState, ...]:
            return tuple(self._server.read_list(ROLLOUTS, namespace, shapes.RolloutState, Deadline(LIST_SECONDS)))

        request = Request(Kind.ROLLOUTS, ("states", namespace), ROLLOUTS.rbac, call)
        return self._shared.read(request, deadline).value

    def rollout(self, namespace: str, name: str, deadline: Deadline) -> tuple[RolloutState, Object]:
        """Return a Rollout's state, and the Rollout as it is. Raises RolloutNotFound and CannotTell."""
        what = f"Rollout {name}"
        (objects,) = self._read(deadline, Read(what, partial(self._server.whole, ROLLOUTS, namespace, name, deadline)))
        if not objects:
            raise RolloutNotFound(f"There is no Rollout {name} in namespace {namespace}")
        with well_formed(f"get {ROLLOUTS.rbac} {name} in namespace {namespace}"):
            shape = msgspec.convert(objects[0], shapes.RolloutState, dec_hook=shapes.bounded)
            return shape.record(), objects[0]

    def versions(self, state: RolloutState, labels: Mapping[str, str], deadline: Deadline) -> tuple[Version, ...]:
        """Return a Rollout's ReplicaSets, the newest first; `labels` are those that its selector asks for."""
        selector = ",".join([HASH_LABEL, *(f"{name}={value}" for name, value in labels.items())])
        owned = self._list(REPLICA_SETS, state.namespace, shapes.Version, selector, deadline)
        own = (version for uid, version in owned if uid == state.uid)
        return tuple(sorted(own, key=lambda version: version.revision, reverse=True))

    def runs(self, state: RolloutState, hashes: Iterable[str], deadline: Deadline) -> tuple[AnalysisRun, ...]:
        """Return the AnalysisRuns of a Rollout's versions, the newest first. Argo deletes those of deleted versions."""
        known = sorted({pod_hash for pod_hash in hashes if pod_hash})
        if not known:
            return ()
        selector = f"{HASH_LABEL} in ({','.join(known)})"
        runs = self._list(ANALYSIS_RUNS, state.namespace, shapes.AnalysisRun, selector, deadline)
        own = [run for run in runs if run.owner_uid == state.uid]
        return tuple(sorted(own, key=lambda run: (run.created_at is not None, run.created_at, run.name), reverse=True))

    def templates(self, namespace: str, keys: Iterable[TemplateKey], deadline: Deadline) -> Templates:
        """Read templates by name, each as far as the provider may."""

        def read(key: TemplateKey) -> Any:
            api = KINDS[key[0]]
            where = namespace if api.namespaced else ""
            try:
                return self._server.read_one(api, where, key[1], shapes.AnalysisTemplate, deadline)
            except CannotTell as error:
                return error

        wanted = [key for key in keys if key[1]]
        results = self._read(deadline, *(Read(f"{key[0]} {key[1]}", partial(read, key)) for key in wanted))
        by_key = dict(zip(wanted, results, strict=True))
        return Templates(
            {key: template for key, template in by_key.items() if isinstance(template, Mapping)},
            {key: str(error) for key, error in by_key.items() if isinstance(error, CannotTell)},
        )

    def _list(self, api: Any, namespace: str, shape: type[Any], selector: str, deadline: Deadline) -> list[Any]:
        listing = partial(self._server.read_list, api, namespace, shape, deadline, selector)
        (records,) = self._read(deadline, Read(api.rbac, listing))
        return list(records)

    def _read(self, deadline: Deadline, *reads: Read) -> list[Any]:
        return self._shared.threads.read(KUBERNETES, deadline, *reads)
