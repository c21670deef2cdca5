"""Random stories of handovers: every write and every answer is compared with the truth of its moment."""

import os
from functools import partial
from random import Random

import pytest

from tests.handover.random_switches import Story, Watched
from tests.handover.stage import Replica, Stage

SEEDS = range(int(os.environ.get("HANDOVER_STORIES", "12" if os.environ.get("LONG_TESTS") else "2")))
"""More of them: HANDOVER_STORIES=500 pytest tests/handover/test_random_switches.py."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_write_and_no_pass_against_the_truth(world, wall_clock, sources, account, tried, seed):
    """Production is never taken out, nothing is left behind, and nothing passes or is written without evidence."""
    stage = Stage(world, wall_clock, 4, lambda _name, _hash: None)
    story = Story(stage, [], Random(seed))
    story.replicas += [Replica(sources, account, writer=partial(Watched, story)) for _ in range(2)]
    story.tell()
    tried("questions of random handovers", story.questions)
