"""A model of the AWS Load Balancer Controller that works on the real API server and the embedded AWS.

It shares with the embedded world which endpoints are targets and when they enter and leave a group
(`tests.world.cluster.controllers`), and all that concerns Ingresses (`tests.world.cluster.ingresses`). It adds what
that world does not need: nodes become targets; readiness gates are injected by a webhook, and set when a target is
healthy.
"""

import base64
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from tests.faults.certificates import Authority
from tests.real.api import Api, Manifest
from tests.real.kinds import KINDS
from tests.real.kubelet import NODES, image_tag
from tests.real.loop import Loop
from tests.world.aws.api import AwsApi
from tests.world.aws.moto_elbv2 import settings
from tests.world.cluster.controllers import LoadBalancerController
from tests.world.cluster.ingresses import IngressController
from tests.world.cluster.store import KubernetesStore
from tests.world.server.http_server import HttpServer

HASH_LABEL = "rollouts-pod-template-hash"
GATE = "target-health.elbv2.k8s.aws/"
_MIRRORED = ("Node", "Service", "EndpointSlice", "Pod", "TargetGroupBinding", "Ingress")


@dataclass
class Conditions:
    """How the scenarios' pods feel, beside what their image's tag says: `sick`, `one-sick` or `crash`."""

    held: set[str] = field(default_factory=set)
    """Namespaces in which new targets stay in their first health checks."""
    sick: set[tuple[str, str]] = field(default_factory=set)
    """Namespace and hash of versions that answer with 500."""
    healed: set[str] = field(default_factory=set)
    """Namespaces whose pods are well, whatever their tag."""

    def is_well(self, mirror: KubernetesStore, pod: Manifest) -> bool:
        """Tell whether a pod passes its health check. Of `one-sick` only the first pod by name does not."""
        namespace, labels = pod["metadata"]["namespace"], pod["metadata"]["labels"]
        if (namespace, labels.get(HASH_LABEL)) in self.sick:
            return False
        if namespace in self.healed:
            return True
        tag = image_tag(pod)
        if tag == "one-sick":
            first = min(one.name for one in mirror.stored("Pod", namespace, **labels))
            return bool(pod["metadata"]["name"] != first)
        return tag not in ("sick", "crash")


