"""Both stand-ins say what time it is, by clocks that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests

from tests.world.story.story import Story

if TYPE_CHECKING:
    from tests.world.world import World

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def dates(world: World) -> list[str | None]:
    """What Kubernetes and AWS write into `Date`; a second one would be joined with a comma."""
    with requests.Session() as session:
        session.trust_env = False
        kubernetes = session.get(f"{world.kubernetes_server.url}/version", timeout=5)
        aws = session.post(world.aws.url, data={"Action": "GetCallerIdentity"}, timeout=5)
        return [answer.headers.get("Date") for answer in (kubernetes, aws)]


def test_clocks_that_a_test_sets(world: World) -> None:
    """The two clocks stand apart by their offsets, in the form of RFC 9110, and agree again after a reset."""
    world.now = lambda: NOON
    assert dates(world) == ["Sun, 01 Nov 2026 12:00:00 GMT"] * 2

    world.kubernetes_date_offset, world.aws_date_offset = timedelta(seconds=-7), timedelta(minutes=2)
    assert dates(world) == ["Sun, 01 Nov 2026 11:59:53 GMT", "Sun, 01 Nov 2026 12:02:00 GMT"]

    world.kubernetes_date_offset = world.aws_date_offset = None
    assert dates(world) == [None, None]

    world.reset()
    assert world.now() > NOON
    assert None not in dates(world)


def test_errors_and_faults_have_a_date(world: World) -> None:
    """An error has a Date too, and a fault may give a wrong one."""
    world.now = lambda: NOON
    world.kubernetes_faults.kubernetes_error("/version", "Forbidden", "no", 403)
    world.aws.faults.add("GetCallerIdentity", headers={"Date": "yesterday"})

    assert dates(world) == ["Sun, 01 Nov 2026 12:00:00 GMT", "yesterday"]


@pytest.mark.parametrize("step", [timedelta(seconds=60), timedelta(seconds=-60)])
def test_a_story_steps_the_clock(world: World, step: timedelta) -> None:
    """Answers follow the wall clock of the story that is told, also when it is set forward or back."""
    now = NOON
    Story(world, now=lambda: now, cast=()).set_up()
    before = dates(world)
    now += step

    assert before == ["Sun, 01 Nov 2026 12:00:00 GMT"] * 2
    assert dates(world) == [f"{now:%a, %d %b %Y %H:%M:%S} GMT"] * 2
