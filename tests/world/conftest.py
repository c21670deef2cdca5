"""Fixtures: one embedded world for all tests, emptied before each, and the real clients that talk to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client import ApiClient, Configuration

from tests.conftest import Clock
from tests.world.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = "application/json"


@dataclass
class Answer:
    """What the Kubernetes stand-in sent back."""

    status: int
    content_type: str
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass
class KubernetesClient:
    """The real client's own HTTP layer, which raises nothing by itself."""

    client: ApiClient

    def get(self, path: str, accept: str = JSON, method: str = "GET", **headers: str) -> Answer:
        response: Any = self.client.call_api(
            method, self.client.configuration.host + path, header_params={"Accept": accept} | headers
        )
        response.read()
        return Answer(response.status, response.getheader("Content-Type"), response.data.decode())


@pytest.fixture
def clock(shared_clock: Clock) -> Iterator[Clock]:
    """A clock that only moves when a test says so."""
    shared_clock.frozen, shared_clock.seconds = True, 0.0
    yield shared_clock
    shared_clock.frozen = False


@pytest.fixture
def world(clock: Clock, shared_world: World) -> Iterator[World]:  # noqa: ARG001 - the world's clock stands still
    shared_world.reset()
    yield shared_world
    shared_world.reset()


@pytest.fixture
def kubernetes_client(world: World) -> Iterator[KubernetesClient]:
    configuration = Configuration(host=world.kubernetes_server.url)
    configuration.retries = False  # else urllib3 waits for the seconds of Retry-After
    with ApiClient(configuration) as client:
        yield KubernetesClient(client)
