"""A world on a clock of its own, and replicas of the provider with handover on."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from provider.checks.question import Sources
from provider.sources.aws.service import Account
from tests.conftest import Clock
from tests.handover.stage import Replica, Stage, StageClock
from tests.world.world import World


@pytest.fixture
def wall_clock(shared_clock: Clock) -> Iterator[StageClock]:
    """The clock of the world and of the provider."""
    shared_clock.frozen, shared_clock.seconds = True, 0.0
    yield StageClock(shared_clock)
    shared_clock.frozen = False


@pytest.fixture
def world(wall_clock: StageClock, shared_world: World) -> Iterator[World]:  # noqa: ARG001 - it must stand still first
    shared_world.reset()
    yield shared_world
    shared_world.reset()


PATIENT_SECONDS = 20.0
"""Of real time, for a machine that is busy: time stands still for everyone else."""


@pytest.fixture
def timeouts() -> dict[str, float]:
    return {"connect_timeout_seconds": PATIENT_SECONDS, "read_timeout_seconds": PATIENT_SECONDS}


@pytest.fixture
def account(account: Account, wall_clock: StageClock) -> Account:
    """Calls are counted by the story's time and the real one, in which a question waits its turn."""
    return replace(account, seconds=lambda: wall_clock.seconds + time.monotonic())


@pytest.fixture
def sources(sources: Sources) -> Sources:
    return replace(sources, budget_seconds=PATIENT_SECONDS)


@pytest.fixture
def replica(sources: Sources, account: Account) -> Replica:
    return Replica(sources, account)


@pytest.fixture
def stage(world: World, wall_clock: StageClock, replica: Replica) -> Stage:
    """Four pods of blue in production; Argo asks the replica."""
    return Stage(world, wall_clock, 4, lambda name, pod_hash: str(replica.ask(name, pod_hash)["phase"]))


@pytest.fixture
def play(stage: Stage, replica: Replica) -> Callable[[float], None]:
    """Lets time pass for everyone, the replica's background included."""
    return lambda seconds: stage.play(seconds, between=replica.look)


@pytest.fixture
def registered(stage: Stage, play: Callable[[float], None]) -> Stage:
    """Green's pods are registered in production beside blue, none is healthy there yet, and Argo asks no more."""
    while stage.web.green is stage.web.blue or not stage.addresses(stage.web.green) & stage.states().keys():
        play(0.5)
    stage.web._ask_at = None
    return stage


@pytest.fixture(autouse=True)
def _without_a_defect(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the loop survives and only logs would else hide behind a group that is right in the end."""
    yield
    assert [one.getMessage() for one in caplog.get_records("call") if "defect" in one.getMessage()] == []
