"""Writes what a story says into the embedded cluster and AWS, and into the history of the truth."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.elbv2.models import elbv2_backends

from tests.stories import truth
from tests.stories.random_rollout import (
    ADMIN_PORT,
    AUTO_MODE,
    FOREIGN_OWNER,
    NAMESPACE,
    PORTS,
    ROLES,
    BoundGroup,
    Pod,
    RandomRollout,
    Revision,
)
from tests.world.aws.api import REGION
from tests.world.aws.cloudwatch import Datum
from tests.world.aws.load_balancer import Group as GroupSettings
from tests.world.aws.load_balancer import Health, LoadBalancers
from tests.world.cluster import objects
from tests.world.world import World


class TargetTables(LoadBalancers):
    """Target health as a story says: any state, and several entries for one target."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.tables: dict[str, tuple[truth.Target, ...]] = {}
        self.looks: set[str] = set()
        """The groups (ARNs) whose health was asked for, since somebody emptied it."""

    def health(self, group: GroupSettings, targets: Any = None) -> list[tuple[str, int, Health]]:
        """Return every entry of the group's table, or those of the targets asked for."""
        self.looks.add(group.arn)
        table = self.tables.get(group.arn, ())
        wanted = None if targets is None else set(targets)
        found = [
            (one.ip, one.port, Health(one.state, one.reason or None, "as told" if one.reason else None))
            for one in table
            if wanted is None or (one.ip, one.port) in wanted
        ]
        absent = (wanted or set()) - {(id_, port) for id_, port, _ in found}
        return found + [(*key, Health("unused", "Target.NotRegistered", "not registered")) for key in sorted(absent)]


class Writer:
    """Writes one Rollout: facts at every change, objects and points when somebody is about to read them."""

    def __init__(self, world: World, tables: TargetTables, rollout: RandomRollout) -> None:
        self._world, self._tables, self._rollout = world, tables, rollout
        self._written: dict[tuple[str, str], Any] = {}
        self._last: dict[str, Any] = {}
        self._has_neighbour = False
        rollout.balancer = world.aws.load_balancer(rollout.name)
        for group in rollout.groups:
            group.arn = world.aws.target_group(group.name, load_balancer=rollout.name)

    def note(self, now: datetime) -> None:
        """Write down what is true from now on."""
        self._rollout.history.record(facts_of(self._rollout), now)
        self._rollout.history.sightings.note(healthy_targets(self._rollout), now)

    def publish(self) -> None:
        """Let the world be as it now is."""
        rollout = self._rollout
        facts = facts_of(rollout)
        if any(self._last.get(kind) != facts[kind] for kind in facts if kind not in ("targets", "groups", "metrics")):
            self._write_objects()
            self._last = facts
        self._write_points()
        if rollout.shared and not self._has_neighbour:
            self._has_neighbour = True
            self._world.aws.target_group(f"{rollout.name}-other"[:32], load_balancer=rollout.name)
        backend = elbv2_backends[DEFAULT_ACCOUNT_ID][REGION]
        for group in rollout.groups:
            # Through the API moto would leave the load balancer on a group whose last rule is deleted.
            # tests/upstream/moto-elbv2-rule-load-balancers.sh
            known: Any = backend.target_groups[group.arn]
            known.load_balancer_arns = [rollout.balancer] if group.in_use else []
            known.health_check_interval_seconds = group.interval_seconds
            known.unhealthy_threshold_count = group.unhealthy_threshold
            self._tables.tables[group.arn] = _entries(group)

    def _write_objects(self) -> None:
        manifests = {
            (one["kind"] + one["apiVersion"], one["metadata"]["name"]): one for one in _manifests(self._rollout)
        }
        for key, manifest in manifests.items():
            if self._written.get(key) != manifest:
                self._world.kubernetes.put(manifest)
        for key in self._written.keys() - manifests.keys():
            old = self._written[key]
            self._world.kubernetes.delete(old["kind"], NAMESPACE, key[1], old["apiVersion"])
        self._written = manifests

    def _write_points(self) -> None:
        points, self._rollout.undelivered = self._rollout.undelivered, {}
        if points:
            balancer = self._rollout.balancer
            self._world.aws.cloudwatch.publish(
                [
                    Datum(balancer, None if arn == balancer else arn, metric, minute, value)
                    for (metric, arn, minute), value in points.items()
                ]
            )


