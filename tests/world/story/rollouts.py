"""A Rollout of the story: what Argo Rollouts writes to the cluster with any strategy."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.world.aws.api import REGION, AwsApi
from tests.world.aws.meter import Meter
from tests.world.aws.network import LOAD_BALANCER
from tests.world.cluster import objects
from tests.world.story.revisions import Cluster, Revision
from tests.world.story.users import NOBODY, USERS, Users

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE = "shop"
CHECK_INTERVAL_SECONDS = 5
_JUST_NOW = timedelta(0)
Steps = tuple[tuple[float, "Callable[[float], None]"], ...]


class DemoRollout(ABC):
    """One Rollout and its controller: a table of (second, step), repeated."""

    period_seconds = 60.0

    def __init__(self, cluster: Cluster, aws: AwsApi, name: str, replicas: int) -> None:
        self.name = name
        self.cluster = cluster
        self.aws = aws
        self.replicas = replicas
        self.ramp_seconds = 0.5
        self.load_balancer = LOAD_BALANCER
        self.arns: dict[str, str] = {}
        """The target groups of Services that are in a listener rule."""
        self.generation = self.observed_generation = 1
        self.phase, self.message = "Healthy", ""
        self.paused_since: datetime | None = None
        self.pause_reason = "BlueGreenPause"
        self.aborted_at: datetime | None = None
        self._loop_started_at = 0.0
        self._next_step = 0
        self._published: dict[str, Any] = {}
        self.revisions = [self._new_revision()]
        self.green = self.blue = self.revisions[0]
        """green is the current ReplicaSet, blue the stable one; the same one when nothing rolls."""

    @abstractmethod
    def steps(self) -> Steps:
        """Return what happens when, in seconds of one loop."""

    @abstractmethod
    def strategy(self) -> dict[str, Any]:
        """Return `spec.strategy`."""

    @abstractmethod
    def strategy_status(self) -> dict[str, Any]:
        """Return the part of the status that belongs to the strategy."""

    @abstractmethod
    def set_up(self) -> None:
        """Create Services, target groups and bindings as they are before the first loop."""

    def tick(self, now: float) -> None:
        """Do what is due at this story second."""
        steps = self.steps()
        while self._next_step < len(steps) and now >= self._loop_started_at + steps[self._next_step][0]:
            second, step = steps[self._next_step]
            step(self._loop_started_at + second)
            self._next_step += 1
        if steps and now >= self._loop_started_at + self.period_seconds:
            self._loop_started_at += self.period_seconds
            self._next_step = 0
        for revision in self.revisions:
            revision.tick(now)
        self.publish()

    def change_template(self, _: float) -> None:
        """Apply a new pod template, which Argo Rollouts has not processed yet."""
        self.generation += 1

    def observe(self, _: float) -> None:
        """Process the template: a new ReplicaSet without pods; one former ReplicaSet is kept."""
        self.observed_generation = self.generation
        self.aborted_at = None
        self.phase, self.message = "Progressing", "more replicas need to be updated"
        self.green = self._new_revision()
        self.revisions.append(self.green)
        for retired in [each for each in self.revisions if each not in (self.green, self.blue)][:-1]:
            self.revisions.remove(retired)
            retired.delete()

    def scale_up(self, second: float) -> None:
        """Scale green to full size."""
        self.green.scale_up(self.replicas, now=second, ramp_seconds=self.ramp_seconds)

    def pause(self, _: float) -> None:
        """Pause, now that green is available."""
        self.phase, self.message = "Paused", self.pause_reason
        self.paused_since = self.cluster.now()

    def promote(self, _: float) -> None:
        """Make green stable."""
        self.paused_since = None
        self.blue, self._retired = self.green, self.blue
        self.phase, self.message = "Healthy", ""

    def scale_down(self, second: float) -> None:
        """Scale the former stable ReplicaSet down."""
        self._retired.scale_down(now=second)

    def publish(self) -> None:
        """Write the Rollout if anything about it changed."""
        manifest = self.manifest()
        if manifest != self._published:
            self._published = manifest
            self.cluster.kubernetes.put(manifest)

    def manifest(self) -> dict[str, Any]:
        """Build the Rollout as it is now."""
        status: dict[str, Any] = {
            "phase": self.phase,
            "replicas": sum(revision.pods_count for revision in self.revisions),
            "updatedReplicas": self.green.pods_count,
            "readyReplicas": sum(revision.ready_count for revision in self.revisions),
            "availableReplicas": self.green.ready_count,
        } | self.strategy_status()
        if self.message:
            status["message"] = self.message
        if self.paused_since is not None:
            pause = {"reason": self.pause_reason, "startTime": objects.timestamp(self.paused_since)}
            status |= {"pauseConditions": [pause], "controllerPause": True}
        if self.aborted_at is not None:
            status |= {"abort": True, "abortedAt": objects.timestamp(self.aborted_at)}
        return objects.rollout(
            self.name,
            namespace=NAMESPACE,
            replicas=self.replicas,
            current_hash=self.green.pod_hash,
            stable_hash=self.blue.pod_hash,
            strategy=self.strategy(),
            generation=self.generation,
            observed_generation=self.observed_generation,
            status=status,
        )

    def meters(self) -> list[Meter]:
        """Return what counts the requests to this Rollout's target groups."""
        load_balancer = self.aws.load_balancer(self.load_balancer)
        return [
            Meter(load_balancer, arn, self.users(service), partial(self.percent, service))
            for service, arn in self.arns.items()
        ]

    @staticmethod
    def users(service: str) -> Users:
        """Return the users of a Service."""
        return USERS.get(service, NOBODY)

    def percent(self, service: str) -> int:  # noqa: ARG002 - where weights move, it depends on the Service
        """Return how many percent of its users a Service gets now."""
        return 100

    def put_service(
        self, service: str, revision: Revision, *, by_argo: bool = True, ago: timedelta = _JUST_NOW
    ) -> None:
        """Write a Service that selects one revision; `by_argo` notes that Argo wrote it so long `ago`."""
        self.cluster.kubernetes.put(
            objects.service(
                service,
                namespace=NAMESPACE,
                selector={"app": self.name, objects.HASH_LABEL: revision.pod_hash},
                selector_written_at=self.cluster.now() - ago if by_argo else None,
            )
        )

    def bind(self, service: str, *, attached: bool = True) -> str:
        """Create the target group and the TargetGroupBinding of a Service; returns the ARN."""
        name = target_group_name(NAMESPACE, service)
        arn = self.aws.target_group(
            name,
            attached=attached,
            interval=CHECK_INTERVAL_SECONDS,
            region=REGION,
            load_balancer=self.load_balancer,
        )
        if attached:
            self.arns[service] = arn
        self.cluster.kubernetes.put(objects.target_group_binding(name, namespace=NAMESPACE, service=service, arn=arn))
        return arn

    def _new_revision(self) -> Revision:
        owner = objects.rollout(self.name, namespace=NAMESPACE, current_hash="", stable_hash="", strategy={})
        owner["spec"]["replicas"] = self.replicas
        pod_hash = objects.pod_template_hash(f"{self.name} {self.generation}")
        return Revision(self.cluster, owner, pod_hash, self.generation)


def target_group_name(namespace: str, service: str) -> str:
    """Return the name the AWS Load Balancer Controller gives a target group of a Service."""
    digest = hashlib.sha256(objects.deterministic_uid("Service", namespace, service).encode()).hexdigest()
    short = [re.sub("[^A-Za-z0-9]", "", part)[:8] for part in (namespace, service)]
    return f"k8s-{short[0]}-{short[1]}-{digest[:10]}"