class Controller(Loop):
    """Reconciles Ingresses, bindings, targets and gates."""

    def __init__(self, api: Api, aws: AwsApi, conditions: Conditions) -> None:
        super().__init__("load-balancer-controller", 0.25)
        self._api = api
        self._conditions = conditions
        self._held: set[tuple[str, str, str, int]] = set()
        self._aws = aws
        self._seen: dict[tuple[str, str, str], str] = {}
        self.mirror = KubernetesStore()
        """The objects of the API server as they were a moment ago."""
        self._targets = LoadBalancerController(self.mirror, aws, time.monotonic)
        self.ingresses = IngressController(
            self.mirror,
            aws,
            self._bind,
            lambda namespace, name: api.delete("TargetGroupBinding", namespace, name),
        )
        self._instances: dict[str, set[tuple[str, int]]] = {}

    def step(self) -> None:
        """Reconcile everything once."""
        for kind in _MIRRORED:
            self._mirror(kind)
        self.ingresses.reconcile()
        self._targets.reconcile()
        self._reconcile_nodes()
        self._hold()
        self._set_gates()

    def _bind(self, binding: Manifest) -> None:
        """Apply a TargetGroupBinding without what the API server writes."""
        metadata = {key: value for key, value in binding["metadata"].items() if key != "uid"}
        self._api.apply([{key: binding[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}])

    def arns(self, namespace: str) -> dict[str, str]:
        """Return the target groups of a namespace by Service."""
        return dict(self.ingresses.groups(namespace))

    def _mirror(self, kind: str) -> None:
        found = self._api.list(kind, cached=True)
        present = set()
        for item in found:
            metadata = item["metadata"]
            key = (kind, metadata.get("namespace", ""), metadata["name"])
            present.add(key)
            if self._seen.get(key) != metadata["resourceVersion"]:
                self._seen[key] = metadata["resourceVersion"]
                self.mirror.put({"apiVersion": KINDS[kind].api_version, "kind": kind} | item)
        for key in [key for key in self._seen if key[0] == kind and key not in present]:
            del self._seen[key]
            self.mirror.delete(*key)

    def _reconcile_nodes(self) -> None:
        """Register every node, at the node port, for bindings of target type instance."""
        for stored in self.mirror.stored("TargetGroupBinding"):
            spec = stored.shared["spec"]
            if spec["targetType"] == "instance" and spec["targetGroupARN"] not in self._instances:
                service = self.mirror.get("Service", stored.namespace, spec["serviceRef"]["name"])
                targets = {(instance, service["spec"]["ports"][0]["nodePort"]) for instance in NODES.values()}
                self._aws.register(spec["targetGroupARN"], sorted(targets))
                self._instances[spec["targetGroupARN"]] = targets

    def _hold(self) -> None:
        """Pin what is initial in the namespaces that are held, and let go of it afterwards."""
        model = self._aws.load_balancers
        for namespace in tuple(self._conditions.held):
            for arn in self.arns(namespace).values():
                for id_, port, health in model.health(settings(arn)):
                    if health.state == "initial" and (namespace, arn, id_, port) not in self._held:
                        model.pin(arn, id_, port, health.state, "Elb.InitialHealthChecking", "Initial health checks")
                        self._held.add((namespace, arn, id_, port))
        for held in [held for held in self._held if held[0] not in self._conditions.held]:
            model.unpin(*held[1:])
            self._held.discard(held)

    def _set_gates(self) -> None:
        """Set the condition of every gate whose target is healthy. Once true it stays true (seen on 3.5.0)."""
        for stored in self.mirror.stored("Pod"):
            pod = stored.shared
            true = {one["type"] for one in pod["status"].get("conditions", ()) if one["status"] == "True"}
            for gate in pod["spec"].get("readinessGates", ()):
                kind = gate["conditionType"]
                if kind not in true and self._is_healthy(stored.namespace, kind.removeprefix(GATE), pod):
                    condition = {"type": kind, "status": "True", "lastTransitionTime": None}
                    self._api.patch(
                        "Pod", stored.namespace, stored.name, {"status": {"conditions": [condition]}}, "status"
                    )

    def _is_healthy(self, namespace: str, binding: str, pod: Manifest) -> bool:
        arn = self.mirror.get("TargetGroupBinding", namespace, binding)["spec"]["targetGroupARN"]
        states = self._aws.load_balancers.health(settings(arn))
        return any(id_ == pod["status"].get("podIP") and health.state == "healthy" for id_, _, health in states)


class Webhook:
    """Injects the readiness gates when a pod is created, for every binding whose Service selects it."""

    def __init__(self, api: Api, directory: Path) -> None:
        self._api = api
        self._authority = Authority(directory, "localhost")
        self._server = HttpServer(self._answer, tls=self._authority.good())

    def start(self) -> None:
        """Listen, and tell the API server about it."""
        self._server.start()
        bundle = base64.b64encode(self._authority.file.read_bytes()).decode()
        url = f"https://localhost:{self._server.port}/mutate-v1-pod"
        webhook = {
            "name": "mpod.elbv2.k8s.aws",
            "clientConfig": {"url": url, "caBundle": bundle},
            "namespaceSelector": {"matchLabels": {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
        }
        kind = "MutatingWebhookConfiguration"
        manifest = {
            "apiVersion": KINDS[kind].api_version,
            "kind": kind,
            "metadata": {"name": "aws-load-balancer-webhook"},
        }
        self._api.apply([manifest | {"webhooks": [webhook]}])

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = json.loads(environ["wsgi.input"].read())["request"]
        gates = [{"conditionType": gate} for gate in self._gates(request["namespace"], request["object"])]
        answer: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if gates:
            patch = [{"op": "add", "path": "/spec/readinessGates", "value": gates}]
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        start_response("200 OK", [("Content-Type", "application/json")])
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
        return [json.dumps(review).encode()]

    def _gates(self, namespace: str, pod: Manifest) -> Iterator[str]:
        labels = pod["metadata"].get("labels", {})
        for binding in self._api.list("TargetGroupBinding", namespace):
            if binding["spec"]["targetType"] == "ip":
                service = self._api.get("Service", namespace, binding["spec"]["serviceRef"]["name"])
                if service["spec"]["selector"].items() <= labels.items():
                    yield GATE + binding["metadata"]["name"]


def health_checks(mirror: KubernetesStore, conditions: Conditions) -> Callable[[str, int], bool]:
    """Return what answers the load balancer's health checks: sick pods with 500.

    A node passes when any pod behind its port would.
    """

    def passes(id_: str, port: int) -> bool:
        if not id_.startswith("i-"):
            pods = [pod.shared for pod in mirror.stored("Pod") if pod.shared["status"].get("podIP") == id_]
            return all(conditions.is_well(mirror, pod) for pod in pods)
        for service in mirror.stored("Service"):
            spec = service.shared["spec"]
            if any(one.get("nodePort") == port for one in spec["ports"]):
                behind = mirror.stored("Pod", service.namespace, **spec["selector"])
                return any(conditions.is_well(mirror, pod.shared) for pod in behind)
        return False

    return passes
