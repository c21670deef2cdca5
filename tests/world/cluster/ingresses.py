"""The part of the AWS Load Balancer Controller that makes target groups, bindings and listener rules of Ingresses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.world.aws.api import REGION, AwsApi, forward
from tests.world.cluster import objects
from tests.world.cluster.store import KubernetesStore

_ANNOTATION = "alb.ingress.kubernetes.io/"

Backends = dict[str, int]
"""The weights of one path, by Service."""


class IngressController:
    """Reconciles every Ingress. Its target groups and rules are created once; weights follow the annotation."""

    def __init__(self, kubernetes: KubernetesStore, aws: AwsApi) -> None:
        self._kubernetes, self._aws = kubernetes, aws
        self._rules: dict[tuple[str, str, int], tuple[str, dict[str, int]]] = {}
        self.arns: dict[tuple[str, str], str] = {}
        """The target groups by namespace and Service."""
        self.load_balancers: dict[str, str] = {}
        """ARNs of load balancers by target group."""

    def reconcile(self) -> None:
        """Create what is missing, and change weights."""
        for stored in self._kubernetes.stored("Ingress"):
            for number, (host, backends) in enumerate(forwards(stored.shared)):
                self._rule((stored.namespace, stored.name, number), stored.shared, host, backends)

    def weight(self, arn: str) -> int:
        """Return how many percent of its rule's requests a target group gets."""
        for _, weights in self._rules.values():
            if arn in weights:
                return 100 * weights[arn] // (sum(weights.values()) or 1)
        return 0

    def _rule(self, key: tuple[str, str, int], ingress: dict[str, Any], host: str, backends: Backends) -> None:
        weights = {self._group(ingress, service): weight for service, weight in backends.items()}
        arn, present = self._rules.get(key, ("", {}))
        if not arn:
            arn = self._aws.rule(weights, load_balancer=_load_balancer(ingress), host=host)
        elif weights != present:
            self._aws.client(region=REGION).modify_rule(RuleArn=arn, Actions=[forward(weights)])
        self._rules[key] = (arn, weights)

    def _group(self, ingress: dict[str, Any], service: str) -> str:
        """Return the target group of a Service, made with its TargetGroupBinding when it is first needed."""
        namespace, annotations = ingress["metadata"]["namespace"], ingress["metadata"]["annotations"]
        if (namespace, service) not in self.arns:
            name = target_group_name(namespace, service)
            arn = self._aws.target_group(
                name,
                attached=False,
                interval=int(annotations[f"{_ANNOTATION}healthcheck-interval-seconds"]),
                load_balancer=_load_balancer(ingress),
            )
            self.arns[namespace, service] = arn
            self.load_balancers[arn] = self._aws.load_balancer(_load_balancer(ingress))
            binding = objects.target_group_binding(name, namespace=namespace, service=service, arn=arn)
            self._kubernetes.put(binding)
        return self.arns[namespace, service]


def _load_balancer(ingress: dict[str, Any]) -> str:
    """Return its group's name, else its own: Ingresses of a group share a load balancer."""
    metadata = ingress["metadata"]
    return str(metadata["annotations"].get(f"{_ANNOTATION}group.name", f"k8s-{metadata['name']}"))


def forwards(ingress: dict[str, Any]) -> Iterator[tuple[str, Backends]]:
    """Yield for every path of an Ingress its host and its weights; nothing while its annotation is yet to come."""
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            if service["port"].get("name") != "use-annotation":
                yield rule.get("host", ""), {service["name"]: 1}
            elif action := ingress["metadata"]["annotations"].get(f"{_ANNOTATION}actions.{service['name']}"):
                groups = json.loads(action)["ForwardConfig"]["TargetGroups"]
                yield rule.get("host", ""), {group["ServiceName"]: group.get("Weight", 1) for group in groups}


def target_group_name(namespace: str, service: str) -> str:
    """Return the name the AWS Load Balancer Controller gives a target group of a Service."""
    digest = hashlib.sha256(objects.deterministic_uid("Service", namespace, service).encode()).hexdigest()
    short = [re.sub("[^A-Za-z0-9]", "", part)[:8] for part in (namespace, service)]
    return f"k8s-{short[0]}-{short[1]}-{digest[:10]}"
