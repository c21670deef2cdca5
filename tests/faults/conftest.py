"""The provider that the matrix asks, and the count of what it was asked."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from provider.settings import Settings
from provider.start import sources_of
from provider.telemetry import Metrics
from tests.app import create_app
from tests.faults.kinds import SECRETS, TOKEN
from tests.faults.matrix import CACHES, Apps, As, Combination, Outcome, Run, lane_per_call
from tests.world.world import World

BUDGET_SECONDS = 8.0
"""Of a question: longer than two tries of a read and the pause between them, so that a fault is named by itself."""

HURRIED_SECONDS = 1.0
"""Of a question whose fault would use up any budget."""

SLACK_SECONDS = 3.0
"""For what a busy machine needs to send an answer whose time is up."""

SETTINGS = {
    "budget_seconds": BUDGET_SECONDS,
    "connect_timeout_seconds": 0.8,
    "read_timeout_seconds": 0.8,
    "read_threads": 128,
    "elbv2_calls_per_second": 1000,
}

FRESHNESS = tuple(name for name in Settings.model_fields if name.endswith("_fresh_seconds"))
"""The settings that say for how long evidence, or a failure, is shared."""

_PYTHON = re.compile(r"Traceback|Error\(|Exception\(|<class|object at 0x|\bNone\b|\{'|\\n|<html|urllib3|botocore")


@pytest.fixture(scope="module")
def matrix_world(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of many Rollouts, which this process's variables lead to; its API server wants a token."""
    shared_world.reset()
    shared_world.kubernetes.bearer_token = TOKEN
    shared_world.kubernetes.serve("eks.amazonaws.com")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shared_world.environment(tmp_path_factory.mktemp("matrix")).items():
            patch.setenv(name, value)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "KUBERNETES_SERVICE_HOST"):
            patch.delenv(name, raising=False)
        yield shared_world
    shared_world.kubernetes.bearer_token = None
    shared_world.reset()


@contextmanager
def started(cache: str = "cold") -> Iterator[Apps]:
    """Start the provider in the environment as it is now, with the real readers."""
    fresh = dict.fromkeys(FRESHNESS, CACHES[cache].freshness_seconds)
    metrics = Metrics()
    sources = sources_of(Settings(**SETTINGS, **fresh), metrics)  # type: ignore[arg-type]
    hurried = replace(sources, budget_seconds=HURRIED_SECONDS)
    yield Apps(create_app(sources, metrics), create_app(hurried, metrics))
    sources.gathering.shutdown(wait=False)
    sources.cluster.server._client.rest_client.pool_manager.clear()


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, matrix_world: World) -> Iterator[Run]:
    """The outcomes of the chosen combinations of this module."""
    chosen = chosen_of(request)
    with ExitStack() as stack:
        lanes = lane_per_call(matrix_world, lambda cache: stack.enter_context(started(cache)), chosen)
        yield Run(matrix_world, lanes)


def chosen_of(request: pytest.FixtureRequest) -> list[Combination]:
    """The combinations of the asking module that this session is to run."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    found = [item.callspec.params.get("combination") for item in items if hasattr(item, "callspec")]
    return [item for item in found if isinstance(item, Combination)]


def assert_law(combination: Combination, outcome: Outcome) -> None:
    """The law of every combination: in time, the right answer, nothing given away, and all well once it is over."""
    during, after, call = outcome.during, outcome.after, combination.call

    budget_seconds = HURRIED_SECONDS if combination.fault.lasts else BUDGET_SECONDS
    assert during.seconds < budget_seconds + SLACK_SECONDS, during.text
    assert [secret for secret in SECRETS if secret in during.text] == [], during.text
    if combination.leads_to is As.NOT_FOUND:
        assert during.status == 404, during.text
    else:
        assert during.status == 200, during.text
        message = during.body["message"]
        assert _PYTHON.search(message) is None, message
        assert during.body["measurement"][1] == during.body["phase"]
        if combination.leads_to is not As.WITHOUT:
            reasons = combination.leads_to if isinstance(combination.leads_to, tuple) else (combination.leads_to,)
            assert during.outcome in {("Inconclusive", reason.value) for reason in reasons}, message
            if during.body["reason"].startswith(("Kubernetes", "Aws")):
                assert call.says.replace("{lane}", outcome.lane) in message
        else:
            assert during.outcome == call.answers, message
    assert after.status == 200, f"no recovery: {after.text}"
    assert after.outcome == call.answers, f"no recovery: {after.text}"


@pytest.fixture
def count(tried: Callable[..., None]) -> Iterator[None]:
    """Count a combination that was tried."""
    yield
    tried("combinations of a call and a fault")
