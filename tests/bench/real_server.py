"""The CPU of a real API server for the requests of a look: one that has the same objects answers the same requests.

Only where its parts are built (`make real` builds them); without them the bytes and the number of requests must do.
"""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import requests
import yaml

from tests.bench.processes import cpu_seconds
from tests.bench.stand_in import Call
from tests.bench.subjects import Subject, manifests
from tests.bench.world import GREEN_IS_OLD
from tests.real.build import ARGO_VERSIONS, argo_crds, missing
from tests.real.cast import BINDING_CRD
from tests.real.control_plane import ADMIN_TOKEN, ControlPlane, wait_for_kinds

ROUNDS = 20
IDLE_SECONDS = 3.0


def is_built() -> bool:
    """Tell whether there is a real API server on this machine."""
    return not missing()


class RealApiServer:
    """A real API server with the objects of these Rollouts, as a context manager; no controller changes them."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._subjects = tuple(subjects)
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alb-provider-bench-")))
            self._plane = stack.enter_context(ControlPlane(directory, with_controllers=False))
            stack.callback(self._session.close)
            rollout_crd = (argo_crds(ARGO_VERSIONS[-1]) / "rollout-crd.yaml").read_text(encoding="utf-8")
            self._plane.api.apply([BINDING_CRD, yaml.safe_load(rollout_crd)])
            wait_for_kinds(self._plane.api, "Rollout", "TargetGroupBinding")
            for namespace in sorted({one.namespace for one in self._subjects}):
                self._plane.api.create("Namespace", "", {"metadata": {"name": namespace}})
            for subject in self._subjects:
                for manifest in manifests(subject, datetime.now(UTC) - GREEN_IS_OLD):
                    self._create(manifest)
            self._idle = self._idle_share()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cpu_ms(self, calls: Mapping[str, Sequence[Call]]) -> dict[str, float]:
        """Return what one round of each way's calls costs the API server; the ways take turns."""
        spent = dict.fromkeys(calls, 0.0)
        for number in range(1 + ROUNDS):
            for way, some in calls.items():
                cpu, began = cpu_seconds(self._plane.api_server_pid), time.monotonic()
                self._send(some)
                cpu = cpu_seconds(self._plane.api_server_pid) - cpu - self._idle * (time.monotonic() - began)
                spent[way] += cpu if number else 0.0  # the first round fills its caches
        return {way: max(1000 * cpu / ROUNDS, 0.0) for way, cpu in spent.items()}

    def _send(self, calls: Sequence[Call]) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        for one in calls:
            answer = self._session.get(
                self._plane.api.url + one.target,
                headers=headers | {"Accept": one.accept, "Accept-Encoding": one.accept_encoding},
                verify=str(self._plane.authority),
                timeout=30,
            )
            if answer.status_code != one.status:
                raise RuntimeError(f"{one.target}: {answer.status_code} instead of {one.status}: {answer.text[:300]}")

    def _create(self, manifest: dict[str, Any]) -> None:
        """Create an object and its status; what the API server itself writes is left to it."""
        own = {"managedFields", "uid", "resourceVersion", "creationTimestamp"}
        metadata = {key: value for key, value in manifest["metadata"].items() if key not in own}
        addresses = {"clusterIP", "clusterIPs"}  # another cluster's
        spec = {key: value for key, value in manifest.get("spec", {}).items() if key not in addresses}
        body = {**manifest, "metadata": metadata, **({"spec": spec} if spec else {})}
        self._plane.api.create(manifest["kind"], metadata["namespace"], body)
        if manifest["kind"] == "Pod":
            status = {"status": manifest["status"]}
            self._plane.api.patch("Pod", metadata["namespace"], metadata["name"], status, "status")

    def _idle_share(self) -> float:
        """Return the share of a core that it uses while it is idle."""
        cpu = cpu_seconds(self._plane.api_server_pid)
        time.sleep(IDLE_SECONDS)
        return (cpu_seconds(self._plane.api_server_pid) - cpu) / IDLE_SECONDS
