"""Builders of Rollouts, ReplicaSets and pods."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.world.cluster.endpoints import ENDED
from tests.world.cluster.naming import HASH_LABEL, condition, controller_reference, deterministic_uid, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Manifest = dict[str, Any]
NODE_NAME = "ip-10-0-1-10.eu-west-1.compute.internal"

_WEB_PORT: dict[str, int] = {"http": 8080}


def rollout(
    name: str,
    *,
    current_hash: str,
    stable_hash: str,
    strategy: Mapping[str, Any],
    namespace: str = "shop",
    replicas: int = 3,
    generation: int = 1,
    observed_generation: int | None = None,
    status: Mapping[str, Any] | None = None,
    workload_ref: Mapping[str, Any] | None = None,
    uid: str | None = None,
) -> Manifest:
    """Build a Rollout; `observed_generation` defaults to `generation`, `status` goes over the usual fields.

    With `workload_ref` there is neither a selector nor a template, as Argo stores it.
    """
    labels = {"app": name}
    spec: Manifest = {"replicas": replicas, "revisionHistoryLimit": 2, "strategy": dict(strategy)}
    if workload_ref is not None:
        spec["workloadRef"] = dict(workload_ref)
    else:
        spec |= {"selector": {"matchLabels": labels}, "template": _template(labels, _WEB_PORT)}
    usual = {
        "currentPodHash": current_hash,
        "stableRS": stable_hash,
        "observedGeneration": str(generation if observed_generation is None else observed_generation),
        "phase": "Healthy" if current_hash == stable_hash else "Progressing",
        "replicas": replicas,
        "selector": f"app={name}",
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or deterministic_uid("Rollout", namespace, name),
            "generation": generation,
            "labels": labels,
        },
        "spec": spec,
        "status": usual | dict(status or {}),
    }


def analysis_run(
    name: str, *, metric: str, phase: str, counts: Mapping[str, int], value: str, namespace: str = "shop"
) -> Manifest:
    """Build an AnalysisRun of one metric; `counts` are its counters (successful, failed, inconclusive, error)."""
    result = {
        "name": metric,
        "phase": phase,
        **counts,
        "measurements": [{"phase": phase, "value": value}] if value else [],
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": deterministic_uid("AnalysisRun", namespace, name),
        },
        "status": {"phase": phase, "metricResults": [result]},
    }


def replica_set(rollout: Manifest, pod_hash: str, *, replicas: int, available: int | None = None) -> Manifest:
    """Build the ReplicaSet of one revision of a Rollout; `available` pods default to all of them."""
    owner, name = rollout["metadata"], f"{rollout['metadata']['name']}-{pod_hash}"
    template = rollout["spec"].get("template") or _template({"app": owner["name"]}, _WEB_PORT)
    labels = template["metadata"]["labels"] | {HASH_LABEL: pod_hash}
    ready = replicas if available is None else available
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": owner["namespace"],
            "uid": deterministic_uid("ReplicaSet", owner["namespace"], name),
            "labels": labels,
            "annotations": {"rollout.argoproj.io/desired-replicas": str(rollout["spec"].get("replicas", replicas))},
            "ownerReferences": [controller_reference(rollout)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
        "status": {
            "replicas": replicas,
            "fullyLabeledReplicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": 1,
        },
    }


def pod(
    replica_set: Manifest,
    name: str,
    *,
    ip: str | None = None,
    other_ips: Sequence[str] = (),
    created_at: datetime | None = None,
    containers_ready_since: datetime | None = None,
    ready: bool | None = None,
    terminating: bool = False,
    node_name: str = NODE_NAME,
    container_ports: Mapping[str, int] | None = None,
) -> Manifest:
    """Build a pod of a ReplicaSet.

    `containers_ready_since=None` means that its containers are not ready yet. `ready` defaults to whether
    they are; False beside ready containers is a pod that waits for a readiness gate. `container_ports` maps port
    names to numbers, and defaults to those of the ReplicaSet's template. `other_ips` are the pod's addresses of
    the other family.
    """
    owner, spec = replica_set["metadata"], deepcopy(replica_set["spec"]["template"]["spec"])
    if container_ports is not None:
        spec = _template({}, container_ports)["spec"]
    created = created_at or datetime.now(UTC)
    metadata = {
        "name": name,
        "generateName": f"{owner['name']}-",
        "namespace": owner["namespace"],
        "uid": deterministic_uid("Pod", owner["namespace"], name),
        "creationTimestamp": timestamp(created),
        "labels": dict(replica_set["spec"]["selector"]["matchLabels"]),
        "ownerReferences": [controller_reference(replica_set)],
    }
    if terminating:
        metadata |= {"deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 30}
    containers_ready = containers_ready_since is not None
    status: Manifest = {
        "phase": "Running" if containers_ready else "Pending",
        "conditions": [
            condition("PodScheduled", met=True, since=created),
            condition("Initialized", met=True, since=created),
            condition("ContainersReady", met=containers_ready, since=containers_ready_since or created),
            condition(
                "Ready",
                met=containers_ready if ready is None else ready,
                since=containers_ready_since or created,
            ),
        ],
        "startTime": timestamp(created),
        "qosClass": "Burstable",
    }
    if ip is not None:
        host_ip = node_name.removeprefix("ip-").partition(".")[0].replace("-", ".")
        status |= {"hostIP": host_ip, "podIP": ip, "podIPs": [{"ip": each} for each in (ip, *other_ips)]}
    spec = spec | {"nodeName": node_name, "schedulerName": "default-scheduler"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def end(pod: Manifest, *, phase: str = "Failed", reason: str = "Evicted") -> Manifest:
    """Return a pod as the kubelet leaves it when it has ended: it keeps its owner and has no address.

    `Failed` has the reasons Evicted, OutOfcpu, NodeShutdown and UnexpectedAdmissionError; `Succeeded` has none ("").
    """
    gone = ("podIP", "podIPs")
    status = {name: part for name, part in pod["status"].items() if name not in gone} | {"phase": phase}
    if reason:
        status |= {"reason": reason, "message": f"The pod was ended: {reason}."}
    ready = ("Ready", "ContainersReady")
    status["conditions"] = [
        one | {"status": "False", "reason": f"Pod{phase}"} if one["type"] in ready else one
        for one in status["conditions"]
    ]
    return pod | {"status": status}


def is_active(pod: Manifest) -> bool:
    """Tell whether a ReplicaSet counts a pod (k8s.io/kubernetes, `IsPodActive`)."""
    return pod["status"].get("phase") not in ENDED and "deletionTimestamp" not in pod["metadata"]


def _template(labels: Mapping[str, str], ports: Mapping[str, int]) -> Manifest:
    container = {
        "name": "app",
        "image": "registry.example/shop/app:1",
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "readinessProbe": {"httpGet": {"path": "/", "port": next(iter(ports), 8080)}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
    }
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {"containers": [container], "restartPolicy": "Always", "serviceAccountName": "default"},
    }
