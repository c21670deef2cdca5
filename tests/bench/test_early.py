"""From the switch to the abort, seeded: a bad green is aborted earlier, and a healthy one never."""

import pytest

from tests.bench import early

SWITCHES = 20


@pytest.mark.parametrize("share", [0.08, 0.5, 1.0])
def test_a_bad_green_is_aborted_earlier_than_before(share):
    """Every bad switch is aborted, none later than before, and just as early where a gap has to be tolerated."""
    for rate in (100, 10_000):
        for seed in range(SWITCHES):
            switch = early.Switch(f"{share} {rate} {seed}", rate, share)
            before, with_gap, without = (
                switch.abort_after(one)
                for one in (early.BEFORE, early.shipped("blue-green"), early.shipped("blue-green-without-gap"))
            )
            assert before
            assert with_gap
            assert without
            assert without == with_gap <= before


def test_metrics_are_read_once_a_minute():
    """A whole watch of 19 answers in 360 s reads CloudWatch at most seven times, whenever in the minute it begins."""
    for seed in range(SWITCHES):
        switch = early.Switch(f"read {seed}", 100, 0.003)
        assert len(list(switch.phases(early.shipped("blue-green")))) == 19
        assert switch.reads <= 7


def test_a_healthy_green_is_never_failed():
    """0.3 % of 5xx at a limit of 1 %: no answer is Failed, whatever is published in which order."""
    assert early.false_failures(SWITCHES) == 0


@pytest.mark.long
def test_two_thousand_healthy_greens_are_never_failed():
    """The same of 2,000 switches, at 20 to 10,000 requests a second."""
    assert early.false_failures(2_000) == 0
