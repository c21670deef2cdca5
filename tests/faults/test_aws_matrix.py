"""Every call of AWS x every fault."""

import pytest

from tests.faults import aws_faults
from tests.faults.calls import AWS_CALLS
from tests.faults.conftest import assert_law
from tests.faults.matrix import Combination, Run

pytestmark = pytest.mark.timeout(300)


@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("combination", aws_faults.combinations(), ids=str)
def test_an_aws_call_that_fails_blocks_in_time_and_recovers(run: Run, combination: Combination) -> None:
    """Each fault of each call has its own reason and names the IAM action, and is forgotten once it is over."""
    assert_law(combination, run.outcome(combination))


def test_every_exception_is_about_a_combination_that_exists() -> None:
    """An exception to the table of faults names a call and a fault that the matrix has."""
    known = {(one.call.name, one.fault.name) for one in aws_faults.combinations()}

    assert set(aws_faults.EXCEPTIONS) - known == set()
    assert len(AWS_CALLS) == len({call.name for call in AWS_CALLS})
