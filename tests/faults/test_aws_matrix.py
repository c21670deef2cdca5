"""Every call of AWS x every fault."""

import pytest

from tests.faults import aws_faults
from tests.faults.conftest import assert_law
from tests.faults.matrix import Combination, Run

pytestmark = pytest.mark.timeout(300)


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", aws_faults.combinations(), ids=str)
def test_an_aws_call_that_fails_blocks_in_time_and_recovers(run: Run, combination: Combination) -> None:
    """Each fault of each call has its own reason and names the IAM action, and is forgotten once it is over."""
    assert_law(combination, run.outcome(combination))


def test_what_is_left_out_exists_and_has_a_reason() -> None:
    """A fault that is left out is one of the table, and the list says why."""
    known = {fault.name for faults in aws_faults.OF_ACTION.values() for fault in faults}

    assert set(aws_faults.LEFT_OUT) <= known
    assert all(aws_faults.LEFT_OUT.values())
