"""Everybody who takes part in a scenario: the control plane, Argo, the stand-ins around them, and the provider."""

import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import yaml

from tests import ROOT
from tests.real.api import Api, Manifest
from tests.real.control_plane import ControlPlane
from tests.real.kubelet import Kubelet, Runtime
from tests.real.load_balancer_controller import HASH_LABEL, Conditions, Controller, Webhook, health_checks
from tests.real.recorder import Recorder
from tests.real.watcher import Watcher
from tests.server import Server, bare_environment
from tests.world.aws.moto_elbv2 import settings
from tests.world.world import World

NAMESPACE = "alb-provider"

PROVIDER_KEY_ID = "AKIAPROVIDERPROVIDER"
"""The access key with which the providers call the embedded AWS, so that their calls can be told from others."""

DEPLOYED = ROOT / "deploy" / "overlays" / "pod-identity"

AS_SHIPPED = {
    "PROVIDER_TOPOLOGY_FRESH_SECONDS": "2",
    "PROVIDER_TARGET_HEALTH_FRESH_SECONDS": "2",
    "PROVIDER_TARGET_GROUPS_FRESH_SECONDS": "300",
    "PROVIDER_METRICS_FRESH_SECONDS": "60",
    "PROVIDER_FAILURES_FRESH_SECONDS": "1",
    "PROVIDER_ELBV2_CALLS_PER_SECOND": "100",
    "PROVIDER_SWITCH_WATCH_SECONDS": "3",
}
"""The settings' defaults, but for the calls a second, since many scenarios run at once, and the watch of switches."""

BINDING_CRD: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "targetgroupbindings.elbv2.k8s.aws"},
    "spec": {
        "group": "elbv2.k8s.aws",
        "scope": "Namespaced",
        "names": {"kind": "TargetGroupBinding", "plural": "targetgroupbindings", "singular": "targetgroupbinding"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}


class Containers(Runtime, Protocol):
    """Containers that can be reached."""

    def is_well(self, address: str, port: int) -> bool:
        """Check a target's health."""


class Cast:
    """All but Argo, which comes in several versions. A context manager.

    With a `runtime` pods have containers, and health checks are requests to them.
    """

    def __init__(
        self, directory: Path, runtime: Containers | None = None, *, deployed: Path = DEPLOYED, audited: bool = False
    ) -> None:
        self.directory = directory
        self._deployed = deployed
        self._runtime = runtime
        self._stack = ExitStack()
        self.plane = ControlPlane(directory, audited=audited)
        self.world = World()
        self.conditions = Conditions()

    @property
    def api(self) -> Api:
        """The API server, as an administrator."""
        return self.plane.api

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.plane)
            stack.enter_context(self.world)
            self.api.apply([BINDING_CRD])
            time.sleep(1)
            self.kubelet = Kubelet(self.api, self._runtime)
            self.kubelet.put_nodes()
            self.controller = Controller(self.api, self.world.aws, self.conditions)
            passes = health_checks(self.controller.mirror, self.conditions)
            self.world.aws.load_balancers.passes = passes if self._runtime is None else self._runtime.is_well
            self._deploy()
            webhook = Webhook(self.api, self.directory)
            webhook.start()
            stack.callback(webhook.stop)
            self.provider = stack.enter_context(self.new_provider(self.plane.token(NAMESPACE, "alb-provider")))
            self.attentive = stack.enter_context(
                Server(self._environment(self.plane.token(NAMESPACE, "alb-provider")), self.directory)
            )
            self.recorder = Recorder(self.provider.url, self.is_healthy)
            stack.callback(self.recorder.server.stop)
            self.recorder.server.start()
            self.watcher = Watcher(self.api)
            for loop in (self.kubelet, self.controller, self.watcher):
                stack.enter_context(loop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def new_provider(self, token: str, token_file: Path | None = None, **variables: str) -> Server:
        """Return a provider, to be started, with a ServiceAccount's token."""
        return Server(self._environment(token, token_file), self.directory, **AS_SHIPPED, **variables)

    def _environment(self, token: str, token_file: Path | None = None) -> dict[str, str]:
        environment = self.world.environment(self.directory)
        environment["KUBECONFIG"] = str(self.plane.kubeconfig(token, token_file=token_file))
        environment["AWS_ACCESS_KEY_ID"] = PROVIDER_KEY_ID
        return bare_environment(environment)

    def is_healthy(self, namespace: str, pod_hash: str) -> bool:
        """Tell whether every pod of a version is a healthy target in AWS's own state, and there is one.

        With targets of type instance: whether every registered target of some group is.
        """
        pods = [
            pod
            for pod in self.api.list("Pod", namespace, cached=False, **{HASH_LABEL: pod_hash})
            if "deletionTimestamp" not in pod["metadata"]
        ]
        healthy, groups = set(), []
        for _, arn in self.controller.ingresses.groups(namespace):
            states = self.world.aws.load_balancers.health(settings(arn))
            healthy |= {id_ for id_, _, health in states if health.state == "healthy"}
            groups.append([health.state for id_, _, health in states if id_.startswith("i-")])
        if any(groups):
            return any(group and set(group) == {"healthy"} for group in groups)
        return bool(pods) and all(pod["status"].get("podIP") in healthy for pod in pods)

    def healthy_for_users(self, namespace: str) -> list[int]:
        """Return the healthy targets of every target group that users reach: not the preview's, and not at weight 0."""
        ingresses = self.controller.ingresses
        weights = ingresses.weights(namespace)
        return [
            sum(health.state == "healthy" for _, _, health in self.world.aws.load_balancers.health(settings(arn)))
            for service, arn in ingresses.groups(namespace)
            if service != "web-preview" and weights.get(arn)
        ]

    def errors(self) -> list[str]:
        """Return what went wrong lately in the stand-ins, for the message of a failing test."""
        return [error for loop in (self.kubelet, self.controller, self.watcher) for error in loop.errors]

    def _deploy(self) -> None:
        """Apply the kustomization. Its pods run like any other; the answering provider is a process of ours."""
        manifests = rendered(self._deployed)
        namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
        self.api.apply([*namespaces, *manifests])


def with_components(suffix: str, namespace: str, *components: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay of a user's own: the base with components, under names of its own."""
    kustomization = {
        "namespace": namespace,
        "nameSuffix": suffix,
        "resources": ["../../base"],
        "components": [f"../../components/{name}" for name in components],
    }
    with tempfile.TemporaryDirectory() as folder:
        deploy = Path(folder) / "deploy"
        shutil.copytree(ROOT / "deploy", deploy)
        overlay = deploy / "overlays" / "user"
        overlay.mkdir()
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), "utf-8")
        return rendered(overlay)


def rendered(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True, timeout=60)
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