def _entries(group: BoundGroup) -> tuple[truth.Target, ...]:
    return tuple(
        truth.Target(ip, port, state, reason)
        for (ip, port), states in group.entries.items()
        for state, reason in states
    )


def facts_of(rollout: RandomRollout) -> dict[str, Any]:
    pods = [(revision, pod) for revision in rollout.revisions for pod in revision.pods]
    return {
        "rollout": _rollout_fact(rollout) if rollout.exists else None,
        "replica_sets": tuple(
            truth.ReplicaSet(
                uid=one.uid,
                owner_uid=one.owner_uid,
                pod_hash=one.pod_hash,
                replicas=one.replicas,
                available=one.available,
                generation=one.generation,
                observed_generation=one.observed_generation,
                created_at=one.created_at,
            )
            for one in rollout.revisions
        ),
        "services": {
            name: truth.Service(one.pod_hash, PORTS, one.written_at)
            for name, one in rollout.services.items()
            if one.exists
        },
        "pods": tuple(truth.Pod(pod.uid, _owner_uid(one, pod), pod.terminating, bool(pod.ended)) for one, pod in pods),
        "endpoints": {
            pod.uid: truth.Endpoint(
                pod.ip, {"admin": ADMIN_PORT} | ({"http": pod.port} if pod.port is not None else {})
            )
            for _, pod in pods
            if pod.ip
        },
        "readiness": {pod.uid: pod.ready_since for _, pod in pods if pod.ready_since},
        "bindings": tuple(
            truth.Binding(one.service, one.port, one.arn, one.by_name, one.other_account)
            for one in rollout.groups
            if one.bound
        ),
        "targets": {one.arn: _entries(one) for one in rollout.groups},
        "groups": {
            one.arn: truth.Group(
                rollout.balancer if one.in_use else "", one.interval_seconds, one.unhealthy_threshold, rollout.shared
            )
            for one in rollout.groups
        },
        "metrics": rollout.points,
    }


def healthy_targets(rollout: RandomRollout, of: Revision | None = None) -> set[truth.PodTarget]:
    """Return the targets that are healthy, of the pods of one revision or of all."""
    return {
        (group.arn, pod.uid, pod.ip, port)
        for revision in ([of] if of else rollout.revisions)
        for pod in revision.pods
        for group in rollout.groups
        for port in (pod.port, ADMIN_PORT)
        if port is not None and {state for state, _ in group.entries.get((pod.ip, port), ())} == {"healthy"}
    }


def _rollout_fact(rollout: RandomRollout) -> truth.Rollout:
    return truth.Rollout(
        uid=rollout.uid,
        generation=rollout.generation,
        observed_generation=rollout.observed_generation,
        current_hash=rollout.green.pod_hash,
        stable_hash=rollout.blue.pod_hash,
        services={role: rollout.service(role) for role in ROLES[rollout.strategy]},
        stable_ping_pong=rollout.ping_pong if rollout.strategy == "pingPong" else "",
    )


