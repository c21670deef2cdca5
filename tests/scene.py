"""A Rollout standing still in the embedded world: what the reader, HTTP and command line tests look at."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.world.cluster import objects
from tests.world.world import World

GREEN, BLUE = "6d9f7c", "5b8c4d"


@dataclass
class Scene:
    """A blue-green Rollout before its switch; every green pod is a healthy target of the preview group.

    Change its parts and `put()` it again; `pods` and targets follow `addresses`.
    """

    world: World
    name: str = "web"
    namespace: str = "shop"
    replicas: int = 3
    ready_for: timedelta = timedelta(minutes=10)
    rollout: dict[str, Any] = field(default_factory=dict)
    replica_set: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    arn: str = ""
    active_arn: str = ""

    @property
    def preview(self) -> str:
        return f"{self.name}-preview"

    @property
    def addresses(self) -> list[str]:
        return [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(self.replicas)]

    def build(self) -> "Scene":
        """Make every object and target, and put them into the world."""
        since = datetime.now(UTC) - self.ready_for
        strategy = {"blueGreen": {"activeService": f"{self.name}-active", "previewService": self.preview}}
        self.rollout = objects.rollout(
            self.name,
            namespace=self.namespace,
            replicas=self.replicas,
            current_hash=GREEN,
            stable_hash=BLUE,
            strategy=strategy,
        )
        self.replica_set = objects.replica_set(self.rollout, GREEN, replicas=self.replicas)
        self.pods = [
            objects.pod(
                self.replica_set, f"{self.name}-{GREEN}-{n:04}", ip=ip, created_at=since, containers_ready_since=since
            )
            for n, ip in enumerate(self.addresses)
        ]
        self.replica_set["metadata"]["creationTimestamp"] = objects.timestamp(since)
        self.service = objects.service(
            self.preview, namespace=self.namespace, selector={"app": self.name, objects.HASH_LABEL: GREEN}
        )
        active = objects.service(
            f"{self.name}-active",
            namespace=self.namespace,
            selector={"app": self.name, objects.HASH_LABEL: BLUE},
        )
        self.arn = self.world.aws.target_group(f"k8s-shop-{self.preview}"[:32])
        binding = objects.target_group_binding(
            f"k8s-shop-{self.preview}", namespace=self.namespace, service=self.preview, arn=self.arn
        )
        self.put(active, binding)
        for ip in self.addresses:
            self.pin(ip, "healthy")
        return self

    def put(self, *more: dict[str, Any]) -> None:
        """Put the scene's objects, and others, into the cluster."""
        slices = objects.endpoint_slices(self.service, self.pods)
        for one in (self.rollout, self.replica_set, self.service, *self.pods, *slices, *more):
            self.world.kubernetes.put(one)

    def bind_active(self) -> None:
        """Give the active Service a target group, in which green's pods will be `initial`."""
        name = f"{self.name}-active"
        arn = self.world.aws.target_group(f"k8s-shop-{name}"[:32])
        for ip in self.addresses:
            self.world.aws.load_balancers.pin(arn, ip, 8080, "initial", "Elb.RegistrationInProgress")
        self.put(objects.target_group_binding(f"k8s-shop-{name}", namespace=self.namespace, service=name, arn=arn))
        self.active_arn = arn

    def template(self, name: str = "alb-gate", *, kind: str = "AnalysisTemplate", **metric: Any) -> dict[str, Any]:
        """Put a template of one metric, which asks for the gate before the switch, into the cluster, and return it."""
        template: dict[str, Any] = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "uid": f"{kind}-{name}"},
            "spec": {"args": [{"name": "hash"}], "metrics": [self.metric(**metric)]},
        }
        if kind == "AnalysisTemplate":
            template["metadata"]["namespace"] = self.namespace
        self.put(template)
        return template

    def metric(self, name: str = "alb-gate", query: str = "", **more: Any) -> dict[str, Any]:
        """Return a metric as the examples have it; `query` replaces its endpoint and parameters."""
        about = f"namespace={self.namespace}&rollout={self.name}&podTemplateHash={{{{args.hash}}}}"
        query = query or "gate?checks=replicas,target-health&stage=beforeSwitch"
        limits = {"count": 50, "consecutiveSuccessLimit": 3, "inconclusiveLimit": 50, "consecutiveErrorLimit": 30}
        conditions = {"successCondition": 'result[1] == "Successful"', "failureCondition": 'result[1] == "Failed"'}
        web = {"url": f"http://alb-provider:8080/v1/{query}&{about}", "jsonPath": "{$.measurement}"}
        return {"name": name, "interval": "10s", **limits, **conditions, "provider": {"web": web}} | more

    def analyse(
        self, place: str = "prePromotionAnalysis", template: str = "alb-gate", *, clustered: bool = False
    ) -> None:
        """Let the Rollout ask a template at this place of its blue-green strategy."""
        hash_argument = {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}
        reference = {"templateName": template} | ({"clusterScope": True} if clustered else {})
        self.rollout["spec"]["strategy"]["blueGreen"][place] = {"templates": [reference], "args": [hash_argument]}
        self.put()

    def analysis_run(
        self,
        phase: str = "Running",
        *,
        measurements: Sequence[tuple[str, float, str]] = (),
        kind: str = "PrePromotion",
        pod_hash: str = GREEN,
        metrics: Sequence[dict[str, Any]] = (),
        is_current: bool = True,
        began_at: datetime | None = None,
        number: int = 0,
        **spec: Any,
    ) -> str:
        """Put an AnalysisRun of the Rollout into the cluster, and return its name.

        `measurements` are phase, number and sentence of its first metric, ten seconds apart.
        """
        began = began_at or datetime.now(UTC) - timedelta(seconds=10 * len(measurements) + 1)
        asked = list(metrics) or [self.metric()]
        counted = Counter(one for one, _, _ in measurements)
        ended = phase not in {"Running", "Pending"}
        made = [
            {"phase": one, "value": json.dumps([number, one, said]), "startedAt": at, "finishedAt": at}
            for index, (one, number, said) in enumerate(measurements)
            for at in [objects.timestamp(began + timedelta(seconds=10 * index))]
        ]
        counters = {one.lower(): count for one, count in counted.items()}
        result = {"name": asked[0]["name"], "phase": phase, "count": len(made), **counters, "measurements": made}
        suffix = {"PrePromotion": "pre", "PostPromotion": "post"}.get(kind, kind.lower())
        name = f"{self.name}-{pod_hash}-2-{suffix}" + (f".{number}" if number else "")
        owner = {"kind": "Rollout", "name": self.name, "uid": self.rollout["metadata"]["uid"], "controller": True}
        status = {"phase": phase, "startedAt": objects.timestamp(began), "metricResults": [result]}
        if ended:
            status["completedAt"] = objects.timestamp(began + timedelta(seconds=10 * len(made)))
        self.world.kubernetes.put(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "AnalysisRun",
                "metadata": {
                    "name": name,
                    "namespace": self.namespace,
                    "uid": f"run-{name}",
                    "creationTimestamp": objects.timestamp(began),
                    "labels": {objects.HASH_LABEL: pod_hash, "rollout-type": kind},
                    "annotations": {"rollout.argoproj.io/revision": "2"},
                    "ownerReferences": [owner],
                },
                "spec": {"metrics": asked, "args": [{"name": "hash", "value": pod_hash}], **spec},
                "status": status,
            }
        )
        if is_current:
            field = {"PrePromotion": "prePromotionAnalysisRunStatus", "PostPromotion": "postPromotionAnalysisRunStatus"}
            run = {"name": name, "status": phase}
            self.rollout["status"].setdefault("blueGreen", {})[field[kind]] = run
            self.put()
        return name

    def add_ended_pod(self, reason: str = "Evicted", phase: str = "Failed") -> dict[str, Any]:
        """Put a green pod that has ended beside the others, as Kubernetes leaves it for days, and return it."""
        since = datetime.now(UTC) - self.ready_for
        pod = objects.pod(
            self.replica_set,
            f"{self.name}-{GREEN}-ended-{len(self.pods)}",
            created_at=since,
            containers_ready_since=since,
        )
        self.pods.append(objects.end(pod, reason=reason, phase=phase))
        self.put()
        return self.pods[-1]

    def not_ready(self, number: int, state: str, *, restarts: int, gate: str) -> None:
        """Let one pod's container wait in this state, and its readiness gate not be True."""
        pod = self.pods[number]
        pod["spec"]["readinessGates"] = [{"conditionType": gate}]
        waiting = {"name": "app", "ready": False, "restartCount": restarts, "state": {"waiting": {"reason": state}}}
        pod["status"]["containerStatuses"] = [waiting]
        for condition in pod["status"]["conditions"]:
            condition["status"] = "False"
        self.put()

    def switch(self, *, promoted: bool = True, back: bool = False) -> None:
        """Let the active Service select green, or blue again; once promoted, green is the stable version too."""
        selector = {"app": self.name, objects.HASH_LABEL: BLUE if back else GREEN}
        active = objects.service(f"{self.name}-active", namespace=self.namespace, selector=selector)
        if promoted:
            self.rollout["status"] |= {"stableRS": GREEN, "phase": "Healthy"}
        self.put(active, *objects.endpoint_slices(active, [] if back else self.pods))

    def pin(self, ip: str, state: str, reason: str | None = None, description: str | None = None) -> None:
        """Force one target's state."""
        self.world.aws.load_balancers.pin(self.arn, ip, 8080, state, reason, description)
