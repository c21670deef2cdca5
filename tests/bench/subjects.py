"""The Rollouts that are asked about, and the Kubernetes objects around each, of the size that real ones have.

The builders are the demo's, so that both stand-ins agree about what things look like; what is laid over them here is
weight: managedFields, environment, volumes, a sidecar, statuses. A blue-green Rollout before its switch, blue as large
as green.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.world.cluster import objects

GREEN, BLUE = "6d9f7c8b54", "5b8c4d7f96"
PORT = 8080
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
NAMESPACE_HOLDS = 10
LOAD_BALANCER_HOLDS = 50
_ACCOUNT = "arn:aws:elasticloadbalancing:eu-west-1:000000000000"
_LARGEST = 1024


@dataclass(frozen=True)
class Opinion:
    """A verdict in three words: Argo's phase, how many of green's targets are healthy, and how many it wants."""

    phase: str
    healthy_count: int
    wanted_count: int


@dataclass(frozen=True)
class Subject:
    """One Rollout. `initial` of its green targets are not healthy yet; `replaced` is how often its last pod was."""

    number: int
    pods: int
    initial: int = 0
    replaced: int = 0

    @property
    def namespace(self) -> str:
        return f"team-{self.number // NAMESPACE_HOLDS:03}"

    @property
    def name(self) -> str:
        return f"web-{self.number:04}"

    @property
    def group_name(self) -> str:
        """Name of the target group and of its TargetGroupBinding."""
        return f"k8s-team{self.number // NAMESPACE_HOLDS:03}-web{self.number:04}pr-0a1b2c3d4e"

    @property
    def arn(self) -> str:
        return f"{_ACCOUNT}:targetgroup/{self.group_name}/{self.number:016x}"

    @property
    def load_balancer_arn(self) -> str:
        """Fifty Rollouts share one, as the Ingresses of an IngressGroup do."""
        number = self.number // LOAD_BALANCER_HOLDS
        return f"{_ACCOUNT}:loadbalancer/app/k8s-shared{number:03}-0f1e2d3c4b/{number:016x}"

    @property
    def addresses(self) -> list[str]:
        """The IP addresses of green's pods."""
        return [_address(self.number * _LARGEST + self.place_of(one), 0) for one in range(self.pods)]

    def place_of(self, pod: int) -> int:
        """Return which of the Rollout's names and addresses a pod has: a replaced one has others."""
        return pod + self.replaced if pod == self.pods - 1 else pod

    @property
    def states(self) -> Iterator[tuple[str, str]]:
        """Each green pod's address and the state of its target."""
        for place, address in enumerate(self.addresses):
            yield address, "initial" if place < self.initial else "healthy"


def _address(number: int, half: int) -> str:
    return f"10.{half + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def manifests(subject: Subject, created_at: datetime, arn: str = "") -> list[dict[str, Any]]:
    """Return every object around one Rollout; its binding names the ARN, or the subject's own."""
    strategy = {"blueGreen": {"activeService": f"{subject.name}-active", "previewService": f"{subject.name}-preview"}}
    rollout = objects.rollout(
        subject.name,
        namespace=subject.namespace,
        replicas=subject.pods,
        current_hash=GREEN,
        stable_hash=BLUE,
        strategy=strategy,
    )
    binding = objects.target_group_binding(
        subject.group_name,
        namespace=subject.namespace,
        service=f"{subject.name}-preview",
        arn=arn or subject.arn,
    )
    green = _revision(subject, rollout, GREEN, "preview", 0, created_at)
    blue = _revision(subject, rollout, BLUE, "active", 128, created_at - timedelta(days=3))
    return [rollout, binding, *green, *blue]


def _revision(
    subject: Subject, rollout: dict[str, Any], pod_hash: str, role: str, half: int, created_at: datetime
) -> list[dict[str, Any]]:
    """One ReplicaSet, its pods, the Service that selects them, and its EndpointSlices."""
    replica_set = objects.replica_set(rollout, pod_hash, replicas=subject.pods)
    replica_set["metadata"]["creationTimestamp"] = objects.timestamp(created_at)
    pods = []
    for one in range(subject.pods):
        # As long as Kubernetes' five letters; numbers, so that no two pods of a Rollout are called alike.
        letters = f"{subject.place_of(one):05}"
        name = f"{replica_set['metadata']['name']}-{letters}"
        pod = objects.pod(
            replica_set,
            name,
            ip=_address(subject.number * _LARGEST + subject.place_of(one), half),
            created_at=created_at,
            containers_ready_since=created_at + timedelta(seconds=20),
            node_name=f"ip-10-1-{one % 40}-10.eu-west-1.compute.internal",
        )
        pods.append(_heavy(pod))
    service = objects.service(
        f"{subject.name}-{role}",
        namespace=subject.namespace,
        selector={"app": subject.name, objects.HASH_LABEL: pod_hash},
        selector_written_at=created_at,
    )
    slices = objects.endpoint_slices(service, pods)
    for each in slices:
        for place, endpoint in enumerate(each["endpoints"] or ()):
            endpoint["zone"] = ZONES[place % 3]
    return [replica_set, *pods, service, *slices]