def _manifests(rollout: RandomRollout) -> list[dict[str, Any]]:
    manifest = _rollout_manifest(rollout)
    services = [
        objects.service(
            name,
            selector={"app": rollout.name} | ({objects.HASH_LABEL: one.pod_hash} if one.pod_hash else {"no": "pod"}),
            ports=[
                {"name": "http", "port": PORTS["http"], "targetPort": "http"},
                {"name": "admin", "port": PORTS["admin"], "targetPort": ADMIN_PORT},
            ],
        )
        for name, one in rollout.services.items()
        if one.exists
    ]
    for service in services:
        written_at = rollout.services[service["metadata"]["name"]].written_at
        _write_managed(service, written_at + rollout.clock.kubernetes_ahead if written_at else None)
    found, pods = [*services, *_bindings(rollout)], []
    for revision in rollout.revisions:
        owner = objects.replica_set(manifest, revision.pod_hash, replicas=revision.replicas)
        owner["metadata"]["creationTimestamp"] = objects.timestamp(revision.created_at + rollout.clock.kubernetes_ahead)
        owner["metadata"]["generation"] = revision.generation
        owner["metadata"]["ownerReferences"][0]["uid"] = revision.owner_uid
        owner["status"] |= {
            "replicas": len(revision.own),
            "availableReplicas": revision.available,
            "observedGeneration": revision.observed_generation,
        }
        pods += [_pod_manifest(owner, pod, rollout.clock.kubernetes_ahead) for pod in revision.pods]
        found.append(owner)
    slices = [one for service in services for one in objects.endpoint_slices(service, pods)]
    return [*found, *pods, *slices, *([manifest] if rollout.exists else [])]


def _rollout_manifest(rollout: RandomRollout) -> dict[str, Any]:
    names = {f"{role}Service": rollout.service(role) for role in ROLES[rollout.strategy]}
    shape: dict[str, dict[str, Any]] = {
        "blueGreen": {"blueGreen": names},
        "canary": {"canary": names},
        "pingPong": {"canary": {"pingPong": names}},
    }
    status = {"canary": {"stablePingPong": rollout.ping_pong}} if rollout.strategy == "pingPong" else {}
    return objects.rollout(
        rollout.name,
        current_hash=rollout.green.pod_hash,
        stable_hash=rollout.blue.pod_hash,
        strategy=shape[rollout.strategy],
        replicas=rollout.replicas,
        generation=rollout.generation,
        observed_generation=rollout.observed_generation,
        status=status,
        uid=rollout.uid,
    )


def _bindings(rollout: RandomRollout) -> list[dict[str, Any]]:
    return [
        objects.target_group_binding(
            one.name,
            service=one.service,
            port=one.port,
            arn=None if one.by_name else one.arn,
            target_group_name=one.name if one.by_name else None,
            group=one.api,
            version="v1" if one.api == AUTO_MODE else "v1beta1",
            **({"iamRoleArnToAssume": "arn:aws:iam::000000000000:role/other"} if one.other_account else {}),
        )
        for one in rollout.groups
        if one.bound
    ]


def _pod_manifest(owner: dict[str, Any], pod: Pod, ahead: timedelta) -> dict[str, Any]:
    made = objects.pod(
        owner,
        pod.name,
        ip=pod.ip or None,
        created_at=pod.created_at + ahead,
        containers_ready_since=pod.ready_since + ahead if pod.ready_since else None,
        container_ports={"http": pod.port} if pod.port is not None else {"other": 1},
    )
    if pod.terminating:
        made["metadata"]["deletionTimestamp"] = objects.timestamp(pod.created_at)
    if pod.foreign_owner:
        made["metadata"]["ownerReferences"][0]["uid"] = FOREIGN_OWNER
    if pod.ended:
        address = {name: made["status"][name] for name in ("podIP", "podIPs") if pod.ip}
        made = objects.end(made, phase=pod.ended, reason="Evicted" if pod.ended == "Failed" else "")
        made["status"] |= address
    return made


def _owner_uid(revision: Revision, pod: Pod) -> str:
    return FOREIGN_OWNER if pod.foreign_owner else revision.uid


def _write_managed(service: dict[str, Any], written_at: datetime | None) -> None:
    """Say when the selector was last written, or nothing about it."""
    owned: dict[str, Any] = {"f:spec": {"f:selector": {}}} if written_at else {"f:metadata": {}}
    service["metadata"]["managedFields"] = [
        {
            "manager": "rollouts-controller",
            "operation": "Update",
            "apiVersion": "v1",
            "time": objects.timestamp(written_at or datetime(2026, 1, 1, tzinfo=UTC)),
            "fieldsType": "FieldsV1",
            "fieldsV1": owned,
        }
    ]
