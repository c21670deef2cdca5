"""The part of the AWS Load Balancer Controller that makes target groups, bindings and listener rules of Ingresses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.world.aws.api import REGION, AwsApi, forward
from tests.world.cluster import objects
from tests.world.cluster.store import KubernetesStore

_ANNOTATION = "alb.ingress.kubernetes.io/"

_LONGEST = 32
"""AWS's limit for the name of a load balancer."""

Manifest = dict[str, Any]

Backend = tuple[str, str]
"""A Service, and its port as the rule writes it, a name or a number."""


class IngressController:
    """Reconciles every Ingress: one target group and binding for each backend that a rule names, and no other.

    It reads from a store; `bind` writes a TargetGroupBinding, and `unbind` deletes the one of a namespace and name.
    """

    def __init__(
        self,
        kubernetes: KubernetesStore,
        aws: AwsApi,
        bind: Callable[[Manifest], object],
        unbind: Callable[[str, str], object],
    ) -> None:
        self._kubernetes, self._aws, self._bind, self._unbind = kubernetes, aws, bind, unbind
        self._rules: dict[tuple[str, str, int], tuple[str, dict[str, int]]] = {}
        self._groups: dict[tuple[str, Backend], tuple[str, str]] = {}
        self.load_balancers: dict[str, str] = {}
        """ARNs of load balancers by target group."""

    @property
    def arns(self) -> dict[tuple[str, str], str]:
        """The target groups by namespace and Service; of several the newest."""
        return {(namespace, service): arn for (namespace, (service, _)), (_, arn) in list(self._groups.items())}

    def groups(self, namespace: str) -> list[tuple[str, str]]:
        """Return Service and ARN of every target group of a namespace."""
        return [(service, arn) for (of, (service, _)), (_, arn) in list(self._groups.items()) if of == namespace]

    def weights(self, namespace: str) -> dict[str, int]:
        """Return the weights of the target groups of a namespace by ARN."""
        rules = [weights for (of, _, _), (_, weights) in list(self._rules.items()) if of == namespace]
        return {arn: weight for weights in rules for arn, weight in weights.items()}

    def weight(self, arn: str) -> int:
        """Return how many percent of its rule's requests a target group gets."""
        for _, weights in self._rules.values():
            if arn in weights:
                return 100 * weights[arn] // (sum(weights.values()) or 1)
        return 0

    def reconcile(self) -> None:
        """Create what is missing, change weights, and delete what no Ingress names any more."""
        wanted: set[tuple[str, str, int]] = set()
        for stored in self._kubernetes.stored("Ingress"):
            for number, (host, backends) in enumerate(forwards(stored.shared)):
                key = (stored.namespace, stored.name, number)
                wanted.add(key)
                self._rule(key, stored.shared, host, backends)
        for key in self._rules.keys() - wanted:
            arn, _ = self._rules.pop(key)
            self._aws.client(region=REGION).delete_rule(RuleArn=arn)
        self._delete_groups()

    def _rule(self, key: tuple[str, str, int], ingress: Manifest, host: str, backends: dict[Backend, int]) -> None:
        weights = {self._group(ingress, backend): weight for backend, weight in backends.items()}
        arn, present = self._rules.get(key, ("", {}))
        if not arn:
            arn = self._aws.rule(weights, load_balancer=_load_balancer(ingress), host=host)
        elif weights != present:
            self._aws.client(region=REGION).modify_rule(RuleArn=arn, Actions=[forward(weights)])
        self._rules[key] = (arn, weights)

    def _group(self, ingress: Manifest, backend: Backend) -> str:
        """Return the target group of a backend, made with its TargetGroupBinding when it is first needed."""
        metadata, (service, port) = ingress["metadata"], backend
        namespace, annotations = metadata["namespace"], metadata["annotations"]
        if (namespace, backend) not in self._groups:
            name = target_group_name(namespace, service, port)
            target_type = annotations.get(f"{_ANNOTATION}target-type", "ip")
            spec = self._kubernetes.get("Service", namespace, service)["spec"]
            arn = self._aws.target_group(
                name,
                attached=False,
                target_type=target_type,
                interval=int(annotations[f"{_ANNOTATION}healthcheck-interval-seconds"]),
                port=1 if target_type == "ip" else spec["ports"][0]["nodePort"],
                load_balancer=_load_balancer(ingress),
            )
            self._groups[namespace, backend] = name, arn
            self.load_balancers[arn] = self._aws.load_balancer(_load_balancer(ingress))
            number = int(port) if port.isdigit() else port
            self._bind(
                objects.target_group_binding(
                    name, namespace=namespace, service=service, port=number, arn=arn, target_type=target_type
                )
            )
        return self._groups[namespace, backend][1]

    def _delete_groups(self) -> None:
        """Delete target groups that no rule names, at once and without draining, as the controller does."""
        named = {arn for _, weights in self._rules.values() for arn in weights}
        for key in [key for key, (_, arn) in self._groups.items() if arn not in named]:
            name, arn = self._groups.pop(key)
            self._unbind(key[0], name)
            self._aws.client(region=REGION).delete_target_group(TargetGroupArn=arn)


def load_balancer_name(namespace: str, ingress: str) -> str:
    """Return the name of the load balancer of an Ingress without a group."""
    name = f"k8s-{namespace}-{ingress}"
    return name if len(name) <= _LONGEST else f"{name[:22]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"


def _load_balancer(ingress: Manifest) -> str:
    """Return its group's name, else its own: Ingresses of a group share a load balancer."""
    metadata = ingress["metadata"]
    own = load_balancer_name(metadata["namespace"], metadata["name"])
    return str(metadata["annotations"].get(f"{_ANNOTATION}group.name", own))


def forwards(ingress: Manifest) -> Iterator[tuple[str, dict[Backend, int]]]:
    """Yield for every path of an Ingress its host and its weights; nothing while its annotation is yet to come."""
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            port = service["port"]
            if port.get("name") != "use-annotation":
                yield rule.get("host", ""), {(service["name"], str(port.get("name") or port["number"])): 1}
            elif action := ingress["metadata"]["annotations"].get(f"{_ANNOTATION}actions.{service['name']}"):
                groups = json.loads(action)["ForwardConfig"]["TargetGroups"]
                yield (
                    rule.get("host", ""),
                    {(one["ServiceName"], str(one["ServicePort"])): one.get("Weight", 1) for one in groups},
                )


def target_group_name(namespace: str, service: str, port: str) -> str:
    """Return the name that the AWS Load Balancer Controller gives a target group of a backend.

    Its hash includes the port as the rule writes it: `http` and `80` are two target groups of the same Service
    (pkg/ingress/model_build_target_group.go, buildTargetGroupName).
    """
    hashed = objects.deterministic_uid("Service", namespace, service) + port
    short = [re.sub("[^A-Za-z0-9]", "", part)[:8] for part in (namespace, service)]
    return f"k8s-{short[0]}-{short[1]}-{hashlib.sha256(hashed.encode()).hexdigest()[:10]}"
