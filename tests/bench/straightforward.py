"""The straightforward way: what a platform team's own Job would run, with typed models and one call after another.

Its clients and connections are kept between questions, which a Job's would not be.
"""

import os
from typing import Any

import boto3
from kubernetes import client, config

from tests.bench.subjects import Opinion, Subject


class Straightforward:
    """The official clients as their documentation shows them."""

    def __init__(self) -> None:
        config.load_kube_config()
        self._core: Any = client.CoreV1Api()
        self._apps: Any = client.AppsV1Api()
        self._custom: Any = client.CustomObjectsApi()
        self._elbv2: Any = boto3.client("elbv2", region_name=os.environ["AWS_REGION"])

    def ask(self, subject: Subject) -> Opinion:
        """Compare green's pods with the targets of the preview Service's target groups."""
        where = {"group": "argoproj.io", "version": "v1alpha1", "plural": "rollouts", "namespace": subject.namespace}
        rollout: Any = self._custom.get_namespaced_custom_object(**where, name=subject.name)
        pod_hash = rollout["status"]["currentPodHash"]
        selector = f"rollouts-pod-template-hash={pod_hash}"
        replica_sets = self._apps.list_namespaced_replica_set(subject.namespace, label_selector=selector).items
        (green,) = [one for one in replica_sets if _owner(one) == rollout["metadata"]["uid"]]
        wanted = green.spec.replicas
        service = self._green_service(subject.namespace, rollout, pod_hash)
        pods = self._core.list_namespaced_pod(subject.namespace, label_selector=selector).items
        living = [one for one in pods if _owner(one) == green.metadata.uid and one.metadata.deletion_timestamp is None]
        healthy = wanted
        for binding in self._bindings(subject.namespace, service.metadata.name):
            arn = binding["spec"]["targetGroupARN"]
            (group,) = self._elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
            if not group["LoadBalancerArns"]:
                return Opinion("Inconclusive", 0, wanted)
            targets = self._elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            states = {(one["Target"]["Id"], one["Target"]["Port"]): one["TargetHealth"]["State"] for one in targets}
            expected = [states.get((pod.status.pod_ip, _port(pod, service, binding))) for pod in living]
            healthy = min(healthy, expected.count("healthy"))
        return Opinion("Successful" if healthy == wanted else "Inconclusive", healthy, wanted)

    def _green_service(self, namespace: str, rollout: dict[str, Any], pod_hash: str) -> Any:
        """The active Service once it selects green, before that the preview Service."""
        strategy = rollout["spec"]["strategy"]["blueGreen"]
        for name in (strategy["activeService"], strategy["previewService"]):
            service = self._core.read_namespaced_service(name, namespace)
            if service.spec.selector.get("rollouts-pod-template-hash") == pod_hash:
                return service
        raise LookupError("no Service selects green")

    def _bindings(self, namespace: str, service: str) -> list[dict[str, Any]]:
        listed: Any = self._custom.list_namespaced_custom_object(
            "elbv2.k8s.aws", "v1beta1", namespace, "targetgroupbindings"
        )
        return [one for one in listed["items"] if one["spec"]["serviceRef"]["name"] == service]


def _owner(typed: Any) -> str:
    return next((one.uid for one in typed.metadata.owner_references or () if one.controller), "")


def _port(pod: Any, service: Any, binding: dict[str, Any]) -> int | None:
    """The pod's own number of the port that the binding names."""
    wanted = binding["spec"]["serviceRef"]["port"]
    (port,) = [one for one in service.spec.ports if wanted in (one.port, one.name)]
    if str(port.target_port).isdigit():
        return int(port.target_port)
    numbers = [one for container in pod.spec.containers for one in container.ports or ()]
    return next((one.container_port for one in numbers if one.name == port.target_port), None)
