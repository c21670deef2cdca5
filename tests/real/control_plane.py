"""Starts a real API server with its controllers, and Argo Rollouts."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.real.api import Api
from tests.real.build import argo_crds, argo_part, etcd, kubernetes_part
from tests.server import free_port

ADMIN_TOKEN = "token-of-the-tests"
_START_SECONDS = 90
_CONTROLLERS = ",".join(
    f"{name}-controller"
    for name in (
        *("serviceaccount", "serviceaccount-token", "root-ca-certificate-publisher", "namespace", "deployment"),
        *("replicaset", "job", "endpointslice", "endpoints", "garbage-collector", "ttl-after-finished"),
    )
)


class Program:
    """A child process with its output in a file."""

    def __init__(self, directory: Path, *command: str | Path, env: dict[str, str] | None = None) -> None:
        self.log = directory / f"{Path(command[0]).name}.log"
        self._command = [str(part) for part in command]
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Run it; its output is added to the log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._env)
        return self

    def stop(self, *, kill: bool = False) -> None:
        """End it, and wait until it has."""
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        """Its process, once it was started."""
        assert self._process is not None
        return self._process.pid

    def has_ended(self) -> bool:
        """Tell whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def tail(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


class ControlPlane:
    """etcd, kube-apiserver and, unless nothing may change by itself, kube-controller-manager. A context manager."""

    def __init__(self, directory: Path, *, with_controllers: bool = True, audited: bool = False) -> None:
        self.directory = directory
        self._with_controllers = with_controllers
        self.audit_log = directory / "audit.log" if audited else None
        """A line of JSON for every request, if they are to be counted."""
        self._stack = ExitStack()
        self.port = free_port()
        self.authority = directory / "apiserver.crt"
        self.api = Api(f"https://127.0.0.1:{self.port}", ADMIN_TOKEN, self.authority)
        self._etcd_port = free_port()
        self._api_server = self._make_api_server()

    def __enter__(self) -> Self:
        with self._stack:
            etcd_urls = [f"http://127.0.0.1:{port}" for port in (self._etcd_port, free_port())]
            self._run(
                Program(
                    self.directory,
                    etcd() or "etcd",
                    *("--data-dir", self.directory / "etcd", "--unsafe-no-fsync"),
                    *("--listen-client-urls", etcd_urls[0], "--advertise-client-urls", etcd_urls[0]),
                    *("--listen-peer-urls", etcd_urls[1]),
                )
            )
            self._run(self._api_server)
            self._wait_until_ready()
            if self._with_controllers:
                self._run(
                    Program(
                        self.directory,
                        kubernetes_part("kube-controller-manager"),
                        *("--kubeconfig", self.kubeconfig(ADMIN_TOKEN), "--controllers", _CONTROLLERS),
                        *("--service-account-private-key-file", self.directory / "service-accounts.pem"),
                        *("--root-ca-file", self.authority),
                        *("--leader-elect=false", "--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400"),
                        *("--endpointslice-updates-batch-period=0s", "--min-resync-period=1h"),
                    )
                )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def api_server_pid(self) -> int:
        """The process of the API server."""
        return self._api_server.pid

    def restart_api_server(self) -> None:
        """Stop the API server and start it again, which takes some seconds."""
        self._api_server.stop()
        self._api_server.start()
        self._wait_until_ready()

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """Return a token of a ServiceAccount."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        found = self.api.create("ServiceAccount", namespace, body, service_account, "token")
        token: str = found["status"]["token"]
        return token

    def kubeconfig(self, token: str, *, token_file: Path | None = None) -> Path:
        """Write a kubeconfig for a token, or for a file that has one and can be changed later."""
        user = {"token": token} if token_file is None else {"tokenFile": str(token_file)}
        cluster = {"server": self.api.url, "certificate-authority": str(self.authority)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": "real", "user": user}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}],
            "current-context": "real",
        }
        path = self.directory / f"kubeconfig-{abs(hash((token, token_file)))}.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def _make_api_server(self) -> Program:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_file = self.directory / "service-accounts.pem"
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        tokens = self.directory / "tokens.csv"
        tokens.write_text(f"{ADMIN_TOKEN},admin,1,system:masters\n", encoding="utf-8")
        audit: list[str | Path] = []
        if self.audit_log is not None:
            policy = self.directory / "audit.yaml"
            rules = {"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
            policy.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy"} | rules), "utf-8")
            audit = ["--audit-policy-file", policy, "--audit-log-path", self.audit_log]
        without = ["DefaultStorageClass", "StorageObjectInUseProtection"]
        without += [] if self._with_controllers else ["ServiceAccount"]  # a controller makes the one of a namespace
        return Program(
            self.directory,
            kubernetes_part("kube-apiserver"),
            *("--etcd-servers", f"http://127.0.0.1:{self._etcd_port}", "--secure-port", str(self.port)),
            *("--cert-dir", self.directory, "--token-auth-file", tokens, "--authorization-mode", "RBAC"),
            *("--service-account-issuer", "https://kubernetes.default.svc"),
            *("--service-account-key-file", key_file, "--service-account-signing-key-file", key_file),
            *("--service-cluster-ip-range", "10.96.0.0/16", "--bind-address", "127.0.0.1"),
            *("--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none"),
            *("--disable-admission-plugins", ",".join(without)),
            *audit,
        )

    def _run(self, program: Program) -> None:
        self._stack.callback(program.start().stop)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if (
                    self.authority.exists()
                    and requests.get(f"{self.api.url}/readyz", verify=str(self.authority), timeout=5).ok
                ):
                    return
            except (requests.RequestException, OSError):
                pass
            if time.monotonic() > deadline or self._api_server.has_ended():
                raise RuntimeError(f"The API server did not start: {self._api_server.tail()}")
            time.sleep(0.3)


class Argo:
    """Argo Rollouts of one version, with its CRDs, and its plugin of kubectl."""

    def __init__(self, plane: ControlPlane, version: str, *flags: str, env: dict[str, str] | None = None) -> None:
        self._plane = plane
        self.version = version
        self._kubeconfig = plane.kubeconfig(ADMIN_TOKEN)
        self.controller = Program(
            plane.directory,
            argo_part(version, "rollouts-controller"),
            *("--kubeconfig", self._kubeconfig, "--leader-elect=false", "--loglevel", "info"),
            *("--metricsport", str(free_port()), "--healthzPort", str(free_port())),
            *flags,
            env=env,
        )

    def __enter__(self) -> Self:
        for path in sorted(argo_crds(self.version).glob("*-crd.yaml")):
            self._plane.api.apply(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        wait_for_kinds(self._plane.api, "Rollout", "AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate")
        self.controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.controller.stop()

    def command(self, namespace: str, *arguments: str) -> str:
        """Run `kubectl argo rollouts …` and return what it prints."""
        plugin = str(argo_part(self.version, "kubectl-argo-rollouts"))
        done = subprocess.run(
            [plugin, "--kubeconfig", str(self._kubeconfig), "--namespace", namespace, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout


def wait_for_kinds(api: Api, *kinds: str) -> None:
    """Wait until the API server serves new kinds, some moments after their definitions."""
    for kind in kinds:
        for _ in range(100):
            try:
                api.list(kind)
                break
            except requests.HTTPError:
                time.sleep(0.2)
