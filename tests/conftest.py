"""The embedded world, readers that read it with the real client libraries, and the application over them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.session import Session
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings

from provider.checks.question import Sources
from provider.model.records import Freshness
from provider.sources.aws.cloudwatch import CloudWatch
from provider.sources.aws.load_balancers import LoadBalancers
from provider.sources.aws.roles import Roles
from provider.sources.aws.service import Account
from provider.sources.bulkheads import Bulkheads
from provider.sources.kubernetes.api_server import ApiServer
from provider.sources.kubernetes.connection import connect
from provider.sources.kubernetes.reader import Cluster
from provider.sources.shared import Shared
from provider.telemetry import Metrics
from tests.app import create_app
from tests.scene import Scene
from tests.world.aws.api import REGION
from tests.world.world import World

hypothesis_settings.register_profile("untimed", deadline=None)  # a busy machine pauses anywhere
hypothesis_settings.load_profile("untimed")

_TRIED: pytest.StashKey[dict[str, Counter[str]]] = pytest.StashKey()


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Counts what a test tries of some kind: the end of the run tells how much that was."""
    counts = request.config.stash.setdefault(_TRIED, {})
    return lambda kind, number=1: counts.setdefault(kind, Counter()).update({request.path.stem: number})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add up what the processes of pytest-xdist tried."""
    counts = node.config.stash.setdefault(_TRIED, {})
    for kind, by_file in getattr(node, "workeroutput", {}).get("tried", {}).items():
        counts.setdefault(kind, Counter()).update(by_file)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what this process tried to the one that reports."""
    if hasattr(session.config, "workeroutput"):
        counts = session.config.stash.get(_TRIED, {})
        session.config.workeroutput["tried"] = {kind: dict(by_file) for kind, by_file in counts.items()}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how much was tried of each kind."""
    counts: dict[str, Counter[str]] = config.stash.get(_TRIED, {})
    if counts:
        terminalreporter.section("tried")
    for kind, by_file in sorted(counts.items()):
        parts = ", ".join(f"{number} in {name}" for name, number in sorted(by_file.items()))
        terminalreporter.write_line(f"{by_file.total()} {kind}: {parts}")


@dataclass
class Clock:
    """The world's clock: real time, or while `frozen` only what a test says."""

    frozen: bool = False
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds if self.frozen else time.monotonic()


@pytest.fixture(scope="session")
def shared_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def shared_world(shared_clock: Clock) -> Iterator[World]:
    """One world for the whole run: moto keeps its state per process."""
    with World(clock=shared_clock) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """An empty cluster and an empty account."""
    shared_world.reset()
    yield shared_world
    shared_world.reset()


@pytest.fixture
def environment(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that lead a program into the world, set in this process too; no proxy stands in between."""
    variables = world.environment(tmp_path) | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    return variables


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


TIMEOUTS = {"connect_timeout_seconds": 10.0, "read_timeout_seconds": 10.0}
"""Longer than any pause of a busy machine: a test of a silent server sets its own."""


BUDGET_SECONDS = 20
"""For a query; the same holds."""


@pytest.fixture(scope="session")
def aws_models() -> Loader:
    """Botocore's own data, parsed once for the whole run: that takes longer than most tests."""
    return Loader()


@pytest.fixture
def timeouts() -> dict[str, float]:
    return TIMEOUTS


@pytest.fixture
def roles() -> Roles:
    """The roles that may be assumed: none, but for tests of that."""
    return Roles()


def open_aws_session(aws_models: Loader) -> boto3.Session:
    """Return a session that has no credentials yet."""
    session = Session()
    session.register_component("data_loader", aws_models)
    return boto3.Session(botocore_session=session, region_name=REGION)


@pytest.fixture(scope="session")
def aws_session(aws_models: Loader) -> boto3.Session:
    """One session for the whole run, which keeps the credentials of the world; each test makes its own clients."""
    return open_aws_session(aws_models)


@pytest.fixture
def account(
    environment: dict[str, str],  # noqa: ARG001 - clients are made from it
    aws_session: boto3.Session,
    roles: Roles,
    timeouts: dict[str, float],
) -> Account:
    return Account(
        aws_session,
        connect_timeout_seconds=timeouts["connect_timeout_seconds"],
        read_timeout_seconds=timeouts["read_timeout_seconds"],
        pool_size=16,
        roles=roles,
    )


@dataclass
class WallClock:
    """The clock by which evidence is read and judged: the machine's, ahead of it, standing still, or a test's."""

    ahead: timedelta = timedelta(0)
    stopped_at: datetime | None = None
    machine: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> datetime:
        return (self.stopped_at or self.machine()) + self.ahead

    def stop(self) -> None:
        self.stopped_at = datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def wall_clock() -> WallClock:
    return WallClock()


ALWAYS_ANEW = Freshness(topology=0, pods=0, target_health=0, target_groups=0, metrics=0, rollouts=0, failures=0)
"""No question uses what another one read: a test that changes the world sees the change at once."""


@pytest.fixture
def freshness() -> Freshness:
    return ALWAYS_ANEW


@pytest.fixture
def sources(
    world: World,
    account: Account,
    metrics: Metrics,
    freshness: Freshness,
    wall_clock: WallClock,
    timeouts: dict[str, float],
) -> Iterator[Sources]:
    """Readers that talk to the world with the real client libraries; all clocks agree unless a test sets one."""
    world.now = wall_clock
    with closing(Bulkheads(16)) as threads, ThreadPoolExecutor(16) as gathering:
        client = connect(pool_size=16)
        shared = Shared(threads, freshness, metrics, flight_seconds=BUDGET_SECONDS, clock=wall_clock)
        yield Sources(
            cluster=Cluster(ApiServer(lambda: client, shared.other_clocks, **timeouts, metrics=metrics), shared),
            load_balancers=LoadBalancers(account, shared, metrics, calls_per_second=1000),
            cloudwatch=CloudWatch(account, shared, metrics),
            shared=shared,
            gathering=gathering,
            budget_seconds=BUDGET_SECONDS,
        )
        client.rest_client.pool_manager.clear()


@pytest.fixture
def impatient(sources: Sources) -> Sources:
    """The same readers with a budget that a slow upstream exceeds."""
    return replace(sources, budget_seconds=5)


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world).build()


@pytest.fixture
def app(sources: Sources, metrics: Metrics) -> Flask:
    return create_app(sources, metrics)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