def _heavy(pod: dict[str, Any]) -> dict[str, Any]:
    """Lay over a pod what the API server, the kubelet and a platform's webhooks add: about 10 KB in all."""
    spec, metadata, status = pod["spec"], pod["metadata"], pod["status"]
    metadata["annotations"] = {
        "checksum/config": "0123456789abcdef" * 4,
        "kubectl.kubernetes.io/restartedAt": metadata["creationTimestamp"],
        "prometheus.io/port": "9090",
        "prometheus.io/scrape": "true",
        "sidecar.example/status": json.dumps({"containers": ["proxy"], "revision": "stable", "volumes": _MOUNTED}),
    }
    container = spec["containers"][0] | {
        "env": [*(_value(number) for number in range(15)), *(_secret(number) for number in range(6))],
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": {"httpGet": {"path": "/livez", "port": PORT, "scheme": "HTTP"}, "failureThreshold": 3},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True},
        "volumeMounts": [_mount(name) for name in _MOUNTED],
    }
    sidecar = container | {
        "name": "proxy",
        "image": "registry.example/mesh/proxy:1",
        "ports": [{"name": "http-metrics", "containerPort": 9090, "protocol": "TCP"}],
        "env": [_value(number) for number in range(3)],
        "volumeMounts": [_mount(name) for name in _MOUNTED[:2]],
    }
    spec |= {
        "containers": [container, sidecar],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "priority": 0,
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 60,
        "tolerations": [
            {"effect": "NoExecute", "key": f"node.kubernetes.io/{why}", "operator": "Exists", "tolerationSeconds": 300}
            for why in ("not-ready", "unreachable")
        ],
        "volumes": [{"name": name, "configMap": {"name": f"shop-{name}", "defaultMode": 420}} for name in _MOUNTED],
    }
    running = {"running": {"startedAt": metadata["creationTimestamp"]}}
    status["containerStatuses"] = [
        {
            "name": one["name"],
            "image": one["image"],
            "imageID": f"{one['image'].partition(':')[0]}@sha256:{'0123456789abcdef' * 4}",
            "containerID": f"containerd://{'fedcba9876543210' * 4}",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": running,
        }
        for one in spec["containers"]
    ]
    metadata["managedFields"] = [
        _managed("kube-controller-manager", {"metadata": metadata, "spec": spec}, metadata["creationTimestamp"]),
        _managed("kubelet", {"status": status}, metadata["creationTimestamp"]) | {"subresource": "status"},
    ]
    return pod


_MOUNTED = ("settings", "feature-flags", "certificates", "kube-api-access")


def _value(number: int) -> dict[str, Any]:
    return {"name": f"SHOP_SETTING_{number:02}", "value": f"https://backend-{number:02}.shop.svc.cluster.local:8443"}


def _secret(number: int) -> dict[str, Any]:
    name = f"SHOP_PASSWORD_{number:02}"
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "shop-settings", "key": name.lower()}}}


def _mount(name: str) -> dict[str, Any]:
    return {"name": name, "mountPath": f"/etc/shop/{name}", "readOnly": True}


def _managed(manager: str, written: Mapping[str, Any], time: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _owned(written),
    }


def _owned(value: Any) -> dict[str, Any]:
    """Name the fields of an object as `managedFields` does: `f:` for a field, `k:` for an item of a keyed list."""
    if isinstance(value, Mapping):
        return {f"f:{key}": {} if key in _WHOLE else _owned(one) for key, one in value.items() if key not in _UNOWNED}
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        key = next((key for key in _KEYS if key in value[0]), "")
        keyed = {f'k:{{"{key}":"{one[key]}"}}': {".": {}} | _owned(one) for one in value if key in one}
        return {".": {}} | keyed
    return {}


_KEYS = ("type", "uid", "mountPath", "containerPort", "name", "ip")
_WHOLE = frozenset(
    (
        "conditions",
        "containerStatuses",
        "livenessProbe",
        "ports",
        "readinessProbe",
        "resources",
        "securityContext",
        "tolerations",
        "valueFrom",
        "volumeMounts",
        "volumes",
    )
)
"""Lists and objects below which nothing more is spelled out, which keeps the sum near what pods have: 2 to 3 KB."""

_UNOWNED = frozenset(("name", "namespace", "uid", "creationTimestamp", "nodeName", "managedFields"))
