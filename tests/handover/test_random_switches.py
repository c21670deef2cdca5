"""Random stories of handovers: every write and every answer is compared with the truth of its moment."""

import os

import pytest

from tests.handover.random_switches import tell

SEEDS = range(12 if os.environ.get("LONG_TESTS") else 1)
"""More of them: python -m tests.handover.random_switches --queries 30000."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_write_and_no_pass_against_the_truth(world, wall_clock, sources, account, tried, seed):
    """Production is never taken out, nothing is left behind, and nothing passes or is written without evidence."""
    story = tell(world, wall_clock, sources, account, seed)
    tried("questions of random handovers", story.questions)
