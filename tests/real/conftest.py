"""The cast of the scenarios, and what became of each."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.real import blue_green, canaries, explained, failing, handed_over, outages  # noqa: F401 - registers scenarios
from tests.real.build import ARGO_VERSIONS, missing
from tests.real.cast import Cast
from tests.real.control_plane import Argo
from tests.real.facts import Facts
from tests.real.scenarios import ALONE, SCENARIOS, Scenario
from tests.real.stage import Stage

collect_ignore_glob = [] if os.environ.get("REAL") else ["test_*.py"]
"""Only `make real` runs them."""

AT_ONCE = 10
"""Scenarios at the same time: they mostly wait."""


@pytest.fixture(scope="session")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    """The control plane and everybody around it."""
    lacking = missing()
    assert not lacking, f"Run `make real`, which builds what is missing: {', '.join(lacking)}."
    with Cast(tmp_path_factory.mktemp("real")) as everybody:
        yield everybody


@pytest.fixture(scope="session")
def facts() -> Facts:
    """What the scenarios learn about each version of Argo."""
    return Facts()


@pytest.fixture(scope="module", params=ARGO_VERSIONS)
def outcomes(request: pytest.FixtureRequest, cast: Cast, facts: Facts) -> Mapping[str, Future[None]]:
    """All chosen scenarios with one version of Argo, over: most at the same time, the others one after another."""
    chosen = {
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames and hasattr(item, "callspec")
    }
    over: dict[str, Future[None]] = {}
    with Argo(cast.plane, request.param) as argo:
        for scenarios, at_once in ((SCENARIOS, AT_ONCE), (ALONE, 1)):
            with ThreadPoolExecutor(at_once) as threads:
                for name, scenario in scenarios.items():
                    if name in chosen:
                        over[name] = threads.submit(_run, scenario, Stage(cast, argo, name, facts))
    return over


def _run(scenario: Scenario, stage: Stage) -> None:
    """Run one, and take its Rollout away, so that Argo has no more work with it."""
    try:
        scenario(stage)
    finally:
        stage.api.delete("Rollout", stage.namespace, stage.rollout_name)
