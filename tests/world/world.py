"""The embedded Kubernetes and AWS together, and the environment variables that point a program to them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

from tests.world.aws.api import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, AwsApi
from tests.world.cluster.api import KubernetesApi
from tests.world.server.faults import Faults
from tests.world.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class World:
    """Both stand-ins as one context manager.

    `clock` returns the seconds by which the load balancer and a Story work, and may be a test's own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = clock
        self.kubernetes = KubernetesApi()
        self.kubernetes_faults = Faults(self.kubernetes)
        self.kubernetes_server = HttpServer(self.kubernetes_faults, now=lambda: self._date(self.kubernetes_date_offset))
        self.aws = AwsApi(self.seconds, now=lambda: self._date(self.aws_date_offset))
        self._reset_dates()

    def _reset_dates(self) -> None:
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The wall clock behind the `Date` of every answer; a story or a test sets its own."""
        self.kubernetes_date_offset: timedelta | None = timedelta(0)
        """How far the API server's clock is ahead of `now`; with None its answers have no `Date`."""
        self.aws_date_offset: timedelta | None = timedelta(0)
        """The same for AWS. Neither changes the times in objects, which are what a test writes."""

    def _date(self, offset: timedelta | None) -> datetime | None:
        return None if offset is None else self.now() + offset

    def start(self) -> Self:
        """Start both stand-ins, empty."""
        self.kubernetes_server.start()
        self.aws.start()
        return self

    def stop(self) -> None:
        """Stop both stand-ins."""
        self.kubernetes_faults.clear()
        self.kubernetes_server.stop()
        self.aws.stop()

    def reset(self) -> None:
        """Empty both stand-ins, clear faults, forget calls and let the clocks agree; addresses stay the same."""
        self._reset_dates()
        self.kubernetes_faults.clear()
        self.kubernetes_faults.forget_calls()
        self.kubernetes.reset()
        self.aws.reset()

    def environment(self, directory: str | Path) -> dict[str, str]:
        """Write a kubeconfig into the directory and return the environment variables that use it."""
        path = Path(directory) / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(self._kubeconfig()), encoding="utf-8")
        return {
            "KUBECONFIG": str(path),
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _kubeconfig(self) -> dict[str, object]:
        token = self.kubernetes.bearer_token
        name = "demo"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.kubernetes_server.url}}],
            "users": [{"name": name, "user": {} if token is None else {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "shop"}}],
            "current-context": name,
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
