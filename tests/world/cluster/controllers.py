"""The two controllers between a Service and its targets: of EndpointSlices and of load balancers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.world.cluster.endpoints import SERVICE_NAME_LABEL, endpoint_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.world.aws.api import AwsApi
    from tests.world.cluster.store import KubernetesStore

REACTION_SECONDS = 1.0
"""From a changed EndpointSlice to the first call to AWS; the real one needs about as long."""

_Target = tuple[str, int]


class EndpointSliceController:
    """Updates the EndpointSlices of every Service when its selector or the pods change."""

    def __init__(self, kubernetes: KubernetesStore) -> None:
        self._kubernetes = kubernetes
        self._seen: dict[tuple[str, str], tuple[int, ...]] = {}

    def reconcile(self) -> None:
        """Rewrite the slices of the Services whose selector or pods have changed."""
        for service in self._kubernetes.stored("Service"):
            selector = service.shared["spec"].get("selector") or {}
            pods = self._kubernetes.stored("Pod", service.namespace, **selector) if selector else []
            key = (service.namespace, service.name)
            seen = (service.resource_version, *(pod.resource_version for pod in pods))
            if self._seen.get(key) != seen:
                self._seen[key] = seen
                self._write(key, endpoint_slices(service.shared, [pod.shared for pod in pods]))

    def _write(self, key: tuple[str, str], wanted: list[dict[str, Any]]) -> None:
        namespace, service = key
        owned = {SERVICE_NAME_LABEL: service}
        present = {old.name: old for old in self._kubernetes.stored("EndpointSlice", namespace, **owned)}
        for new in wanted:
            old = present.pop(new["metadata"]["name"], None)
            if old is None or any(old.shared[part] != new[part] for part in ("endpoints", "ports")):
                self._kubernetes.put(new)
        for name in present:
            self._kubernetes.delete("EndpointSlice", namespace, name)


@dataclass
class _Binding:
    """What the controller last did for one TargetGroupBinding, and when it acts next."""

    applied: dict[_Target, None] = field(default_factory=dict)
    due_at: float | None = None


class LoadBalancerController:
    """Registers endpoints in target groups for TargetGroupBindings of targetType ip, in either API.

    `seconds` is the clock for the reaction time. Like the AWS Load Balancer Controller, it first deregisters all
    former endpoints and only then registers new ones.
    """

    def __init__(self, kubernetes: KubernetesStore, aws: AwsApi, seconds: Callable[[], float]) -> None:
        self._kubernetes = kubernetes
        self._aws = aws
        self._seconds = seconds
        self._bindings: dict[tuple[str, str, str], _Binding] = {}

    def reconcile(self, *, at_once: bool = False) -> None:
        """Act on the bindings whose endpoints changed long enough ago, or `at_once`."""
        for stored in self._kubernetes.stored("TargetGroupBinding"):
            spec = stored.shared["spec"]
            if spec.get("targetType") != "ip":
                continue
            key = (stored.resource.group, stored.namespace, stored.name)
            binding = self._bindings.setdefault(key, _Binding())
            wanted = dict.fromkeys(self._targets(stored.namespace, spec))
            if wanted.keys() == binding.applied.keys():
                binding.due_at = None
            elif binding.due_at is None and not at_once:
                binding.due_at = self._seconds() + REACTION_SECONDS
            elif at_once or self._seconds() >= (binding.due_at or 0.0):
                arn = spec["targetGroupARN"]
                self._aws.deregister(arn, [target for target in binding.applied if target not in wanted])
                self._aws.register(arn, [target for target in wanted if target not in binding.applied])
                binding.applied, binding.due_at = wanted, None

    def _targets(self, namespace: str, spec: dict[str, Any]) -> Iterator[_Target]:
        """Yield (address, port) of every endpoint of the binding's Service; none if it is missing."""
        reference = spec["serviceRef"]
        named = {SERVICE_NAME_LABEL: reference["name"]}
        try:
            service = self._kubernetes.get("Service", namespace, reference["name"])
        except KeyError:
            return
        wanted_ports = [
            port.get("name", "")
            for port in service["spec"]["ports"]
            if reference["port"] in (port["port"], port.get("name"))
        ]
        family = "IPv6" if spec.get("ipAddressType") == "ipv6" else "IPv4"
        for stored in self._kubernetes.stored("EndpointSlice", namespace, **named):
            endpoint_slice = stored.shared
            if endpoint_slice["addressType"] != family:
                continue
            for port in endpoint_slice["ports"] or ():
                if port["name"] in wanted_ports:
                    for endpoint in endpoint_slice["endpoints"] or ():
                        if self._is_target(namespace, endpoint):
                            yield endpoint["addresses"][0], port["port"]

    def _is_target(self, namespace: str, endpoint: dict[str, Any]) -> bool:
        """Tell whether an endpoint is a target: it is ready, or only a readiness gate keeps it from being so."""
        conditions = endpoint["conditions"]
        if conditions.get("ready") is not False:
            return True
        if conditions.get("terminating"):
            return False
        try:
            pod = self._kubernetes.get("Pod", namespace, endpoint["targetRef"]["name"])
        except KeyError:
            return False
        return any(
            condition["type"] == "ContainersReady" and condition["status"] == "True"
            for condition in pod["status"]["conditions"]
        ) and self._is_node_ready(endpoint.get("nodeName"))

    def _is_node_ready(self, name: str | None) -> bool:
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for node in self._kubernetes.stored("Node")
            if node.name == name
            for condition in node.shared["status"]["conditions"]
        )
